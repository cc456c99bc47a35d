// Writes MCUboot images as imgtool does (scripts/imgtool/image.py): the same options give the same
// bytes, because Ed25519 has one signature per message.

import type { BootCrypto } from '../crypto.ts';
import {
  DEPENDENCY_SIZE,
  type DigestAlgorithm,
  ERASED,
  FLAG_RAM_LOAD,
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
  versionMistakes,
} from './mcuboot-format.ts';
import {
  IMAGE_OK_FROM_END,
  TRAILER_FLAG_SET,
  TRAILER_MAGIC,
  TRAILER_SIZE,
} from './mcuboot-trailer.ts';

const U16_MAX = 0xffff;
const U32_MAX = 0xffffffff;

export interface CreateImageOptions {
  /** What runs; at least one byte. */
  readonly payload: Uint8Array;
  readonly version: ImageVersion;
  /** 32 (the default) to 65535; what the header does not use reads as erased. */
  readonly headerSize?: number;
  /** 32 bits; absent = the image has none, which counts as 0. */
  readonly securityCounter?: number;
  readonly dependencies?: readonly ImageDependency[];
  readonly digest: DigestAlgorithm;
  /** Sign the region itself; needs SHA-512, as with imgtool. */
  readonly pure?: boolean;
  /** RAM address to run from; 0 (the default) runs from flash. */
  readonly loadAddress?: number;
  /** Size of the slot: fills it up and writes the trailer, so that the image is tried. */
  readonly padTo?: number;
  /** Writes image_ok as well; needs `padTo`. */
  readonly confirmed?: boolean;
}

interface Tlv {
  readonly type: number;
  readonly data: Uint8Array;
}

/** A number where `min` ≤ it ≤ `max`; otherwise one line that says so. */
function rangeMistake(name: string, value: number, min: number, max: number): string[] {
  const fits = Number.isInteger(value) && value >= min && value <= max;
  return fits ? [] : [`${name}: expected ${min}-${max}, got ${value}`];
}

function mistakesOf(options: CreateImageOptions): string[] {
  const { dependencies = [], headerSize = HEADER_SIZE_MIN, loadAddress = 0 } = options;
  return [
    ...versionMistakes(options.version).map((mistake) => `version.${mistake}`),
    ...rangeMistake('headerSize', headerSize, HEADER_SIZE_MIN, U16_MAX),
    ...rangeMistake('securityCounter', options.securityCounter ?? 0, 0, U32_MAX),
    ...rangeMistake('loadAddress', loadAddress, 0, U32_MAX),
    ...rangeMistake('payload.length', options.payload.length, 1, U32_MAX),
    ...dependencies.flatMap(({ imageId, version }, index) => [
      ...rangeMistake(`dependencies[${index}].imageId`, imageId, 0, 0xff),
      ...versionMistakes(version).map((mistake) => `dependencies[${index}].version.${mistake}`),
    ]),
    ...rangeMistake('protected TLVs', areaSize(protectedTlvs(options)), 0, U16_MAX),
    ...(options.pure && options.digest !== 'sha512' ? ['pure: needs digest sha512'] : []),
    ...(options.confirmed && options.padTo === undefined ? ['confirmed: needs padTo'] : []),
  ];
}

function writeVersion(view: DataView, offset: number, version: ImageVersion): void {
  view.setUint8(offset, version.major);
  view.setUint8(offset + 1, version.minor);
  view.setUint16(offset + 2, version.revision, true);
  view.setUint32(offset + 4, version.build, true);
}

function protectedTlvs({ securityCounter, dependencies = [] }: CreateImageOptions): Tlv[] {
  const tlvs: Tlv[] = [];
  if (securityCounter !== undefined) {
    const data = new Uint8Array(SECURITY_COUNTER_SIZE);
    new DataView(data.buffer).setUint32(0, securityCounter, true);
    tlvs.push({ type: TLV_SEC_CNT, data });
  }
  for (const { imageId, version } of dependencies) {
    const data = new Uint8Array(DEPENDENCY_SIZE);
    data[0] = imageId;
    writeVersion(new DataView(data.buffer), 4, version);
    tlvs.push({ type: TLV_DEPENDENCY, data });
  }
  return tlvs;
}

