import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  headSize,
  INTEGER_MAX,
  MAJOR_BYTES,
  MAJOR_UNSIGNED,
  SIMPLE_NULL,
  writeArrayHead,
  writeBoolean,
  writeBytes,
  writeFloat,
  writeHead,
  writeInteger,
  writeMapHead,
  writeNumber,
  writeSimple,
  writeTag,
  writeText,
} from '../../src/codec/cbor-write.ts';
import { fromHex, toHex, written } from './bytes.ts';
import { bitsOfHalf, halfOf } from './halves.ts';

type Write = (target: Uint8Array, offset: number) => number;

/** The shortest exact float, by trying (RFC 8949 §4.2.1). */
function shortestFloat(value: number): string {
  if (Number.isNaN(value)) return 'f97e00';
  const view = new DataView(new ArrayBuffer(8));
  const half = bitsOfHalf(value);
  if (half !== undefined) {
    view.setUint16(0, half);
    return `f9${hexOf(view, 2)}`;
  }
  view.setFloat32(0, value);
  if (Object.is(view.getFloat32(0), value)) return `fa${hexOf(view, 4)}`;
  view.setFloat64(0, value);
  return `fb${hexOf(view, 8)}`;
}

function hexOf(view: DataView, size: number): string {
  return toHex(new Uint8Array(view.buffer, 0, size));
}

function floatOf(value: number): string {
  return toHex(written((target, offset) => writeFloat(target, offset, value)));
}

/** Doubles from their bits, so that every exponent comes as often; many fit a shorter float. */
const anyDouble = fc
  .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.constantFrom(0, 10, 23, 24, 42, 52))
  .map(([high, low, zeros]) => {
    const view = new DataView(new ArrayBuffer(8));
    const bits = ((BigInt(high) << 32n) | BigInt(low)) & (-1n << BigInt(zeros));
    view.setBigUint64(0, BigInt.asUintN(64, bits));
    return view.getFloat64(0);
  });
/** Near the least and greatest numbers of each format, where subnormals and infinities begin. */
const edgeDouble = fc
  .tuple(
    fc.constantFrom(-1074, -1073, -1022, -149, -148, -126, -25, -24, -23, -14, 0, 15, 16, 127, 128),
    fc.constantFrom(0, 2 ** -10, 2 ** -11, 2 ** -23, 2 ** -24, 2 ** -52, 0.5, 1 - 2 ** -10),
    fc.boolean(),
  )
  .map(([exponent, fraction, negative]) => {
    const magnitude = (1 + fraction) * 2 ** exponent;
    return negative ? -magnitude : magnitude;
  });

describe('heads', () => {
  const table: [string, Write][] = [
    ['17', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 23)],
    ['1818', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 24)],
    ['18ff', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 255)],
    ['190100', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 256)],
    ['19ffff', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 65535)],
    ['1a00010000', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 65536)],
    ['1affffffff', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 0xffffffff)],
    ['1b0000000100000000', (t, o) => writeHead(t, o, MAJOR_UNSIGNED, 0x100000000)],
    ['1b001fffffffffffff', (t, o) => writeInteger(t, o, INTEGER_MAX)],
    ['3b001ffffffffffffe', (t, o) => writeInteger(t, o, -INTEGER_MAX)],
    ['37', (t, o) => writeInteger(t, o, -24)],
    ['3818', (t, o) => writeInteger(t, o, -25)],
    ['3affffffff', (t, o) => writeInteger(t, o, -0x100000000)],
    ['3b0000000100000000', (t, o) => writeInteger(t, o, -0x100000001)],
    ['5a00010000', (t, o) => writeHead(t, o, MAJOR_BYTES, 65536)],
    ['83', (t, o) => writeArrayHead(t, o, 3)],
    ['b903e8', (t, o) => writeMapHead(t, o, 1000)],
    ['d86b', (t, o) => writeTag(t, o, 107)],
    ['f4', (t, o) => writeBoolean(t, o, false)],
    ['f5', (t, o) => writeBoolean(t, o, true)],
    ['f6', (t, o) => writeSimple(t, o, SIMPLE_NULL)],
    ['f8ff', (t, o) => writeSimple(t, o, 255)],
  ];
  for (const [hex, write] of table) {
    test(hex, () => expect(toHex(written(write))).toBe(hex));
  }

  test('are as long as headSize says', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(53), (value, shift) => {
        const argument = Math.floor(value / 2 ** shift);
        const size = written((t, o) => writeHead(t, o, MAJOR_UNSIGNED, argument)).length;
        expect(headSize(argument)).toBe(size);
      }),
    );
  });
});

