// Reads CBOR (RFC 8949) item by item from the caller's bytes, without a tree and without memory
// per item. Hostile bytes give an error code with its offset, never an exception, and nothing
// past the end is read. Encodings need not be deterministic: long heads and indefinite lengths
// are taken too.

import { assert } from '../assert.ts';
import { INTEGER_MAX } from './cbor-write.ts';
import { equalsUtf8, isUtf8, readUtf8 } from './text.ts';
import { readUint32 } from './uint32.ts';

/** What an item is: its major type (RFC 8949 §3.1), but one type for all integers. */
export const TYPE_INTEGER = 0;
export const TYPE_BYTES = 2;
export const TYPE_TEXT = 3;
export const TYPE_ARRAY = 4;
export const TYPE_MAP = 5;
export const TYPE_TAG = 6;
export const TYPE_SIMPLE = 7;
export const TYPE_FLOAT = 8;

/** The count of an array or map of indefinite length. */
export const COUNT_INDEFINITE = Infinity;

export type CborError =
  /** The bytes end within an item: more of them might make it whole. */
  | 'truncated'
  /** Additional information 28-30, or 31 where no indefinite length exists (§3). */
  | 'reserved-additional-information'
  /** A break where an item must be (§3.2.1). */
  | 'bad-break'
  /** In an indefinite-length string, anything but definite strings of its type (§3.2.3). */
  | 'bad-chunk'
  /** A two-byte simple value below 32 (§3.3). */
  | 'bad-simple'
  /** An integer, length, count or tag that a double cannot hold exactly: beyond 2^53 - 1. */
  | 'unsupported-integer'
  /** A simple value without a meaning in RFC 8949, where a value was to be built. */
  | 'unsupported-simple'
  /** A map key that is neither text nor an integer, or is `__proto__`. */
  | 'unsupported-key'
  | 'duplicate-key'
  | 'invalid-utf8'
  /** Nested deeper than the limit. */
  | 'too-deep'
  /** More items than the limit. */
  | 'too-long'
  /** More bytes than the limit. */
  | 'too-large'
  /** Well-formed, but not the type that the caller reads here. */
  | 'unexpected-type'
  /** Bytes after what should be the last item. */
  | 'trailing-bytes';

const BREAK = 0xff;
const TWO_32 = 4294967296;
const NOTHING = new Uint8Array(0);

/**
 * A cursor over source[start, end). `read` takes one head, and a whole string with it; the
 * fields then describe the item, until the next call. Members of an array or map follow as items
 * of their own:
 *
 *     const count = reader.readType(TYPE_ARRAY) ? reader.value : 0;
 *     for (let index = 0; reader.more(count, index); index += 1) …read one member…
 *     if (reader.error !== undefined) …
 *
 * The first error stays until `reset`, and every later read fails.
 */
export class CborReader {
  source: Uint8Array = NOTHING;
  /** Where the next item begins; a failed `read` or `skip` leaves it where it was. */
  offset = 0;
  end = 0;
  error: CborError | undefined = undefined;
  /** First byte of the item at fault. */
  errorOffset = 0;
  /** Items read since `reset`, those skipped included. */
  itemCount = 0;

  /** First byte of the item's head. */
  itemOffset = 0;
  /** TYPE_INTEGER … TYPE_FLOAT. */
  type = 0;
  /**
   * An integer or float itself; a string's size in bytes; the count of an array's members or of a
   * map's pairs, COUNT_INDEFINITE where a break ends them; a tag's number; a simple value's.
   */
  value = 0;
  /** A string in chunks: its content range holds the chunks' heads too. */
  indefinite = false;
  /** The content of a string. */
  contentStart = 0;
  contentEnd = 0;

  /** Begins anew at the item at `start`. */
  reset(source: Uint8Array, start: number, end: number): void {
    assert(start >= 0 && start <= end && end <= source.length, 'cbor range past its bytes');
    this.source = source;
    this.offset = start;
    this.end = end;
    this.error = undefined;
    this.errorOffset = 0;
    this.itemCount = 0;
  }

