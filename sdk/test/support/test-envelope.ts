// A second writer of envelopes (facts of the profile: docs/ota.md), so that the client's tests need
// nothing of the server. Ed25519 keys derive from a number.

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import {
  MAJOR_TAG,
  writeArrayHead,
  writeBytes,
  writeHead,
  writeInteger,
  writeMapHead,
  writeSimple,
  writeText,
} from '../../src/codec/cbor-write.ts';
import { sha256 } from './virtual-firmware.ts';

type Item = number | string | null | Uint8Array | readonly Item[] | Pairs;

/** A map, in the order that it is written. */
class Pairs {
  readonly list: readonly (readonly [number | string | Uint8Array | readonly Item[], Item])[];

  constructor(...list: (readonly [number | string | Uint8Array | readonly Item[], Item])[]) {
    this.list = list;
  }
}

function write(target: Uint8Array, at: number, item: Item): number {
  if (typeof item === 'number') return writeInteger(target, at, item);
  if (typeof item === 'string') return writeText(target, at, item);
  if (item === null) return writeSimple(target, at, 22);
  if (item instanceof Uint8Array) return writeBytes(target, at, item, 0, item.length);
  let next = at;
  if (item instanceof Pairs) {
    next = writeMapHead(target, at, item.list.length);
    for (const [key, value] of item.list) next = write(target, write(target, next, key), value);
    return next;
  }
  const list = item as readonly Item[];
  next = writeArrayHead(target, at, list.length);
  for (const member of list) next = write(target, next, member);
  return next;
}

function encode(item: Item, tag?: number): Uint8Array {
  const bytes = new Uint8Array(2048);
  const start = tag === undefined ? 0 : writeHead(bytes, 0, MAJOR_TAG, tag);
  return bytes.slice(0, write(bytes, start, item));
}

export class TestKey {
  readonly publicKey: Uint8Array;
  private readonly key: KeyObject;

  constructor(seed: number) {
    const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
    const der = Buffer.concat([prefix, Buffer.alloc(32, seed)]);
    this.key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.key).export({ format: 'der', type: 'spki' });
    this.publicKey = new Uint8Array(spki.subarray(spki.length - 32));
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.key));
  }
}

export interface EnvelopeFields {
  readonly sequence: number;
  readonly version: string;
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  readonly image: Uint8Array;
  /** As signed, unless the image's. */
  readonly size?: number;
  readonly expiresS?: number;
  /** The running version must be at least this, [major, minor, patch]. */
  readonly versionMin?: readonly number[];
}

export function writeTestEnvelope(fields: EnvelopeFields, key: TestKey): Uint8Array {
  const { expiresS, image, sequence, version } = fields;
  const digest = sha256(image);
  const name = `${Buffer.from(digest).toString('hex')}.bin`;
  const imageDigest = encode([-16, digest]);
  const slots = (parameters: (slot: number) => Pairs) =>
    [0, 1].map((slot) => encode([20, new Pairs([5, slot]), 5, 5, 20, parameters(slot)]));
  const parameters = new Pairs(
    [1, fields.vendorId],
    [2, fields.classId],
    ...(expiresS === undefined ? [] : [[4, expiresS] as const]),
    ...(fields.versionMin === undefined
      ? []
      : [[28, encode([2, [...fields.versionMin]])] as const]),
  );
  const shared: Item[] = [
    ...[20, parameters],
    ...[15, slots(() => new Pairs([3, imageDigest], [14, fields.size ?? image.length]))],
    ...[1, 15, 2, 15],
    ...(fields.versionMin === undefined ? [] : [28, 15]),
    ...(expiresS === undefined ? [] : [4, 15]),
  ];
  const install: Item[] = [15, slots(() => new Pairs([21, name])), 21, 2, 3, 15];
  const common = new Pairs([2, [[Uint8Array.of(0)]]], [4, encode(shared)]);
  const text = new Pairs(['en', new Pairs([[Uint8Array.of(0)], new Pairs([6, version])])]);
  const manifest = encode(
    new Pairs(
      [1, 1],
      [2, sequence],
      [3, encode(common)],
      [7, encode([3, 15])],
      [20, encode(install)],
      [23, encode(text)],
    ),
  );
  const suitDigest = encode([-16, sha256(encode(manifest))]);
  const header = encode(new Pairs([1, -19]));
  const message = encode(['Signature1', header, new Uint8Array(0), suitDigest]);
  const block = encode([header, new Pairs(), null, key.sign(message)], 18);
  const authentication = encode([suitDigest, block]);
  return encode(new Pairs([2, authentication], [3, manifest]), 107);
}
