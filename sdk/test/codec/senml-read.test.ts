import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RecordError, SenmlReader } from '../../src/codec/senml-read.ts';
import {
  LABEL_BASE_UNIT,
  LABEL_BOOLEAN_VALUE,
  LABEL_DATA_VALUE,
  LABEL_STRING_VALUE,
  LABEL_SUM,
  LABEL_VALUE,
} from '../../src/codec/senml-write.ts';
import { fromHex, POISON_START, poisoned, toHex } from './bytes.ts';

const oracle = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });

/** RFC 8428 §6, table 4. */
const LABELS: Record<string, number> = {
  bver: -1,
  bn: -2,
  bt: -3,
  bu: -4,
  bv: -5,
  bs: -6,
  n: 0,
  u: 1,
  v: 2,
  vs: 3,
  vb: 4,
  s: 5,
  t: 6,
  ut: 7,
  vd: 8,
};

/** A record with its fields by their JSON names; other names stay as they are. */
type JsonRecord = Record<string, unknown>;

function encode(records: readonly JsonRecord[]): Uint8Array {
  return oracle.encode(
    records.map(
      (record) =>
        new Map(Object.entries(record).map(([key, value]) => [LABELS[key] ?? key, value])),
    ),
  );
}

/** Every record resolved, in JSON's terms. */
function resolve(bytes: Uint8Array): { records: JsonRecord[]; error: unknown } {
  const reader = new SenmlReader();
  const records: JsonRecord[] = [];
  const source = poisoned(bytes, 0x00);
  if (reader.begin(source, POISON_START, POISON_START + bytes.length)) {
    while (reader.next()) {
      const record: JsonRecord = {};
      record.n = reader.text(reader.baseNameAt) + reader.text(reader.nameAt);
      if (reader.unitAt >= 0) record.u = reader.text(reader.unitAt);
      if (reader.timeS !== 0) record.t = reader.timeS;
      const { valueLabel } = reader;
      if (valueLabel === LABEL_VALUE) record.v = reader.number;
      if (valueLabel === LABEL_BOOLEAN_VALUE) record.vb = reader.boolean;
      if (valueLabel === LABEL_STRING_VALUE) record.vs = reader.text(reader.stringAt);
      if (valueLabel === LABEL_DATA_VALUE) record.vd = toHex(reader.bytes(reader.stringAt));
      if (!Number.isNaN(reader.sum)) record.s = reader.sum;
      if (!Number.isNaN(reader.updateTimeS)) record.ut = reader.updateTimeS;
      records.push(record);
    }
  }
  const { error, errorOffset } = reader;
  expect(reader.next()).toBe(false);
  return { records, error: error === undefined ? undefined : [error, errorOffset - POISON_START] };
}

function resolved(records: readonly JsonRecord[]): JsonRecord[] {
  const { records: found, error } = resolve(encode(records));
  expect(error).toBe(undefined);
  return found;
}

