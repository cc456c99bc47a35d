// ESP-IDF's binary partition table (components/partition_table, esp_flash_partitions.h): rows of 32
// bytes, an MD5 of them in a row of its own, and a row of FF. All numbers are little-endian.

import type { BootCrypto } from '../crypto.ts';
import { hex } from '../hex.ts';
import { fixedStringMistakes, readFixedString, writeFixedString } from './fixed-string.ts';

const ROW_SIZE = 32;
/** What a table may take of its sector; a signature can follow. */
export const TABLE_SIZE = 0xc00;
/** Two rows are the MD5 and the end. */
export const PARTITION_COUNT_MAX = TABLE_SIZE / ROW_SIZE - 2;

/** First bytes of a row: AA 50, EB EB, or FF FF at the end. */
const ROW_MAGIC = 0x50aa;
const MD5_MAGIC = 0xebeb;
const END_MAGIC = 0xffff;
const ERASED = 0xff;
/** The digest is the second half of its row; FF stands between. */
const MD5_OFFSET = 16;

const NAME_OFFSET = 12;
/** With the closing zero. */
const NAME_SIZE = 16;

export const PARTITION_APP = 0;
export const PARTITION_DATA = 1;
/** Subtypes of an application: the factory image, and the first of up to 16 slots. */
export const APP_FACTORY = 0x00;
export const APP_OTA_0 = 0x10;
/** Subtypes of data. */
export const DATA_OTA = 0x00;
export const DATA_NVS = 0x02;

/** A flash sector, of sizes as well; applications start where the MMU can map them. */
const DATA_ALIGNMENT = 0x1000;
const APP_ALIGNMENT = 0x10000;
/** otadata is two sectors, one per entry. */
const OTADATA_SIZE = 0x2000;
const U8_MAX = 0xff;
const U32_MAX = 0xffffffff;

export interface PartitionRow {
  /** 1-15 printable ASCII characters, unique in the table. */
  readonly name: string;
  /** 0 application, 1 data, 0x40-0xFE the application's own. */
  readonly type: number;
  readonly subtype: number;
  /** Bytes from the start of the flash: a multiple of 0x1000, of 0x10000 for an application. */
  readonly offset: number;
  /** A multiple of 0x1000. */
  readonly size: number;
  /** Bit 0 encrypted, bit 1 read-only. */
  readonly flags: number;
}

export type PartitionTableResult =
  | { readonly ok: true; readonly partitions: readonly PartitionRow[] }
  | { readonly ok: false; readonly reason: string };

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** The partition as mistakes name it; a wrong name is not repeated. */
function labelOf({ name }: PartitionRow, index: number): string {
  const isWrong = nameMistakes(name).length > 0;
  return isWrong ? `partition ${index}` : `partition ${index} "${name}"`;
}

function nameMistakes(name: string): string[] {
  if (name === '') return [`name: expected 1-${NAME_SIZE - 1} characters, got none`];
  return fixedStringMistakes('name', name, NAME_SIZE);
}

function rangeMistake(name: string, value: number, min: number, max: number): string[] {
  const fits = Number.isInteger(value) && value >= min && value <= max;
  return fits ? [] : [`${name}: expected ${min}-${max}, got ${value}`];
}

function mistakesOfRow(row: PartitionRow, flashSize: number): string[] {
  const alignment = row.type === PARTITION_APP ? APP_ALIGNMENT : DATA_ALIGNMENT;
  const isOtadata = row.type === PARTITION_DATA && row.subtype === DATA_OTA;
  const end = row.offset + row.size;
  return [
    ...nameMistakes(row.name),
    ...rangeMistake('type', row.type, 0, U8_MAX),
    ...rangeMistake('subtype', row.subtype, 0, U8_MAX),
    ...rangeMistake('offset', row.offset, 0, U32_MAX),
    ...rangeMistake('size', row.size, 1, U32_MAX),
    ...rangeMistake('flags', row.flags, 0, U32_MAX),
    ...(row.offset % alignment === 0
      ? []
      : [`offset: ${hex(row.offset)} is not a multiple of ${hex(alignment)}`]),
    ...(row.size % DATA_ALIGNMENT === 0
      ? []
      : [`size: ${hex(row.size)} is not a multiple of ${hex(DATA_ALIGNMENT)}`]),
    ...(end > flashSize ? [`ends at ${hex(end)}, behind the flash of ${hex(flashSize)}`] : []),
    ...(isOtadata && row.size !== OTADATA_SIZE
      ? [`size: otadata has ${hex(OTADATA_SIZE)} bytes, not ${hex(row.size)}`]
      : []),
  ];
}

/** Pairs of neighbours by offset: with more than two partitions at one place, each pair once. */
function overlaps(partitions: readonly PartitionRow[]): string[] {
  const sorted = partitions.map((row, index) => ({ row, index }));
  sorted.sort((a, b) => a.row.offset - b.row.offset || a.index - b.index);
  const found: string[] = [];
  let last = sorted[0];
  for (const next of sorted.slice(1)) {
    if (last === undefined) break;
    const lastEnd = last.row.offset + last.row.size;
    if (next.row.offset < lastEnd) {
      found.push(`${labelOf(next.row, next.index)}: overlaps ${labelOf(last.row, last.index)}`);
    }
    if (next.row.offset + next.row.size > lastEnd) last = next;
  }
  return found;
}

