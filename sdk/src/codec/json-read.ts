// Reads JSON (RFC 8259) from the caller's bytes under limits. Not JSON.parse: Espruino's takes
// trailing junk and lets `__proto__` through, and no engine bounds what it builds.

import { isUtf8, readUtf8 } from './text.ts';

const hasOwn = Object.prototype.hasOwnProperty;

/** Bounds of a value that is built from bytes of the world. */
export interface JsonLimits {
  /** Arrays and objects within each other. */
  readonly depthMax: number;
  /** Values in all: members, and each array and object too. */
  readonly countMax: number;
  /** Bytes of the whole text. */
  readonly sizeMax: number;
}

export type JsonError =
  /** Not JSON, or JSON with anything after it. */
  | 'malformed'
  /** Bytes that are no UTF-8, or half of a surrogate pair. */
  | 'invalid-utf8'
  /** A number beyond the range of a double. */
  | 'unsupported-number'
  /** The key `__proto__`. */
  | 'unsupported-key'
  | 'duplicate-key'
  | 'too-deep'
  | 'too-long'
  | 'too-large';

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Characters after a backslash, and what each pair stands for (RFC 8259 §7). */
const ESCAPES = '"\\/bfnrt';
const ESCAPED = '"\\/\b\f\n\r\t';

/** One text; `read` once, then `error` says what was wrong, if anything was. */
export class JsonReader {
  error: JsonError | undefined = undefined;
  /** The byte at fault. */
  errorOffset = 0;
  private readonly source: Uint8Array;
  private readonly end: number;
  private offset: number;
  private countLeft: number;
  private readonly limits: JsonLimits;

  /** Reads source[start, end). */
  constructor(source: Uint8Array, start: number, end: number, limits: JsonLimits) {
    this.source = source;
    this.offset = start;
    this.end = end;
    this.countLeft = limits.countMax;
    this.limits = limits;
  }

  /**
   * The value; undefined and `error` when the bytes are not exactly one JSON text within the
   * limits. Objects have no prototype where the engine can make such: look members up by
   * hasOwnProperty.
   */
  read(): unknown {
    if (this.end - this.offset > this.limits.sizeMax) return this.fail('too-large');
    const value = this.value(this.limits.depthMax);
    this.space();
    if (this.error === undefined && this.offset < this.end) this.fail('malformed');
    return this.error === undefined ? value : undefined;
  }

  private fail(error: JsonError): undefined {
    if (this.error === undefined) {
      this.error = error;
      this.errorOffset = this.offset;
    }
    return undefined;
  }

  /** The byte at the offset, or -1 at the end. */
  private peek(): number {
    return this.offset < this.end ? (this.source[this.offset] as number) : -1;
  }

  private space(): void {
    for (let byte = this.peek(); isSpace(byte); byte = this.peek()) this.offset += 1;
  }

  /** Takes `byte` if it is next, after white space. */
  private takes(byte: number): boolean {
    this.space();
    if (this.peek() !== byte) return false;
    this.offset += 1;
    return true;
  }

  private value(depthMax: number): unknown {
    this.space();
    if (this.countLeft <= 0) return this.fail('too-long');
    this.countLeft -= 1;
    const byte = this.peek();
    if (byte === QUOTE) return this.text();
    if (byte === MINUS || isDigit(byte)) return this.number();
    if (byte === 0x74) return this.word('true', true);
    if (byte === 0x66) return this.word('false', false);
    if (byte === 0x6e) return this.word('null', null);
    if (byte !== 0x5b && byte !== 0x7b) return this.fail('malformed');
    if (depthMax <= 0) return this.fail('too-deep');
    this.offset += 1;
    return byte === 0x5b ? this.array(depthMax - 1) : this.object(depthMax - 1);
  }

  private word(word: string, value: boolean | null): unknown {
    for (let index = 0; index < word.length; index += 1) {
      if (this.peek() !== word.charCodeAt(index)) return this.fail('malformed');
      this.offset += 1;
    }
    return value;
  }

  private array(depthMax: number): unknown {
    const items: unknown[] = [];
    if (this.takes(0x5d)) return items;
    for (;;) {
      items.push(this.value(depthMax));
      if (this.error !== undefined) return undefined;
      if (this.takes(0x5d)) return items;
      if (!this.takes(COMMA)) return this.fail('malformed');
    }
  }