describe('examples of RFC 8428', () => {
  test('§6, byte by byte', () => {
    const bytes = fromHex(`
      87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a
      31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
      22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00
      67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
      66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06
      24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
      72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc
      cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
      f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e
      74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
      74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67
      63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
      33 33 33`);
    const base = 'urn:dev:ow:10e2073a0108006:';
    const bt = 1276020076.001;
    const currents = [1.2, 1.3, 1.4, 1.5, 1.6, 1.7].map((v, index) => ({
      n: `${base}current`,
      u: 'A',
      t: bt + index - 5,
      v,
    }));
    expect(resolve(bytes)).toEqual({
      records: [{ n: `${base}voltage`, u: 'V', t: bt, v: 120.1 }, ...currents],
      error: undefined,
    });
    for (let size = 0; size < bytes.length; size += 1) {
      const [error] = resolve(bytes.slice(0, size)).error as unknown[];
      expect(error).toBe('truncated');
    }
  });

  test('§5.1.3, base name without a name, and §5.1.4, the same resolved', () => {
    const bn = 'urn:dev:ow:10e2073a01080063';
    const bt = 1.320067464e9;
    const found = resolved([
      { bn, bt, bu: '%RH', v: 20 },
      { u: 'lon', v: 24.30621 },
      { t: 60, v: 20.3 },
      { u: '%EL', t: 150, v: 98 },
    ]);
    expect(found).toEqual([
      { n: bn, u: '%RH', t: bt, v: 20 },
      { n: bn, u: 'lon', t: bt, v: 24.30621 },
      { n: bn, u: '%RH', t: bt + 60, v: 20.3 },
      { n: bn, u: '%EL', t: bt + 150, v: 98 },
    ]);
  });

  test('§5.1.5, types of data', () => {
    const bn = 'urn:dev:ow:10e2073a01080063:';
    const vd = fromHex('6869200a');
    const found = resolved([
      { bn, n: 'temp', u: 'Cel', v: 23.1 },
      { n: 'label', vs: 'Machine Room' },
      { n: 'open', vb: false },
      { n: 'nfv-reader', vd },
    ]);
    expect(found).toEqual([
      { n: `${bn}temp`, u: 'Cel', v: 23.1 },
      { n: `${bn}label`, vs: 'Machine Room' },
      { n: `${bn}open`, vb: false },
      { n: `${bn}nfv-reader`, vd: toHex(vd) },
    ]);
  });

  test('§5.1.6, several base names, and §5.1.7, a record of a base name alone', () => {
    const names = resolved([
      { bn: '2001:db8::2/', bt: 1.320078429e9, n: 'temperature', u: 'Cel', v: 25.2 },
      { n: 'humidity', u: '%RH', v: 30 },
      { bn: '2001:db8::1/', n: 'temperature', u: 'Cel', v: 12.3 },
    ]).map((record) => [record.n, record.t]);
    expect(names).toEqual([
      ['2001:db8::2/temperature', 1.320078429e9],
      ['2001:db8::2/humidity', 1.320078429e9],
      ['2001:db8::1/temperature', 1.320078429e9],
    ]);
    const actuator = resolved([{ bn: 'urn:dev:ow:1:' }, { n: 'heat', u: '/', v: 1 }]);
    expect(actuator[1]).toEqual({ n: 'urn:dev:ow:1:heat', u: '/', v: 1 });
  });
});

describe('fields', () => {
  test('base fields are added (§4.6)', () => {
    const found = resolved([
      { bn: 'a:', bt: 100, bu: 'V', bv: 10, bs: 1000, bver: 10, n: 'x', v: 1, s: 2, t: 5, ut: 60 },
      { n: 'y', v: -1 },
      { bv: 0, bs: 0, bu: 'A', bt: 0, bver: 10, n: 'z', s: 7 },
    ]);
    expect(found).toEqual([
      { n: 'a:x', u: 'V', v: 11, s: 1002, t: 105, ut: 60 },
      { n: 'a:y', u: 'V', v: 9, s: 1000, t: 100 },
      { n: 'a:z', u: 'A', s: 7 },
    ]);
  });

  test('decimal fractions are numbers (§6)', () => {
    // 27315 * 10^-2, in definite and indefinite arrays.
    for (const array of ['82 21 196ab3', '9f 21 196ab3 ff', '9a00000002 3800 19 0aab']) {
      const { records, error } = resolve(fromHex(`81 a2 00 6178 02 c4${array}`));
      expect(error).toBe(undefined);
      expect(records).toEqual([{ n: 'x', v: array.startsWith('9a') ? 273.1 : 273.15 }]);
    }
    fc.assert(
      fc.property(
        fc.integer({ min: -330, max: 330 }),
        fc.maxSafeInteger(),
        (exponent, mantissa) => {
          const value = Number(`${mantissa}e${exponent}`);
          const fraction = toHex(oracle.encode([exponent, BigInt(mantissa)])).replace('82', 'c482');
          const { records, error } = resolve(fromHex(`81a200617802${fraction}`));
          if (Number.isFinite(value)) expect(records).toEqual([{ n: 'x', v: value }]);
          else expect(error).toEqual(['bad-number', 6]);
        },
      ),
    );
  });

  test('what is not known is passed over', () => {
    const found = resolved([{ n: 'x', extra: [1, { a: 2 }], v: 1, '': null, _x: 'y', bx: 'z' }]);
    expect(found).toEqual([{ n: 'x', v: 1 }]);
    // Integers outside the table too.
    expect(resolve(fromHex('81a4 006178 0201 0980 2680'))).toEqual({
      records: [{ n: 'x', v: 1 }],
      error: undefined,
    });
  });

  test('`has` tells the record, not the pack', () => {
    const reader = new SenmlReader();
    const bytes = encode([
      { bu: 'V', n: 'x', v: 1 },
      { n: 'x', s: 2 },
    ]);
    reader.begin(bytes, 0, bytes.length);
    expect(reader.next() && reader.has(LABEL_BASE_UNIT) && !reader.has(LABEL_SUM)).toBe(true);
    expect(reader.next() && !reader.has(LABEL_BASE_UNIT) && reader.has(LABEL_SUM)).toBe(true);
    expect(reader.text(-1)).toBe('');
    expect(reader.bytes(-1)).toHaveLength(0);
    expect(reader.isText(-1, '')).toBe(false);
  });
});

