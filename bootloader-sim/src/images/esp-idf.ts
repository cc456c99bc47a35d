// ESP-IDF application images: bytes that begin with E9 (bootloader_support's esp_image_format.c,
// esp_app_format's esp_app_desc.h). All numbers are little-endian.
//
//   header 24 | segments, each 8 + data | zeros and, to a multiple of 16, the checksum | SHA-256
//
// Checksum and digest find accidents. They keep nobody out: that takes a signature.

import type { BootCrypto } from '../crypto.ts';
import {
  fixedStringMistakes,
  printable,
  readFixedString,
  writeFixedString,
} from './fixed-string.ts';

const HEADER_MAGIC = 0xe9;
const HEADER_SIZE = 24;
const SEGMENT_HEADER_SIZE = 8;
/** ESP_IMAGE_MAX_SEGMENTS. */
export const SEGMENT_COUNT_MAX = 16;
/** Data of one segment stays below 16 MB. */
const SEGMENT_SIZE_MAX = 0x1000000;
const SEGMENT_ALIGNMENT = 4;
/** ESP_ROM_CHECKSUM_INITIAL. */
const CHECKSUM_SEED = 0xef;
const CHECKSUM_ALIGNMENT = 16;
const DIGEST_SIZE = 32;
/** Of hash_appended, the last byte of the header. */
const HASH_APPENDED_OFFSET = 23;

/** Opens esp_app_desc_t, with which the first segment begins. */
const DESCRIPTION_MAGIC = 0xabcd5432;
export const DESCRIPTION_SIZE = 256;
/** Its strings: where they are and how long they can be, the closing zero included. */
const STRING_FIELDS = {
  version: { offset: 16, size: 32 },
  projectName: { offset: 48, size: 32 },
  time: { offset: 80, size: 16 },
  date: { offset: 96, size: 16 },
  idfVersion: { offset: 112, size: 32 },
} as const;
const ELF_DIGEST_OFFSET = 144;

/** Values that need no choice here: DIO, 40 MHz, 4 MB, and no pin for write protection. */
const SPI_MODE = 2;
const SPI_SPEED_AND_SIZE = 0x20;
const WP_PIN_DISABLED = 0xee;

const U16_MAX = 0xffff;
const U32_MAX = 0xffffffff;

/** What the application says of itself. */
export interface EspDescription {
  /** For anti-rollback: compared with the number of burnt fuses. */
  readonly secureVersion: number;
  /** At most 31 characters, as are the others but for `time` and `date` (15). */
  readonly version: string;
  readonly projectName: string;
  readonly time: string;
  readonly date: string;
  readonly idfVersion: string;
  /** SHA-256 of the ELF file, which finds the symbols of a crash. */
  readonly elfDigest: Uint8Array;
}

interface EspHeader {
  readonly entryAddress: number;
  /** esp_chip_id_t: 0 ESP32, 5 ESP32-C3, 9 ESP32-S3, 13 ESP32-C6 … */
  readonly chipId: number;
  /** Chip revisions that the image runs on: 100 × major + minor. */
  readonly minChipRevision: number;
  readonly maxChipRevision: number;
}

export interface EspSegment {
  readonly loadAddress: number;
  /** Its data is bytes[start, end) of the image. */
  readonly start: number;
  readonly end: number;
}

export interface EspImage extends EspHeader, EspDescription {
  readonly segments: readonly EspSegment[];
  /** The image ends with a SHA-256 of all before it. */
  readonly hashAppended: boolean;
  /** SHA-256 of header, segments and checksum, computed. */
  readonly digest: Uint8Array;
  /** Bytes of the whole image; what follows in a slot is not the image's. */
  readonly totalSize: number;
}

export type EspImageResult =
  | { readonly ok: true; readonly image: EspImage }
  | { readonly ok: false; readonly reason: string };

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** Where the checksum is: the last byte of a block of 16 that begins at or before `dataEnd`. */
function checksumOffset(dataEnd: number): number {
  return dataEnd + CHECKSUM_ALIGNMENT - 1 - (dataEnd % CHECKSUM_ALIGNMENT);
}

/** XOR of all data, by words: sizes are multiples of 4. */
function checksumOf(view: DataView, segments: readonly EspSegment[]): number {
  let word = CHECKSUM_SEED;
  for (const { start, end } of segments) {
    for (let offset = start; offset < end; offset += 4) word ^= view.getUint32(offset, true);
  }
  return (word ^ (word >>> 8) ^ (word >>> 16) ^ (word >>> 24)) & 0xff;
}

