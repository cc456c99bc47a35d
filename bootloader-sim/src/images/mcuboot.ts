// MCUboot images: parsing and verification (MCUboot docs/design.md, "Image format";
// bootutil/image_validate.c). The digest covers header, payload and protected TLVs. Whatever stands
// in the unprotected TLVs can be changed by anyone, so nothing of it is believed but what the digest
// and the signature confirm.

import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import type { BootCrypto } from '../crypto.ts';
import { hex } from '../hex.ts';
import {
  DEPENDENCY_SIZE,
  type DigestAlgorithm,
  HEADER_MAGIC,
  HEADER_SIZE_MIN,
  type ImageDependency,
  type ImageVersion,
  publicKeyInfo,
  SECURITY_COUNTER_SIZE,
  SIGNATURE_SIZE,
  TLV_DEPENDENCY,
  TLV_ED25519,
  TLV_HEADER_SIZE,
  TLV_INFO_MAGIC,
  TLV_INFO_SIZE,
  TLV_KEYHASH,
  TLV_PROTECTED_INFO_MAGIC,
  TLV_SEC_CNT,
  TLV_SHA256,
  TLV_SHA512,
  TLV_SIG_PURE,
} from './mcuboot-format.ts';

export {
  type DigestAlgorithm,
  formatVersion,
  type ImageDependency,
  type ImageVersion,
  parseVersion,
  publicKeyInfo,
} from './mcuboot-format.ts';

const TLV_SHA384 = 0x11;
/** Signatures of all algorithms, of which only the last is verified here. */
const SIGNATURE_NAMES: Readonly<Record<number, string>> = {
  32: 'RSA-2048',
  33: 'ECDSA P-224',
  34: 'ECDSA',
  35: 'RSA-3072',
  [TLV_ED25519]: 'Ed25519',
};
/** Keys of encrypted images: RSA, AES key wrap, EC256, X25519, X25519 with SHA-512. */
const TLV_ENCRYPTION_MIN = 0x30;
const TLV_ENCRYPTION_MAX = 0x34;

const DIGEST_SIZES = { sha256: 32, sha512: 64 } as const;
/** AES-128 or AES-256. */
const FLAGS_ENCRYPTED = 0x4 | 0x8;
const FLAG_NON_BOOTABLE = 0x10;
/** LZMA1 or LZMA2. */
const FLAGS_COMPRESSED = 0x200 | 0x400;

