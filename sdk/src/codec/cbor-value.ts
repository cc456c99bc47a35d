// Plain JavaScript values as CBOR and back: for documents and command arguments, where a reader
// item by item would be too much code.

import { assert } from '../assert.ts';
import {
  type CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_FLOAT,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_SIMPLE,
  TYPE_TAG,
  TYPE_TEXT,
} from './cbor-read.ts';
import {
  INTEGER_MAX,
  SIMPLE_FALSE,
  SIMPLE_NULL,
  SIMPLE_TRUE,
  SIMPLE_UNDEFINED,
  writeArrayHead,
  writeBoolean,
  writeBytes,
  writeMapHead,
  writeNumber,
  writeSimple,
  writeTag,
  writeText,
} from './cbor-write.ts';
import { compareUtf8, utf8Size } from './text.ts';

const hasOwn = Object.prototype.hasOwnProperty;

/** A tagged value (RFC 8949 §3.4): `tag` is 0 to 2^53 - 1. */
export class CborTag {
  readonly tag: number;
  readonly value: unknown;

  constructor(tag: number, value: unknown) {
    this.tag = tag;
    this.value = value;
  }
}

/** Bounds of a value that is built from bytes of the world. */
export interface CborLimits {
  /** Arrays, maps and tags within each other. */
  readonly depthMax: number;
  /** Items in all: members, keys and values, each array, map and tag too. */
  readonly countMax: number;
  /** Bytes of the whole encoding. */
  readonly sizeMax: number;
}

/**
 * Writes undefined, null, booleans, numbers, strings, Uint8Array, CborTag, arrays, and the own
 * enumerable properties of any other object as a map with text keys, sorted as RFC 8949 §4.2.1
 * says. Anything else (a function, a symbol, two keys that differ only in lone surrogates) is a
 * bug and throws.
 *
 * Returns the offset after it. An offset past target.length says that it did not fit, or that it
 * nests deeper than `depthMax`; writing stops there, so it is no measure of the size.
 */
export function writeValue(
  target: Uint8Array,
  offset: number,
  value: unknown,
  depthMax: number,
): number {
  if (typeof value === 'string') return writeText(target, offset, value);
  if (typeof value === 'number') return writeNumber(target, offset, value);
  if (typeof value === 'boolean') return writeBoolean(target, offset, value);
  if (value === null) return writeSimple(target, offset, SIMPLE_NULL);
  if (value === undefined) return writeSimple(target, offset, SIMPLE_UNDEFINED);
  assert(typeof value === 'object', 'cbor: neither data nor an object');
  if (value instanceof Uint8Array) return writeBytes(target, offset, value, 0, value.length);
  if (depthMax <= 0) return target.length + 1;
  if (value instanceof CborTag) {
    assert(isCount(value.tag), 'cbor: tag out of range');
    const next = writeTag(target, offset, value.tag);
    return next > target.length ? next : writeValue(target, next, value.value, depthMax - 1);
  }
  if (Array.isArray(value)) return writeArray(target, offset, value, depthMax);
  return writeMap(target, offset, value as Record<string, unknown>, depthMax);
}

function writeArray(
  target: Uint8Array,
  offset: number,
  items: readonly unknown[],
  depthMax: number,
): number {
  let next = writeArrayHead(target, offset, items.length);
  // Stopping at the end bounds the work for a value that holds itself many times over.
  for (let index = 0; index < items.length && next <= target.length; index += 1) {
    next = writeValue(target, next, items[index], depthMax - 1);
  }
  return next;
}

function writeMap(
  target: Uint8Array,
  offset: number,
  map: Record<string, unknown>,
  depthMax: number,
): number {
  const keys = Object.keys(map).sort(compareKeys);
  let next = writeMapHead(target, offset, keys.length);
  for (let index = 0; index < keys.length && next <= target.length; index += 1) {
    const key = keys[index] as string;
    assert(
      index === 0 || compareKeys(keys[index - 1] as string, key) !== 0,
      'cbor: same key twice',
    );
    next = writeText(target, next, key);
    next = writeValue(target, next, map[key], depthMax - 1);
  }
  return next;
}

