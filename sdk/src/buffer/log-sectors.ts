// The bytes of the flash log: sector headers, records and marks, over one partition.
// What they mean together is `flash-log.ts`; the layout is a table in docs/buffer.md.
//
// A mark is a few bytes of their own that are programmed once, from all erased to all programmed.
// It counts as set as soon as one bit of it is programmed: so a mark that was cut reads the same
// on every boot, although some of its bits may be weak.

import { assert } from '../assert.ts';
import { readUint32, writeUint32 } from '../codec/uint32.ts';
import type { Partition } from '../platform.ts';
import { crc32 } from './crc32.ts';

/** Bytes that the caller lends the log; every read and program goes through them. */
export const WORK_SIZE = 64;
/** Largest `writeAlignment` of a partition. */
export const WRITE_ALIGNMENT_MAX = 32;
/** Largest payload of a record in flash: its size has two bytes there. */
export const LOG_PAYLOAD_SIZE_MAX = 65535;
/** Before the payload: size u16, kind, priority, sequence, timeMs, lsn, crc (u32 each). */
export const LOG_RECORD_HEADER_SIZE = 20;

const SECTOR_HEADER_SIZE = 32;
/** "FLG1": the layout of sectors and records, version 1. */
const MAGIC = 0x464c4731;
const NO_SECTOR = 0xffffffff;
/** Bits of a mark; a wide one cannot be left with weak bits alone. */
const SECTOR_MARK_SIZE = 8;
const RECORD_MARK_SIZE = 4;
const CRC_AT = 16;
const CRC_END = LOG_RECORD_HEADER_SIZE;

export class LogSectors {
  readonly partition: Partition;
  readonly count: number;
  /** Offset of the first record in a sector. */
  readonly recordsStart: number;
  /** Programs that did not read back as what was written. */
  faultCount = 0;

  // The sector header that was read last.
  priority = 0;
  /** Erases of the sector, this use included. */
  wear = 0;
  /** Number of this use of a sector; each is larger than those before. */
  allocation = 0;
  /** Log sequence number of its first record. */
  firstLsn = 0;
  /** The use of a sector whose records were moved here, or NO_SECTOR. */
  fromSector = NO_SECTOR;
  fromAllocation = 0;

  // The record header that was read last.
  size = 0;
  kind = 0;
  recordPriority = 0;
  sequence = 0;
  timeMs = 0;
  lsn = 0;

  private crc = 0;
  private readonly work: Uint8Array;
  private readonly alignment: number;
  private readonly recordMarkSize: number;
  private readonly sectorMarkSize: number;

  /**
   * `work` is WORK_SIZE bytes, used within calls only. Throws a RangeError for a partition that
   * is no log's: fewer than four sectors, or units larger than WRITE_ALIGNMENT_MAX.
   */
  constructor(partition: Partition, work: Uint8Array) {
    assert(work.length === WORK_SIZE, 'work bytes of a log');
    const { sectorSize, size, writeAlignment } = partition;
    this.partition = partition;
    this.work = work;
    this.count = Math.floor(size / sectorSize);
    this.alignment = writeAlignment;
    const isUnit = writeAlignment >= 1 && WRITE_ALIGNMENT_MAX % writeAlignment === 0;
    if (!isUnit || this.count < 4) {
      throw new RangeError('log partition: expected at least 4 sectors and units of 1-32 bytes');
    }
    this.recordMarkSize = Math.max(RECORD_MARK_SIZE, writeAlignment);
    this.sectorMarkSize = Math.max(SECTOR_MARK_SIZE, writeAlignment);
    this.recordsStart = SECTOR_HEADER_SIZE + this.sectorMarkSize;
  }

  /** Bytes that a record takes in a sector, its mark included. */
  footprint(payloadSize: number): number {
    return this.bodySize(payloadSize) + this.recordMarkSize;
  }

  addressOf(sector: number): number {
    return sector * this.partition.sectorSize;
  }

