// Keys that sign releases, and keys that are trusted to: PEM files over node:crypto.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { ALGORITHM_ED25519, ALGORITHM_ESP256 } from '@flotilla/sdk/ota/cose';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import type { SignatureAlgorithm } from '@flotilla/sdk/platform';

/** A file that is not the key it has to be; the message says what it is instead. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/** What signs, and what verifies that. */
export interface ReleaseKey {
  readonly algorithm: SignatureAlgorithm;
  /** What the envelope calls it (RFC 9864). */
  readonly coseAlgorithm: number;
  /** Raw: 32 bytes of Ed25519, 65 of an uncompressed P-256 point. */
  readonly publicKey: Uint8Array;
  /** The signature of a message, 64 bytes. ES256 gives another one each time. */
  sign(message: Uint8Array): Uint8Array;
}

export interface KeyPair {
  /** PKCS#8 and SubjectPublicKeyInfo, PEM. */
  readonly privatePem: string;
  readonly publicPem: string;
}

/** Bytes of a raw public key, which a SubjectPublicKeyInfo ends with. */
const PUBLIC_KEY_SIZE: Readonly<Record<SignatureAlgorithm, number>> = { ed25519: 32, es256: 65 };
/** What comes before it in DER (RFC 8410 §4, RFC 5480 §2). */
const INFO_PREFIX: Readonly<Record<SignatureAlgorithm, Buffer>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  es256: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
};
const COSE_ALGORITHM: Readonly<Record<SignatureAlgorithm, number>> = {
  ed25519: ALGORITHM_ED25519,
  es256: ALGORITHM_ESP256,
};

export function generateKeys(algorithm: SignatureAlgorithm): KeyPair {
  const { privateKey, publicKey } =
    algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privatePem: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    publicPem: String(publicKey.export({ format: 'pem', type: 'spki' })),
  };
}

/** The trusted key of a PEM file (`-----BEGIN PUBLIC KEY-----`). Throws KeyError. */
export function readPublicKeyPem(text: string): TrustedKey {
  const label = labelOf(text);
  // OpenSSL would derive the public key, and the private one would lie about where it must not.
  if (label.endsWith('PRIVATE KEY')) {
    throw new KeyError('this is a private key, and a public key is wanted; keep it secret');
  }
  if (label !== 'PUBLIC KEY') throw new KeyError(`expected a public key, got "${label}"`);
  const key = read('public', () => createPublicKey(text));
  const algorithm = algorithmOf(key);
  return { algorithm, key: rawPublicKey(key, algorithm) };
}

/** The private key of a PEM file, not encrypted. Throws KeyError. */
export function readPrivateKeyPem(text: string): ReleaseKey {
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
  const key = read('private', () => createPrivateKey(text));
  const algorithm = algorithmOf(key);
  return {
    algorithm,
    coseAlgorithm: COSE_ALGORITHM[algorithm],
    publicKey: rawPublicKey(createPublicKey(key), algorithm),
    sign: (message) => {
      if (algorithm === 'ed25519') return new Uint8Array(sign(null, message, key));
      return new Uint8Array(sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' }));
    },
  };
}

/** A short name of a public key: 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo. */
export function keyName({ algorithm, key }: TrustedKey): string {
  const hash = createHash('sha256').update(INFO_PREFIX[algorithm]).update(key);
  return hash.digest('hex').slice(0, 16);
}

/** The key that trusts what `key` signs. */
export function trustedKey({ algorithm, publicKey }: ReleaseKey): TrustedKey {
  return { algorithm, key: publicKey };
}

/** The label of the first PEM block (RFC 7468 §2), or what is wrong with the file. */
function labelOf(text: string): string {
  const label = /-----BEGIN ([^-\r\n]*)-----/.exec(text)?.[1];
  if (label === undefined) throw new KeyError('not a PEM file: it has no -----BEGIN line');
  if (!text.includes(`-----END ${label}-----`)) {
    throw new KeyError(`the PEM file is cut off: it has no -----END ${label}-----`);
  }
  return label;
}

function read(name: string, parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch {
    throw new KeyError(`the ${name} key cannot be read: its content is damaged`);
  }
}

function algorithmOf(key: KeyObject): SignatureAlgorithm {
  const { asymmetricKeyDetails, asymmetricKeyType = 'no' } = key;
  if (asymmetricKeyType === 'ed25519') return 'ed25519';
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return 'es256';
  }
  const curve = asymmetricKeyDetails?.namedCurve ?? '';
  const type = `${asymmetricKeyType} ${curve}`.trim();
  throw new KeyError(`expected an Ed25519 or a P-256 key, got a key of type ${type}`);
}

function rawPublicKey(key: KeyObject, algorithm: SignatureAlgorithm): Uint8Array {
  const info = key.export({ format: 'der', type: 'spki' });
  return new Uint8Array(info.subarray(info.length - PUBLIC_KEY_SIZE[algorithm]));
}
