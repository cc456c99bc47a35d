// The digests and the signature check of simulated chips, over node:crypto.

import { createHash, createPublicKey, verify } from 'node:crypto';
import type { BootCrypto } from '@flotilla/bootloader-sim';
import { publicKeyInfo } from '@flotilla/bootloader-sim/images/mcuboot-format';

function digest(algorithm: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(bytes).digest());
}

/** Each content is checked once per thread (`Machine.verdicts`), so nothing is kept here. */
export const bootCrypto: BootCrypto = {
  sha256: (bytes) => digest('sha256', bytes),
  sha512: (bytes) => digest('sha512', bytes),
  md5: (bytes) => digest('md5', bytes),

  verifyEd25519(publicKey, message, signature) {
    try {
      const info = Buffer.from(publicKeyInfo(publicKey));
      const key = createPublicKey({ key: info, format: 'der', type: 'spki' });
      return verify(null, message, key, signature);
    } catch {
      return false; // A key or signature that cannot be read verifies nothing.
    }
  },
};
