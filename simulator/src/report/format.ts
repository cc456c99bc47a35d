// Numbers for people: grouped digits, three significant digits, the unit that keeps them short.

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `10,000`. */
export function formatInteger(value: number): string {
  return GROUPED.format(value);
}

/** Reasons with how often each, the commonest first: `buffer full (1,200), Not authorized (3)`. */
export function formatReasons(reasons: Readonly<Record<string, number>>): string {
  return Object.entries(reasons)
    .sort(([, left], [, right]) => right - left)
    .map(([reason, count]) => `${reason} (${formatInteger(count)})`)
    .join(', ');
}

/** Three significant digits without an exponent: `0.42`, `4.21`, `42.1`, `4,210`. */
function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return formatInteger(value);
  const digits = size >= 9.995 ? 1 : 2;
  return value.toFixed(digits);
}

/** `421µs`, `4.21ms`, `1.32s`, `2m 5s`; given in milliseconds. */
export function formatMs(ms: number): string {
  if (ms === 0) return '0ms';
  if (Math.abs(ms) < 0.9995) return `${Math.round(ms * 1000)}µs`;
  if (ms < 999.5) return `${significant(ms)}ms`;
  if (ms < 59_950) return `${significant(ms / 1000)}s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  return `${formatInteger(Math.floor(minutes / 60))}h ${minutes % 60}m`;
}

/** A value of a trend: `4.21ms`, `648 mAh`. */
export function formatTrend(value: number, unit: string): string {
  return unit === 'ms' ? formatMs(value) : `${significant(value)} ${unit}`;
}

/** `512 B`, `18.4 MB`; decimal units, as operating systems show memory. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${formatInteger(bytes)} B`;
  if (bytes < 999_500) return `${significant(bytes / 1e3)} kB`;
  return bytes < 999.5e6 ? `${significant(bytes / 1e6)} MB` : `${significant(bytes / 1e9)} GB`;
}

/** `490/s`, `2.50/s`. */
export function formatPerSecond(value: number): string {
  return `${significant(value)}/s`;
}

/** `2 per device`, `1.25 per device`. */
export function formatPerDevice(value: number): string {
  return `${Number.isInteger(value) ? formatInteger(value) : significant(value)} per device`;
}

/**
 * `100%`, `99.95%`. Cut, never rounded up: one lost message of a million must not read as 100%.
 */
export function formatShare(share: number): string {
  const cut = Math.floor(share * 10_000 + 1e-9) / 100;
  return `${Number.isInteger(cut) ? cut : cut.toFixed(2)}%`;
}
