// Keys that sign releases, and keys that are trusted to: PEM files over node:crypto.

import { createHash, sign } from 'node:crypto';
import { parsePrivateKey, parsePublicKey } from '@flotilla/command-line/keys';
import { ALGORITHM_ED25519, ALGORITHM_ESP256 } from '@flotilla/sdk/ota/cose';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import type { SignatureAlgorithm } from '@flotilla/sdk/platform';

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

const ACCEPTED = ['ed25519', 'es256'] as const;
/** What comes before a raw public key in its SubjectPublicKeyInfo (RFC 8410 §4, RFC 5480 §2). */
const INFO_PREFIX: Readonly<Record<SignatureAlgorithm, Buffer>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  es256: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
};
const COSE_ALGORITHM: Readonly<Record<SignatureAlgorithm, number>> = {
  ed25519: ALGORITHM_ED25519,
  es256: ALGORITHM_ESP256,
};

/** The trusted key of a PEM file (`-----BEGIN PUBLIC KEY-----`). Throws KeyError. */
export function readPublicKeyPem(text: string): TrustedKey {
  const { algorithm, publicKey } = parsePublicKey(text, ACCEPTED);
  return { algorithm, key: publicKey };
}

/** The private key of a PEM file, not encrypted. Throws KeyError. */
export function readPrivateKeyPem(text: string): ReleaseKey {
  const { algorithm, key, publicKey } = parsePrivateKey(text, ACCEPTED);
  return {
    algorithm,
    coseAlgorithm: COSE_ALGORITHM[algorithm],
    publicKey,
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