  /** Reads the next item; false on an error. */
  read(): boolean {
    if (this.error !== undefined) return false;
    const at = this.offset;
    if (at >= this.end) return this.fail('truncated', at);
    const initial = this.source[at] as number;
    const major = initial >> 5;
    const info = initial & 31;
    if (info > 27) return this.readIndefinite(at, major, info);
    const size = info < 24 ? 1 : 1 + (1 << (info - 24));
    const next = at + size;
    if (next > this.end) return this.fail('truncated', at);
    if (major === 7) return this.readSimple(at, info, next);
    const argument = info < 24 ? info : this.argument(at + 1, info);
    if (argument > (major === 1 ? INTEGER_MAX - 1 : INTEGER_MAX)) {
      return this.fail('unsupported-integer', at);
    }
    if (major === 2 || major === 3) {
      // A subtraction: the sum could round.
      if (argument > this.end - next) return this.fail('truncated', at);
      if (major === 3 && !isUtf8(this.source, next, next + argument)) {
        return this.fail('invalid-utf8', at);
      }
      this.contentStart = next;
      this.contentEnd = next + argument;
      return this.accept(at, major, argument, next + argument);
    }
    if (major === 1) return this.accept(at, TYPE_INTEGER, -1 - argument, next);
    return this.accept(at, major, argument, next);
  }

  /** Reads the next item, which must be of `type`. */
  readType(type: number): boolean {
    if (!this.read()) return false;
    return this.type === type || this.fail('unexpected-type', this.itemOffset);
  }

  /**
   * True when an array or map of `count` has a member or pair of this index; takes the break that
   * ends an indefinite length. False after an error.
   */
  more(count: number, index: number): boolean {
    if (this.error !== undefined) return false;
    if (count !== COUNT_INDEFINITE) return index < count;
    if (this.offset < this.end && this.source[this.offset] === BREAK) {
      this.offset += 1;
      return false;
    }
    return true;
  }

  /**
   * Passes over the next item with all that is in it, at most `depthMax` arrays, maps and tags
   * within each other. On 'truncated' the offset is still at its start: reset there with more
   * bytes and try again.
   */
  skip(depthMax: number): boolean {
    const start = this.offset;
    if (this.skipItem(depthMax)) return true;
    this.offset = start;
    return false;
  }

  /** False and 'trailing-bytes' when anything follows the last item read. */
  finish(): boolean {
    if (this.error !== undefined) return false;
    return this.offset === this.end || this.fail('trailing-bytes', this.offset);
  }

  /** The text item as a string. */
  text(): string {
    if (!this.indefinite) return readUtf8(this.source, this.contentStart, this.contentEnd);
    let text = '';
    for (let at = this.contentStart; at < this.contentEnd; ) {
      const start = at + this.chunkHeadSize(at);
      at = start + this.chunkSize(at);
      text += readUtf8(this.source, start, at);
    }
    return text;
  }

  /** True when the item is the text `text`; makes no string unless it came in chunks. */
  isText(text: string): boolean {
    if (this.type !== TYPE_TEXT) return false;
    if (this.indefinite) return this.text() === text;
    return equalsUtf8(this.source, this.contentStart, this.contentEnd, text);
  }

  /** The byte string item as a copy. */
  bytes(): Uint8Array {
    const copy = new Uint8Array(this.value);
    this.copyBytes(copy, 0);
    return copy;
  }

  /**
   * Copies the content of the string item, of `value` bytes, to `target` at `offset`; returns the
   * offset after it. Past target.length it did not fit.
   */
  copyBytes(target: Uint8Array, offset: number): number {
    let next = offset;
    let at = this.contentStart;
    while (at < this.contentEnd) {
      const start = this.indefinite ? at + this.chunkHeadSize(at) : at;
      const end = this.indefinite ? start + this.chunkSize(at) : this.contentEnd;
      for (at = start; at < end; at += 1) {
        target[next] = this.source[at] as number;
        next += 1;
      }
    }
    return next;
  }

  /** Notes the first error; returns false. For callers that find fault with an item, too. */
  fail(error: CborError, offset: number): boolean {
    if (this.error === undefined) {
      this.error = error;
      this.errorOffset = offset;
    }
    return false;
  }

  private accept(at: number, type: number, value: number, next: number): boolean {
    this.itemOffset = at;
    this.type = type;
    this.value = value;
    this.indefinite = false;
    this.offset = next;
    this.itemCount += 1;
    return true;
  }

  private readSimple(at: number, info: number, next: number): boolean {
    if (info > 24) return this.accept(at, TYPE_FLOAT, this.float(at + 1, info), next);
    const value = info < 24 ? info : (this.source[at + 1] as number);
    if (info === 24 && value < 32) return this.fail('bad-simple', at);
    return this.accept(at, TYPE_SIMPLE, value, next);
  }

