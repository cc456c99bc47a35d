// Images made by MCUboot's imgtool, the keys that signed them, and what they were made from.

import { readFileSync } from 'node:fs';
import type { CreateImageOptions } from '../../src/images/mcuboot-write.ts';
import { readPrivateKeyPem, readPublicKeyPem } from '../../src/node-crypto.ts';

const folder = new URL('../vectors/mcuboot/', import.meta.url);

export function readVector(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, folder)));
}

export function readPem(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8');
}

export const PUBLIC_KEY = readPublicKeyPem(readPem('pub.pem'));
export const KEY = readPrivateKeyPem(readPem('key.pem'));
export const OTHER_KEY = readPrivateKeyPem(readPem('other-key.pem'));

const payload = readVector('payload.bin');

function version(major: number, minor = 0, revision = 0, build = 0): CreateImageOptions['version'] {
  return { major, minor, revision, build };
}

/** The options of imgtool that made each vector, in our words. */
export const VECTORS: Readonly<Record<string, CreateImageOptions>> = {
  'sha256.bin': { payload, headerSize: 512, version: version(1), digest: 'sha256' },
  'sha256-seccnt7.bin': {
    payload,
    headerSize: 512,
    version: version(1, 2, 3, 4),
    securityCounter: 7,
    digest: 'sha256',
  },
  // `--security-counter auto` makes it of the version: major, minor and revision as 8, 8, 16 bits.
  'sha512.bin': {
    payload,
    headerSize: 512,
    version: version(2),
    securityCounter: 0x02000000,
    digest: 'sha512',
  },
  'pure.bin': { payload, headerSize: 512, version: version(2, 1), digest: 'sha512', pure: true },
  'dependency.bin': {
    payload,
    headerSize: 512,
    version: version(1, 2, 3, 4),
    securityCounter: 7,
    dependencies: [{ imageId: 1, version: version(1) }],
    digest: 'sha256',
  },
  'padded.bin': {
    payload,
    headerSize: 512,
    version: version(3),
    digest: 'sha256',
    padTo: 16384,
  },
  'confirmed.bin': {
    payload,
    headerSize: 512,
    version: version(3),
    digest: 'sha256',
    padTo: 16384,
    confirmed: true,
  },
};
