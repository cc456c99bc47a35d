// A chip as files: its flash as a chip reader would give it, and its fuses beside it as JSON. The
// partition table in the flash says where things are, so dumps of real chips can be read as well.

import {
  CommandError,
  exists,
  FILE_SIZE_MAX,
  readBytes,
  readText,
  replaceFile,
} from '@flotilla/command-line';
import { ContentPool } from '../flash/content.ts';
import { Flash } from '../flash/flash.ts';
import { chipOf, type Geometry, W25Q32, W25Q128 } from '../flash/geometry.ts';
import { type FuseState, Fuses, KEY_COUNT_MAX } from '../fuses.ts';
import {
  APP_FACTORY,
  APP_OTA_0,
  DATA_OTA,
  PARTITION_APP,
  PARTITION_DATA,
  type PartitionRow,
  readPartitionTable,
  TABLE_SIZE,
} from '../images/partition-table.ts';
import type { FlashLayout, Machine, Region } from '../machine.ts';
import { nodeCrypto } from '../node-crypto.ts';
import { readStage2, type Stage2 } from './stage2.ts';

/** Where ESP-IDF has its table, unless it was told otherwise. */
export const TABLE_OFFSET = 0x8000;
/** Type and subtype of the bootloader itself (ESP-IDF 5.4 and later: "bootloader, primary"). */
export const PARTITION_BOOTLOADER = 2;

const STAGE2_REGION: Region = { start: 0, size: TABLE_OFFSET };
const SECTOR_SIZE = W25Q32.sectorSize;

export interface FlashFile {
  readonly path: string;
  readonly partitions: readonly PartitionRow[];
  /** Undefined where it is none that can be simulated. */
  readonly stage2: Stage2 | undefined;
  /** False where the chip has no fuses file: none is burnt then. */
  readonly hasFuses: boolean;
  readonly machine: Machine;
}

/** No fuse is burnt. */
export const BLANK_FUSES: FuseState = {
  secureBoot: false,
  keyDigests: [],
  revokedKeys: 0,
  stage2Digest: '',
  rollbackBits: 0,
  rollbackBitCount: 32,
};

export function fusesPathOf(path: string): string {
  return `${path}.fuses.json`;
}

/** The chip of this size, or a CommandError. */
export function geometryOf(size: number, name: string): Geometry {
  const isWhole = size >= TABLE_OFFSET + SECTOR_SIZE && size % SECTOR_SIZE === 0;
  if (!isWhole || size > FILE_SIZE_MAX) {
    throw new CommandError(`${name}: ${size} bytes are no size of a flash chip`);
  }
  return [W25Q32, W25Q128].find((chip) => chip.size === size) ?? chipOf(size);
}

/** Reads both files. Throws a CommandError. */
export function readFlashFile(path: string): FlashFile {
  const bytes = readBytes(path);
  const geometry = geometryOf(bytes.length, path);
  const table = readPartitionTable(bytes.subarray(TABLE_OFFSET), nodeCrypto, bytes.length);
  if (!table.ok) throw new CommandError(`${path}: no partition table: ${table.reason}`);
  const layout = layoutOf(table.partitions);
  if (typeof layout === 'string') throw new CommandError(`${path}: ${layout}`);
  const { start, size } = layout.stage2;
  const stage2 = readStage2(bytes.subarray(start, start + size));
  const fusesPath = fusesPathOf(path);
  const hasFuses = exists(fusesPath);
  const fuses = hasFuses ? parseFuses(readText(fusesPath)) : BLANK_FUSES;
  if (typeof fuses === 'string') throw new CommandError(`${fusesPath}: ${fuses}`);
  const machine: Machine = {
    flash: flashOf(bytes, geometry),
    fuses: new Fuses(fuses),
    layout,
    crypto: nodeCrypto,
    keys: stage2?.keys ?? [],
    verdicts: new Map(),
  };
  return { path, partitions: table.partitions, stage2, hasFuses, machine };
}

/** A powered chip that holds these bytes, and has never been erased. */
function flashOf(bytes: Uint8Array, geometry: Geometry): Flash {
  const pool = new ContentPool(geometry.sectorSize);
  const contents = Array.from({ length: geometry.size / geometry.sectorSize }, (_, sector) => {
    const start = sector * geometry.sectorSize;
    return pool.intern(bytes.slice(start, start + geometry.sectorSize));
  });
  return new Flash(geometry, pool, { contents, wear: new Uint32Array(contents.length) });
}

