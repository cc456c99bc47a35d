// Earlier releases that a new one refers to: by their version, their envelope, or their image.

import { dirname, join } from 'node:path';
import { CommandError, filesIn, readBytes, TEXT_SIZE_MAX } from '@flotilla/command-line';
import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import { readRelease } from '../releases/inspect.ts';
import type { Release } from '../releases/release.ts';
import { sha256 } from '../releases/sign.ts';
import { parseVersion } from '../releases/version.ts';

export interface EarlierRelease {
  readonly release: Release;
  /** One, or one for each slot; what was signed. */
  readonly images: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array];
}

/**
 * The release `name`: a version, whose envelope is in `folder`, or the path of an envelope. Its
 * images are beside it. Throws a CommandError unless one of `keys` signed it and they are as signed.
 */
export function readEarlier(
  name: string,
  folder: string,
  keys: readonly TrustedKey[],
): EarlierRelease {
  const path = parseVersion(name) === undefined ? name : join(folder, `${name}.suit`);
  const result = readRelease(readBytes(path, TEXT_SIZE_MAX), keys);
  if (!result.ok) throw new CommandError(`${path}: ${result.message} (${result.reason})`);
  const { release } = result;
  const [first, second] = release.images.map(({ digest, uri }) => {
    // The signer chose the name, and it is only ever that of a file beside the envelope.
    if (!/^[0-9a-f]{64}\.bin$/.test(uri)) throw new CommandError(`${path}: names an image ${uri}`);
    const file = join(dirname(path), uri);
    const bytes = readBytes(file);
    if (isSameBytes(sha256(bytes), digest)) return bytes;
    throw new CommandError(`${file}: is not the image that was signed`);
  }) as [Uint8Array, Uint8Array];
  const isOne = isSameBytes(first, second);
  return { release, images: isOne ? [first] : [first, second] };
}

/** Images to make deltas from: those of a version or an envelope, or the file itself. */
export function readBases(
  names: readonly string[],
  folder: string,
  keys: readonly TrustedKey[],
): Uint8Array[] {
  return names.flatMap((name) => {
    const isRelease = parseVersion(name) !== undefined || name.endsWith('.suit');
    if (!isRelease) return [readBytes(name)];
    return [...readEarlier(name, folder, keys).images];
  });
}

/** The highest sequence number of the releases in `folder` that one of `keys` signed; -1 without. */
export function highestSequence(folder: string, keys: readonly TrustedKey[]): number {
  const sequences = filesIn(folder)
    .filter((name) => name.endsWith('.suit'))
    .map((name) => readRelease(readBytes(join(folder, name), TEXT_SIZE_MAX), keys))
    .map((result) => (result.ok ? result.release.sequence : -1));
  return Math.max(-1, ...sequences);
}
