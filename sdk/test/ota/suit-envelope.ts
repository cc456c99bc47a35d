// Envelopes for tests, built with cbor-x and node:crypto alone: nothing of the code under test.

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { Encoder, Tag } from 'cbor-x';
import type { TrustedKey } from '../../src/ota/cose.ts';
import type { UpdateTarget } from '../../src/ota/manifest.ts';

const encoder = new Encoder({ useRecords: false, tagUint8Array: false, mapsAsObjects: false });

export function cbor(value: unknown): Uint8Array {
  return new Uint8Array(encoder.encode(value));
}

export function map(...pairs: readonly (readonly [unknown, unknown])[]): Map<unknown, unknown> {
  return new Map(pairs);
}

export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

export interface Signer {
  readonly trusted: TrustedKey;
  readonly privateKey: KeyObject;
  readonly algorithm: number;
}

export function ed25519Signer(algorithm = -19): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const info = publicKey.export({ format: 'der', type: 'spki' });
  const key = new Uint8Array(info.subarray(info.length - 32));
  return { trusted: { algorithm: 'ed25519', key }, privateKey, algorithm };
}

export function es256Signer(algorithm = -9): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const info = publicKey.export({ format: 'der', type: 'spki' });
  const key = new Uint8Array(info.subarray(info.length - 65));
  return { trusted: { algorithm: 'es256', key }, privateKey, algorithm };
}

/** The COSE_Sign1 over a detached payload (RFC 9052 §4.4). */
export function sign1(payload: Uint8Array, { algorithm, privateKey }: Signer): Uint8Array {
  const header = cbor(map([1, algorithm]));
  const message = cbor(['Signature1', header, new Uint8Array(0), payload]);
  const isEd25519 = privateKey.asymmetricKeyType === 'ed25519';
  const signature = isEd25519
    ? sign(null, message, privateKey)
    : sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return cbor(new Tag([header, map(), null, new Uint8Array(signature)], 18));
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

/** What a test wants otherwise. */
export interface Parts {
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

export function sharedOf({ conditions = [], parameters = [] }: Parts): unknown[] {
  const slots = [0, 1].map((slot) =>
    cbor([
      ...[20, map([5, slot]), 5, 5],
      ...[20, map([3, cbor([-16, DIGESTS[slot]])], [14, SIZES[slot]])],
    ]),
  );
  const first = map([1, VENDOR], [2, CLASS], ...parameters);
  return [20, first, 15, slots, 1, 15, 2, 15, ...conditions];
}

export function installOf(): unknown[] {
  const slots = [0, 1].map((slot) => cbor([20, map([5, slot]), 5, 5, 20, map([21, URIS[slot]])]));
  return [15, slots, 21, 2, 3, 15];
}

export function manifestOf(parts: Parts = {}): Uint8Array {
  const { install = installOf(), shared = sharedOf(parts), validate = [3, 15] } = parts;
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
