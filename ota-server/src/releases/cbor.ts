// Items to deterministic CBOR (RFC 8949 §4.2.1) and back, over the SDK's writer and reader.

import {
  CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_MAP,
  TYPE_SIMPLE,
  TYPE_TAG,
  TYPE_TEXT,
} from '@flotilla/sdk/codec/cbor-read';
import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import {
  SIMPLE_FALSE,
  SIMPLE_NULL,
  SIMPLE_TRUE,
  SIMPLE_UNDEFINED,
  writeArrayHead,
  writeBytes,
  writeInteger,
  writeMapHead,
  writeSimple,
  writeTag,
  writeText,
} from '@flotilla/sdk/codec/cbor-write';

/** What an envelope is made of. */
export type Item =
  | number
  | string
  | null
  | Uint8Array
  | CborTag
  | readonly Item[]
  | ReadonlyMap<Item, Item>;

/** Bytes that are not one item; the message says what is wrong, and where. */
export class CborItemError extends Error {
  override readonly name = 'CborItemError';
}

/** Of arrays, maps and tags within each other, in what is decoded. */
const DEPTH_MAX = 16;
const SIMPLE_VALUES: ReadonlyMap<number, boolean | null | undefined> = new Map([
  [SIMPLE_FALSE, false],
  [SIMPLE_TRUE, true],
  [SIMPLE_NULL, null],
  [SIMPLE_UNDEFINED, undefined],
]);

const HEAD_SIZE_MAX = 9;
const NOTHING = new Uint8Array(0);

/** The encoding of an item; a map's pairs are sorted. Numbers must be safe integers. */
export function encode(item: Item): Uint8Array {
  if (typeof item === 'number') {
    if (!Number.isSafeInteger(item)) throw new RangeError(`expected an integer, got ${item}`);
    return written((target) => writeInteger(target, 0, item));
  }
  if (typeof item === 'string') return written((target) => writeText(target, 0, item));
  if (item === null) return written((target) => writeSimple(target, 0, SIMPLE_NULL));
  if (item instanceof Uint8Array) {
    return written((target) => writeBytes(target, 0, item, 0, item.length));
  }
  if (item instanceof CborTag) {
    const head = written((target) => writeTag(target, 0, item.tag));
    return Buffer.concat([head, encode(item.value as Item)]);
  }
  if (isMap(item)) {
    const pairs = [...item].map(([key, value]) => ({ key: encode(key), value: encode(value) }));
    pairs.sort((a, b) => Buffer.compare(a.key, b.key));
    const head = written((target) => writeMapHead(target, 0, pairs.length));
    return Buffer.concat([head, ...pairs.flatMap(({ key, value }) => [key, value])]);
  }
  const head = written((target) => writeArrayHead(target, 0, item.length));
  return Buffer.concat([head, ...item.map(encode)]);
}

function isMap(item: readonly Item[] | ReadonlyMap<Item, Item>): item is ReadonlyMap<Item, Item> {
  return item instanceof Map;
}

/** Measures first: a writer returns the offset after what it wrote, whether or not it fits. */
function written(write: (target: Uint8Array) => number): Uint8Array {
  const target = new Uint8Array(Math.max(HEAD_SIZE_MAX, write(NOTHING)));
  return target.subarray(0, write(target));
}

/**
 * The one item that `bytes` are: maps as Map, tags as CborTag, byte strings as copies. Any
 * encoding is taken; a key that comes twice is not. Throws a CborItemError.
 */
export function decode(bytes: Uint8Array): unknown {
  const reader = new CborReader();
  reader.reset(bytes, 0, bytes.length);
  const item = readItem(reader, DEPTH_MAX);
  if (!reader.finish()) {
    throw new CborItemError(`${reader.error} at byte ${reader.errorOffset}`);
  }
  return item;
}

/** Of no meaning where the reader has an error afterwards. */
function readItem(reader: CborReader, depthMax: number): unknown {
  if (!reader.read()) return undefined;
  const { itemOffset, type, value } = reader;
  if (type === TYPE_BYTES) return reader.bytes();
  if (type === TYPE_TEXT) return reader.text();
  if (type === TYPE_SIMPLE) {
    if (!SIMPLE_VALUES.has(value)) reader.fail('unsupported-simple', itemOffset);
    return SIMPLE_VALUES.get(value);
  }
  // A number.
  if (type !== TYPE_ARRAY && type !== TYPE_MAP && type !== TYPE_TAG) return value;
  if (depthMax === 0) return reader.fail('too-deep', itemOffset);
  if (type === TYPE_TAG) return new CborTag(value, readItem(reader, depthMax - 1));
  if (type === TYPE_MAP) return readMap(reader, value, depthMax - 1);
  const members: unknown[] = [];
  for (let index = 0; reader.more(value, index); index++)
    members.push(readItem(reader, depthMax - 1));
  return members;
}

function readMap(reader: CborReader, count: number, depthMax: number): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (let index = 0; reader.more(count, index); index++) {
    const at = reader.offset;
    const key = readItem(reader, depthMax);
    if (map.has(key)) reader.fail('duplicate-key', at);
    map.set(key, readItem(reader, depthMax));
  }
  return map;
}
