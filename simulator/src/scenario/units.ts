// Counts and sizes as people write them: `10k`, `4KB`.

import { formatQuantity, parseQuantity, type Unit } from '@flotilla/command-line/quantities';

const COUNT_UNITS: readonly Unit[] = [
  ['M', 1_000_000],
  ['k', 1_000],
  ['', 1],
];

/** Bytes per unit; powers of two, as buffers are. */
const SIZE_UNITS: readonly Unit[] = [
  ['MB', 1_048_576],
  ['KB', 1_024],
  ['B', 1],
];

/** `500`, `10k`, `1.5M`, also a number; undefined when it is no whole number of things. */
export function parseCount(value: unknown): number | undefined {
  return parseWhole(value) ?? parseQuantity(value, COUNT_UNITS, '');
}

/** `512B`, `4KB`, `1MB` in bytes (1 KB = 1,024 bytes), also a number of bytes. */
export function parseSize(value: unknown): number | undefined {
  return parseWhole(value) ?? parseQuantity(value, SIZE_UNITS, 'B');
}

function parseWhole(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Shortest exact form: 10000 is `10k`. */
export function formatCount(count: number): string {
  return formatQuantity(count, COUNT_UNITS);
}

/** Shortest exact form: 4096 is `4KB`. */
export function formatSize(size: number): string {
  return formatQuantity(size, SIZE_UNITS);
}