/**
 * What is wrong with a table, one line per mistake; empty where it is right. `flashSize` is the
 * chip's, in bytes; by default what 32 bits can address.
 */
export function partitionMistakes(
  partitions: readonly PartitionRow[],
  flashSize = U32_MAX + 1,
): string[] {
  const names = partitions.map(({ name }) => name);
  const otadata = partitions.filter(
    ({ type, subtype }) => type === PARTITION_DATA && subtype === DATA_OTA,
  );
  return [
    ...(partitions.length > 0 && partitions.length <= PARTITION_COUNT_MAX
      ? []
      : [`expected 1-${PARTITION_COUNT_MAX} partitions, got ${partitions.length}`]),
    ...partitions.flatMap((row, index) => [
      ...mistakesOfRow(row, flashSize).map((mistake) => `${labelOf(row, index)}: ${mistake}`),
      ...(names.indexOf(row.name) < index
        ? [`${labelOf(row, index)}: partition ${names.indexOf(row.name)} has the same name`]
        : []),
    ]),
    ...(otadata.length > 1 ? [`expected one otadata partition, got ${otadata.length}`] : []),
    ...overlaps(partitions),
  ];
}

function readRow(bytes: Uint8Array, view: DataView, start: number): PartitionRow {
  return {
    type: view.getUint8(start + 2),
    subtype: view.getUint8(start + 3),
    offset: view.getUint32(start + 4, true),
    size: view.getUint32(start + 8, true),
    name: readFixedString(bytes, start + NAME_OFFSET, NAME_SIZE),
    flags: view.getUint32(start + 28, true),
  };
}

/** Why the MD5 row at `start` does not fit the rows before it, if so. */
function md5Mistake(bytes: Uint8Array, start: number, crypto: BootCrypto): string | undefined {
  const filler = bytes.subarray(start + 2, start + MD5_OFFSET);
  if (filler.some((byte) => byte !== ERASED)) return 'the MD5 row is damaged';
  const digest = crypto.md5(bytes.subarray(0, start));
  const matches = digest.every((byte, index) => byte === bytes[start + MD5_OFFSET + index]);
  return matches ? undefined : 'the MD5 does not match the table';
}

/**
 * Reads the table at the start of `bytes`, a file or a sector that may be longer; the reason names
 * every mistake of the partitions. Tables without an MD5 row, which ESP-IDF can be told to write,
 * are refused: nothing would tell a damaged one. Never throws.
 */
export function readPartitionTable(
  bytes: Uint8Array,
  crypto: BootCrypto,
  flashSize?: number,
): PartitionTableResult {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const partitions: PartitionRow[] = [];
  let hasMd5 = false;
  for (let start = 0; start < TABLE_SIZE; start += ROW_SIZE) {
    if (bytes.length - start < ROW_SIZE) return refuse('the table ends before its end row');
    const magic = view.getUint16(start, true);
    if (magic === END_MAGIC) {
      const row = bytes.subarray(start, start + ROW_SIZE);
      if (row.some((byte) => byte !== ERASED)) return refuse('the end row is damaged');
      if (!hasMd5) return refuse(start === 0 ? 'the table is empty' : 'the table has no MD5 row');
      const mistakes = partitionMistakes(partitions, flashSize);
      return mistakes.length === 0 ? { ok: true, partitions } : refuse(mistakes.join('; '));
    }
    if (hasMd5) return refuse('rows follow the MD5 row');
    if (magic === MD5_MAGIC) {
      const mistake = md5Mistake(bytes, start, crypto);
      if (mistake !== undefined) return refuse(mistake);
      hasMd5 = true;
    } else if (magic === ROW_MAGIC) {
      partitions.push(readRow(bytes, view, start));
    } else {
      return refuse(`row ${start / ROW_SIZE}: magic ${hex(magic)} is that of no row`);
    }
  }
  return refuse(`the table has no end within ${hex(TABLE_SIZE)} bytes`);
}

/**
 * The table as `gen_esp32part.py` writes it, filled up with FF to 0xC00 bytes. Throws a RangeError
 * that names every mistake.
 */
export function createPartitionTable(
  partitions: readonly PartitionRow[],
  crypto: BootCrypto,
  flashSize?: number,
): Uint8Array {
  const mistakes = partitionMistakes(partitions, flashSize);
  if (mistakes.length > 0) throw new RangeError(mistakes.join('; '));
  const table = new Uint8Array(TABLE_SIZE).fill(ERASED);
  const view = new DataView(table.buffer);
  for (const [index, row] of partitions.entries()) {
    const start = index * ROW_SIZE;
    table.fill(0, start, start + ROW_SIZE);
    view.setUint16(start, ROW_MAGIC, true);
    table[start + 2] = row.type;
    table[start + 3] = row.subtype;
    view.setUint32(start + 4, row.offset, true);
    view.setUint32(start + 8, row.size, true);
    writeFixedString(table, start + NAME_OFFSET, row.name);
    view.setUint32(start + 28, row.flags, true);
  }
  const end = partitions.length * ROW_SIZE;
  view.setUint16(end, MD5_MAGIC, true);
  table.set(crypto.md5(table.subarray(0, end)), end + MD5_OFFSET);
  return table;
}