/** The segments, or why they are refused. */
function readSegments(view: DataView): EspSegment[] | string {
  const count = view.getUint8(1);
  if (count === 0 || count > SEGMENT_COUNT_MAX) {
    return `${count} segments, expected 1-${SEGMENT_COUNT_MAX}`;
  }
  const segments: EspSegment[] = [];
  let offset = HEADER_SIZE;
  for (let index = 0; index < count; index++) {
    const left = view.byteLength - offset;
    if (left < SEGMENT_HEADER_SIZE) return `the image ends before segment ${index}`;
    const loadAddress = view.getUint32(offset, true);
    const size = view.getUint32(offset + 4, true);
    if (size >= SEGMENT_SIZE_MAX || size % SEGMENT_ALIGNMENT !== 0) {
      return `segment ${index}: ${size} bytes is no length of a segment`;
    }
    if (size > left - SEGMENT_HEADER_SIZE) {
      return `segment ${index}: ${size} bytes do not fit into ${left - SEGMENT_HEADER_SIZE}`;
    }
    const start = offset + SEGMENT_HEADER_SIZE;
    offset = start + size;
    segments.push({ loadAddress, start, end: offset });
  }
  return segments;
}

/** The description, or why there is none: a bootloader, or what was made without ESP-IDF. */
function readDescription(
  bytes: Uint8Array,
  view: DataView,
  { start, end }: EspSegment,
): EspDescription | string {
  if (end - start < DESCRIPTION_SIZE) return 'the first segment holds no application description';
  if (view.getUint32(start, true) !== DESCRIPTION_MAGIC) return 'no application description';
  const text = (name: keyof typeof STRING_FIELDS): string =>
    printable(readFixedString(bytes, start + STRING_FIELDS[name].offset, STRING_FIELDS[name].size));
  const elfStart = start + ELF_DIGEST_OFFSET;
  return {
    secureVersion: view.getUint32(start + 4, true),
    version: text('version'),
    projectName: text('projectName'),
    time: text('time'),
    date: text('date'),
    idfVersion: text('idfVersion'),
    elfDigest: bytes.slice(elfStart, elfStart + DIGEST_SIZE),
  };
}

/**
 * Reads the application image at the start of `bytes`, a file or a slot that may be longer, and
 * checks its checksum and digest. Never throws.
 *
 * Whether a digest is there at all is said by one byte that only the digest covers. ESP-IDF's own
 * bootloader takes an image whose byte says no (`hashRequired: false`), so a flipped bit there
 * turns the check off; otherwise such an image is refused.
 */
export function readEspImage(
  bytes: Uint8Array,
  crypto: BootCrypto,
  { hashRequired = true }: { readonly hashRequired?: boolean } = {},
): EspImageResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE) {
    return refuse(`${bytes.length} bytes are too short for an image header`);
  }
  if (bytes[0] !== HEADER_MAGIC) return refuse('not an ESP-IDF image: it does not begin with E9');
  const segments = readSegments(view);
  if (typeof segments === 'string') return refuse(segments);
  const checksumAt = checksumOffset((segments.at(-1) as EspSegment).end);
  const hashAppended = bytes[HASH_APPENDED_OFFSET] !== 0;
  if (!hashAppended && hashRequired) return refuse('the image has no digest');
  const hashedEnd = checksumAt + 1;
  const totalSize = hashedEnd + (hashAppended ? DIGEST_SIZE : 0);
  if (totalSize > bytes.length) {
    return refuse(`an image of ${totalSize} bytes does not fit into ${bytes.length}`);
  }
  if (checksumOf(view, segments) !== bytes[checksumAt]) {
    return refuse('the checksum does not match the image');
  }
  const digest = crypto.sha256(bytes.subarray(0, hashedEnd));
  if (hashAppended && digest.some((byte, index) => byte !== bytes[hashedEnd + index])) {
    return refuse('the digest does not match the image');
  }
  const description = readDescription(bytes, view, segments[0] as EspSegment);
  if (typeof description === 'string') return refuse(description);
  const header = {
    entryAddress: view.getUint32(4, true),
    chipId: view.getUint16(12, true),
    minChipRevision: view.getUint16(15, true),
    maxChipRevision: view.getUint16(17, true),
  };
  const image = { ...header, ...description, segments, hashAppended, digest, totalSize };
  return { ok: true, image };
}

export interface CreateEspImageOptions extends EspHeader, EspDescription {
  /** The first one's data comes behind the description. Sizes are multiples of 4. */
  readonly segments: readonly { readonly loadAddress: number; readonly data: Uint8Array }[];
  /** True (the default) ends the image with its SHA-256. */
  readonly hashAppended?: boolean;
}

