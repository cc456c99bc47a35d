// Text as UTF-8 (RFC 3629) on engines whose strings differ: UTF-16 units on Node, whole code
// points on Moddable XS, single bytes on Espruino. TextEncoder exists on neither device.

/** What stands for a lone surrogate, and for bytes that are no character (Unicode §3.9). */
const REPLACEMENT = 0xfffd;

/** Bytes that `writeUtf8` takes for `text`. */
export function utf8Size(text: string): number {
  const length = text.length;
  let size = length;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x80) continue;
    if (code < 0x800) {
      size += 1;
    } else if (codePointAt(text, index) > 0xffff) {
      // A pair of units was counted as two, a whole code point as one; both take four bytes.
      size += code > 0xffff ? 3 : 2;
      if (code <= 0xffff) index += 1;
    } else {
      size += 2;
    }
  }
  return size;
}

/**
 * Writes `text` and returns the offset after it; an offset past target.length says that it did
 * not fit. A lone surrogate becomes U+FFFD, so the bytes are always valid UTF-8.
 */
export function writeUtf8(target: Uint8Array, offset: number, text: string): number {
  const length = text.length;
  let next = offset;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x80) {
      target[next] = code;
      next += 1;
    } else {
      const point = codePointAt(text, index);
      if (point > 0xffff && code <= 0xffff) index += 1;
      next = writeCodePoint(target, next, point);
    }
  }
  return next;
}

/**
 * The string in source[start, end). Bytes that are not UTF-8 become U+FFFD, one for each maximal
 * ill-formed part, as TextDecoder does. On an engine with 8-bit strings a character above U+00FF
 * becomes '?'.
 */
export function readUtf8(source: Uint8Array, start: number, end: number): string {
  let text = '';
  let at = start;
  // Four at a time: every `+=` copies the string on XS.
  while (at + 4 <= end) {
    const a = source[at] as number;
    const b = source[at + 1] as number;
    const c = source[at + 2] as number;
    const d = source[at + 3] as number;
    if ((a | b | c | d) > 0x7f) break;
    text += String.fromCharCode(a, b, c, d);
    at += 4;
  }
  while (at < end) {
    const point = codePointIn(source, at, end);
    if (point < 0) {
      text += characterOf(REPLACEMENT);
      at -= point;
    } else {
      text += characterOf(point);
      at += codePointSize(point);
    }
  }
  return text;
}

/** True when source[start, end) is valid UTF-8: no overlong form, surrogate, or > U+10FFFF. */
export function isUtf8(source: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if ((source[at] as number) < 0x80) {
      at += 1;
    } else {
      const point = codePointIn(source, at, end);
      if (point < 0) return false;
      at += codePointSize(point);
    }
  }
  return true;
}

/** True when source[start, end) is what `writeUtf8` writes for `text`; makes no string. */
export function equalsUtf8(source: Uint8Array, start: number, end: number, text: string): boolean {
  const length = text.length;
  let at = start;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (at >= end) return false;
    if (code < 0x80) {
      if (source[at] !== code) return false;
      at += 1;
    } else {
      const point = codePointAt(text, index);
      if (codePointIn(source, at, end) !== point) return false;
      if (point > 0xffff && code <= 0xffff) index += 1;
      at += codePointSize(point);
    }
  }
  return at === end;
}

/**
 * Below zero, zero or above as the UTF-8 of `a` sorts before, with or after that of `b`, a prefix
 * first. On UTF-16 engines `<` differs: it puts U+1F600 before U+FFFD.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    // Bytes sort as code points do. Behind equal pairs both second units look like lone ones.
    const difference = codePointAt(a, index) - codePointAt(b, index);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The code point that begins at `index`; a lone surrogate is U+FFFD. */
function codePointAt(text: string, index: number): number {
  const code = text.charCodeAt(index);
  if (code < 0xd800 || code > 0xdfff) return code;
  if (code < 0xdc00 && index + 1 < text.length) {
    const low = text.charCodeAt(index + 1);
    if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  return REPLACEMENT;
}

function codePointSize(point: number): number {
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}

function writeCodePoint(target: Uint8Array, offset: number, point: number): number {
  let next = offset;
  if (point < 0x800) {
    target[next] = 0xc0 | (point >> 6);
  } else {
    if (point < 0x10000) {
      target[next] = 0xe0 | (point >> 12);
    } else {
      target[next] = 0xf0 | (point >> 18);
      next += 1;
      target[next] = 0x80 | ((point >> 12) & 0x3f);
    }
    next += 1;
    target[next] = 0x80 | ((point >> 6) & 0x3f);
  }
  target[next + 1] = 0x80 | (point & 0x3f);
  return next + 2;
}

/**
 * The code point at source[at], or minus the size of the maximal ill-formed part there
 * (the byte ranges of Unicode §3.9 table 3-7).
 */
function codePointIn(source: Uint8Array, at: number, end: number): number {
  const lead = source[at] as number;
  if (lead < 0x80) return lead;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const count = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  let point = lead & (0x3f >> count);
  for (let index = 1; index <= count; index += 1) {
    const byte = at + index < end ? (source[at + index] as number) : 0;
    if (byte < low || byte > high) return -index;
    point = (point << 6) | (byte & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return point;
}

function characterOf(point: number): string {
  // XS joins a pair only within one call.
  const first = point > 0xffff ? 0xd800 + ((point - 0x10000) >> 10) : point;
  const character =
    point > 0xffff
      ? String.fromCharCode(first, 0xdc00 + (point & 0x3ff))
      : String.fromCharCode(first);
  const code = character.charCodeAt(0);
  return code === first || code === point ? character : '?';
}
