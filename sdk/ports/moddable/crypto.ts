// SHA-256 by Moddable's native digest; Ed25519 over noble, because Moddable has none of its own.

import { Digest } from 'crypt';
import type { Crypto, Sha256 } from '../../src/platform.ts';
import { verifyEd25519 } from '../noble/ed25519.ts';

class ModdableSha256 implements Sha256 {
  private readonly digester = new Digest('SHA256');

  update(bytes: Uint8Array, start: number, end: number): void {
    this.digester.write(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  }

  digest(into: Uint8Array): void {
    into.set(new Uint8Array(this.digester.close()));
  }
}

/** ES256 is not there: it verifies nothing. */
export const moddableCrypto: Crypto = {
  sha256: () => new ModdableSha256(),
  verify: (algorithm, publicKey, message, signature) =>
    algorithm === 'ed25519' && verifyEd25519(publicKey, message, signature),
};
