// Keys as commands take and make them: PEM files.

import { CommandError } from './errors.ts';
import { createFile, exists, readText } from './files.ts';
import { generateKeys, type KeyAlgorithm, KeyError } from './keys.ts';

/** Nobody else may read what signs. */
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/** What `parse` makes of a PEM file; its KeyError names the file. Throws a CommandError. */
export function readKey<Key>(path: string, parse: (text: string) => Key): Key {
  const text = readText(path);
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof KeyError) throw new CommandError(`${path}: ${error.message}`);
    throw error;
  }
}

export interface KeyFiles {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** Makes a key pair, overwrites nothing, and returns the public PEM text. Throws a CommandError. */
export function createKeyFiles(files: KeyFiles, algorithm: KeyAlgorithm): string {
  // Whoever loses a key by a slip cannot update a device any more.
  for (const path of [files.privateKey, files.publicKey]) {
    if (exists(path)) throw new CommandError(`${path}: is there already; it is not overwritten`);
  }
  const { privatePem, publicPem } = generateKeys(algorithm);
  createFile(files.privateKey, privatePem, PRIVATE_MODE);
  createFile(files.publicKey, publicPem, PUBLIC_MODE);
  return publicPem;
}
