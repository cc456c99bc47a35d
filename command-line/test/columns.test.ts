import fc from 'fast-check';
import { expect, test } from 'vitest';
import { columns } from '../src/columns.ts';

test('the first columns begin at the left, the others end at the right', () => {
  const rows = [
    ['', 'bytes', 'ok'],
    ['sensor', '1,024', 'yes'],
    ['a', '7'],
  ];
  expect(columns(rows, 1)).toEqual(['        bytes   ok', 'sensor  1,024  yes', 'a           7']);
  expect(columns(rows, 2)[2]).toBe('a       7');
  expect(columns([], 1)).toEqual([]);
});

test('cells stand below each other, whatever they hold', () => {
  const cell = fc.stringMatching(/^[a-z]{1,8}$/);
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((count) => fc.array(fc.array(cell, { minLength: count, maxLength: count })));
  fc.assert(
    fc.property(table, fc.nat(4), (rows, left) => {
      const lines = columns(rows, left);
      expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual(rows);
      for (const [column] of (rows[0] ?? []).entries()) {
        const edges = lines.map((line) => {
          const found = [...line.matchAll(/[a-z]+/g)][column]!;
          return column < left ? found.index : found.index + found[0].length;
        });
        expect(new Set(edges).size).toBeLessThan(2);
      }
    }),
  );
});
