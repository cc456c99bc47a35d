import { expect, test } from 'vitest';
import { UsageError } from '../src/errors.ts';
import { checkWhole } from '../src/options.ts';

test('whole numbers within their range are taken, others are told with it', () => {
  for (const value of [1, 5, 10]) expect(() => checkWhole('times', value, 1, 10)).not.toThrow();
  expect(() => checkWhole('workers', 1e9, 1)).not.toThrow();
  for (const value of [0, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    const message = `--times: expected a whole number from 1 to 10, got ${value}`;
    expect(() => checkWhole('times', value, 1, 10)).toThrow(new UsageError(message));
  }
  const message = '--workers: expected a whole number from 1 on, got 0';
  expect(() => checkWhole('workers', 0, 1)).toThrow(message);
});
