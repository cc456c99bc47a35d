// The user's own images and keys, checked when a scenario is loaded: what is wrong with them is told
// at the place that names them.

import { formatVersion, readImage } from '@flotilla/bootloader-sim/images/mcuboot';
import { readBounded } from '../bounded-file.ts';
import { readPublicKey } from './keys.ts';

/** Bytes; far beyond the flash of a microcontroller. */
const IMAGE_SIZE_MAX = 64 * 1024 * 1024;

/** Why a file is not the image that the scenario says; undefined where it is. */
export function imageMistake(file: string, version: string): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(readBounded(file, IMAGE_SIZE_MAX));
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`;
  }
  if (bytes.length > IMAGE_SIZE_MAX) return 'is larger than 64 MB';
  const read = readImage(bytes);
  if (!read.ok) return `is no MCUboot image: ${read.reason}`;
  const padding = bytes.length - read.image.totalSize;
  if (padding > 0) return `has ${padding} bytes after its image: sign it without --pad`;
  const own = formatVersion({ ...read.image.version, build: 0 });
  return own === version ? undefined : `is version ${own}, not ${version}`;
}

/** Why a file is no public key; undefined where it is one. */
export function keyMistake(file: string): string | undefined {
  try {
    readPublicKey(file);
    return undefined;
  } catch {
    return 'is no Ed25519 public key in PEM';
  }
}