/** Bytes of an area; none where it would be empty. */
function areaSize(tlvs: readonly Tlv[]): number {
  if (tlvs.length === 0) return 0;
  return tlvs.reduce((size, { data }) => size + TLV_HEADER_SIZE + data.length, TLV_INFO_SIZE);
}

function writeArea(target: Uint8Array, start: number, magic: number, tlvs: readonly Tlv[]): void {
  if (tlvs.length === 0) return;
  const view = new DataView(target.buffer);
  view.setUint16(start, magic, true);
  view.setUint16(start + 2, areaSize(tlvs), true);
  let offset = start + TLV_INFO_SIZE;
  for (const { type, data } of tlvs) {
    view.setUint16(offset, type, true);
    view.setUint16(offset + 2, data.length, true);
    target.set(data, offset + TLV_HEADER_SIZE);
    offset += TLV_HEADER_SIZE + data.length;
  }
}

/** What is signed: header, payload and protected TLVs. */
function signedRegion(options: CreateImageOptions): Uint8Array {
  const { payload, version, headerSize = HEADER_SIZE_MIN, loadAddress = 0 } = options;
  const tlvs = protectedTlvs(options);
  const payloadEnd = headerSize + payload.length;
  const region = new Uint8Array(payloadEnd + areaSize(tlvs));
  const view = new DataView(region.buffer);
  view.setUint32(0, HEADER_MAGIC, true);
  view.setUint32(4, loadAddress, true);
  view.setUint16(8, headerSize, true);
  view.setUint16(10, areaSize(tlvs), true);
  view.setUint32(12, payload.length, true);
  view.setUint32(16, loadAddress === 0 ? 0 : FLAG_RAM_LOAD, true);
  writeVersion(view, 20, version);
  region.fill(ERASED, HEADER_SIZE_MIN, headerSize);
  region.set(payload, headerSize);
  writeArea(region, payloadEnd, TLV_PROTECTED_INFO_MAGIC, tlvs);
  return region;
}

/** Fills the slot behind the image with FF and ends it with a trailer. */
function pad(image: Uint8Array, slotSize: number, confirmed: boolean): Uint8Array {
  if (image.length + TRAILER_SIZE > slotSize) {
    const needed = `${image.length} bytes and a trailer of ${TRAILER_SIZE}`;
    throw new RangeError(`padTo: ${needed} do not fit into ${slotSize}`);
  }
  const slot = new Uint8Array(slotSize).fill(ERASED);
  slot.set(image);
  if (confirmed) slot[slotSize - IMAGE_OK_FROM_END] = TRAILER_FLAG_SET;
  slot.set(TRAILER_MAGIC, slotSize - TRAILER_MAGIC.length);
  return slot;
}

/**
 * The signed image, or with `padTo` the whole slot. `publicKey` is raw (32 bytes) and belongs to the
 * private key of `sign`, which makes an Ed25519 signature (64 bytes) of the message it is given.
 * Throws a RangeError that names every option that is out of its range.
 */
export function createImage(
  options: CreateImageOptions,
  publicKey: Uint8Array,
  crypto: BootCrypto,
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  const mistakes = mistakesOf(options);
  if (mistakes.length > 0) throw new RangeError(mistakes.join('; '));
  const { digest: algorithm, pure = false, padTo, confirmed = false } = options;
  const region = signedRegion(options);
  const digest = crypto[algorithm](region);
  const signature = sign(pure ? region : digest);
  if (signature.length !== SIGNATURE_SIZE) {
    throw new RangeError(`sign: expected ${SIGNATURE_SIZE} bytes, got ${signature.length}`);
  }
  const tlvs: Tlv[] = [
    { type: algorithm === 'sha256' ? TLV_SHA256 : TLV_SHA512, data: digest },
    ...(pure ? [{ type: TLV_SIG_PURE, data: Uint8Array.of(1) }] : []),
    { type: TLV_KEYHASH, data: crypto[algorithm](publicKeyInfo(publicKey)) },
    { type: TLV_ED25519, data: signature },
  ];
  const image = new Uint8Array(region.length + areaSize(tlvs));
  image.set(region);
  writeArea(image, region.length, TLV_INFO_MAGIC, tlvs);
  return padTo === undefined ? image : pad(image, padTo, confirmed);
}
