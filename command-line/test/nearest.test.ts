import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../src/nearest.ts';

/** The definition (optimal string alignment), by recursion. */
function distance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const same = a.at(-1) === b.at(-1) ? 0 : 1;
  const ways = [
    distance(a.slice(0, -1), b) + 1,
    distance(a, b.slice(0, -1)) + 1,
    distance(a.slice(0, -1), b.slice(0, -1)) + same,
  ];
  if (a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)) {
    ways.push(distance(a.slice(0, -2), b.slice(0, -2)) + 1);
  }
  return Math.min(...ways);
}

describe('editDistance', () => {
  it('is that of the definition', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(editDistance(a, b)).toBe(distance(a, b));
      }),
    );
  });
});

describe('nearest', () => {
  const known = ['interval', 'count', 'id', 'abortOnFail'];
  it.each([
    ['intervall', '; did you mean "interval"?'],
    ['itnerval', '; did you mean "interval"?'],
    ['Count', '; did you mean "count"?'],
    ['abort', '; did you mean "abortOnFail"?'],
    ['di', '; did you mean "id"?'],
    ['speed', '; known are interval, count, id, abortOnFail'],
    ['x', '; known are interval, count, id, abortOnFail'],
  ])('of %s', (name, words) => {
    expect(nearest(name, known)).toBe(words);
  });
});
