import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isNotModified, mayServeRange, readRange } from '../../src/http/byte-range.ts';

const SIZE_MAX = 12;

test('every range of every small size is what a slice gives', () => {
  for (let size = 0; size <= SIZE_MAX; size += 1) {
    const bytes = Array.from({ length: size }, (_, index) => index);
    const served = (header: string) => {
      const range = readRange(header, size);
      if (typeof range === 'string') return range;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.end).toBeGreaterThan(range.start);
      expect(range.end).toBeLessThanOrEqual(size);
      return bytes.slice(range.start, range.end);
    };
    const orNothing = (slice: number[]) => (slice.length === 0 ? 'unsatisfiable' : slice);
    for (let first = 0; first <= SIZE_MAX + 2; first += 1) {
      expect(served(`bytes=${first}-`)).toEqual(orNothing(bytes.slice(first)));
      const suffix = first === 0 ? [] : bytes.slice(-first);
      expect(served(`bytes=-${first}`)).toEqual(orNothing(suffix));
      for (let last = 0; last <= SIZE_MAX + 2; last += 1) {
        const expected = last < first ? 'whole' : orNothing(bytes.slice(first, last + 1));
        expect(served(`bytes=${first}-${last}`)).toEqual(expected);
      }
    }
  }
});

test('what is no single range of bytes is ignored', () => {
  const headers = ['', 'bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=1-2,4-5', 'lines=0-1'];
  for (const header of [...headers, 'bytes=1', 'bytes=--1', 'bytes=+1-2', 'bytes=0x1-2']) {
    expect(readRange(header, 10)).toBe('whole');
  }
  expect(readRange(undefined, 10)).toBe('whole');
  expect(readRange('BYTES= 1-2 ', 10)).toEqual({ start: 1, end: 3 });
});

test('any text gives a range within the bytes, or none', () => {
  const digits = fc.stringMatching(/^\d{0,25}$/);
  const header = fc.oneof(
    fc.string(),
    fc.tuple(digits, digits).map(([first, last]) => `bytes=${first}-${last}`),
  );
  fc.assert(
    fc.property(header, fc.nat(), (text, size) => {
      const range = readRange(text, size);
      if (typeof range === 'string') return true;
      return range.start >= 0 && range.start < range.end && range.end <= size;
    }),
  );
});

test('If-Range and If-None-Match compare this very tag', () => {
  expect(mayServeRange(undefined, '"a"')).toBe(true);
  expect(mayServeRange('"a"', '"a"')).toBe(true);
  expect(mayServeRange('W/"a"', '"a"')).toBe(false);
  expect(mayServeRange('Thu, 01 Jan 2026 00:00:00 GMT', '"a"')).toBe(false);
  expect(isNotModified('"b", W/"a"', '"a"')).toBe(true);
  expect(isNotModified('*', '"a"')).toBe(true);
  expect(isNotModified('"b"', '"a"')).toBe(false);
  expect(isNotModified(undefined, '"a"')).toBe(false);
});