/** Orders as the encoded keys: the head, and so the size, comes first. */
function compareKeys(a: string, b: string): number {
  const difference = utf8Size(a) - utf8Size(b);
  return difference !== 0 ? difference : compareUtf8(a, b);
}

function isCount(value: number): boolean {
  return value >= 0 && value <= INTEGER_MAX && Math.floor(value) === value;
}

/**
 * Builds the reader's next item as a JavaScript value; undefined and `reader.error` when it is
 * malformed or over a limit.
 *
 * Byte strings become Uint8Array copies, tags CborTag. Maps become objects without a prototype:
 * integer keys are written in decimal, other keys than those and text are refused, and so are
 * `__proto__` and a key that comes twice (1 and "1" are the same). Look-ups on an engine like
 * Espruino, where such objects still have toString, must go through hasOwnProperty.
 */
export function readValue(reader: CborReader, limits: CborLimits): unknown {
  const end = reader.end;
  const start = reader.offset;
  const endMax = start + limits.sizeMax;
  if (endMax < end) reader.end = endMax;
  const value = readItem(reader, limits.depthMax, reader.itemCount + limits.countMax);
  if (reader.error === 'truncated' && endMax < end) {
    reader.error = 'too-large';
    reader.errorOffset = start;
  }
  reader.end = end;
  return reader.error === undefined ? value : undefined;
}

/** `countEnd` is the reader's itemCount at which the limit is reached. */
function readItem(reader: CborReader, depthMax: number, countEnd: number): unknown {
  if (!readHead(reader, countEnd)) return undefined;
  switch (reader.type) {
    case TYPE_INTEGER:
    case TYPE_FLOAT:
      return reader.value;
    case TYPE_TEXT:
      return reader.text();
    case TYPE_BYTES:
      return reader.bytes();
    case TYPE_SIMPLE:
      return readSimple(reader);
  }
  if (depthMax <= 0) {
    reader.fail('too-deep', reader.itemOffset);
    return undefined;
  }
  if (reader.type === TYPE_ARRAY) return readArray(reader, depthMax, countEnd);
  if (reader.type === TYPE_MAP) return readMap(reader, depthMax, countEnd);
  assert(reader.type === TYPE_TAG, 'cbor: unknown type');
  const tag = reader.value;
  return new CborTag(tag, readItem(reader, depthMax - 1, countEnd));
}

function readHead(reader: CborReader, countEnd: number): boolean {
  if (reader.itemCount >= countEnd) return reader.fail('too-long', reader.offset);
  return reader.read();
}

function readSimple(reader: CborReader): unknown {
  switch (reader.value) {
    case SIMPLE_FALSE:
      return false;
    case SIMPLE_TRUE:
      return true;
    case SIMPLE_NULL:
      return null;
    case SIMPLE_UNDEFINED:
      return undefined;
  }
  reader.fail('unsupported-simple', reader.itemOffset);
  return undefined;
}

function readArray(reader: CborReader, depthMax: number, countEnd: number): unknown {
  const count = reader.value;
  const items: unknown[] = [];
  for (let index = 0; reader.more(count, index); index += 1) {
    items.push(readItem(reader, depthMax - 1, countEnd));
  }
  return items;
}

function readMap(reader: CborReader, depthMax: number, countEnd: number): unknown {
  const count = reader.value;
  // Without a prototype, or a key like toString could not be set where preload froze
  // Object.prototype.
  const map = Object.create(null) as Record<string, unknown>;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (!readHead(reader, countEnd)) return undefined;
    const keyOffset = reader.itemOffset;
    const key = keyOf(reader);
    if (key === undefined) {
      reader.fail('unsupported-key', keyOffset);
    } else if (hasOwn.call(map, key)) {
      reader.fail('duplicate-key', keyOffset);
    } else {
      map[key] = readItem(reader, depthMax - 1, countEnd);
    }
  }
  return map;
}

function keyOf(reader: CborReader): string | undefined {
  if (reader.type === TYPE_INTEGER) return `${reader.value}`;
  if (reader.type !== TYPE_TEXT) return undefined;
  const key = reader.text();
  return key === '__proto__' ? undefined : key;
}