describe('numbers', () => {
  test('every half is written as one, and is the same', () => {
    const view = new DataView(new ArrayBuffer(2));
    for (let bits = 0; bits < 65536; bits += 1) {
      view.setUint16(0, bits);
      const value = halfOf(bits);
      const expected = Number.isNaN(value) ? 'f97e00' : `f9${hexOf(view, 2)}`;
      if (floatOf(value) !== expected) expect.fail(`${value}: ${floatOf(value)} ${expected}`);
    }
  });

  test('floats are the shortest that is exact', () => {
    const check = (value: number) => {
      expect(floatOf(value)).toBe(shortestFloat(value));
    };
    fc.assert(fc.property(anyDouble, check), { numRuns: 2000 });
    fc.assert(fc.property(edgeDouble, check), { numRuns: 1000 });
    fc.assert(fc.property(fc.float(), check));
    for (const value of [5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 2 ** 1023]) {
      check(value);
      check(-value);
    }
    check(Number.MAX_VALUE);
  });

  test('safe integers are integers, all else floats', () => {
    const check = (value: number) => {
      const hex = toHex(written((t, o) => writeNumber(t, o, value)));
      const isInteger = Number.isSafeInteger(value) && !Object.is(value, -0);
      const expected = isInteger ? written((t, o) => writeInteger(t, o, value)) : undefined;
      expect(hex).toBe(expected === undefined ? shortestFloat(value) : toHex(expected));
    };
    fc.assert(fc.property(fc.oneof(anyDouble, fc.maxSafeInteger(), fc.integer()), check));
    for (const value of [0, -0, 1, -1, 0.5, INTEGER_MAX, -INTEGER_MAX, 2 ** 53, -(2 ** 53)]) {
      check(value);
    }
  });
});

describe('strings', () => {
  test('text is headed by its size in bytes', () => {
    for (const count of [0, 7, 8, 11, 12, 23, 24, 85, 86, 127, 128, 255, 256, 21845, 65536]) {
      for (const character of ['a', 'é', '水', '😀']) {
        const content = Buffer.from(character.repeat(count));
        const head = written((t, o) => writeHead(t, o, 3, content.length));
        const text = written((t, o) => writeText(t, o, character.repeat(count)));
        expect(toHex(text) === toHex(head) + toHex(content), `${count} ${character}`).toBe(true);
      }
    }
  });

  test('bytes are a range of an array', () => {
    const bytes = fromHex('0102030405');
    expect(toHex(written((t, o) => writeBytes(t, o, bytes, 0, 5)))).toBe('450102030405');
    expect(toHex(written((t, o) => writeBytes(t, o, bytes, 1, 3)))).toBe('420203');
    expect(toHex(written((t, o) => writeBytes(t, o, bytes, 5, 5)))).toBe('40');
  });
});

test('what does not fit is told by the offset, and nothing else happens', () => {
  const bytes = new Uint8Array(30).fill(7);
  const writes: Write[] = [
    (t, o) => writeInteger(t, o, 1),
    (t, o) => writeInteger(t, o, -70000),
    (t, o) => writeNumber(t, o, 1.1),
    (t, o) => writeNumber(t, o, 1.5),
    (t, o) => writeNumber(t, o, 2 ** 40),
    (t, o) => writeText(t, o, 'é'.repeat(20)),
    (t, o) => writeBytes(t, o, bytes, 0, 30),
    (t, o) => writeBytes(t, o, bytes, 2, 9),
  ];
  for (const write of writes) {
    const whole = written(write);
    for (let size = 0; size < whole.length; size += 1) {
      // The view ends inside a larger buffer, which must stay as it was.
      const memory = new Uint8Array(64).fill(0xa5);
      expect(write(memory.subarray(4, 4 + size), 0)).toBe(whole.length);
      expect(memory.subarray(4 + size).every((byte) => byte === 0xa5)).toBe(true);
    }
    expect(write(new Uint8Array(9), 20)).toBe(20 + whole.length);
  }
});
