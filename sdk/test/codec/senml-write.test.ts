import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  beginPack,
  isSenmlName,
  setBaseTime,
  writeSample,
  writeUncertainty,
} from '../../src/codec/senml.ts';
import { toHex, written } from './bytes.ts';
import { anyPack, type PackContent, writePack } from './packs.ts';

const oracle = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });

type SenmlRecord = Map<number, unknown>;

/** RFC 8428 §6, table 4. */
const [NAME, UNIT, VALUE, STRING, BOOLEAN, TIME] = [0, 1, 2, 3, 4, 6];
const [BASE_NAME, BASE_TIME] = [-2, -3];
const LABEL_OF_TYPE: Record<string, number> = { number: VALUE, string: STRING, boolean: BOOLEAN };

test('a pack, byte by byte', () => {
  const bytes = written((target, offset) => {
    let end = beginPack(target, offset, 5, 'dev-7', 's1', 1767225600.5, 300);
    end = writeUncertainty(target, end, 2.5);
    end = writeSample(target, end, 'temperature', 'Cel', 21.37, -0.5);
    end = writeSample(target, end, 'door', undefined, true, 0);
    return writeSample(target, end, 'state', '', 'on', 1);
  });
  expect(toHex(bytes)).toBe(
    [
      '85',
      // {0: "seq", 2: 300, -2: "dev-7/s1:", -3: 1767225600.5}
      `a4 00 63${ascii('seq')} 02 19012c 21 69${ascii('dev-7/s1:')} 22 fb41da556e40200000`,
      // {0: "uncertainty", 1: "s", 2: 2.5}
      `a3 00 6b${ascii('uncertainty')} 01 61${ascii('s')} 02 f94100`,
      // {0: "temperature", 1: "Cel", 2: 21.37, 6: -0.5}
      `a4 00 6b${ascii('temperature')} 01 63${ascii('Cel')} 02 fb40355eb851eb851f 06 f9b800`,
      // {0: "door", 4: true}
      `a2 00 64${ascii('door')} 04 f5`,
      // {0: "state", 3: "on", 6: 1}
      `a3 00 65${ascii('state')} 03 62${ascii('on')} 06 01`,
    ]
      .join('')
      .replaceAll(' ', ''),
  );
});

function ascii(text: string): string {
  return Buffer.from(text).toString('hex');
}

/** Keys in the bytewise order of their encodings (RFC 8949 §4.2.1). */
function isSorted(labels: number[]): boolean {
  const encoded = labels.map((label) => (label < 0 ? 0x20 - 1 - label : label));
  return encoded.every((key, index) => index === 0 || (encoded[index - 1] as number) < key);
}

function checkRecords(records: SenmlRecord[], content: PackContent): void {
  const [head, ...rest] = records;
  expect([...(head as SenmlRecord).keys()]).toEqual([NAME, VALUE, BASE_NAME, BASE_TIME]);
  for (const record of records) {
    expect(isSorted([...record.keys()])).toBe(true);
    // §4.2: exactly one value; §4.5.1: the characters of the whole name.
    expect([VALUE, STRING, BOOLEAN].filter((label) => record.has(label))).toHaveLength(1);
    const name = `${head?.get(BASE_NAME)}${record.get(NAME)}`;
    expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9:./_-]*$/);
    // What has its default value is left out.
    expect(record.get(TIME)).not.toBe(0);
    expect(record.get(UNIT)).not.toBe('');
  }
  expect(rest).toHaveLength(content.samples.length + (content.uncertaintyS === undefined ? 0 : 1));
}