/** What an image says of itself; true only after `verifyImage`. */
export interface McubootImage {
  readonly version: ImageVersion;
  readonly headerSize: number;
  /** Bytes of the payload. */
  readonly imageSize: number;
  readonly flags: number;
  readonly loadAddress: number;
  /** From the protected TLVs; 0 where there is none. */
  readonly securityCounter: number;
  /** From the protected TLVs. */
  readonly dependencies: readonly ImageDependency[];
  /** The digest that the image carries. */
  readonly digest: Uint8Array;
  readonly digestAlgorithm: DigestAlgorithm;
  /** The signature is over the signed region itself, not over its digest. */
  readonly pure: boolean;
  /** Digest of the signer's SubjectPublicKeyInfo; absent where unsigned. */
  readonly keyHash?: Uint8Array;
  /** TLV type of the signature; 0 where unsigned. */
  readonly signatureType: number;
  readonly signature?: Uint8Array;
  /** By its flags or by a TLV that holds an encrypted key. */
  readonly encrypted: boolean;
  /** Types of TLVs that count only when protected, and were not: nothing of them was believed. */
  readonly ignored: readonly number[];
  /** Bytes from the header to the last TLV; what follows in a slot is not the image's. */
  readonly totalSize: number;
  /** The digest covers [0, signedEnd). */
  readonly signedEnd: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

export type ImageResult =
  | { readonly ok: true; readonly image: McubootImage }
  | { readonly ok: false; readonly reason: string };

export type VerifyResult =
  | {
      readonly ok: true;
      readonly image: McubootImage;
      /** The one of the given keys that signed the image. */
      readonly signer: Uint8Array;
    }
  | { readonly ok: false; readonly reason: string };

interface Header {
  readonly version: ImageVersion;
  readonly headerSize: number;
  readonly protectedSize: number;
  readonly imageSize: number;
  readonly flags: number;
  readonly loadAddress: number;
}

/** What the TLVs said so far. */
interface Found {
  digest: Uint8Array | undefined;
  digestAlgorithm: DigestAlgorithm;
  keyHash: Uint8Array | undefined;
  signature: Uint8Array | undefined;
  signatureType: number;
  pure: boolean;
  encrypted: boolean;
  securityCounter: number | undefined;
  readonly dependencies: ImageDependency[];
  readonly ignored: number[];
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

function readVersion(view: DataView, offset: number): ImageVersion {
  return {
    major: view.getUint8(offset),
    minor: view.getUint8(offset + 1),
    revision: view.getUint16(offset + 2, true),
    build: view.getUint32(offset + 4, true),
  };
}

/** The header, or why it is refused: what it says of sizes must lie within the bytes. */
function readHeader(view: DataView): Header | string {
  const size = view.byteLength;
  if (size < HEADER_SIZE_MIN) return `${size} bytes are too short for an image header`;
  const magic = view.getUint32(0, true);
  if (magic !== HEADER_MAGIC) return `not an MCUboot image: magic ${hex(magic, 2)}`;
  const headerSize = view.getUint16(8, true);
  const imageSize = view.getUint32(12, true);
  if (headerSize < HEADER_SIZE_MIN) return `header of ${headerSize} bytes is too short`;
  if (imageSize === 0) return 'the image has no payload';
  // Doubles hold the sum exactly: nothing wraps.
  if (headerSize + imageSize + TLV_INFO_SIZE > size) {
    return `header and payload of ${headerSize + imageSize} bytes do not fit into ${size}`;
  }
  return {
    loadAddress: view.getUint32(4, true),
    headerSize,
    protectedSize: view.getUint16(10, true),
    imageSize,
    flags: view.getUint32(16, true),
    version: readVersion(view, 20),
  };
}

/** The end of the TLV area that begins at `start`, or why it is refused. */
function readAreaEnd(view: DataView, start: number, magic: number, name: string): number | string {
  const left = view.byteLength - start;
  if (left < TLV_INFO_SIZE) return `${name} TLVs: the image ends before them`;
  const found = view.getUint16(start, true);
  if (found !== magic) return `${name} TLVs: magic ${hex(found, 2)}, expected ${hex(magic, 2)}`;
  const size = view.getUint16(start + 2, true);
  if (size < TLV_INFO_SIZE) return `${name} TLVs: total of ${size} bytes is too short`;
  if (size > left) return `${name} TLVs: ${size} bytes do not fit into ${left}`;
  return start + size;
}

/** Takes the entries of one area; returns why it is refused, if it is. */
function readTlvs(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  isProtected: boolean,
  found: Found,
): string | undefined {
  let offset = start + TLV_INFO_SIZE;
  while (offset < end) {
    if (end - offset < TLV_HEADER_SIZE) return `truncated TLV at ${offset}`;
    const type = view.getUint16(offset, true);
    const size = view.getUint16(offset + 2, true);
    offset += TLV_HEADER_SIZE;
    if (size > end - offset) return `TLV ${hex(type, 2)} of ${size} bytes leaves its area`;
    const data = bytes.subarray(offset, offset + size);
    const reason = isProtected
      ? takeProtected(type, data, view, offset, found)
      : takeUnprotected(type, data, found);
    if (reason !== undefined) return reason;
    offset += size;
  }
  return undefined;
}

/** Only here do a security counter and a dependency count: the digest covers them. */
function takeProtected(
  type: number,
  data: Uint8Array,
  view: DataView,
  offset: number,
  found: Found,
): string | undefined {
  switch (type) {
    case TLV_SEC_CNT:
      if (data.length !== SECURITY_COUNTER_SIZE) return wrongSize('security counter', data);
      if (found.securityCounter !== undefined) return 'two security counters';
      found.securityCounter = view.getUint32(offset, true);
      return undefined;
    case TLV_DEPENDENCY:
      if (data.length !== DEPENDENCY_SIZE) return wrongSize('dependency', data);
      found.dependencies.push({
        imageId: view.getUint8(offset),
        version: readVersion(view, offset + 4),
      });
      return undefined;
    case TLV_KEYHASH:
    case TLV_SHA256:
    case TLV_SHA384:
    case TLV_SHA512:
    case TLV_SIG_PURE:
      return misplaced(type);
    default:
      return type in SIGNATURE_NAMES ? misplaced(type) : noteEncryption(type, found);
  }
}

function takeUnprotected(type: number, data: Uint8Array, found: Found): string | undefined {
  switch (type) {
    case TLV_SHA384:
      return 'SHA-384 is not supported';
    case TLV_SHA256:
    case TLV_SHA512: {
      const algorithm = type === TLV_SHA256 ? 'sha256' : 'sha512';
      if (data.length !== DIGEST_SIZES[algorithm]) return wrongSize('digest', data);
      if (found.digest !== undefined) return 'two digests';
      found.digest = data.slice();
      found.digestAlgorithm = algorithm;
      return undefined;
    }
    case TLV_KEYHASH:
      if (found.keyHash !== undefined) return 'two key hashes';
      found.keyHash = data.slice();
      return undefined;
    case TLV_SIG_PURE:
      if (found.pure) return 'two SIG_PURE';
      if (data.length !== 1 || data[0] !== 1) return 'SIG_PURE is not 01';
      found.pure = true;
      return undefined;
    case TLV_SEC_CNT:
    case TLV_DEPENDENCY:
      found.ignored.push(type);
      return undefined;
    default:
      if (!(type in SIGNATURE_NAMES)) return noteEncryption(type, found);
      // Also of different algorithms: which one counts must not be a matter of taste.
      if (found.signature !== undefined) return 'two signatures';
      found.signature = data.slice();
      found.signatureType = type;
      return undefined;
  }
}

function wrongSize(what: string, data: Uint8Array): string {
  return `${what} of ${data.length} bytes`;
}

/** It would have to cover itself. */
function misplaced(type: number): string {
  return `TLV ${hex(type, 2)} among the protected ones`;
}

/** Types that are none of ours are skipped, as MCUboot does. */
function noteEncryption(type: number, found: Found): undefined {
  if (type >= TLV_ENCRYPTION_MIN && type <= TLV_ENCRYPTION_MAX) found.encrypted = true;
}

/**
 * Parses the image at the start of `bytes`, a file or a slot that may be longer. It believes
 * nothing yet: only `verifyImage` says whether the image may run. Never throws.
 */
export function readImage(bytes: Uint8Array): ImageResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(view);
  if (typeof header === 'string') return refuse(header);
  const payloadEnd = header.headerSize + header.imageSize;
  const found: Found = {
    digest: undefined,
    digestAlgorithm: 'sha256',
    keyHash: undefined,
    signature: undefined,
    signatureType: 0,
    pure: false,
    encrypted: (header.flags & FLAGS_ENCRYPTED) !== 0,
    securityCounter: undefined,
    dependencies: [],
    ignored: [],
  };
  let signedEnd = payloadEnd;
  if (header.protectedSize > 0) {
    const end = readAreaEnd(view, payloadEnd, TLV_PROTECTED_INFO_MAGIC, 'protected');
    if (typeof end === 'string') return refuse(end);
    if (end - payloadEnd !== header.protectedSize) {
      return refuse(
        `protected TLVs of ${end - payloadEnd} bytes, the header says ${header.protectedSize}`,
      );
    }
    signedEnd = end;
    const reason = readTlvs(bytes, view, payloadEnd, end, true, found);
    if (reason !== undefined) return refuse(reason);
  }
  const totalSize = readAreaEnd(view, signedEnd, TLV_INFO_MAGIC, 'unprotected');
  if (typeof totalSize === 'string') return refuse(totalSize);
  const reason = readTlvs(bytes, view, signedEnd, totalSize, false, found);
  if (reason !== undefined) return refuse(reason);
  const { digest, securityCounter = 0, keyHash, signature, ...rest } = found;
  if (digest === undefined) return refuse('the image has no digest');
  const { protectedSize: _, ...kept } = header;
  return {
    ok: true,
    image: {
      ...kept,
      ...rest,
      digest,
      securityCounter,
      ...(keyHash === undefined ? {} : { keyHash }),
      ...(signature === undefined ? {} : { signature }),
      totalSize,
      signedEnd,
      payloadStart: header.headerSize,
      payloadEnd,
    },
  };
}

/** Why an image that parsed cannot run on a device like this, whoever signed it. */
function unfitReason({
  encrypted,
  flags,
  pure,
  digestAlgorithm,
}: McubootImage): string | undefined {
  if (encrypted) return 'the image is encrypted';
  if ((flags & FLAGS_COMPRESSED) !== 0) return 'the image is compressed';
  if ((flags & FLAG_NON_BOOTABLE) !== 0) return 'the image is marked as not bootable';
  // What imgtool writes; one form of each kind is enough.
  if (pure && digestAlgorithm !== 'sha512') return 'a pure signature without SHA-512';
  return undefined;
}

/** The trusted key that the image names, or why there is none. */
function signerOf(
  { keyHash, signature, signatureType, digestAlgorithm }: McubootImage,
  keys: readonly Uint8Array[],
  crypto: BootCrypto,
): Uint8Array | string {
  if (signature === undefined) return 'the image is not signed';
  if (signatureType !== TLV_ED25519) {
    return `signed with ${SIGNATURE_NAMES[signatureType]}, only Ed25519 is trusted`;
  }
  if (signature.length !== SIGNATURE_SIZE) return `signature of ${signature.length} bytes`;
  if (keyHash === undefined) return 'the image does not name the key that signed it';
  const signer = keys.find((key) =>
    isSameBytes(crypto[digestAlgorithm](publicKeyInfo(key)), keyHash),
  );
  return signer ?? 'signed with a key that is not trusted';
}

/**
 * Parses the image at the start of `bytes` and says whether one of `keys` (raw, 32 bytes each)
 * signed it: the digest is computed anew, KEYHASH names a trusted key, and that key's signature
 * is over the digest (or over the signed region itself, where it is pure). Never throws on hostile
 * bytes. The security counter is the caller's to compare.
 */
export function verifyImage(
  bytes: Uint8Array,
  keys: readonly Uint8Array[],
  crypto: BootCrypto,
): VerifyResult {
  const result = readImage(bytes);
  if (!result.ok) return result;
  const { image } = result;
  const unfit = unfitReason(image);
  if (unfit !== undefined) return refuse(unfit);
  const region = bytes.subarray(0, image.signedEnd);
  // The digest first: it finds every accident, and costs a tenth of a signature.
  const digest = crypto[image.digestAlgorithm](region);
  if (!isSameBytes(digest, image.digest)) return refuse('the digest does not match the image');
  const signer = signerOf(image, keys, crypto);
  if (typeof signer === 'string') return refuse(signer);
  const message = image.pure ? region : digest;
  return crypto.verifyEd25519(signer, message, image.signature as Uint8Array)
    ? { ok: true, image, signer }
    : refuse('the signature does not match the image');
}
