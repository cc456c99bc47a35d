// Options that many commands have, and what is checked of them.

import { UsageError } from './errors.ts';

export const JSON_OPTION = {
  type: 'boolean',
  default: false,
  describe: 'Print the result as JSON',
} as const;

/** An option that may be given more than once, one value each time. */
export function repeatable(describe: string) {
  return { type: 'string', array: true, nargs: 1, describe } as const;
}

/** Throws a UsageError unless `value`, of `--option`, is a whole number from `min` to `max`. */
export function checkWhole(
  option: string,
  value: number,
  min: number,
  max = Number.POSITIVE_INFINITY,
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  const range = max === Number.POSITIVE_INFINITY ? `from ${min} on` : `from ${min} to ${max}`;
  throw new UsageError(`--${option}: expected a whole number ${range}, got ${value}`);
}
