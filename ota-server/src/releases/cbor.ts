// Items as deterministic CBOR (RFC 8949 §4.2.1), over the SDK's writer.

import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import {
  SIMPLE_NULL,
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
