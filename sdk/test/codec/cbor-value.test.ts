import { deepStrictEqual } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CborReader } from '../../src/codec/cbor-read.ts';
import { type CborLimits, CborTag, readValue, writeValue } from '../../src/codec/cbor-value.ts';
import { APPENDIX_A } from './appendix-a.ts';
import { fromHex, POISON_START, poisoned, toHex } from './bytes.ts';

const LIMITS: CborLimits = { depthMax: 8, countMax: 1000, sizeMax: 4096 };
const oracle = new Encoder({ mapsAsObjects: true, useRecords: false, tagUint8Array: false });

function encode(value: unknown): Uint8Array {
  // Not `written`: what stops at the end of the target does not measure.
  const target = new Uint8Array(8192);
  return target.slice(0, writeValue(target, 0, value, LIMITS.depthMax));
}

function decode(bytes: Uint8Array, limits = LIMITS): { value: unknown; error: unknown } {
  const reader = new CborReader();
  reader.reset(poisoned(bytes, 0), POISON_START, POISON_START + bytes.length);
  const value = readValue(reader, limits);
  reader.finish();
  const { error, errorOffset } = reader;
  return { value, error: error === undefined ? undefined : [error, errorOffset - POISON_START] };
}

function errorOf(hex: string, limits = LIMITS): unknown {
  return decode(fromHex(hex), limits).error;
}

/** As readValue makes it: objects with own keys only; cbor-x makes BigInt of 64-bit integers. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof CborTag) return new CborTag(value.tag, plain(value.value));
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  const copy = Object.create(null);
  for (const [key, member] of Object.entries(value)) copy[key] = plain(member);
  return copy;
}

const key = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.string({ unit: 'grapheme', maxLength: 3 }),
  fc.constantFrom('toString', 'constructor', 'hasOwnProperty', 'a', 'b', 'length'),
);
const number = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constant(-0));

/** `tags`: with CborTag; `negativeZero`: with -0, which cbor-x writes as 0. */
function anyValue(tags: boolean, negativeZero = true): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', maxDepth: 5 },
      fc.constantFrom(undefined, null, true, false),
      negativeZero ? number : number.map((value) => value + 0),
      fc.string({ unit: 'grapheme' }),
      fc.uint8Array(),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(
        key.filter((name) => name !== '__proto__'),
        tie('value'),
        { maxKeys: 5 },
      ),
      ...(tags ? [fc.tuple(fc.maxSafeNat(), tie('value')).map((t) => new CborTag(...t))] : []),
    ),
  })).value;
}

describe('Appendix A', () => {
  for (const { hex, value, decodeOnly, error } of APPENDIX_A) {
    test(hex, () => {
      const decoded = decode(fromHex(hex));
      expect(decoded.error).toEqual(error === undefined ? undefined : [error, 0]);
      deepStrictEqual(decoded.value, value);
      if (error === undefined) expect(toHex(encode(value)) === hex).toBe(decodeOnly === undefined);
    });
  }

  test('every truncation', () => {
    for (const { hex, error } of APPENDIX_A) {
      for (let size = 0; size < hex.length && error === undefined; size += 2) {
        const [found] = errorOf(hex.slice(0, size)) as unknown[];
        expect(found, hex.slice(0, size)).toBe('truncated');
      }
    }
  });
});

