import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CborError,
  CborReader,
  COUNT_INDEFINITE,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_FLOAT,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_SIMPLE,
  TYPE_TAG,
  TYPE_TEXT,
} from '../../src/codec/cbor-read.ts';
import { INTEGER_MAX, writeInteger } from '../../src/codec/cbor-write.ts';
import { APPENDIX_A } from './appendix-a.ts';
import { fromHex, POISON_START, poisoned, toHex, written } from './bytes.ts';
import { halfOf } from './halves.ts';

function readerOf(hex: string): CborReader {
  const bytes = fromHex(hex);
  const reader = new CborReader();
  reader.reset(poisoned(bytes, 0), POISON_START, POISON_START + bytes.length);
  return reader;
}

/** Reads one item of `hex` and everything in it; offsets as if it began at 0. */
function errorOf(hex: string): [CborError | undefined, number] {
  const reader = readerOf(hex);
  reader.skip(8);
  reader.finish();
  return [reader.error, reader.error === undefined ? -1 : reader.errorOffset - POISON_START];
}

describe('items', () => {
  const table: [string, number, number][] = [
    ['00', TYPE_INTEGER, 0],
    ['1b001fffffffffffff', TYPE_INTEGER, INTEGER_MAX],
    ['3b001ffffffffffffe', TYPE_INTEGER, -INTEGER_MAX],
    ['3affffffff', TYPE_INTEGER, -4294967296],
    // Heads longer than they need be.
    ['1800', TYPE_INTEGER, 0],
    ['1b0000000000000001', TYPE_INTEGER, 1],
    ['3b0000000000000000', TYPE_INTEGER, -1],
    ['84', TYPE_ARRAY, 4],
    ['9a00000001', TYPE_ARRAY, 1],
    ['9f', TYPE_ARRAY, COUNT_INDEFINITE],
    ['a2', TYPE_MAP, 2],
    ['bf', TYPE_MAP, COUNT_INDEFINITE],
    ['d86b', TYPE_TAG, 107],
    ['db001fffffffffffff', TYPE_TAG, INTEGER_MAX],
    ['f4', TYPE_SIMPLE, 20],
    ['e0', TYPE_SIMPLE, 0],
    ['f820', TYPE_SIMPLE, 32],
    ['f93e00', TYPE_FLOAT, 1.5],
    ['5900020102', TYPE_BYTES, 2],
    ['62c3bc', TYPE_TEXT, 2],
    ['7f61626161ff', TYPE_TEXT, 2],
    ['7fff', TYPE_TEXT, 0],
    ['5f40420102ff', TYPE_BYTES, 2],
  ];
  for (const [hex, type, value] of table) {
    test(hex, () => {
      const reader = readerOf(hex);
      expect(reader.read()).toBe(true);
      expect(reader.type).toBe(type);
      expect(reader.value).toBe(value);
      expect(reader.itemOffset).toBe(POISON_START);
      expect(reader.offset).toBe(reader.end);
      expect(reader.itemCount).toBe(1);
      expect(reader.finish()).toBe(true);
    });
  }

  test('integers', () => {
    const reader = new CborReader();
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.nat(53), (wide, shift) => {
        const value = Math.trunc(wide / 2 ** shift) + 0;
        const bytes = written((target, offset) => writeInteger(target, offset, value));
        reader.reset(bytes, 0, bytes.length);
        expect(reader.readType(TYPE_INTEGER) && reader.finish()).toBe(true);
        expect(reader.value).toBe(value);
      }),
    );
  });

  test('every half, and floats of any bits', () => {
    const source = new Uint8Array(9);
    const view = new DataView(source.buffer);
    const reader = new CborReader();
    const check = (initial: number, size: number, expected: number) => {
      source[0] = initial;
      reader.reset(source, 0, 1 + size);
      if (!reader.readType(TYPE_FLOAT) || !Object.is(reader.value, expected)) {
        expect.fail(`${toHex(source)}: ${reader.value}, expected ${expected}`);
      }
    };
    for (let bits = 0; bits < 65536; bits += 1) {
      view.setUint16(1, bits);
      check(0xf9, 2, halfOf(bits));
    }
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (high, low) => {
        view.setUint32(1, high);
        view.setUint32(5, low);
        check(0xfa, 4, view.getFloat32(1));
        check(0xfb, 8, view.getFloat64(1));
        // And subnormals, which bits at random would never be.
        view.setUint32(1, high & 0x807fffff);
        check(0xfa, 4, view.getFloat32(1));
        view.setUint32(1, high & 0x800fffff);
        check(0xfb, 8, view.getFloat64(1));
      }),
      { numRuns: 5000 },
    );
    for (const value of [5e-324, 2.2250738585072014e-308, Number.MAX_VALUE, Infinity]) {
      view.setFloat64(1, value);
      check(0xfb, 8, value);
    }
  });

  test('of Appendix A are passed over', () => {
    for (const { hex, error } of APPENDIX_A) {
      const [found] = errorOf(hex);
      expect(found, hex).toBe(error === 'unsupported-integer' ? error : undefined);
    }
  });
});

