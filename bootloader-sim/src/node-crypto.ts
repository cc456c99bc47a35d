// Digests, signatures and keys over node:crypto, for commands, servers, simulations and tests. The
// boot model itself is given them as `BootCrypto`.

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { parsePrivateKey, parsePublicKey, rawPublicKey } from '@flotilla/command-line/keys';
import { toHex } from '@flotilla/sdk/codec/bytes';
import type { BootCrypto } from './crypto.ts';
import { publicKeyInfo } from './images/mcuboot-format.ts';

/** What signs, and what verifies that. */
export interface SigningKey {
  /** Raw, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The Ed25519 signature (64 bytes) of a message. */
  sign(message: Uint8Array): Uint8Array;
}

function digest(algorithm: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(bytes).digest());
}

/** Keys that stay imported; with more in use, all are imported anew. */
const IMPORTED_COUNT_MAX = 64;
/** By the hex of the raw key: importing one costs a quarter of a verification. */
const imported = new Map<string, KeyObject>();

function importKey(publicKey: Uint8Array): KeyObject {
  const name = toHex(publicKey);
  const known = imported.get(name);
  if (known !== undefined) return known;
  const info = Buffer.from(publicKeyInfo(publicKey));
  const key = createPublicKey({ key: info, format: 'der', type: 'spki' });
  if (imported.size === IMPORTED_COUNT_MAX) imported.clear();
  imported.set(name, key);
  return key;
}

export const nodeCrypto: BootCrypto = {
  sha256: (bytes) => digest('sha256', bytes),
  sha512: (bytes) => digest('sha512', bytes),
  md5: (bytes) => digest('md5', bytes),

  verifyEd25519(publicKey, message, signature) {
    try {
      return verify(null, message, importKey(publicKey), signature);
    } catch {
      return false; // A key or signature that cannot be read verifies nothing.
    }
  },
};

/** What signs with this Ed25519 key. */
export function signingKeyOf(key: KeyObject): SigningKey {
  return {
    publicKey: rawPublicKey(key, 'ed25519'),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

/** The raw 32 bytes of an Ed25519 public key (`-----BEGIN PUBLIC KEY-----`). Throws KeyError. */
export function readPublicKeyPem(text: string): Uint8Array {
  return parsePublicKey(text, ['ed25519']).publicKey;
}

/** The Ed25519 private key of a PKCS#8 file (`-----BEGIN PRIVATE KEY-----`). Throws KeyError. */
export function readPrivateKeyPem(text: string): SigningKey {
  return signingKeyOf(parsePrivateKey(text, ['ed25519']).key);
}
