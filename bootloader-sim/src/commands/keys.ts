// Keys as the commands take them: PEM files.

import { KeyError, readPrivateKeyPem, readPublicKeyPem, type SigningKey } from '../node-crypto.ts';
import { CommandError } from './command-error.ts';
import { readText } from './files.ts';

/** The Ed25519 key of a PKCS#8 file. Throws a CommandError. */
export function readSigningKey(path: string): SigningKey {
  return read(path, readPrivateKeyPem);
}

/** The raw public keys of these files. Throws a CommandError. */
export function readPublicKeys(paths: readonly string[]): Uint8Array[] {
  return paths.map((path) => read(path, readPublicKeyPem));
}

function read<Key>(path: string, parse: (text: string) => Key): Key {
  const text = readText(path);
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof KeyError) throw new CommandError(`${path}: ${error.message}`);
    throw error;
  }
}
