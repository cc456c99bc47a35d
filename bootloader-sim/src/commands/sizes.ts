// Sizes as people write them: 4096, 0x1000, 4K, 4M.

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 * 1024 };

/** Bytes, or undefined where the text is no size. */
export function parseSize(text: string): number | undefined {
  const parts = /^(0x[0-9a-f]{1,8}|\d{1,10})([KM]?)B?$/i.exec(text);
  if (parts === null) return undefined;
  return Number(parts[1]) * UNITS[parts[2]!.toUpperCase()]!;
}

export function formatSize(size: number): string {
  const unit = Object.entries(UNITS).findLast(([, bytes]) => size >= bytes && size % bytes === 0);
  const [name = '', bytes = 1] = unit ?? [];
  return `${(size / bytes).toLocaleString('en')} ${name}B`;
}
