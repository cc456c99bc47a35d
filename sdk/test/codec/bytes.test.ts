import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSameBytes, toHex } from '../../src/codec/bytes.ts';

test('bytes are the same where every one of them is', () => {
  const small = fc.uint8Array({ maxLength: 4, max: 1 });
  fc.assert(
    fc.property(small, small, (a, b) => {
      expect(isSameBytes(a, b)).toBe(String(a) === String(b));
      expect(isSameBytes(a, a.slice())).toBe(true);
    }),
  );
  expect(isSameBytes(Uint8Array.of(0, 0x80), Uint8Array.of(0, 0))).toBe(false);
});

test('hexadecimal digits stand for the bytes they are read as', () => {
  expect(toHex(Uint8Array.of(0, 1, 0x0f, 0x10, 0x9a, 0xff))).toBe('00010f109aff');
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const pairs = toHex(bytes).match(/[0-9a-f]{2}/g) ?? [];
      expect(pairs.map((pair) => Number.parseInt(pair, 16))).toEqual(Array.from(bytes));
    }),
  );
});
