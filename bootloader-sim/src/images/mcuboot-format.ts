// The layout of an MCUboot image (bootutil/image.h, docs/design.md): numbers that its reader and its
// writer share, versions, and the name of a key. Everything is little-endian.
//
//   header | payload | protected TLVs | unprotected TLVs | … erased … | trailer at the slot's end
//
// A TLV area opens with its magic (u16) and its total size (u16); a TLV with type (u16), size (u16).

export const HEADER_MAGIC = 0x96f3b83d;
/** Bytes of the header that have a meaning; `headerSize` may be more (a vector table's alignment). */
export const HEADER_SIZE_MIN = 32;

/** Magic of a TLV area, which opens it with its total size. */
export const TLV_INFO_MAGIC = 0x6907;
export const TLV_PROTECTED_INFO_MAGIC = 0x6908;
export const TLV_INFO_SIZE = 4;
export const TLV_HEADER_SIZE = 4;

export const TLV_KEYHASH = 0x01;
export const TLV_SHA256 = 0x10;
export const TLV_SHA512 = 0x12;
export const TLV_ED25519 = 0x24;
export const TLV_SIG_PURE = 0x25;
export const TLV_DEPENDENCY = 0x40;
export const TLV_SEC_CNT = 0x50;

/** Image id, three bytes of padding, version. */
export const DEPENDENCY_SIZE = 12;
export const SECURITY_COUNTER_SIZE = 4;

/** To be copied to `loadAddress` and run from there. */
export const FLAG_RAM_LOAD = 0x20;

/** What an erased byte reads as. */
export const ERASED = 0xff;

export const SIGNATURE_SIZE = 64;
export const PUBLIC_KEY_SIZE = 32;
/** DER of a SubjectPublicKeyInfo up to the raw Ed25519 key (RFC 8410 §4). */
const SPKI_PREFIX: readonly number[] = [
  0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

export type DigestAlgorithm = 'sha256' | 'sha512';

const VERSION_MAX: ImageVersion = { major: 0xff, minor: 0xff, revision: 0xffff, build: 0xffffffff };

export interface ImageVersion {
  /** 0-255. */
  readonly major: number;
  /** 0-255. */
  readonly minor: number;
  /** 0-65535. */
  readonly revision: number;
  /** 32 bits. */
  readonly build: number;
}

/** The image needs another one, of this version or later. */
export interface ImageDependency {
  /** 0-255. */
  readonly imageId: number;
  readonly version: ImageVersion;
}

/** As imgtool writes it: `1.2.3+4`, or `1.2.3` for build 0. */
export function formatVersion({ major, minor, revision, build }: ImageVersion): string {
  return `${major}.${minor}.${revision}${build === 0 ? '' : `+${build}`}`;
}

/** Reads `major[.minor[.revision[+build]]]` as imgtool does; undefined where it is none. */
export function parseVersion(text: string): ImageVersion | undefined {
  const pattern = /^(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:\+(0|[1-9]\d*))?)?)?$/;
  const parts = pattern.exec(text);
  if (parts === null) return undefined;
  const [major = 0, minor = 0, revision = 0, build = 0] = parts.slice(1).map((part = '0') => +part);
  const version = { major, minor, revision, build };
  return versionMistakes(version).length === 0 ? version : undefined;
}

/** What is wrong with the numbers of a version, one line each. */
export function versionMistakes(version: ImageVersion): string[] {
  return Object.entries(VERSION_MAX)
    .map(([name, max]) => [name, version[name as keyof ImageVersion], max] as const)
    .filter(([, value, max]) => !(Number.isInteger(value) && value >= 0 && value <= max))
    .map(([name, value, max]) => `${name}: expected 0-${max}, got ${value}`);
}

/** The 44 bytes whose digest names a key, from the raw key of 32 (RFC 8410 §4). */
export function publicKeyInfo(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== PUBLIC_KEY_SIZE) {
    throw new RangeError(`an Ed25519 key has ${PUBLIC_KEY_SIZE} bytes, not ${publicKey.length}`);
  }
  const info = new Uint8Array(SPKI_PREFIX.length + PUBLIC_KEY_SIZE);
  info.set(SPKI_PREFIX);
  info.set(publicKey, SPKI_PREFIX.length);
  return info;
}