describe('strings', () => {
  test('in one piece and in chunks', () => {
    for (const hex of ['6773747265616d73', '7f637374726473656d73ff', '7f637374726465616d73ff']) {
      const reader = readerOf(hex);
      expect(reader.readType(TYPE_TEXT)).toBe(true);
      expect(reader.isText('streams')).toBe(hex !== '7f637374726473656d73ff');
      expect(reader.isText('stream')).toBe(false);
      expect(reader.isText('streams.')).toBe(false);
      const copy = new Uint8Array(reader.value + 2);
      expect(reader.copyBytes(copy, 1)).toBe(8);
      expect(toHex(copy)).toBe(toHex(Buffer.from(`\0${reader.text()}\0`)));
    }
  });

  test('bytes are a range, or a copy', () => {
    const reader = readerOf('4401020304');
    reader.read();
    const { source, contentStart, contentEnd } = reader;
    expect(toHex(source.subarray(contentStart, contentEnd))).toBe('01020304');
    const copy = reader.bytes();
    source.fill(0);
    expect(toHex(copy)).toBe('01020304');
    const chunks = readerOf('5f42010243030405ff');
    chunks.read();
    expect(toHex(chunks.bytes())).toBe('0102030405');
    expect(chunks.copyBytes(new Uint8Array(2), 0)).toBe(5);
    expect(chunks.isText('')).toBe(false);
  });
});

describe('errors', () => {
  const table: [string, CborError, number][] = [
    ['', 'truncated', 0],
    ['18', 'truncated', 0],
    ['1b00000000000000', 'truncated', 0],
    ['420a', 'truncated', 0],
    ['8201', 'truncated', 2],
    ['a101', 'truncated', 2],
    ['9f01', 'truncated', 2],
    ['c1', 'truncated', 1],
    ['f8', 'truncated', 0],
    ['f93e', 'truncated', 0],
    ['5f4101', 'truncated', 0],
    ['5f4201', 'truncated', 1],
    ['5f58', 'truncated', 1],
    ['5b001fffffffffffff00', 'truncated', 0],
    ['9b001fffffffffffff00', 'truncated', 10],
    ['1c', 'reserved-additional-information', 0],
    ['8201fd', 'reserved-additional-information', 2],
    ['1f', 'reserved-additional-information', 0],
    ['3f', 'reserved-additional-information', 0],
    ['df00', 'reserved-additional-information', 0],
    ['5e', 'reserved-additional-information', 0],
    ['ff', 'bad-break', 0],
    ['81ff', 'bad-break', 1],
    ['a1ff', 'bad-break', 1],
    ['bf01ff', 'bad-break', 2],
    ['c1ff', 'bad-break', 1],
    ['5f01ff', 'bad-chunk', 1],
    ['5f6161ff', 'bad-chunk', 1],
    ['7f4161ff', 'bad-chunk', 1],
    ['5f5f4101ffff', 'bad-chunk', 1],
    ['5f5cff', 'bad-chunk', 1],
    ['f800', 'bad-simple', 0],
    ['f81f', 'bad-simple', 0],
    ['81f814', 'bad-simple', 1],
    ['1b0020000000000000', 'unsupported-integer', 0],
    ['1bffffffffffffffff', 'unsupported-integer', 0],
    ['3b001fffffffffffff', 'unsupported-integer', 0],
    ['3bffffffffffffffff', 'unsupported-integer', 0],
    ['5bffffffffffffffff', 'unsupported-integer', 0],
    ['9b0020000000000000', 'unsupported-integer', 0],
    ['dbffffffffffffffff00', 'unsupported-integer', 0],
    ['5f5b0020000000000000ff', 'unsupported-integer', 1],
    ['62c328', 'invalid-utf8', 0],
    ['8163eda080', 'invalid-utf8', 1],
    // Chunks are text each by themselves (§3.2.3): a character cannot be cut.
    ['7f61c361bcff', 'invalid-utf8', 1],
    ['818181818181818180', 'too-deep', 8],
    ['c1c1c1c1c1c1c1c1c100', 'too-deep', 8],
    ['0000', 'trailing-bytes', 1],
    ['80ff', 'trailing-bytes', 1],
  ];
  for (const [hex, error, offset] of table) {
    test(`${hex} ${error}`, () => expect(errorOf(hex)).toEqual([error, offset]));
  }

  test('every truncation of Appendix A', () => {
    for (const { hex, error } of APPENDIX_A) {
      if (error === 'unsupported-integer') continue;
      for (let size = 0; size < hex.length; size += 2) {
        expect(errorOf(hex.slice(0, size))[0], hex.slice(0, size)).toBe('truncated');
      }
    }
  });

  test('the first one stays until reset, and the position with it', () => {
    const reader = readerOf('011c6161');
    expect(reader.read()).toBe(true);
    const { offset } = reader;
    expect(reader.read()).toBe(false);
    expect(reader.fail('too-long', 0)).toBe(false);
    expect([reader.error, reader.errorOffset]).toEqual(['reserved-additional-information', offset]);
    expect(reader.read() || reader.skip(1) || reader.finish() || reader.more(2, 0)).toBe(false);
    expect(reader.offset).toBe(offset);
    reader.reset(reader.source, offset + 1, reader.end);
    expect(reader.error).toBe(undefined);
    expect(reader.readType(TYPE_TEXT) && reader.text()).toBe('a');
  });

  test('a type that is not expected', () => {
    const reader = readerOf('8101');
    expect(reader.readType(TYPE_ARRAY)).toBe(true);
    expect(reader.readType(TYPE_TEXT)).toBe(false);
    expect([reader.error, reader.errorOffset]).toEqual(['unexpected-type', POISON_START + 1]);
  });

  test('a range past the bytes is a bug of the caller', () => {
    const reader = new CborReader();
    expect(() => reader.reset(new Uint8Array(4), 0, 5)).toThrow('cbor range');
    expect(() => reader.reset(new Uint8Array(4), 3, 2)).toThrow('cbor range');
    expect(() => reader.reset(new Uint8Array(4), -1, 2)).toThrow('cbor range');
  });
});

