// Images of simulated firmware: real MCUboot images, signed by the keys of the run. The payload
// begins with a line of JSON that says what it is and how it behaves, for whoever inspects it.

import { type McubootImage, parseVersion } from '@flotilla/bootloader-sim/images/mcuboot';
import { createImage } from '@flotilla/bootloader-sim/images/mcuboot-write';
import { nodeCrypto } from '@flotilla/bootloader-sim/node-crypto';
import { randomUint32, randomUnit } from '../fleet/random.ts';
import type { Behaviour } from '../scenario/update.ts';
import type { RunKey } from './keys.ts';

/** Filler comes in blocks, of which a new version changes some: as code does from build to build. */
const BLOCK_SIZE = 256;
const CHANGED_SHARE = 1 / 8;
/** Streams of randomness, apart from those of devices. */
const CONTENT_STREAM = 101;
const CHANGE_STREAM = 102;

export interface ImageOptions {
  readonly seed: number;
  /** Device class: the content of another class is another. */
  readonly name: string;
  readonly version: string;
  readonly securityCounter: number;
  /** Bytes of the whole image. */
  readonly size: number;
  readonly behaviour: Behaviour;
}

/** The bytes of an image; the same options give the same bytes. */
export function createFirmwareImage(options: ImageOptions, key: RunKey): Uint8Array {
  const { securityCounter, size } = options;
  const version = versionOf(options.version);
  const make = (payload: Uint8Array) => {
    const form = { payload, version, securityCounter, digest: 'sha256' } as const;
    return createImage(form, key.publicKey, nodeCrypto, (message) => key.sign(message));
  };
  const overhead = make(new Uint8Array(1)).length - 1;
  return make(payloadOf(options, size - overhead));
}

/** `image`'s payload as another release: with another version and security counter. */
export function signAgain(
  bytes: Uint8Array,
  { headerSize, payloadEnd, payloadStart }: McubootImage,
  version: string,
  securityCounter: number,
  key: RunKey,
): Uint8Array {
  const payload = bytes.slice(payloadStart, payloadEnd);
  const form = { payload, headerSize, version: versionOf(version), securityCounter } as const;
  const sign = (message: Uint8Array) => key.sign(message);
  return createImage({ ...form, digest: 'sha256' }, key.publicKey, nodeCrypto, sign);
}

function versionOf(text: string): NonNullable<ReturnType<typeof parseVersion>> {
  const version = parseVersion(text);
  if (version === undefined) throw new RangeError(`version '${text}': expected major.minor.patch`);
  return version;
}

function payloadOf({ behaviour, name, seed, version }: ImageOptions, size: number): Uint8Array {
  const payload = new Uint8Array(Math.max(1, size));
  const salt = hashOf(name);
  const generation = hashOf(version);
  const words = new Uint32Array(Math.ceil(payload.length / 4));
  for (let at = 0; at < words.length; at += 1) {
    const block = Math.floor((4 * at) / BLOCK_SIZE);
    const isChanged = randomUnit(seed, block, CHANGE_STREAM, generation) < CHANGED_SHARE;
    words[at] = randomUint32(seed ^ salt, at, CONTENT_STREAM, isChanged ? generation : 0);
  }
  payload.set(new Uint8Array(words.buffer).subarray(0, payload.length));
  const head = Buffer.from(`${JSON.stringify({ firmware: name, version, behaviour })}\n`);
  payload.set(head.subarray(0, payload.length));
  return payload;
}

/** FNV-1a (Fowler, Noll and Vo). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
