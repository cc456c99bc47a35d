// The Date header of HTTP (RFC 9110 §5.6.7), in the one format that servers may send.

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** Epoch ms of an IMF-fixdate such as 'Sun, 06 Nov 1994 08:49:37 GMT'; NaN for anything else. */
export function parseHttpDate(text: string): number {
  const parts = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/.exec(
    text,
  );
  if (parts === null) return Number.NaN;
  const month = MONTHS.indexOf(parts[2] as string) / 3;
  if (month < 0 || month !== Math.floor(month)) return Number.NaN;
  const day = Number(parts[1]);
  const hour = Number(parts[4]);
  const minute = Number(parts[5]);
  const second = Number(parts[6]);
  // 60 is a leap second.
  if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return Number.NaN;
  return Date.UTC(Number(parts[3]), month, day, hour, minute, second);
}
