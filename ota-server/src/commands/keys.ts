// Keys as the commands take them: PEM files.

import { readKey } from '@flotilla/command-line';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import { type ReleaseKey, readPrivateKeyPem, readPublicKeyPem } from '../releases/keys.ts';

/** The private key of a PEM file. Throws a CommandError. */
export function readSigningKey(path: string): ReleaseKey {
  return readKey(path, readPrivateKeyPem);
}

/** The trusted keys of PEM files. Throws a CommandError. */
export function readTrustedKeys(paths: readonly string[]): TrustedKey[] {
  return paths.map((path) => readKey(path, readPublicKeyPem));
}
