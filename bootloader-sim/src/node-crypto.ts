// Digests, signatures and keys over node:crypto, for the commands and the tests. The boot model
// itself is given them as `BootCrypto`.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { BootCrypto } from './crypto.ts';
import { PUBLIC_KEY_SIZE, publicKeyInfo } from './images/mcuboot-format.ts';

/** A file that is not the key it has to be; the message says what it is instead. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

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
  const name = Buffer.from(publicKey).toString('hex');
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

/** The label of the first PEM block (RFC 7468 §2), or what is wrong with the file. */
function labelOf(text: string): string {
  const label = /-----BEGIN ([^-\r\n]*)-----/.exec(text)?.[1];
  if (label === undefined) throw new KeyError('not a PEM file: it has no -----BEGIN line');
  if (!text.includes(`-----END ${label}-----`)) {
    throw new KeyError(`the PEM file is cut off: it has no -----END ${label}-----`);
  }
  return label;
}

function requireEd25519(key: KeyObject): void {
  const type = key.asymmetricKeyType ?? 'no';
  if (type !== 'ed25519') throw new KeyError(`expected an Ed25519 key, got a ${type} key`);
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const info = key.export({ format: 'der', type: 'spki' });
  return new Uint8Array(info.subarray(info.length - PUBLIC_KEY_SIZE));
}

/** The raw 32 bytes of an Ed25519 public key (`-----BEGIN PUBLIC KEY-----`). Throws KeyError. */
export function readPublicKeyPem(text: string): Uint8Array {
  const label = labelOf(text);
  // OpenSSL would derive the public key, and the file would lie about, where it must not.
  if (label.endsWith('PRIVATE KEY')) {
    throw new KeyError('this is a private key, and a public key is wanted; keep it secret');
  }
  if (label !== 'PUBLIC KEY') throw new KeyError(`expected a public key, got "${label}"`);
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw new KeyError('the public key cannot be read: its content is damaged');
  }
  requireEd25519(key);
  return rawPublicKey(key);
}

/** The Ed25519 private key of a PKCS#8 file (`-----BEGIN PRIVATE KEY-----`). Throws KeyError. */
export function readPrivateKeyPem(text: string): SigningKey {
  const label = labelOf(text);
  if (label === 'PUBLIC KEY') {
    throw new KeyError('this is a public key, and a private key is wanted');
  }
  if (label === 'ENCRYPTED PRIVATE KEY') {
    throw new KeyError('the private key is encrypted; decrypt it first (openssl pkey)');
  }
  if (!label.endsWith('PRIVATE KEY')) {
    throw new KeyError(`expected a private key, got "${label}"`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    throw new KeyError('the private key cannot be read: its content is damaged');
  }
  requireEd25519(key);
  return {
    publicKey: rawPublicKey(createPublicKey(key)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}