  private readIndefinite(at: number, major: number, info: number): boolean {
    if (info === 31 && major === 7) return this.fail('bad-break', at);
    if (info !== 31 || major < 2 || major === 6) {
      return this.fail('reserved-additional-information', at);
    }
    if (major >= 4) return this.accept(at, major, COUNT_INDEFINITE, at + 1);
    let size = 0;
    let next = at + 1;
    while (next < this.end && this.source[next] !== BREAK) {
      const start = this.checkChunk(next, major);
      if (start < 0) return false;
      const chunkSize = this.chunkSize(next);
      size += chunkSize;
      next = start + chunkSize;
    }
    if (next >= this.end) return this.fail('truncated', at);
    this.contentStart = at + 1;
    this.contentEnd = next;
    this.accept(at, major, size, next + 1);
    this.indefinite = true;
    return true;
  }

  /** Offset of the content of the chunk at `at`, or -1 and an error. */
  private checkChunk(at: number, major: number): number {
    const initial = this.source[at] as number;
    const headSize = this.chunkHeadSize(at);
    if (initial >> 5 !== major || (initial & 31) > 27) {
      this.fail('bad-chunk', at);
    } else if (headSize > this.end - at) {
      this.fail('truncated', at);
    } else if (this.chunkSize(at) > INTEGER_MAX) {
      this.fail('unsupported-integer', at);
    } else if (this.chunkSize(at) > this.end - at - headSize) {
      this.fail('truncated', at);
    } else if (
      major === TYPE_TEXT &&
      !isUtf8(this.source, at + headSize, at + headSize + this.chunkSize(at))
    ) {
      this.fail('invalid-utf8', at);
    } else {
      return at + headSize;
    }
    return -1;
  }

  private chunkHeadSize(at: number): number {
    const info = (this.source[at] as number) & 31;
    return info < 24 ? 1 : 1 + (1 << (info - 24));
  }

  private chunkSize(at: number): number {
    const info = (this.source[at] as number) & 31;
    return info < 24 ? info : this.argument(at + 1, info);
  }

  /** The argument of 1, 2, 4 or 8 bytes; inexact when beyond 2^53 - 1, but never below it. */
  private argument(at: number, info: number): number {
    const source = this.source;
    if (info === 24) return source[at] as number;
    if (info === 25) return ((source[at] as number) << 8) | (source[at + 1] as number);
    const high = readUint32(source, at);
    return info === 26 ? high : high * TWO_32 + readUint32(source, at + 4);
  }

  /** An IEEE 754 number of 16, 32 or 64 bits. */
  private float(at: number, info: number): number {
    const first = this.source[at] as number;
    const sign = first > 127 ? -1 : 1;
    if (info === 25) {
      const bits = this.argument(at, 25);
      return sign * scale(bits & 0x3ff, (bits >> 10) & 31, 31, 1024, 25);
    }
    const bits = readUint32(this.source, at);
    if (info === 26) {
      return sign * scale(bits & 0x7fffff, (bits >>> 23) & 255, 255, 8388608, 150);
    }
    const fraction = (bits & 0xfffff) * TWO_32 + readUint32(this.source, at + 4);
    return sign * scale(fraction, (bits >>> 20) & 2047, 2047, 4503599627370496, 1075);
  }

  private skipItem(depthMax: number): boolean {
    if (!this.read()) return false;
    if (this.type < TYPE_ARRAY || this.type > TYPE_TAG) return true;
    if (depthMax <= 0) return this.fail('too-deep', this.itemOffset);
    if (this.type === TYPE_TAG) return this.skipItem(depthMax - 1);
    const count = this.value;
    const isMap = this.type === TYPE_MAP;
    for (let index = 0; this.more(count, index); index += 1) {
      if (isMap && !this.skipItem(depthMax - 1)) return false;
      if (!this.skipItem(depthMax - 1)) return false;
    }
    return this.error === undefined;
  }
}

/** (one + fraction) * 2^(exponent - bias), with the rules for subnormals, Infinity and NaN. */
function scale(
  fraction: number,
  exponent: number,
  exponentMax: number,
  one: number,
  bias: number,
): number {
  if (exponent === exponentMax) return fraction === 0 ? Infinity : NaN;
  let value = exponent === 0 ? fraction : one + fraction;
  let shift = (exponent === 0 ? 1 : exponent) - bias;
  // Powers of two are exact, and no step comes nearer to zero than the result: nothing rounds.
  for (; shift >= 64; shift -= 64) value *= 18446744073709552000;
  for (; shift >= 8; shift -= 8) value *= 256;
  for (; shift >= 1; shift -= 1) value *= 2;
  for (; shift <= -64; shift += 64) value *= 5.421010862427522e-20;
  for (; shift <= -8; shift += 8) value *= 0.00390625;
  for (; shift <= -1; shift += 1) value *= 0.5;
  return value;
}