function rangeMistake(name: string, value: number, max: number): string[] {
  const fits = Number.isInteger(value) && value >= 0 && value <= max;
  return fits ? [] : [`${name}: expected 0-${max}, got ${value}`];
}

function mistakesOf(options: CreateEspImageOptions): string[] {
  const { segments } = options;
  const names = Object.keys(STRING_FIELDS) as (keyof typeof STRING_FIELDS)[];
  return [
    ...rangeMistake('entryAddress', options.entryAddress, U32_MAX),
    ...rangeMistake('chipId', options.chipId, U16_MAX),
    ...rangeMistake('minChipRevision', options.minChipRevision, U16_MAX),
    ...rangeMistake('maxChipRevision', options.maxChipRevision, U16_MAX),
    ...rangeMistake('secureVersion', options.secureVersion, U32_MAX),
    ...names.flatMap((name) => fixedStringMistakes(name, options[name], STRING_FIELDS[name].size)),
    ...(options.elfDigest.length === DIGEST_SIZE
      ? []
      : [`elfDigest: expected ${DIGEST_SIZE} bytes, got ${options.elfDigest.length}`]),
    ...(segments.length > 0 && segments.length <= SEGMENT_COUNT_MAX
      ? []
      : [`segments: expected 1-${SEGMENT_COUNT_MAX}, got ${segments.length}`]),
    ...segments.flatMap(({ loadAddress, data }, index) => [
      ...rangeMistake(`segments[${index}].loadAddress`, loadAddress, U32_MAX),
      ...(data.length % SEGMENT_ALIGNMENT === 0
        ? []
        : [`segments[${index}].data: expected a multiple of 4 bytes, got ${data.length}`]),
      ...(data.length < SEGMENT_SIZE_MAX - DESCRIPTION_SIZE
        ? []
        : [`segments[${index}].data: ${data.length} bytes are too many`]),
    ]),
  ];
}

/** The data of the first segment: the description, and what was given for it. */
function describe(options: CreateEspImageOptions, data: Uint8Array): Uint8Array {
  const target = new Uint8Array(DESCRIPTION_SIZE + data.length);
  const view = new DataView(target.buffer);
  view.setUint32(0, DESCRIPTION_MAGIC, true);
  view.setUint32(4, options.secureVersion, true);
  for (const [name, { offset }] of Object.entries(STRING_FIELDS)) {
    writeFixedString(target, offset, options[name as keyof typeof STRING_FIELDS]);
  }
  target.set(options.elfDigest, ELF_DIGEST_OFFSET);
  target.set(data, DESCRIPTION_SIZE);
  return target;
}

/** The image as esptool would write it. Throws a RangeError that names every wrong option. */
export function createEspImage(options: CreateEspImageOptions, crypto: BootCrypto): Uint8Array {
  const mistakes = mistakesOf(options);
  if (mistakes.length > 0) throw new RangeError(mistakes.join('; '));
  const { hashAppended = true } = options;
  const data = options.segments.map((segment) => segment.data);
  data[0] = describe(options, data[0] as Uint8Array);
  const segments: EspSegment[] = [];
  let dataEnd = HEADER_SIZE;
  for (const [index, { loadAddress }] of options.segments.entries()) {
    const start = dataEnd + SEGMENT_HEADER_SIZE;
    dataEnd = start + (data[index] as Uint8Array).length;
    segments.push({ loadAddress, start, end: dataEnd });
  }
  const checksumAt = checksumOffset(dataEnd);
  const image = new Uint8Array(checksumAt + 1 + (hashAppended ? DIGEST_SIZE : 0));
  const view = new DataView(image.buffer);
  image.set([HEADER_MAGIC, segments.length, SPI_MODE, SPI_SPEED_AND_SIZE]);
  view.setUint32(4, options.entryAddress, true);
  image[8] = WP_PIN_DISABLED;
  view.setUint16(12, options.chipId, true);
  view.setUint16(15, options.minChipRevision, true);
  view.setUint16(17, options.maxChipRevision, true);
  image[HASH_APPENDED_OFFSET] = hashAppended ? 1 : 0;
  for (const [index, { loadAddress, start, end }] of segments.entries()) {
    view.setUint32(start - SEGMENT_HEADER_SIZE, loadAddress, true);
    view.setUint32(start - 4, end - start, true);
    image.set(data[index] as Uint8Array, start);
  }
  image[checksumAt] = checksumOf(view, segments);
  if (hashAppended) image.set(crypto.sha256(image.subarray(0, checksumAt + 1)), checksumAt + 1);
  return image;
}
