// ES256 for tests, over node:crypto: noble has a package of its own for P-256.

import { generateKeyPairSync, sign } from 'node:crypto';
import type { Signer } from './suit-envelope.ts';

/** A new key. */
export function es256Signer(algorithm = -9): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const info = publicKey.export({ format: 'der', type: 'spki' });
  const key = new Uint8Array(info.subarray(info.length - 65));
  return {
    trusted: { algorithm: 'es256', key },
    algorithm,
    sign: (message) =>
      new Uint8Array(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  };
}
