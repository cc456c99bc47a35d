// Envelopes for tests, built with cbor-x and noble alone: nothing of the code under test, and nothing
// that XS has not.

import { getPublicKey, hashes, sign } from '@noble/ed25519';
import { sha256 as hash, sha512 } from '@noble/hashes/sha2.js';
import { Encoder, Tag } from 'cbor-x';
import type { TrustedKey } from '../../src/ota/cose.ts';
import type { UpdateTarget } from '../../src/ota/manifest.ts';

// Without it noble signs through WebCrypto, in promises.
hashes.sha512 = sha512;

const encoder = new Encoder({ useRecords: false, tagUint8Array: false, mapsAsObjects: false });

export function cbor(value: unknown): Uint8Array {
  return new Uint8Array(encoder.encode(value));
}

export function map(...pairs: readonly (readonly [unknown, unknown])[]): Map<unknown, unknown> {
  return new Map(pairs);
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash(bytes);
}

export interface Signer {
  readonly trusted: TrustedKey;
  /** COSE's name of what it signs with. */
  readonly algorithm: number;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** The key of that number. What it has signed once it has at hand: XS takes 3 ms to sign. */
export function ed25519Signer(seed: number, algorithm = -19): Signer {
  const secret = new Uint8Array(32).fill(seed);
  const signed = new Map<string, Uint8Array>();
  return {
    trusted: { algorithm: 'ed25519', key: getPublicKey(secret) },
    algorithm,
    sign: (message) => {
      const name = message.join();
      const signature = signed.get(name) ?? sign(message, secret);
      signed.set(name, signature);
      return signature;
    },
  };
}

/** The COSE_Sign1 over a detached payload (RFC 9052 §4.4). */
export function sign1(payload: Uint8Array, signer: Signer): Uint8Array {
  const header = cbor(map([1, signer.algorithm]));
  const message = cbor(['Signature1', header, new Uint8Array(0), payload]);
  return cbor(new Tag([header, map(), null, signer.sign(message)], 18));
}

/** Signs a manifest, whatever it is. */
export function seal(manifest: Uint8Array, signer: Signer): Uint8Array {
  const digest = cbor([-16, sha256(cbor(manifest))]);
  const wrapper = cbor([digest, sign1(digest, signer)]);
  return cbor(new Tag(map([2, wrapper], [3, manifest]), 107));
}

export const VENDOR = new Uint8Array(16).fill(0x11);
export const CLASS = new Uint8Array(16).fill(0x22);
export const DIGESTS = [new Uint8Array(32).fill(0xa0), new Uint8Array(32).fill(0xa1)] as const;
export const SIZES = [70_000, 80_000] as const;
export const URIS = ['a0.bin', 'a1.bin'] as const;
export const TIME_S = 1_800_000_000;

export const TARGET: UpdateTarget = {
  vendorId: VENDOR,
  classId: CLASS,
  slot: 0,
  slotSize: 131_072,
  sequence: 5,
  version: '1.4.2',
  timeS: TIME_S,
};

/** What one slot gets. */
interface SlotImage {
  readonly digest: Uint8Array;
  readonly size: number;
  readonly uri: string;
}

const IMAGES: readonly SlotImage[] = [0, 1].map((slot) => ({
  digest: DIGESTS[slot] as Uint8Array,
  size: SIZES[slot] as number,
  uri: URIS[slot] as string,
}));

/** What a test wants otherwise. */
export interface Parts {
  readonly vendorId?: Uint8Array;
  readonly classId?: Uint8Array;
  /** By slot. */
  readonly images?: readonly SlotImage[];
  readonly sequence?: unknown;
  readonly version?: unknown;
  /** Parameters beside vendor and class. */
  readonly parameters?: readonly (readonly [unknown, unknown])[];
  /** Commands after the conditions on vendor and class. */
  readonly conditions?: readonly unknown[];
  readonly shared?: readonly unknown[];
  readonly install?: readonly unknown[];
  readonly validate?: readonly unknown[];
  readonly invoke?: readonly unknown[];
  readonly components?: unknown;
  readonly text?: unknown;
  /** Members of the manifest; the rest is left out. */
  readonly members?: readonly (readonly [unknown, unknown])[];
}

export function sharedOf(parts: Parts): unknown[] {
  const { classId = CLASS, conditions = [], parameters = [], vendorId = VENDOR } = parts;
  const slots = (parts.images ?? IMAGES).map(({ digest, size }, slot) =>
    cbor([20, map([5, slot]), 5, 5, 20, map([3, cbor([-16, digest])], [14, size])]),
  );
  const first = map([1, vendorId], [2, classId], ...parameters);
  return [20, first, 15, slots, 1, 15, 2, 15, ...conditions];
}

export function installOf({ images = IMAGES }: Parts = {}): unknown[] {
  const slots = images.map(({ uri }, slot) => cbor([20, map([5, slot]), 5, 5, 20, map([21, uri])]));
  return [15, slots, 21, 2, 3, 15];
}

export function manifestOf(parts: Parts = {}): Uint8Array {
  const { install = installOf(parts), shared = sharedOf(parts), validate = [3, 15] } = parts;
  const { components = [[Uint8Array.of(0)]], invoke, sequence = 7, version = '2.0.0' } = parts;
  const { text = map(['en', map([[Uint8Array.of(0)], map([6, version])])]) } = parts;
  const common = map([2, components], [4, cbor(shared)]);
  const members = parts.members ?? [
    [1, 1],
    [2, sequence],
    [3, cbor(common)],
    [7, cbor(validate)],
    ...(invoke === undefined ? [] : [[9, cbor(invoke)] as const]),
    [20, cbor(install)],
    [23, cbor(text)],
  ];
  return cbor(map(...members));
}

/** One release, the same for either slot. */
export interface ReleaseFields {
  readonly sequence: number;
  readonly version: string;
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  readonly digest: Uint8Array;
  readonly size: number;
  readonly expiresS?: number;
  /** The running version must be at least this, [major, minor, patch]. */
  readonly versionMin?: readonly number[];
}

/** The envelope of a release, as ota-server writes it. */
export function releaseEnvelope(fields: ReleaseFields, signer: Signer): Uint8Array {
  const { digest, expiresS, size, versionMin, ...parts } = fields;
  const uri = `${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}.bin`;
  const image: SlotImage = { digest, size, uri };
  const expiry = expiresS === undefined ? [] : [[4, expiresS] as const];
  const least = versionMin === undefined ? [] : [[28, cbor([2, versionMin])] as const];
  const manifest = manifestOf({
    ...parts,
    images: [image, image],
    parameters: [...expiry, ...least],
    conditions: [...least, ...expiry].flatMap(([name]) => [name, 15]),
  });
  return seal(manifest, signer);
}
