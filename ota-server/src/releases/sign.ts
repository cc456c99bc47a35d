// Makes releases: the image, the envelope over it, and deltas from earlier images. Pure: bytes in,
// bytes out.

import { createHash } from 'node:crypto';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { encodeDelta } from './delta.ts';
import { type EnvelopeOptions, imageName, writeEnvelope } from './envelope.ts';
import type { ReleaseKey } from './keys.ts';

/** A file of a release. */
export interface ReleaseFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface SignOptions extends Omit<EnvelopeOptions, 'images'> {
  /** One image for both slots, or one for each. */
  readonly images: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array];
  /** Images of earlier releases, to make deltas from. */
  readonly bases?: readonly Uint8Array[];
}

export interface SignedRelease {
  readonly envelope: Uint8Array;
  /** One or two. */
  readonly images: readonly ReleaseFile[];
  /** For every image and base, as far as they are smaller than the image. */
  readonly deltas: readonly (ReleaseFile & { readonly base: Uint8Array })[];
}

/** Signs images as a release. Throws a RangeError that names every option out of its range. */
export function signRelease(options: SignOptions, key: ReleaseKey): SignedRelease {
  const { bases = [], images, ...rest } = options;
  const entries = images.map((bytes) => ({ digest: sha256(bytes), size: bytes.length }));
  const envelope = writeEnvelope(
    { ...rest, images: entries as unknown as EnvelopeOptions['images'] },
    key,
  );
  const files = images.map((bytes) => ({ name: imageName(sha256(bytes)), bytes }));
  const distinct = files.filter(({ name }, at) => at === 0 || name !== files[0]!.name);
  const deltas = distinct.flatMap(({ bytes }) =>
    bases.flatMap((base) => {
      const delta = encodeDelta(base, bytes);
      const file = { name: deltaName(bytes, base), bytes: delta, base: sha256(base) };
      return delta.length < bytes.length ? [file] : [];
    }),
  );
  return { envelope, images: distinct, deltas };
}

/** `<digest of the result>-from-<start of the digest of the base>.delta`. */
export function deltaName(image: Uint8Array, base: Uint8Array): string {
  const [to, from] = [image, base].map((bytes) => toHex(sha256(bytes)));
  return `${to}-from-${from!.slice(0, 16)}.delta`;
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}
