// Keys as the commands take them: PEM files.

import { readKey } from '@flotilla/command-line';
import { readPrivateKeyPem, readPublicKeyPem, type SigningKey } from '../node-crypto.ts';

/** The Ed25519 key of a PKCS#8 file. Throws a CommandError. */
export function readSigningKey(path: string): SigningKey {
  return readKey(path, readPrivateKeyPem);
}

/** The raw public keys of these files. Throws a CommandError. */
export function readPublicKeys(paths: readonly string[]): Uint8Array[] {
  return paths.map((path) => readKey(path, readPublicKeyPem));
}
