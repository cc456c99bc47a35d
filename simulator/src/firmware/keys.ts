// Keys and tokens of a run: derived from its seed, so that the same scenario signs the same bytes.
// They protect simulated devices only.

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** What a key is for: one that is taken must not open another door. */
export type KeyPurpose =
  /** Signs images, for the bootloader. */
  | 'image'
  /** Signs manifests, for the update client. */
  | 'manifest'
  /** Of an attacker: nobody trusts it. */
  | 'foreign';

/** DER of a PKCS#8 file up to the raw private key (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** The raw public key ends its SubjectPublicKeyInfo. */
const PUBLIC_KEY_SIZE = 32;

/** An Ed25519 key pair. */
export interface RunKey {
  readonly privateKey: KeyObject;
  /** Raw, 32 bytes. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** 32 bytes that nobody knows who does not know the seed. */
export function secretOf(seed: number, purpose: string): Buffer {
  return createHash('sha256').update(`flotilla simulation, seed ${seed}: ${purpose}`).digest();
}

/** The key pair of a run for a purpose. */
export function createRunKey(seed: number, purpose: KeyPurpose): RunKey {
  const der = Buffer.concat([PKCS8_PREFIX, secretOf(seed, `${purpose} key`)]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const info = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    privateKey,
    publicKey: new Uint8Array(info.subarray(info.length - PUBLIC_KEY_SIZE)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/** The raw public key of a PEM file (`-----BEGIN PUBLIC KEY-----`); throws where it is none. */
export function readPublicKey(file: string): Uint8Array {
  const key = createPublicKey(readFileSync(file));
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${file}: expected an Ed25519 key`);
  const info = key.export({ format: 'der', type: 'spki' });
  return new Uint8Array(info.subarray(info.length - PUBLIC_KEY_SIZE));
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
