import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitColumns, widthOf, wrapLine } from '../../src/report/layout.ts';

const word = fc.stringMatching(/^[a-z\d·%.]{1,12}$/);
const sentence = fc.array(word, { minLength: 1, maxLength: 20 }).map((words) => words.join(' '));
const indent = fc.integer({ min: 0, max: 6 }).map((count) => ' '.repeat(count));
/** A sentence, or a row of a table that ends in one. */
const line = fc.oneof(
  fc.tuple(indent, sentence).map((parts) => parts.join('')),
  fc
    .tuple(indent, word, word, sentence)
    .map(([start, a, b, text]) => `${start}${a}  ${b}   ${text}`),
  fc.tuple(indent, sentence).map(([start, text]) => `${start}\u001b[33m! ${text}\u001b[39m`),
);

describe('a line that is too wide', () => {
  test('keeps all its words, in lines that fit', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 24, max: 120 }), (text, width) => {
        const lines = wrapLine(text, width);
        expect(lines.join(' ').trim().split(/\s+/)).toEqual(text.trim().split(/\s+/));
        for (const each of lines) expect(widthOf(each)).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('stays as it is where it fits', () => {
    fc.assert(
      fc.property(line, (text) => {
        expect(wrapLine(text, widthOf(text))).toEqual([text]);
      }),
    );
  });

  test('hangs in its last column, or below where that is narrow', () => {
    const row = '  = observed  7,125  received from the broker by an independent subscriber';
    expect(wrapLine(row, 50)).toEqual([
      '  = observed  7,125  received from the broker by',
      '                     an independent subscriber',
    ]);
    expect(wrapLine(row, 40)).toEqual([
      '  = observed  7,125',
      '      received from the broker by an',
      '      independent subscriber',
    ]);
  });

  test('leaves a word alone that is wider by itself', () => {
    expect(wrapLine('to be or delivery_latency_ms', 12)).toEqual([
      'to be or',
      '    delivery_latency_ms',
    ]);
  });
});

describe('a table that is too wide', () => {
  const rows = [
    ['LATENCY', 'min', 'p95', 'max'],
    ['publish', '1ms', '20ms', '300ms'],
  ];

  test('loses the columns that matter least, and no more than it has to', () => {
    // 7 + 2 + 3 + 2 + 4 + 2 + 5
    expect(fitColumns(rows, [1, 3], 25)).toEqual(rows);
    expect(fitColumns(rows, [1, 3], 24)).toEqual(rows.map(([a, , c, d]) => [a, c, d]));
    expect(fitColumns(rows, [1, 3], 20)).toEqual(rows.map(([a, , c, d]) => [a, c, d]));
    expect(fitColumns(rows, [1, 3], 19)).toEqual(rows.map(([a, , c]) => [a, c]));
  });

  test('keeps the others, however narrow it gets', () => {
    expect(fitColumns(rows, [1, 3], 1)).toEqual(rows.map(([a, , c]) => [a, c]));
  });
});
