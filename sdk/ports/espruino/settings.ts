// Settings over Espruino's Storage. Replacing a Storage file erases the old one first, so a value
// has two files that take turns: the older one is replaced, and a record counts only when its
// CRC is right. A power cut during a `set` leaves the other file, which holds the old value.
//
// A file: sequence u32, kind u8, value, CRC-32 of all before it u32; integers big-endian.

import { SETTINGS_KEY_LENGTH_MAX, type Settings } from '../../src/platform.ts';
import type { EngineStorage, EngineTools } from './engine.ts';

declare const E: EngineTools;

/** Before each key; a Storage name of 28 characters holds it, 15 of the key and 2 of the slot. */
const PREFIX = 'flotilla.';
const HEADER_SIZE = 5;
const CRC_SIZE = 4;
const KIND_DELETED = 0;
const KIND_VALUE = 1;

/** Throws an Error where Storage has no room, a RangeError for a key that is empty or too long. */
export class StorageSettings implements Settings {
  private readonly storage: EngineStorage;

  constructor(storage: EngineStorage) {
    this.storage = storage;
  }

  get(key: string): Uint8Array | undefined {
    const record = this.newest(key);
    if (record === undefined || record[HEADER_SIZE - 1] !== KIND_VALUE) return undefined;
    // A copy: the record may be flash itself.
    return new Uint8Array(record.subarray(HEADER_SIZE, record.length - CRC_SIZE));
  }

  set(key: string, value: Uint8Array): void {
    this.write(key, KIND_VALUE, value);
  }

  delete(key: string): void {
    if (this.newest(key) === undefined) return;
    // The mark goes last: without it the older value would be the newest again.
    const slot = this.write(key, KIND_DELETED, new Uint8Array(0));
    this.storage.erase(nameOf(key, 1 - slot));
    this.storage.erase(nameOf(key, slot));
  }

  /** Writes over the older file; returns its slot. */
  private write(key: string, kind: number, value: Uint8Array): number {
    const newest = this.newest(key);
    const sequence = newest === undefined ? 0 : readU32(newest, 0);
    const other = this.read(key, 0);
    const slot = other !== undefined && readU32(other, 0) === sequence ? 1 : 0;
    const size = HEADER_SIZE + value.length;
    const record = new Uint8Array(size + CRC_SIZE);
    writeU32(record, 0, sequence + 1);
    record[HEADER_SIZE - 1] = kind;
    record.set(value, HEADER_SIZE);
    writeU32(record, size, crc32(record, size));
    const data = E.toString(record);
    if (data === undefined || !this.storage.write(nameOf(key, slot), data)) {
      throw new Error(`settings: no room for '${key}'`);
    }
    return slot;
  }

  private newest(key: string): Uint8Array | undefined {
    const first = this.read(key, 0);
    const second = this.read(key, 1);
    if (first === undefined) return second;
    if (second === undefined) return first;
    return readU32(first, 0) > readU32(second, 0) ? first : second;
  }

  /** A whole record, or undefined. */
  private read(key: string, slot: number): Uint8Array | undefined {
    const data = this.storage.read(nameOf(key, slot));
    if (data === undefined || data.length < HEADER_SIZE + CRC_SIZE) return undefined;
    const record = E.toUint8Array(data);
    const size = record.length - CRC_SIZE;
    return crc32(record, size) === readU32(record, size) ? record : undefined;
  }
}

function nameOf(key: string, slot: number): string {
  if (key.length === 0 || key.length > SETTINGS_KEY_LENGTH_MAX) {
    throw new RangeError(`settings key '${key}': expected 1-${SETTINGS_KEY_LENGTH_MAX} characters`);
  }
  return `${PREFIX}${key}.${slot}`;
}

function readU32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return high * 65536 + low;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** CRC-32 of bytes[0, end) (ISO-HDLC, as in zip), bit by bit: a table would cost 256 variables. */
function crc32(bytes: Uint8Array, end: number): number {
  let crc = -1;
  for (let index = 0; index < end; index += 1) {
    crc ^= bytes[index] as number;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return ~crc >>> 0;
}
