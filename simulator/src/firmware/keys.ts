// Keys and tokens of a run: derived from its seed, so that the same scenario signs the same bytes.
// They protect simulated devices only.

import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import {
  readPublicKeyPem,
  type SigningKey,
  signingKeyOf,
} from '@flotilla/bootloader-sim/node-crypto';
import { privateKeyFrom } from '@flotilla/command-line/keys';
import { readBounded } from '../bounded-file.ts';

/** Bytes; a public key in PEM has 113. */
const KEY_SIZE_MAX = 65_536;

/** What a key is for: one that is taken must not open another door. */
export type KeyPurpose =
  /** Signs images, for the bootloader. */
  | 'image'
  /** Signs manifests, for the update client. */
  | 'manifest'
  /** Of an attacker: nobody trusts it. */
  | 'foreign';

/** An Ed25519 key pair. */
export interface RunKey extends SigningKey {
  readonly privateKey: KeyObject;
}

/** 32 bytes that nobody knows who does not know the seed. */
export function secretOf(seed: number, purpose: string): Buffer {
  return createHash('sha256').update(`flotilla simulation, seed ${seed}: ${purpose}`).digest();
}

/** The key pair of a run for a purpose. */
export function createRunKey(seed: number, purpose: KeyPurpose): RunKey {
  const privateKey = privateKeyFrom(secretOf(seed, `${purpose} key`));
  return { privateKey, ...signingKeyOf(privateKey) };
}

/** The raw public key of a PEM file (`-----BEGIN PUBLIC KEY-----`); throws where it is none. */
export function readPublicKey(file: string): Uint8Array {
  return readPublicKeyPem(readBounded(file, KEY_SIZE_MAX).toString('utf8'));
}

/** The public key as a PEM file has it. */
export function publicPem({ privateKey }: RunKey): string {
  return String(createPublicKey(privateKey).export({ format: 'pem', type: 'spki' }));
}

/** The bearer token of a device at the run's OTA server. */
export function deviceToken(seed: number, id: string): string {
  return secretOf(seed, `token of ${id}`).toString('base64url');
}

/** Of all simulated devices. */
export const VENDOR = 'simulated vendor';

/** An id of 16 bytes for a vendor or a device class, by its name. */
export function idOf(name: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(`flotilla ${name}`).digest().subarray(0, 16));
}
