// What an image file holds, whether or not anybody trusts it.

import { columns } from '@flotilla/command-line';
import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import { hex } from '../hex.ts';
import { type EspImage, readEspImage } from '../images/esp-idf.ts';
import { formatVersion, type McubootImage, readImage } from '../images/mcuboot.ts';
import { HEADER_MAGIC, TLV_ED25519 } from '../images/mcuboot-format.ts';
import { readTrailer } from '../images/mcuboot-trailer.ts';
import { nodeCrypto } from '../node-crypto.ts';

export type ImageFormat = 'mcuboot' | 'esp-idf';

/** Plain data, as `--json` prints it. */
export interface ImageReport {
  readonly format: ImageFormat;
  readonly version: string;
  readonly securityCounter: number;
  /** Of the image itself, without what pads it. */
  readonly size: number;
  readonly digest: string;
  readonly [field: string]: unknown;
}

export type ImageReportResult =
  | { readonly ok: true; readonly report: ImageReport }
  | { readonly ok: false; readonly reason: string };

const ESP_MAGIC = 0xe9;
const FLAG_NAMES: readonly (readonly [mask: number, name: string])[] = [
  [0x4, 'encrypted with AES-128'],
  [0x8, 'encrypted with AES-256'],
  [0x10, 'not bootable'],
  [0x20, 'runs from RAM'],
  [0x100, 'at a fixed address'],
  [0x200, 'compressed with LZMA1'],
  [0x400, 'compressed with LZMA2'],
];

/** The format that the first bytes tell, or undefined. */
export function formatOf(bytes: Uint8Array): ImageFormat | undefined {
  if (bytes[0] === ESP_MAGIC) return 'esp-idf';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length >= 4 && view.getUint32(0, true) === HEADER_MAGIC ? 'mcuboot' : undefined;
}

/** Everything that can be read; nothing of it is verified. */
export function reportImage(bytes: Uint8Array): ImageReportResult {
  const format = formatOf(bytes);
  if (format === undefined) {
    return { ok: false, reason: 'neither an MCUboot nor an ESP-IDF image' };
  }
  if (format === 'mcuboot') {
    const result = readImage(bytes);
    return result.ok ? { ok: true, report: reportMcuboot(result.image, bytes) } : result;
  }
  const result = readEspImage(bytes, nodeCrypto, { hashRequired: false });
  return result.ok ? { ok: true, report: reportEsp(result.image) } : result;
}

function reportMcuboot(image: McubootImage, bytes: Uint8Array): ImageReport {
  const { keyHash, signature, signatureType } = image;
  const computed = nodeCrypto[image.digestAlgorithm](bytes.subarray(0, image.signedEnd));
  const trailer = bytes.length > image.totalSize ? readTrailer(bytes) : undefined;
  return {
    format: 'mcuboot',
    version: formatVersion(image.version),
    securityCounter: image.securityCounter,
    size: image.totalSize,
    headerSize: image.headerSize,
    payloadSize: image.imageSize,
    loadAddress: image.loadAddress,
    flags: FLAG_NAMES.filter(([mask]) => (image.flags & mask) !== 0).map(([, name]) => name),
    digestAlgorithm: image.digestAlgorithm,
    digest: toHex(image.digest),
    digestMatches: isSameBytes(computed, image.digest),
    signature: signature === undefined ? 'none' : signatureName(signatureType, image.pure),
    ...(keyHash === undefined ? {} : { keyHash: toHex(keyHash) }),
    dependencies: image.dependencies.map(({ imageId, version }) => ({
      imageId,
      version: formatVersion(version),
    })),
    ignoredTlvs: image.ignored.map((type) => hex(type)),
    ...(trailer === undefined || trailer.magic === 'unset' ? {} : { trailer }),
  };
}

function signatureName(type: number, pure: boolean): string {
  if (type !== TLV_ED25519) return `TLV ${hex(type)}`;
  return pure ? 'Ed25519, pure' : 'Ed25519';
}

function reportEsp(image: EspImage): ImageReport {
  return {
    format: 'esp-idf',
    version: image.version,
    securityCounter: image.secureVersion,
    size: image.totalSize,
    projectName: image.projectName,
    time: image.time,
    date: image.date,
    idfVersion: image.idfVersion,
    elfDigest: toHex(image.elfDigest),
    chipId: image.chipId,
    minChipRevision: image.minChipRevision,
    maxChipRevision: image.maxChipRevision,
    entryAddress: image.entryAddress,
    segments: image.segments.map(({ end, loadAddress, start }) => ({
      loadAddress,
      offset: start,
      size: end - start,
    })),
    hashAppended: image.hashAppended,
    digest: toHex(image.digest),
    signature: 'none',
  };
}

const ADDRESSES: ReadonlySet<string> = new Set(['loadAddress', 'entryAddress', 'offset']);

/** The report as lines of `name  value`. */
export function renderImage(report: ImageReport): string {
  const rows = Object.entries(report).map(([name, value]) => [name, show(name, value)]);
  return columns(rows, 2).join('\n');
}

function show(name: string, value: unknown): string {
  if (Array.isArray(value)) {
    return value.length === 0 ? 'none' : value.map((item) => show('', item)).join('; ');
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([key, item]) => `${key} ${show(key, item)}`)
      .join(', ');
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') {
    return ADDRESSES.has(name) ? hex(value) : value.toLocaleString('en');
  }
  return value === '' ? 'none' : String(value);
}