describe('members', () => {
  /** Sums the integers of an array of arrays, as a caller would. */
  function sumOf(hex: string): number {
    const reader = readerOf(hex);
    let sum = 0;
    const outer = reader.readType(TYPE_ARRAY) ? reader.value : 0;
    for (let row = 0; reader.more(outer, row); row += 1) {
      const inner = reader.readType(TYPE_ARRAY) ? reader.value : 0;
      for (let column = 0; reader.more(inner, column); column += 1) {
        if (reader.readType(TYPE_INTEGER)) sum += reader.value;
      }
    }
    return reader.finish() ? sum : NaN;
  }

  test('of definite and indefinite lengths alike', () => {
    for (const hex of ['828201028103', '9f8201028103ff', '829f0102ff8103', '9f9f0102ff9f03ffff']) {
      expect(sumOf(hex), hex).toBe(6);
    }
    expect(sumOf('80')).toBe(0);
    expect(sumOf('9fff')).toBe(0);
    expect(sumOf('828201028161')).toBe(NaN);
    expect(sumOf('9f810101ff')).toBe(NaN);
  });
});

describe('skip', () => {
  test('stops after the value', () => {
    for (const { hex, error } of APPENDIX_A) {
      if (error !== undefined) continue;
      const reader = readerOf(`${hex}00`);
      expect(reader.skip(8), hex).toBe(true);
      expect(reader.offset).toBe(reader.end - 1);
    }
  });

  test('goes on when the rest has come', () => {
    const whole = fromHex('bf6161826162f6656c6173740102ff00');
    const reader = new CborReader();
    for (let end = 0; end < whole.length; end += 1) {
      reader.reset(whole, 0, end);
      expect(reader.skip(8)).toBe(end === whole.length - 1);
      expect(reader.error).toBe(end === whole.length - 1 ? undefined : 'truncated');
      expect(reader.offset).toBe(end === whole.length - 1 ? end : 0);
    }
  });

  test('bounds the depth exactly', () => {
    const limits: [string, number][] = [
      ['01', 0],
      ['80', 1],
      ['c101', 1],
      ['8180', 2],
      ['a10180', 2],
      ['a18000', 2],
      ['c1c1a0', 3],
    ];
    for (const [hex, depth] of limits) {
      expect(readerOf(hex).skip(depth), hex).toBe(true);
      const reader = readerOf(hex);
      if (depth > 0) expect(reader.skip(depth - 1), hex).toBe(false);
      if (depth > 0) expect(reader.error).toBe('too-deep');
    }
  });
});
