// Keys as the commands take them: PEM files.

import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import {
  KeyError,
  type ReleaseKey,
  readPrivateKeyPem,
  readPublicKeyPem,
} from '../releases/keys.ts';
import { CommandError } from './command-error.ts';
import { readText } from './files.ts';

/** The private key of a PEM file. Throws a CommandError. */
export function readSigningKey(path: string): ReleaseKey {
  return read(path, readPrivateKeyPem);
}

/** The trusted keys of PEM files. Throws a CommandError. */
export function readTrustedKeys(paths: readonly string[]): TrustedKey[] {
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
