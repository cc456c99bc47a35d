// JSON under limits: as JSON.parse and JSON.stringify say, less what a device must not take.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonReader } from '../../src/codec/json-read.ts';
import { writeJson } from '../../src/codec/json-write.ts';

const LIMITS = { depthMax: 8, countMax: 200, sizeMax: 4096 };

function read(text: string | Uint8Array, limits = LIMITS): { value: unknown; error?: string } {
  const bytes = typeof text === 'string' ? new Uint8Array(Buffer.from(text)) : text;
  const padded = new Uint8Array(bytes.length + 5).fill(0x5d);
  padded.set(bytes, 2);
  const reader = new JsonReader(padded, 2, 2 + bytes.length, limits);
  const value = reader.read();
  return reader.error === undefined ? { value } : { value, error: reader.error };
}

function write(value: unknown, size = 8192, depthMax = 8): string {
  const target = new Uint8Array(size);
  const end = writeJson(target, 0, value, depthMax);
  return end > size ? 'too small' : Buffer.from(target.subarray(0, end)).toString();
}

/** With a plain prototype, as JSON.parse has it. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

describe('reading', () => {
  test('every JSON text reads as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(4), (value, indent) => {
        fc.pre(JSON.stringify(value).length < 1000 && !/__proto__/.test(JSON.stringify(value)));
        const text = JSON.stringify(value, undefined, indent);
        const outcome = read(text);
        expect(outcome.error).toBeUndefined();
        expect(plain(outcome.value)).toEqual(JSON.parse(text));
      }),
      { numRuns: 1000 },
    );
  });

  test('what is taken, JSON.parse takes; what it refuses, is refused', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"a"',
        '"',
        '1',
        '-',
        '0',
        '.5',
        'e3',
        'true',
        'nul',
        'null',
      ],
      ...[' ', '\n', '\\', '\\u00e9', '\\ud83d\\ude00', 'é', '\u0001', '"b":2', '01', '+1', '/**/'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const outcome = read(text);
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {
          expect(outcome.error).toBeDefined();
          return;
        }
        if (outcome.error === undefined) expect(plain(outcome.value)).toEqual(plain(parsed));
        else expect(['duplicate-key', 'invalid-utf8']).toContain(outcome.error);
      }),
      { numRuns: 5000 },
    );
  });

  test('every truncation of an object is refused', () => {
    const text = '{"a":[1,-2.5e3,true,null,"x\\u00e9\\n"],"b":{"c":false}}';
    for (let size = 0; size < text.length; size += 1) {
      expect(read(text.slice(0, size)).error).toBe('malformed');
    }
    expect(read(text).error).toBeUndefined();
  });

  test.each([
    ['trailing junk', '{"a":1} x', 'malformed'],
    ['two values', '1 2', 'malformed'],
    ['nothing', '', 'malformed'],
    ['__proto__', '{"__proto__":{"a":1}}', 'unsupported-key'],
    ['__proto__ in disguise', '{"__pr\\u006fto__":1}', 'unsupported-key'],
    ['the same key twice', '{"a":1,"\\u0061":2}', 'duplicate-key'],
    ['an infinite number', '[1e999]', 'unsupported-number'],
    ['a leading zero', '[01]', 'malformed'],
    ['a bare point', '[1.]', 'malformed'],
    ['a plus', '[+1]', 'malformed'],
    ['NaN', '[NaN]', 'malformed'],
    ['a lone surrogate', '"\\ud800"', 'invalid-utf8'],
    ['a low surrogate first', '"\\udc00\\ud800"', 'invalid-utf8'],
    ['half a pair', '"\\ud800\\u0041"', 'invalid-utf8'],
    ['a control character', '"a\tb"', 'malformed'],
    ['an unknown escape', '"\\x41"', 'malformed'],
    ['a trailing comma', '[1,]', 'malformed'],
    ['a comment', '[1/**/]', 'malformed'],
    ['nine levels', '[[[[[[[[[1]]]]]]]]]', 'too-deep'],
    ['201 values', `[${'1,'.repeat(200)}1]`, 'too-long'],
    ['4,097 bytes', `"${'x'.repeat(4095)}"`, 'too-large'],
  ])('%s is refused', (_, text, error) => {
    expect(read(text)).toEqual({ value: undefined, error });
  });

  test('bytes that are no UTF-8 are refused', () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(read(new Uint8Array([0x22, ...bytes, 0x22])).error).toBe('invalid-utf8');
    }
  });

  test('random bytes neither throw nor read past the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const { error, value } = read(bytes);
        if (error !== undefined) expect(value).toBeUndefined();
      }),
      { numRuns: 3000 },
    );
  });

  test('names of Object.prototype are members like others', () => {
    const { value } = read('{"toString":1,"constructor":2,"hasOwnProperty":3}');
    expect(plain(value)).toEqual({ toString: 1, constructor: 2, hasOwnProperty: 3 });
  });
});

describe('writing', () => {
  test('reads back', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        fc.pre(JSON.stringify(value).length < 2000);
        expect(JSON.parse(write(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 1000 },
    );
  });

  test('control characters, quotes and text beyond ASCII', () => {
    const value = { 'k"\\\u0001': 'é€😀\n\u001f"' };
    expect(JSON.parse(write(value))).toEqual(value);
  });

  test('what does not fit says so, whatever is missing', () => {
    const value = { a: [1, 'two', { b: null }], c: true };
    const size = JSON.stringify(value).length;
    for (let room = 0; room < size; room += 1) expect(write(value, room)).toBe('too small');
    expect(write(value, size)).toBe(JSON.stringify(value));
    expect(write([[[1]]], 100, 2)).toBe('too small');
  });

  test('what is no data is a bug', () => {
    for (const value of [undefined, Number.NaN, Infinity, () => 1, [undefined]]) {
      expect(() => write(value)).toThrow('json');
    }
  });
});