describe('round trips', () => {
  test('of our own', () => {
    fc.assert(
      fc.property(anyValue(true), (value) => {
        const bytes = encode(value);
        const decoded = decode(bytes);
        expect(decoded.error).toBe(undefined);
        deepStrictEqual(decoded.value, plain(value));
        // Deterministic: the decoded value has the same encoding.
        expect(toHex(encode(decoded.value))).toBe(toHex(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test('every truncation', () => {
    fc.assert(
      fc.property(anyValue(true), (value) => {
        const bytes = encode(value);
        for (let size = 0; size < bytes.length; size += 1) {
          const [found] = decode(bytes.slice(0, size)).error as unknown[];
          expect(found).toBe('truncated');
        }
      }),
      { numRuns: 50 },
    );
  });

  test('cbor-x reads what we write', () => {
    fc.assert(
      fc.property(anyValue(false), (value) => {
        const decoded = oracle.decode(encode(value));
        deepStrictEqual(plain(decoded), plain(value));
      }),
      { numRuns: 500 },
    );
  });

  test('we read what cbor-x writes', () => {
    fc.assert(
      fc.property(anyValue(false, false), (value) => {
        const decoded = decode(oracle.encode(value));
        expect(decoded.error).toBe(undefined);
        deepStrictEqual(decoded.value, plain(value));
      }),
      { numRuns: 500 },
    );
  });
});

describe('writing', () => {
  test('sorts keys bytewise as they are encoded', () => {
    // RFC 8949 §4.2.1: the size in the head comes first, then the bytes, not the UTF-16 units.
    const keys = ['', 'b', 'z', 'aa', 'ä', '\u{ffff}', 'aaaa', '\u{1f600}', 'a'.repeat(24)];
    const shuffled = Object.fromEntries([...keys].reverse().map((name) => [name, 0]));
    const expected = keys.map((name) => toHex(encode(name))).sort();
    expect(toHex(encode(shuffled))).toBe(`a9${expected.map((hex) => `${hex}00`).join('')}`);
    expect(expected).toEqual(keys.map((name) => toHex(encode(name))));
    fc.assert(
      fc.property(fc.uniqueArray(key), (names) => {
        const map = Object.fromEntries(names.map((name) => [name, null]));
        const sorted = Object.keys(map)
          .map((name) => `${toHex(encode(name))}f6`)
          .sort();
        expect(toHex(encode(map)).slice(2)).toBe(sorted.join(''));
      }),
    );
  });

  test('takes own enumerable properties only', () => {
    class Base {
      own = 1;
      method(): number {
        return this.own;
      }
    }
    expect(toHex(encode(new Base()))).toBe('a1636f776e01');
    expect(toHex(encode(Object.create({ inherited: 1 })))).toBe('a0');
    expect(toHex(encode(Object.assign(Object.create(null), { a: 1 })))).toBe('a1616101');
    expect(toHex(encode(JSON.parse('{"__proto__":1}')))).toBe('a1695f5f70726f746f5f5f01');
    expect(toHex(encode(new Array(2)))).toBe('82f7f7');
    expect(toHex(encode(Buffer.from('ab')))).toBe('426162');
  });

  test('says when it does not fit, and does nothing else', () => {
    fc.assert(
      fc.property(anyValue(true), (value) => {
        const bytes = encode(value);
        for (let size = 0; size < bytes.length; size += 1) {
          const memory = new Uint8Array(bytes.length + 8).fill(0xa5);
          const end = writeValue(memory.subarray(0, size), 0, value, LIMITS.depthMax);
          expect(end).toBeGreaterThan(size);
          expect(memory.subarray(size).every((byte) => byte === 0xa5)).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('does not write deeper than allowed, nor into a circle', () => {
    const target = new Uint8Array(64);
    for (const value of [[], {}, new CborTag(1, 0)]) {
      expect(writeValue(target, 0, value, 1)).toBeLessThan(64);
      expect(writeValue(target, 0, value, 0)).toBe(65);
      expect(writeValue(target, 0, [value], 2)).toBeLessThan(64);
      expect(writeValue(target, 0, [value], 1)).toBe(65);
      expect(writeValue(target, 0, { a: value }, 1)).toBe(65);
      expect(writeValue(target, 0, new CborTag(1, value), 1)).toBe(65);
    }
    const circle: unknown[] = [];
    for (let index = 0; index < 20; index += 1) circle.push(circle);
    expect(writeValue(target, 0, circle, 8)).toBeGreaterThan(64);
    expect(writeValue(new Uint8Array(1 << 20), 0, circle, 30)).toBeGreaterThan(1 << 20);
  });

  test('of what is no data is a bug', () => {
    const target = new Uint8Array(64);
    for (const value of [() => 0, Symbol('s'), 1n, [() => 0], { a: 1n }]) {
      expect(() => writeValue(target, 0, value, 8)).toThrow('cbor: neither data');
    }
    for (const tag of [-1, 1.5, 2 ** 53, NaN]) {
      expect(() => writeValue(target, 0, new CborTag(tag, 0), 8)).toThrow('tag out of range');
    }
    expect(() => writeValue(target, 0, { '\ud800': 1, '\ud801': 2 }, 8)).toThrow('same key');
  });
});

describe('map keys', () => {
  test('never reach a prototype', () => {
    const [proto, tag] = ['695f5f70726f746f5f5f', 'a1617001'];
    expect(errorOf(`a1${proto}${tag}`)).toEqual(['unsupported-key', 1]);
    expect(errorOf(`a26161${tag}${proto}${tag}`)).toEqual(['unsupported-key', 7]);
    // In chunks it is the same key.
    expect(errorOf(`bf7f655f5f70726f64746f5f5fff${tag}ff`)).toEqual(['unsupported-key', 1]);
    const decoded = decode(encode({ constructor: 1, toString: 2, hasOwnProperty: 3 }));
    expect(Object.getPrototypeOf(decoded.value)).toBe(null);
    expect(Object.entries(decoded.value as object).sort()).toEqual([
      ['constructor', 1],
      ['hasOwnProperty', 3],
      ['toString', 2],
    ]);
    expect(({} as Record<string, unknown>).p).toBe(undefined);
  });

  test('are set where the prototype of all objects is frozen', () => {
    // As preload does on XS: there `({}).toString = 1` throws. In a process of its own, for
    // nothing thaws it again.
    const module = new URL('../../src/codec/cbor.ts', import.meta.url).href;
    const script = `
      import { CborReader, readValue } from '${module}';
      Object.freeze(Object.prototype);
      const reader = new CborReader();
      reader.reset(Buffer.from('a168746f537472696e6701', 'hex'), 0, 11);
      const value = readValue(reader, { depthMax: 1, countMax: 3, sizeMax: 11 });
      console.log(reader.error, JSON.stringify(value));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script]);
    expect(output.toString()).toBe('undefined {"toString":1}\n');
  });

  test('that come twice, and others than text and integers, are refused', () => {
    expect(errorOf('a2616101616102')).toEqual(['duplicate-key', 4]);
    expect(errorOf('a20101180102')).toEqual(['duplicate-key', 3]);
    expect(errorOf('a20100613100')).toEqual(['duplicate-key', 3]);
    expect(errorOf('bf6161017f6161ff02ff')).toEqual(['duplicate-key', 4]);
    for (const hex of ['4161', '80', 'a0', 'f4', 'f6', 'f93c00', 'c16161', 'f0']) {
      expect(errorOf(`a1${hex}01`), hex).toEqual(['unsupported-key', 1]);
    }
    expect(decode(fromHex('a2200139012c02')).value).toEqual({ '-1': 1, '-301': 2 });
  });
});

describe('limits', () => {
  const limit = (over: Partial<CborLimits>): CborLimits => ({ ...LIMITS, ...over });

  test('depth', () => {
    for (const [hex, depth] of [
      ['8180', 2],
      ['a10180', 2],
      ['c1c100', 2],
      ['00', 0],
      ['9f9f9fffffff', 3],
    ] as const) {
      expect(errorOf(hex, limit({ depthMax: depth })), hex).toBe(undefined);
      if (depth === 0) continue;
      const [error] = errorOf(hex, limit({ depthMax: depth - 1 })) as unknown[];
      expect(error, hex).toBe('too-deep');
    }
    expect(errorOf('818181', limit({ depthMax: 2 }))).toEqual(['too-deep', 2]);
  });

  test('items', () => {
    for (const [hex, count] of [
      ['00', 1],
      ['820102', 3],
      ['a10102', 3],
      ['c101', 2],
      ['9f8001ff', 3],
      ['bf616101ff', 3],
    ] as const) {
      expect(errorOf(hex, limit({ countMax: count })), hex).toBe(undefined);
      const [error] = errorOf(hex, limit({ countMax: count - 1 })) as unknown[];
      expect(error, hex).toBe('too-long');
    }
    // Items that were read before do not count.
    const reader = new CborReader();
    reader.reset(fromHex('820102820102'), 0, 6);
    expect(readValue(reader, limit({ countMax: 3 }))).toEqual([1, 2]);
    expect(readValue(reader, limit({ countMax: 3 }))).toEqual([1, 2]);
  });

  test('size', () => {
    const bytes = encode({ a: 'text', b: [1, 2, 3] });
    const { length } = bytes;
    expect(decode(bytes, limit({ sizeMax: length })).error).toBe(undefined);
    for (let size = 0; size < length; size += 1) {
      expect(decode(bytes, limit({ sizeMax: size })).error).toEqual(['too-large', 0]);
    }
    // The end of the bytes is another matter than the limit, and so is what comes after.
    expect(errorOf('8201', limit({ sizeMax: 2 }))).toEqual(['truncated', 2]);
    const reader = new CborReader();
    reader.reset(fromHex('6161820102'), 0, 5);
    expect(readValue(reader, limit({ sizeMax: 2 }))).toBe('a');
    expect(readValue(reader, limit({ sizeMax: 3 }))).toEqual([1, 2]);
    expect(reader.finish()).toBe(true);
  });

  test('a count that no bytes back costs nothing', () => {
    expect(errorOf('9b001fffffffffffff01')).toEqual(['truncated', 10]);
    expect(errorOf('bb001fffffffffffff01')).toEqual(['truncated', 10]);
    expect(errorOf('5b001fffffffffffff01')).toEqual(['truncated', 0]);
  });
});
