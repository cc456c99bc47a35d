// Images as MCUboot boots them, signed with a key of their own: the bootloader trusts that one, the
// update client trusts the one of the envelope.

import {
  formatVersion,
  type McubootImage,
  readImage,
} from '@flotilla/bootloader-sim/images/mcuboot';
import {
  DEPENDENCY_SIZE,
  HEADER_MAGIC,
  TLV_HEADER_SIZE,
  TLV_INFO_SIZE,
} from '@flotilla/bootloader-sim/images/mcuboot-format';
import {
  type CreateImageOptions,
  createImage,
} from '@flotilla/bootloader-sim/images/mcuboot-write';
import { nodeCrypto } from '@flotilla/bootloader-sim/node-crypto';
import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import type { ReleaseKey } from './keys.ts';
import { parseVersion } from './version.ts';

/** What a boot image says of itself. */
export interface BootImage {
  /** `major.minor.patch`, or with a build `major.minor.patch+build`. */
  readonly version: string;
  /** 0 where it has none. */
  readonly securityCounter: number;
}

/** True where the bytes begin as an MCUboot image does. */
export function isBootImage(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length >= 4 && view.getUint32(0, true) === HEADER_MAGIC;
}

/** What an MCUboot image says; its signature is not checked. Throws a RangeError for a damaged one. */
export function readBootImage(bytes: Uint8Array): BootImage {
  const image = intact(bytes);
  return { version: formatVersion(image.version), securityCounter: image.securityCounter };
}

/** Wraps what runs into a signed image. Throws a RangeError for a version or counter out of range. */
export function createBootImage(
  payload: Uint8Array,
  version: string,
  securityCounter: number,
  key: ReleaseKey,
): Uint8Array {
  const [major, minor, revision] = parseVersion(version) ?? [0, 0, 0];
  const options: CreateImageOptions = {
    payload,
    version: { major, minor, revision, build: 0 },
    securityCounter,
    digest: 'sha256',
  };
  return create(options, key);
}

/**
 * The same payload, version and layout with another security counter and signature. Throws a
 * RangeError for an image that is damaged, or holds what cannot be written again.
 */
export function signBootImageAgain(
  bytes: Uint8Array,
  securityCounter: number,
  key: ReleaseKey,
): Uint8Array {
  const image = intact(bytes);
  const same: CreateImageOptions = {
    payload: bytes.slice(image.payloadStart, image.payloadEnd),
    version: image.version,
    headerSize: image.headerSize,
    loadAddress: image.loadAddress,
    dependencies: image.dependencies,
    digest: image.digestAlgorithm,
    pure: image.pure,
    ...(hasCounter(image) ? { securityCounter: image.securityCounter } : {}),
  };
  // Flags and TLVs that we do not know would be lost.
  const copy = readImage(create(same, key));
  if (!copy.ok || !isSameBytes(copy.image.digest, image.digest)) {
    throw new RangeError('holds flags or TLVs that cannot be written again');
  }
  return create({ ...same, securityCounter }, key);
}

function create(options: CreateImageOptions, key: ReleaseKey): Uint8Array {
  return createImage(options, key.publicKey, nodeCrypto, (message) => key.sign(message));
}

/** An image whose digest is right; what is damaged is not signed. */
function intact(bytes: Uint8Array): McubootImage {
  const result = readImage(bytes);
  if (!result.ok) throw new RangeError(result.reason);
  const { digestAlgorithm, signedEnd } = result.image;
  const computed = nodeCrypto[digestAlgorithm](bytes.subarray(0, signedEnd));
  if (!isSameBytes(computed, result.image.digest)) {
    throw new RangeError('the digest does not match the image');
  }
  return result.image;
}

/** A counter that says 0 shows only in the room that it takes among the protected TLVs. */
function hasCounter(image: McubootImage): boolean {
  const { dependencies, payloadEnd, securityCounter, signedEnd } = image;
  const withoutIt = TLV_INFO_SIZE + dependencies.length * (TLV_HEADER_SIZE + DEPENDENCY_SIZE);
  return securityCounter > 0 || signedEnd - payloadEnd > withoutIt;
}
