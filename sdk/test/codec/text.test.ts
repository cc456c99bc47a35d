import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareUtf8,
  equalsUtf8,
  isUtf8,
  readUtf8,
  utf8Size,
  writeUtf8,
} from '../../src/codec/text.ts';
import { POISON_START, poisoned, toHex, written } from './bytes.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Any UTF-16, lone surrogates included. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc
    .array(fc.constantFrom('\ud83d', '\ude00', '\ufffd', '\uffff', 'a', 'é', '水'))
    .map((units) => units.join('')),
);

/** Bytes that come near to being UTF-8. */
const EDGES = [
  0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
  0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
];
const nearlyText = fc.oneof(
  fc.uint8Array({ maxLength: 24 }),
  fc.array(fc.constantFrom(...EDGES), { maxLength: 24 }).map((bytes) => Uint8Array.from(bytes)),
);

/** A string of an engine where charCodeAt gives whole code points, as on Moddable XS. */
function asCodePoints(text: string): string {
  const points = Array.from(text, (character) => character.codePointAt(0) as number);
  return { length: points.length, charCodeAt: (index: number) => points[index] } as string;
}

describe('writing', () => {
  test('is what TextEncoder writes', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = written((target, offset) => writeUtf8(target, offset, text));
        expect(toHex(bytes)).toBe(toHex(encoder.encode(text)));
        expect(utf8Size(text)).toBe(bytes.length);
      }),
    );
  });

  test('is the same where strings hold code points', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const points = asCodePoints(text);
        const bytes = written((target, offset) => writeUtf8(target, offset, points));
        expect(toHex(bytes)).toBe(toHex(encoder.encode(text)));
        expect(utf8Size(points)).toBe(bytes.length);
        expect(equalsUtf8(bytes, 0, bytes.length, points)).toBe(true);
      }),
    );
    expect(asCodePoints('😀').length).toBe(1);
  });

  test('says what did not fit', () => {
    const text = 'aé水😀';
    for (let size = 0; size < 10; size += 1) {
      const target = new Uint8Array(size);
      expect(writeUtf8(target, 0, text)).toBe(10);
      expect(target).toEqual(encoder.encode(text).slice(0, size));
    }
  });
});

describe('reading', () => {
  function check(bytes: Uint8Array): void {
    const expected = decoder.decode(bytes);
    const isValid = toHex(encoder.encode(expected)) === toHex(bytes);
    for (const poison of [0x00, 0x80, 0xbf, 0xc3]) {
      const source = poisoned(bytes, poison);
      const end = POISON_START + bytes.length;
      expect(readUtf8(source, POISON_START, end)).toBe(expected);
      expect(isUtf8(source, POISON_START, end)).toBe(isValid);
    }
  }

  test('is what TextDecoder reads', () => {
    fc.assert(fc.property(anyText, (text) => check(encoder.encode(text))));
    fc.assert(fc.property(nearlyText, check));
  });

  test('decides on every pair of bytes and every edge of the longer forms', () => {
    const bytes = new Uint8Array(4);
    for (let pair = 0; pair < 65536; pair += 1) {
      bytes[0] = pair >> 8;
      bytes[1] = pair & 255;
      const two = bytes.subarray(0, 2);
      if (readUtf8(two, 0, 2) !== decoder.decode(two)) expect.fail(toHex(two));
    }
    for (const lead of EDGES.filter((edge) => edge >= 0xe0)) {
      for (const second of EDGES) {
        for (const third of EDGES) {
          for (const fourth of EDGES) {
            bytes.set([lead, second, third, fourth]);
            const expected = decoder.decode(bytes);
            if (readUtf8(bytes, 0, 4) !== expected) expect.fail(toHex(bytes));
            // No edge is 0xbd, so U+FFFD is never in the bytes themselves.
            if (isUtf8(bytes, 0, 4) === expected.includes('\ufffd')) expect.fail(toHex(bytes));
          }
        }
      }
    }
  });

  test('refuses overlong forms, surrogates and what is beyond U+10FFFF', () => {
    for (const hex of ['c080', 'c1bf', 'e09fbf', 'eda080', 'edbfbf', 'f08fbfbf', 'f4908080']) {
      expect(isUtf8(Buffer.from(hex, 'hex'), 0, hex.length / 2), hex).toBe(false);
    }
    for (const hex of ['c280', 'e0a080', 'ed9fbf', 'ee8080', 'f0908080', 'f48fbfbf']) {
      expect(isUtf8(Buffer.from(hex, 'hex'), 0, hex.length / 2), hex).toBe(true);
    }
  });

  test("says '?' where strings are of bytes", () => {
    const fromCharCode = String.fromCharCode;
    String.fromCharCode = (...codes) => fromCharCode(...codes.map((code) => code & 255));
    try {
      const bytes = encoder.encode('aé水😀\ufffd');
      expect(readUtf8(bytes, 0, bytes.length)).toBe('aé???');
    } finally {
      String.fromCharCode = fromCharCode;
    }
  });
});

describe('comparing', () => {
  test('equalsUtf8 is equality of the bytes', () => {
    fc.assert(
      fc.property(anyText, anyText, nearlyText, (a, b, bytes) => {
        const encoded = encoder.encode(a);
        const source = poisoned(encoded, 0x80);
        const end = POISON_START + encoded.length;
        const isSame = toHex(encoded) === toHex(encoder.encode(b));
        expect(equalsUtf8(source, POISON_START, end, a)).toBe(true);
        expect(equalsUtf8(source, POISON_START, end, b)).toBe(isSame);
        expect(equalsUtf8(source, POISON_START, end, `${a}x`)).toBe(false);
        const isThose = toHex(bytes) === toHex(encoded);
        expect(equalsUtf8(bytes, 0, bytes.length, a)).toBe(isThose);
      }),
    );
  });

  test('compareUtf8 orders as the bytes do', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.string(), (a, b, tail) => {
        const expected = Buffer.compare(encoder.encode(a), encoder.encode(b));
        expect(Math.sign(compareUtf8(a, b))).toBe(expected);
        expect(Math.sign(compareUtf8(a + tail, a))).toBe(tail === '' ? 0 : 1);
      }),
    );
    expect(compareUtf8('\u{1f600}', '\ufffd')).toBeGreaterThan(0);
  });
});
