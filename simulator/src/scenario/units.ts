// Quantities as people write them: durations `90s`, counts `10k`, sizes `4KB`.

/** Milliseconds per unit, largest first. */
const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

const COUNT_UNITS: readonly (readonly [string, number])[] = [
  ['M', 1_000_000],
  ['k', 1_000],
  ['', 1],
];

/** Bytes per unit; powers of two, as buffers are. */
const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ['MB', 1_048_576],
  ['KB', 1_024],
  ['B', 1],
];

const QUANTITY = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/;

/**
 * A quantity in its base unit, or undefined: not of the form, not a whole number of base units,
 * or beyond 2^53. A fraction is exact (`1.5s` is 1500), never rounded.
 */
function parse(
  value: unknown,
  units: readonly (readonly [string, number])[],
  bareUnit?: string,
): number | undefined {
  const match = typeof value === 'string' ? QUANTITY.exec(value.trim()) : null;
  if (match === null) return undefined;
  const unit = units.find(([name]) => name === (match[2] || bareUnit));
  if (unit === undefined) return undefined;
  // Through decimal digits: 1.001 * 1000 in floating point is not 1001.
  const [whole, fraction = ''] = match[1]!.split('.');
  const scaled = BigInt(whole! + fraction) * BigInt(unit[1]);
  const divisor = 10n ** BigInt(fraction.length);
  if (scaled % divisor !== 0n) return undefined;
  const result = scaled / divisor;
  return result <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(result) : undefined;
}

/** The largest unit that divides the value, so that parsing gives the same value back. */
function format(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, scale] =
    units.find(([, size]) => value !== 0 && value % size === 0) ?? units.at(-1)!;
  return `${value / scale}${name}`;
}

/** `250ms`, `90s`, `5m`, `1.5h`, `7d` in whole milliseconds; undefined when it is none. */
export function parseDuration(value: unknown): number | undefined {
  return parse(value, DURATION_UNITS);
}

/** `500`, `10k`, `1.5M`, also a number; undefined when it is no whole number of things. */
export function parseCount(value: unknown): number | undefined {
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  return parse(value, COUNT_UNITS, '');
}

/** `512B`, `4KB`, `1MB` in bytes (1 KB = 1,024 bytes), also a number of bytes. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  return parse(value, SIZE_UNITS, 'B');
}

/** Shortest exact form of whole milliseconds: 90000 is `90s`, 300000 is `5m`. */
export function formatDuration(ms: number): string {
  return format(ms, DURATION_UNITS);
}

/** Shortest exact form: 10000 is `10k`. */
export function formatCount(count: number): string {
  return format(count, COUNT_UNITS);
}

/** Shortest exact form: 4096 is `4KB`. */
export function formatSize(size: number): string {
  return format(size, SIZE_UNITS);
}