/** What the flash holds now. */
export function bytesOf({ flash }: Machine): Uint8Array {
  const bytes = new Uint8Array(flash.geometry.size);
  flash.read(0, bytes);
  return bytes;
}

/**
 * Writes both files, each at once. The flash goes first: fuses are burnt for what it holds, so
 * flash without its burn is a state that a power cut leaves too.
 */
export function writeFlashFile(path: string, machine: Machine): void {
  replaceFile(path, bytesOf(machine));
  replaceFile(fusesPathOf(path), formatFuses(machine.fuses.toState()));
}

function formatFuses(state: FuseState): Uint8Array {
  return Buffer.from(`${JSON.stringify(state, undefined, 2)}\n`);
}

/** Where things are, by type and subtype as ESP-IDF does, or what is missing. */
export function layoutOf(partitions: readonly PartitionRow[]): FlashLayout | string {
  const find = (type: number, subtype: number): Region | undefined => {
    const row = partitions.find((each) => each.type === type && each.subtype === subtype);
    return row && { start: row.offset, size: row.size };
  };
  const record = find(PARTITION_DATA, DATA_OTA);
  const slots = [find(PARTITION_APP, APP_OTA_0), find(PARTITION_APP, APP_OTA_0 + 1)] as const;
  if (record === undefined) return 'the partition table has no otadata (data, ota)';
  if (slots[0] === undefined || slots[1] === undefined) {
    return 'the partition table has no two slots (app, ota_0 and ota_1)';
  }
  if (find(PARTITION_APP, APP_OTA_0 + 2)) return 'more than two slots: two can be simulated';
  const recovery = find(PARTITION_APP, APP_FACTORY);
  return {
    stage2: find(PARTITION_BOOTLOADER, 0) ?? STAGE2_REGION,
    record,
    slots: [slots[0], slots[1]],
    ...(recovery === undefined ? {} : { recovery }),
  };
}

/** A region by its name in the table, by what it is for, or `table`. */
export function regionOf({ machine, partitions }: FlashFile, name: string): Region | undefined {
  const { record, recovery, slots, stage2 } = machine.layout;
  const roles: Readonly<Record<string, Region | undefined>> = {
    stage2,
    table: { start: TABLE_OFFSET, size: TABLE_SIZE },
    record,
    otadata: record,
    slot0: slots[0],
    slot1: slots[1],
    recovery,
  };
  const row = partitions.find((each) => each.name === name);
  if (row !== undefined) return { start: row.offset, size: row.size };
  return Object.hasOwn(roles, name) ? roles[name] : undefined;
}

const DIGEST = /^[0-9a-f]{64}$/;

/** The fuses of a `.fuses.json`, or what is wrong with them. */
export function parseFuses(text: string): FuseState | string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (typeof found !== 'object' || found === null) return 'expected an object';
  const state = found as Record<keyof FuseState, unknown>;
  const isWhole = (value: unknown, max: number): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
  const { keyDigests, revokedKeys, rollbackBitCount, rollbackBits, secureBoot, stage2Digest } =
    state;
  if (typeof secureBoot !== 'boolean') return 'secureBoot: expected true or false';
  const areDigests =
    Array.isArray(keyDigests) &&
    keyDigests.length <= KEY_COUNT_MAX &&
    keyDigests.every((digest) => typeof digest === 'string' && DIGEST.test(digest));
  if (!areDigests) return `keyDigests: expected at most ${KEY_COUNT_MAX} SHA-256 in hex`;
  if (!isWhole(revokedKeys, 2 ** KEY_COUNT_MAX - 1)) return 'revokedKeys: expected 0-7';
  if (typeof stage2Digest !== 'string' || !(stage2Digest === '' || DIGEST.test(stage2Digest))) {
    return 'stage2Digest: expected a SHA-256 in hex';
  }
  if (!isWhole(rollbackBits, 0xffffffff)) return 'rollbackBits: expected 32 bits';
  if (!isWhole(rollbackBitCount, 32)) return 'rollbackBitCount: expected 0-32';
  return { secureBoot, keyDigests, revokedKeys, stage2Digest, rollbackBits, rollbackBitCount };
}