test('cbor-x reads every pack as RFC 8428 has it', () => {
  fc.assert(
    fc.property(anyPack, (content) => {
      const bytes = written((target, offset) => writePack(target, offset, content));
      // A 64-bit integer is a BigInt to cbor-x.
      const records = (oracle.decode(bytes) as SenmlRecord[]).map(
        (record) => new Map([...record].map(([key, value]) => [key, plain(value)])),
      );
      checkRecords(records as SenmlRecord[], content);
      const head = records[0] as SenmlRecord;
      const { deviceId, stream, baseTimeS, sequence } = content;
      expect(head.get(BASE_NAME)).toBe(stream === '' ? `${deviceId}:` : `${deviceId}/${stream}:`);
      expect(head.get(NAME)).toBe('seq');
      expect(head.get(VALUE)).toBe(sequence);
      expect(head.get(BASE_TIME)).toBe(baseTimeS);
      for (const [index, sample] of content.samples.entries()) {
        const record = records[records.length - content.samples.length + index] as SenmlRecord;
        expect(record.get(NAME)).toBe(sample.name);
        expect(record.get(UNIT) ?? '').toBe(sample.unit ?? '');
        expect(record.get(TIME) ?? 0).toBe(sample.timeOffsetS + 0);
        const label = LABEL_OF_TYPE[typeof sample.value] as number;
        expect(record.get(label)).toBe(sample.value);
      }
    }),
    { numRuns: 300 },
  );
});

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

test('what does not fit is measured all the same', () => {
  fc.assert(
    fc.property(anyPack, fc.nat(), (content, cut) => {
      const whole = written((target, offset) => writePack(target, offset, content));
      const memory = new Uint8Array(whole.length + 8).fill(0xa5);
      const size = cut % whole.length;
      expect(writePack(memory.subarray(0, size), 0, content)).toBe(whole.length);
      expect(memory.subarray(size).every((byte) => byte === 0xa5)).toBe(true);
    }),
  );
});

test('a pack without a time gets one later, whatever its ids, sequence and samples are', () => {
  const anyTime = fc.double({ min: -1e10, max: 1e10, noNaN: true });
  fc.assert(
    fc.property(anyPack, anyTime, (content, timeS) => {
      const bytes = written((target, offset) =>
        writePack(target, offset, { ...content, baseTimeS: Number.NaN }),
      );
      const before = Uint8Array.from(bytes);
      expect(setBaseTime(bytes, 0, bytes.length, timeS)).toBe(true);
      const [first] = oracle.decode(bytes) as SenmlRecord[];
      expect(first?.get(BASE_TIME)).toBe(timeS);
      const changed = [...bytes].flatMap((byte, index) => (byte === before[index] ? [] : [index]));
      expect((changed.at(-1) ?? 0) - (changed[0] ?? 0)).toBeLessThan(8);
    }),
  );
});

test('a pack that has its time keeps it', () => {
  const bytes = new Uint8Array(64);
  const end = beginPack(bytes, 0, 1, 'd1', 'abc', 1_767_225_600, 7);
  const before = [...bytes];
  expect(setBaseTime(bytes, 0, end, 5)).toBe(false);
  expect([...bytes]).toEqual(before);
});

describe('mistakes of the caller', () => {
  const target = new Uint8Array(64);

  test('numbers that no JSON number is', () => {
    for (const wrong of [NaN, Infinity, -Infinity]) {
      // NaN says that no time is known.
      if (!Number.isNaN(wrong)) {
        expect(() => beginPack(target, 0, 1, 'd', '', wrong, 1)).toThrow('base time');
      }
      expect(() => writeUncertainty(target, 0, wrong)).toThrow('value not finite');
      expect(() => writeSample(target, 0, 'n', '', wrong, 0)).toThrow('value not finite');
      expect(() => writeSample(target, 0, 'n', '', 1, wrong)).toThrow('time not finite');
    }
  });

  test('names are told by isSenmlName', () => {
    for (let code = 0; code < 0x180; code += 1) {
      const character = String.fromCharCode(code);
      const isAllowed = /[A-Za-z0-9:./_-]/.test(character);
      const isFirst = /[A-Za-z0-9]/.test(character);
      expect(isSenmlName(`a${character}`), `a${character}`).toBe(isAllowed);
      expect(isSenmlName(character), character).toBe(isFirst);
    }
    expect(isSenmlName('')).toBe(false);
    expect(isSenmlName('urn:dev:ow:10e2073a0108006')).toBe(true);
  });
});
