// The Range header (RFC 9110 §14.2) for a representation of known size: one range, in bytes.

/** The bytes [start, end); 'whole' = answer 200 with everything; 'unsatisfiable' = answer 416. */
export type ByteRange =
  | { readonly start: number; readonly end: number }
  | 'whole'
  | 'unsatisfiable';

// A unit is a token, case-insensitive (§14.1); list elements may have blanks around them.
const ONE_RANGE = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i;

/**
 * What of `size` bytes the header asks for. A header that we do not understand, or that asks for
 * several ranges, is ignored, as §14.2 allows: a device then gets everything, and not an error
 * that it could do nothing about.
 */
export function readRange(header: string | undefined, size: number): ByteRange {
  const match = header === undefined ? null : ONE_RANGE.exec(header);
  if (match === null) return 'whole';
  const [, first, last] = match as unknown as [string, string, string];
  if (first === '') {
    if (last === '') return 'whole';
    // bytes=-n: the last n of them.
    const count = Number(last);
    if (count === 0 || size === 0) return 'unsatisfiable';
    return { start: Math.max(0, size - count), end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return 'whole'; // Invalid, so ignored (§14.1.1).
  if (start >= size) return 'unsatisfiable';
  return { start, end: last === '' ? size : Math.min(size, Number(last) + 1) };
}

/**
 * True when a range may be served under If-Range (RFC 9110 §13.1.5): it names this very ETag.
 * A date never matches: a blob has none, its name is the digest of its bytes.
 */
export function mayServeRange(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange === etag;
}

/** True when If-None-Match lists this ETag (weak comparison, RFC 9110 §13.1.2). */
export function isNotModified(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}
