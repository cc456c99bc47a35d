// Quantities as people write them: durations `90s`, and other numbers with units.

/** A name and its size in base units, largest first. */
export type Unit = readonly [name: string, size: number];

const DURATION_UNITS: readonly Unit[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

const QUANTITY = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/;

/**
 * A quantity in its base unit, or undefined: not of the form, not a whole number of base units,
 * or beyond 2^53. A fraction is exact (`1.5s` is 1500), never rounded. `bareUnit` is that of a
 * number without one.
 */
export function parseQuantity(
  value: unknown,
  units: readonly Unit[],
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

/** In the largest unit that divides the value, so that parsing gives the same value back. */
export function formatQuantity(value: number, units: readonly Unit[]): string {
  const [name, scale] =
    units.find(([, size]) => value !== 0 && value % size === 0) ?? units.at(-1)!;
  return `${value / scale}${name}`;
}

/** `250ms`, `90s`, `5m`, `1.5h`, `7d` in whole milliseconds; undefined when it is none. */
export function parseDuration(value: unknown): number | undefined {
  return parseQuantity(value, DURATION_UNITS);
}

/** Shortest exact form of whole milliseconds: 90000 is `90s`, 300000 is `5m`. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, DURATION_UNITS);
}

/** Ms as `90s`, `15m`, `1h30m` or `2d`: the two largest units, rounded down to whole seconds. */
export function formatRoughly(ms: number): string {
  const parts: string[] = [];
  let rest = ms;
  for (const [name, size] of DURATION_UNITS.slice(0, -1)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${name}`);
  }
  return parts.length === 0 ? '0s' : parts.slice(0, 2).join('');
}
