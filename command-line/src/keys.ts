// Keys that sign and keys that are trusted: PEM texts over node:crypto, and what else they may be.

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

/** A text that is not the key it has to be; the message says what it is instead. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/** Ed25519 (RFC 8032), or ECDSA over P-256 with SHA-256 (RFC 7518 §3.4). */
export type KeyAlgorithm = 'ed25519' | 'es256';

export interface ParsedKey {
  readonly algorithm: KeyAlgorithm;
  /** Of the same kind as the text: private or public. */
  readonly key: KeyObject;
  /** Raw: 32 bytes of Ed25519, 65 of an uncompressed P-256 point. */
  readonly publicKey: Uint8Array;
}

export interface KeyPair {
  /** PKCS#8 and SubjectPublicKeyInfo, PEM. */
  readonly privatePem: string;
  readonly publicPem: string;
}

/** Bytes of a raw public key, which a SubjectPublicKeyInfo ends with (RFC 8410 §4, RFC 5480 §2). */
const PUBLIC_KEY_SIZE: Readonly<Record<KeyAlgorithm, number>> = { ed25519: 32, es256: 65 };
const ALGORITHM_NAMES: Readonly<Record<KeyAlgorithm, string>> = {
  ed25519: 'an Ed25519',
  es256: 'a P-256',
};
/** DER of a PKCS#8 file up to the raw private key (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export function generateKeys(algorithm: KeyAlgorithm): KeyPair {
  const { privateKey, publicKey } =
    algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privatePem: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    publicPem: String(publicKey.export({ format: 'pem', type: 'spki' })),
  };
}

/** The Ed25519 key whose secret is these 32 bytes: for simulations, which repeat to the byte. */
export function privateKeyFrom(secret: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, secret]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

/** The public key (`-----BEGIN PUBLIC KEY-----`), of one of these algorithms. Throws KeyError. */
export function parsePublicKey(text: string, accepted: readonly KeyAlgorithm[]): ParsedKey {
  const label = labelOf(text);
  // OpenSSL would derive the public key, and the private one would lie about where it must not.
  if (label.endsWith('PRIVATE KEY')) {
    throw new KeyError('this is a private key, and a public key is wanted; keep it secret');
  }
  if (label !== 'PUBLIC KEY') throw new KeyError(`expected a public key, got "${label}"`);
  return parsed(
    orDamaged('public', () => createPublicKey(text)),
    accepted,
  );
}

/** The private key, not encrypted, of one of these algorithms. Throws KeyError. */
export function parsePrivateKey(text: string, accepted: readonly KeyAlgorithm[]): ParsedKey {
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
  return parsed(
    orDamaged('private', () => createPrivateKey(text)),
    accepted,
  );
}

/** The raw public key of either kind of key. */
export function rawPublicKey(key: KeyObject, algorithm: KeyAlgorithm): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const info = publicKey.export({ format: 'der', type: 'spki' });
  return new Uint8Array(info.subarray(info.length - PUBLIC_KEY_SIZE[algorithm]));
}

/** The label of the first PEM block (RFC 7468 §2), or what is wrong with the text. */
function labelOf(text: string): string {
  const label = /-----BEGIN ([^-\r\n]*)-----/.exec(text)?.[1];
  if (label === undefined) throw new KeyError('not a PEM file: it has no -----BEGIN line');
  if (!text.includes(`-----END ${label}-----`)) {
    throw new KeyError(`the PEM file is cut off: it has no -----END ${label}-----`);
  }
  return label;
}

function orDamaged(name: string, parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch {
    throw new KeyError(`the ${name} key cannot be read: its content is damaged`);
  }
}

function parsed(key: KeyObject, accepted: readonly KeyAlgorithm[]): ParsedKey {
  const algorithm = accepted.find((each) => isOf(key, each));
  if (algorithm !== undefined) return { algorithm, key, publicKey: rawPublicKey(key, algorithm) };
  const { asymmetricKeyDetails, asymmetricKeyType = '' } = key;
  const type = `${asymmetricKeyType} ${asymmetricKeyDetails?.namedCurve ?? ''}`.trim();
  const names = accepted.map((each) => ALGORITHM_NAMES[each]).join(' or ');
  throw new KeyError(`expected ${names} key, got a key of type ${type}`);
}

function isOf(key: KeyObject, algorithm: KeyAlgorithm): boolean {
  const { asymmetricKeyDetails, asymmetricKeyType } = key;
  if (algorithm === 'ed25519') return asymmetricKeyType === 'ed25519';
  return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1';
}