  /** Reads the header of a sector into the fields; false where there is no whole one. */
  readHeader(sector: number): boolean {
    const at = this.load(this.addressOf(sector));
    const { work } = this;
    if (readUint32(work, at) !== MAGIC) return false;
    if (readUint32(work, at + 28) !== crc32(work, at, at + 28, 0)) return false;
    this.priority = work[at + 4] as number;
    this.wear = readUint32(work, at + 8);
    this.allocation = readUint32(work, at + 12);
    this.firstLsn = readUint32(work, at + 16);
    this.fromSector = readUint32(work, at + 20);
    this.fromAllocation = readUint32(work, at + 24);
    return true;
  }

  /**
   * Erases the sector and programs a header with the fields; `from` is the sector whose records
   * are to be moved here, or -1. False when the flash did not take it: worn out.
   */
  begin(sector: number, from: number, fromAllocation: number): boolean {
    const { allocation, partition, work } = this;
    const address = this.addressOf(sector);
    partition.eraseBlock(address);
    writeUint32(work, 0, MAGIC);
    writeUint32(work, 4, NO_SECTOR);
    work[4] = this.priority;
    writeUint32(work, 8, this.wear);
    writeUint32(work, 12, allocation);
    writeUint32(work, 16, this.firstLsn);
    writeUint32(work, 20, from >= 0 ? from : NO_SECTOR);
    writeUint32(work, 24, fromAllocation);
    writeUint32(work, 28, crc32(work, 0, 28, 0));
    partition.write(address, work, 0, SECTOR_HEADER_SIZE);
    const isThere = this.readHeader(sector) && this.allocation === allocation;
    if (isThere && !this.isRetired(sector)) return true;
    this.faultCount += 1;
    return false;
  }

  isRetired(sector: number): boolean {
    return this.isMarked(this.addressOf(sector) + SECTOR_HEADER_SIZE, this.sectorMarkSize);
  }

  /** Gives up what the sector holds, for good: before an erase, a drop, or after a move. */
  retire(sector: number): void {
    if (this.isRetired(sector)) return;
    this.mark(this.addressOf(sector) + SECTOR_HEADER_SIZE, this.sectorMarkSize);
  }

  /**
   * Reads the record header at `offset` of a sector into the fields; false at the end of the
   * records: nothing plausible is there.
   */
  readRecord(sector: number, offset: number): boolean {
    const { sectorSize } = this.partition;
    if (offset + this.footprint(0) > sectorSize) return false;
    const at = this.load(this.addressOf(sector) + offset);
    const { work } = this;
    this.size = ((work[at] as number) << 8) | (work[at + 1] as number);
    this.kind = work[at + 2] as number;
    this.recordPriority = work[at + 3] as number;
    this.sequence = readUint32(work, at + 4);
    this.timeMs = readUint32(work, at + 8);
    this.lsn = readUint32(work, at + 12);
    this.crc = readUint32(work, at + CRC_AT);
    // No record has these numbers: erased bytes read so.
    if (this.lsn === 0 || this.lsn === 0xffffffff) return false;
    return offset + this.footprint(this.size) <= sectorSize;
  }

  /** True when the record that `readRecord` found at `offset` is whole. */
  isWhole(sector: number, offset: number): boolean {
    const address = this.addressOf(sector) + offset;
    const end = address + LOG_RECORD_HEADER_SIZE + this.size;
    let at = this.load(address);
    let crc = crc32(this.work, at, at + CRC_AT, 0);
    for (let next = address + CRC_END; next < end; next += WORK_SIZE) {
      at = this.load(next);
      crc = crc32(this.work, at, at + Math.min(WORK_SIZE - at, end - next), crc);
    }
    return crc === this.crc;
  }

  /** Copies the payload of the record that `readRecord` found to target[to, to + size). */
  readPayload(sector: number, offset: number, target: Uint8Array, to: number): void {
    const start = this.addressOf(sector) + offset + LOG_RECORD_HEADER_SIZE;
    for (let done = 0; done < this.size; done += WORK_SIZE) {
      const at = this.load(start + done);
      const count = Math.min(WORK_SIZE - at, this.size - done);
      for (let index = 0; index < count; index += 1) {
        target[to + done + index] = this.work[at + index] as number;
      }
    }
  }