  private object(depthMax: number): unknown {
    const map = Object.create(null) as Record<string, unknown>;
    if (this.takes(0x7d)) return map;
    for (;;) {
      this.space();
      if (this.peek() !== QUOTE) return this.fail('malformed');
      const key = this.text();
      if (key === undefined) return undefined;
      if (key === '__proto__') return this.fail('unsupported-key');
      if (hasOwn.call(map, key)) return this.fail('duplicate-key');
      if (!this.takes(COLON)) return this.fail('malformed');
      map[key] = this.value(depthMax);
      if (this.error !== undefined) return undefined;
      if (this.takes(0x7d)) return map;
      if (!this.takes(COMMA)) return this.fail('malformed');
    }
  }

  /** -? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)? (RFC 8259 §6). */
  private number(): unknown {
    const start = this.offset;
    if (this.peek() === MINUS) this.offset += 1;
    if (this.peek() === ZERO) this.offset += 1;
    else if (!this.digits()) return this.fail('malformed');
    if (this.peek() === DOT) {
      this.offset += 1;
      if (!this.digits()) return this.fail('malformed');
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.offset += 1;
      const sign = this.peek();
      if (sign === MINUS || sign === 0x2b) this.offset += 1;
      if (!this.digits()) return this.fail('malformed');
    }
    const value = parseFloat(readUtf8(this.source, start, this.offset));
    return isFinite(value) ? value : this.fail('unsupported-number');
  }

  /** True when at least one was there. */
  private digits(): boolean {
    const start = this.offset;
    while (isDigit(this.peek())) this.offset += 1;
    return this.offset > start;
  }

  /** The string that begins at the quote. */
  private text(): string | undefined {
    let text = '';
    this.offset += 1;
    for (let start = this.offset; ; ) {
      const byte = this.peek();
      if (byte < 0x20) return this.fail('malformed');
      if (byte !== QUOTE && byte !== BACKSLASH) {
        this.offset += 1;
        continue;
      }
      if (!isUtf8(this.source, start, this.offset)) return this.fail('invalid-utf8');
      if (this.offset > start) text += readUtf8(this.source, start, this.offset);
      this.offset += 1;
      if (byte === QUOTE) return text;
      const character = this.escape();
      if (character === undefined) return undefined;
      text += character;
      start = this.offset;
    }
  }

  /** What stands after a backslash. */
  private escape(): string | undefined {
    const byte = this.peek();
    this.offset += 1;
    if (byte !== 0x75) {
      const at = byte < 0 ? -1 : ESCAPES.indexOf(String.fromCharCode(byte));
      return at < 0 ? this.fail('malformed') : ESCAPED.charAt(at);
    }
    const unit = this.hex();
    if (unit < 0) return this.fail('malformed');
    if (unit < 0xd800 || unit > 0xdfff) return character(unit, String.fromCharCode(unit));
    if (unit > 0xdbff || this.peek() !== BACKSLASH) return this.fail('invalid-utf8');
    this.offset += 1;
    if (this.peek() !== 0x75) return this.fail('invalid-utf8');
    this.offset += 1;
    const low = this.hex();
    if (low < 0) return this.fail('malformed');
    if (low < 0xdc00 || low > 0xdfff) return this.fail('invalid-utf8');
    // XS joins a pair only within one call.
    return character(unit, String.fromCharCode(unit, low));
  }

  /** Four hexadecimal digits, or -1. */
  private hex(): number {
    let value = 0;
    for (let index = 0; index < 4; index += 1) {
      const byte = this.peek();
      const letter = byte | 0x20;
      if (isDigit(byte)) value = value * 16 + byte - ZERO;
      else if (letter >= 0x61 && letter <= 0x66) value = value * 16 + letter - 0x57;
      else return -1;
      this.offset += 1;
    }
    return value;
  }
}

/** `text`, or '?' where strings are of single bytes and cannot hold it. */
function character(unit: number, text: string): string {
  const code = text.charCodeAt(0);
  return code === unit || code > 0xffff ? text : '?';
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