describe('errors', () => {
  const table: [string, string, RecordError, number][] = [
    ['no array', 'a0', 'unexpected-type', 0],
    ['no map', '8101', 'unexpected-type', 1],
    ['trailing bytes', '81a200617802 01 00', 'trailing-bytes', 7],
    ['a key of another type', '81a1f401', 'unexpected-type', 2],
    ['a field twice', '81a3 006178 0201 0202', 'duplicate-key', 7],
    ['a base field twice', '81a4 006178 0201 2201 2202', 'duplicate-key', 9],
    ['a name that is no text', '81a2 0001 0201', 'unexpected-type', 3],
    ['a value that is no number', '81a2 006178 026131', 'unexpected-type', 6],
    ['a null boolean', '81a2 006178 04f6', 'unexpected-type', 6],
    ['data as text', '81a2 006178 086131', 'unexpected-type', 6],
    ['NaN', '81a2 006178 02f97e00', 'bad-number', 6],
    ['an infinite time', '81a3 006178 0201 06f97c00', 'bad-number', 8],
    ['a version after ours', '81a3 006178 0201 200b', 'unsupported-version', 8],
    ['version 0', '81a3 006178 0201 2000', 'unsupported-version', 8],
    ['a version of its own', '82a2006178 0201 a3006178 0201 2005', 'unsupported-version', 14],
    ['a field to understand', '81a3 006178 0201 626d5f01', 'unsupported-field', 7],
    ['such a field in chunks', '81a3 006178 0201 7f616d615f60ff01', 'unsupported-field', 7],
    ['two values', '81a3 006178 0201 03 6178', 'several-values', 7],
    ['no value', '81a1006178', 'no-value', 1],
    ['no field', '81a0', 'no-value', 1],
    ['only a unit', '81a2 006178 016156', 'no-value', 1],
    ['only a time', '81a10601', 'no-value', 1],
    ['a base name and a time', '81a2 216178 0601', 'no-value', 1],
    ['no name', '81a10201', 'bad-name', 1],
    ['an empty name', '81a2 0060 0201', 'bad-name', 1],
    ['a name of other characters', '81a2 0062612b 0201', 'bad-name', 3],
    ['a name that begins otherwise', '81a2 00612d 0201', 'bad-name', 3],
    ['an empty base name does not help', '81a3 2160 00612d 0201', 'bad-name', 5],
    ['a base name that begins otherwise', '81a3 21612f 006161 0201', 'bad-name', 3],
    ['a base name of others, in chunks', '81a3 217f6161612aff 006161 0201', 'bad-name', 3],
    ['a decimal fraction of one', '81a2 006178 02c48101', 'unexpected-type', 6],
    ['a decimal fraction of three', '81a2 006178 02c483010101', 'unexpected-type', 6],
    ['a decimal fraction of floats', '81a2 006178 02c48201f93c00', 'unexpected-type', 9],
    ['another tag', '81a2 006178 02c501', 'unexpected-type', 6],
  ];
  for (const [name, hex, error, offset] of table) {
    test(name, () => {
      const found = resolve(fromHex(hex));
      expect(found.error).toEqual([error, offset]);
      // The record at fault is not handed out.
      const isLater = error === 'trailing-bytes' || hex.startsWith('82');
      expect(found.records).toHaveLength(isLater ? 1 : 0);
    });
  }

  test('an unknown field that is too deep', () => {
    const nested = (depth: number) => fromHex(`81a3 006178 0201 09${'81'.repeat(depth)}00`);
    expect(resolve(nested(4)).error).toBe(undefined);
    expect(resolve(nested(5)).error).toEqual(['too-deep', 12]);
  });

  test('a sum of times or values that leaves the numbers', () => {
    const huge = Number.MAX_VALUE;
    for (const record of [
      { n: 'x', v: huge, bv: huge },
      { n: 'x', v: 1, bt: huge, t: huge },
    ]) {
      expect(resolve(encode([record])).error).toEqual(['bad-number', 1]);
    }
  });
});