  /** Sets the header of the record that `writeRecord` is to program. */
  setRecord(
    kind: number,
    priority: number,
    sequence: number,
    timeMs: number,
    lsn: number,
    size: number,
  ): void {
    this.kind = kind;
    this.recordPriority = priority;
    this.sequence = sequence;
    this.timeMs = timeMs;
    this.lsn = lsn;
    this.size = size;
  }

  /**
   * Programs a record with the fields and payload[start, start + size) at `offset`, where all is
   * erased and has room for its footprint, and reads it back; false when the flash did not take
   * it.
   */
  writeRecord(sector: number, offset: number, payload: Uint8Array, start: number): boolean {
    const { lsn, partition, size, work } = this;
    work[0] = size >> 8;
    work[1] = size & 255;
    work[2] = this.kind;
    work[3] = this.recordPriority;
    writeUint32(work, 4, this.sequence);
    writeUint32(work, 8, this.timeMs);
    writeUint32(work, 12, lsn);
    writeUint32(work, CRC_AT, crc32(payload, start, start + size, crc32(work, 0, CRC_AT, 0)));
    const address = this.addressOf(sector) + offset;
    const total = this.bodySize(size);
    for (let at = LOG_RECORD_HEADER_SIZE; at < total; at += 1) {
      const index = at - LOG_RECORD_HEADER_SIZE;
      const used = at % WORK_SIZE;
      work[used] = index < size ? (payload[start + index] as number) : partition.erasedValue;
      if (used === WORK_SIZE - 1 || at === total - 1) {
        partition.write(address + at - used, work, 0, used + 1);
      }
    }
    // A header that fills its units alone, with no payload.
    if (total === LOG_RECORD_HEADER_SIZE) partition.write(address, work, 0, total);
    return this.isTaken(sector, offset, lsn);
  }

  /** Copies the record that `readRecord` found; false when the flash did not take it. */
  copyRecord(fromSector: number, fromOffset: number, sector: number, offset: number): boolean {
    const source = this.addressOf(fromSector) + fromOffset;
    const target = this.addressOf(sector) + offset;
    const { lsn } = this;
    const total = this.bodySize(this.size);
    for (let done = 0; done < total; done += WORK_SIZE) {
      const count = Math.min(WORK_SIZE, total - done);
      const at = this.load(source + done);
      this.partition.write(target + done, this.work, at, at + count);
    }
    return this.isTaken(sector, offset, lsn);
  }

  /** True when the record that `readRecord` found at `offset` was released. */
  isReleased(sector: number, offset: number): boolean {
    return this.isMarked(this.markOf(sector, offset), this.recordMarkSize);
  }

  release(sector: number, offset: number): void {
    this.mark(this.markOf(sector, offset), this.recordMarkSize);
  }

  private markOf(sector: number, offset: number): number {
    return this.addressOf(sector) + offset + this.bodySize(this.size);
  }

  private bodySize(payloadSize: number): number {
    const { alignment } = this;
    return Math.ceil((LOG_RECORD_HEADER_SIZE + payloadSize) / alignment) * alignment;
  }

  private isTaken(sector: number, offset: number, lsn: number): boolean {
    const isThere = this.readRecord(sector, offset) && this.lsn === lsn;
    if (isThere && this.isWhole(sector, offset) && !this.isReleased(sector, offset)) return true;
    this.faultCount += 1;
    return false;
  }

  private isMarked(address: number, size: number): boolean {
    const at = this.load(address);
    for (let index = at; index < at + size; index += 1) {
      if (this.work[index] !== this.partition.erasedValue) return true;
    }
    return false;
  }

  private mark(address: number, size: number): void {
    const programmed = this.partition.erasedValue ^ 255;
    for (let index = 0; index < size; index += 1) this.work[index] = programmed;
    this.partition.write(address, this.work, 0, size);
  }

  /**
   * Fills the work bytes so that `address` is in them, and returns where; near the end of the
   * partition that is not at their start.
   */
  private load(address: number): number {
    const { partition, work } = this;
    const from = Math.min(address, partition.size - WORK_SIZE);
    partition.read(from, work);
    return address - from;
  }
}
