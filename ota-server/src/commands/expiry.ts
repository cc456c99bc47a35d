// When a release expires, as people write it.

const UNIT_S: Readonly<Record<string, number>> = { h: 3600, d: 86400, w: 604800 };
const MS_PER_S = 1000;

/**
 * The epoch second that `30d` (hours h, days d, weeks w from `nowS` on) or `2027-01-31` (its end in
 * UTC is not included) means; undefined where it is neither.
 */
export function parseExpiry(text: string, nowS: number): number | undefined {
  const duration = /^([1-9]\d{0,4})([hdw])$/.exec(text);
  if (duration !== null) return nowS + Number(duration[1]) * UNIT_S[duration[2]!]!;
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined;
  const date = new Date(`${text}T00:00:00Z`);
  // `2027-02-31` would otherwise be a day in March.
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text) return undefined;
  return date.getTime() / MS_PER_S;
}
