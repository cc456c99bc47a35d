// The durable part of the buffer: a circular log in a flash partition, per priority a chain of
// sectors. Layout, promises and their proof are in docs/buffer.md.
//
// What a power cut can leave is settled by three rules:
// - A sector is erased immediately before it is used, never trusted for reading as erased, and
//   retired by a mark before that, so that what a cut erase leaves of it means nothing.
// - Records are programmed only into sectors that were erased in the same boot. At mount the
//   newest sector of each chain, where a record may have been cut, is moved to a fresh one: what
//   is whole is programmed again, what is not is never seen again.
// - A move is committed by retiring the origin. Until then the copy is void, after it the origin.

import { BUFFER_FULL, FLASH_FAILED } from '../drop-cause.ts';
import type { Partition } from '../platform.ts';
import { LOG_PAYLOAD_SIZE_MAX, LogSectors } from './log-sectors.ts';
import { type FullPolicy, PRIORITY_HIGH, type Priority } from './outbox.ts';
import {
  ALLOCATION,
  END,
  FIRST_LSN,
  FREE,
  IN_CHAIN,
  LIVE_COUNT,
  NONE,
  PRIORITY,
  SectorTable,
  STATE,
  WEAR,
  WORN,
} from './sector-table.ts';

const PRIORITY_COUNT = 3;

/** While mounting, how much more worn than the coldest sector a sector may be. */
const MOUNT_WEAR_SPREAD = 8;

export interface FlashLogOwner {
  /** A record is given up; told before it is gone. Must not append. */
  onLogDropped(kind: number, sequence: number, lsn: number, cause: number): void;
  /** True while the record is in flight: no policy drops it. */
  isLogInflight(lsn: number): boolean;
}

export class FlashLog {
  /** Records that are not released. */
  count = 0;
  /** Records given up by the full policy since the mount. */
  droppedCount = 0;
  /** Records that no longer read as what was programmed. */
  corruptCount = 0;
  /** Records with a lower log sequence number are from before the mount. */
  readonly lsnMounted: number;
  /** Has the header of the record that was found last: kind, sequence, timeMs, size, lsn. */
  readonly found: LogSectors;

  private readonly policy: FullPolicy;
  private readonly owner: FlashLogOwner;
  private readonly table: SectorTable;
  /** Per priority the sector that is appended to, or NONE. */
  private readonly heads: Int32Array;
  private lsnNext = 1;
  private allocationNext = 1;
  private foundSector = 0;
  private foundOffset = 0;

  /**
   * Mounts the log: reads the whole partition once, and settles what the last power cut left.
   * `work` is WORK_SIZE bytes, used within calls only. RAM: 28 bytes per sector.
   *
   * Throws a RangeError for a partition that is no log's.
   */
  constructor(partition: Partition, work: Uint8Array, policy: FullPolicy, owner: FlashLogOwner) {
    this.found = new LogSectors(partition, work);
    this.policy = policy;
    this.owner = owner;
    this.table = new SectorTable(this.found.count);
    this.heads = new Int32Array(PRIORITY_COUNT);
    for (let priority = 0; priority < PRIORITY_COUNT; priority += 1) this.heads[priority] = NONE;
    this.readHeaders();
    this.voidCopies();
    this.scanRecords();
    for (let priority = 0; priority < PRIORITY_COUNT; priority += 1) this.settle(priority);
    this.lsnMounted = this.lsnNext;
  }

  /** Part of the sectors that hold records, 0 to 1. */
  get usedShare(): number {
    const { table } = this;
    return 1 - table.freeCount() / table.count;
  }

  /** Programs that did not read back as written; each costs the rest of a sector. */
  get faultCount(): number {
    return this.found.faultCount;
  }

  /**
   * Programs payload[start, start + size) as a new record. True: it is durable. False: the full
   * policy kept it out, or it is larger than a sector, or the flash is worn out.
   */
  append(
    kind: number,
    priority: Priority,
    sequence: number,
    timeMs: number,
    payload: Uint8Array,
    start: number,
    size: number,
  ): boolean {
    const { found, table } = this;
    const footprint = found.footprint(size);
    const { sectorSize } = found.partition;
    if (size > LOG_PAYLOAD_SIZE_MAX || found.recordsStart + footprint > sectorSize) return false;
    // Each failure takes a sector out of use, so this ends.
    for (;;) {
      let head = this.heads[priority] as number;
      if (head === NONE || table.get(head, END) + footprint > sectorSize) {
        this.closeHead(priority);
        if (!this.openHead(priority)) return false;
        head = this.heads[priority] as number;
      }
      const at = table.get(head, END);
      const lsn = this.lsnNext;
      this.lsnNext = lsn + 1;
      found.setRecord(kind, priority, sequence, timeMs, lsn, size);
      if (found.writeRecord(head, at, payload, start)) {
        table.set(head, END, at + footprint);
        table.add(head, LIVE_COUNT, 1);
        this.count += 1;
        return true;
      }
      // What follows a record that is not whole would not be found at the next mount.
      this.closeHead(priority);
      if (table.get(head, LIVE_COUNT) === 0) table.set(head, STATE, WORN);
    }
  }

  /** Lets a record go, durably; false when it is gone already. */
  release(priority: Priority, lsn: number): boolean {
    const { found, table } = this;
    const sector = table.sectorOf(priority, lsn);
    if (sector === NONE || !this.seek(sector, lsn) || found.lsn !== lsn) return false;
    found.release(sector, this.foundOffset);
    this.count -= 1;
    table.add(sector, LIVE_COUNT, -1);
    const isHead = this.heads[priority] === sector;
    if (table.get(sector, LIVE_COUNT) === 0 && !isHead) table.set(sector, STATE, FREE);
    return true;
  }

  /** Finds the oldest record of a priority with at least this log sequence number. */
  findOldest(priority: Priority, lsnMin: number): boolean {
    const { table } = this;
    let sector = table.sectorOf(priority, lsnMin);
    if (sector === NONE) sector = table.after(priority, NONE);
    while (sector !== NONE) {
      if (this.seek(sector, lsnMin)) return true;
      sector = table.after(priority, sector);
    }
    return false;
  }

  /** Finds the newest record of a priority below this log sequence number. */
  findNewest(priority: Priority, lsnEnd: number): boolean {
    const { table } = this;
    let sector = table.sectorOf(priority, lsnEnd - 1);
    while (sector !== NONE) {
      let newest = 0;
      while (this.seek(sector, newest + 1) && this.found.lsn < lsnEnd) newest = this.found.lsn;
      if (newest > 0) return this.seek(sector, newest);
      sector = table.sectorOf(priority, table.get(sector, FIRST_LSN) - 1);
    }
    return false;
  }

  /**
   * Copies the payload of the record that was found last to target[at, at + size). False, counted
   * and released, when the flash no longer reads as what was programmed.
   */
  read(target: Uint8Array, at: number): boolean {
    const { found } = this;
    if (found.isWhole(this.foundSector, this.foundOffset)) {
      found.readPayload(this.foundSector, this.foundOffset, target, at);
      return true;
    }
    const { lsn } = found;
    this.giveUpCorrupt(lsn);
    // Counted already.
    if (this.release(this.table.get(this.foundSector, PRIORITY) as Priority, lsn)) this.count += 1;
    return false;
  }

  private giveUpCorrupt(lsn: number): void {
    this.corruptCount += 1;
    this.count -= 1;
    this.owner.onLogDropped(this.found.kind, this.found.sequence, lsn, FLASH_FAILED);
  }

  /** Erases of the sector so far, as far as its headers told. */
  wearOf(sector: number): number {
    return this.table.get(sector, WEAR);
  }

  // Mounting.

  private readHeaders(): void {
    const { found, table } = this;
    let wearMin = 0;
    for (let sector = 0; sector < table.count; sector += 1) {
      if (!found.readHeader(sector)) continue;
      const { allocation, firstLsn, priority, wear } = found;
      table.set(sector, STATE, found.isRetired(sector) ? FREE : IN_CHAIN);
      table.set(sector, PRIORITY, priority);
      table.set(sector, WEAR, wear);
      table.set(sector, ALLOCATION, allocation);
      table.set(sector, FIRST_LSN, firstLsn);
      this.allocationNext = Math.max(this.allocationNext, allocation + 1);
      this.lsnNext = Math.max(this.lsnNext, firstLsn + 1);
      if (wearMin === 0 || wear < wearMin) wearMin = wear;
    }
    // Never used, or its last erase was cut; and what is erased next is one of the coldest.
    for (let sector = 0; sector < table.count; sector += 1) {
      if (!found.readHeader(sector)) table.set(sector, WEAR, wearMin);
    }
  }

  /** A copy whose origin is not retired was cut, and has nothing that the origin has not. */
  private voidCopies(): void {
    const { found, table } = this;
    for (let sector = 0; sector < table.count; sector += 1) {
      if (table.get(sector, STATE) !== IN_CHAIN || !found.readHeader(sector)) continue;
      const { fromAllocation, fromSector } = found;
      if (fromSector >= table.count || !found.readHeader(fromSector)) continue;
      if (found.allocation !== fromAllocation || found.isRetired(fromSector)) continue;
      // Now, so that retiring the origin later cannot bring it back.
      found.retire(sector);
      table.set(sector, STATE, FREE);
    }
  }

  private scanRecords(): void {
    const { found, table } = this;
    for (let sector = 0; sector < table.count; sector += 1) {
      if (table.get(sector, STATE) !== IN_CHAIN) continue;
      let liveCount = 0;
      let offset = found.recordsStart;
      while (found.readRecord(sector, offset) && found.isWhole(sector, offset)) {
        if (!found.isReleased(sector, offset)) liveCount += 1;
        this.lsnNext = Math.max(this.lsnNext, found.lsn + 1);
        offset += found.footprint(found.size);
      }
      table.set(sector, END, offset);
      table.set(sector, LIVE_COUNT, liveCount);
      this.count += liveCount;
      if (liveCount > 0) continue;
      // A record that was cut may yet show in it at a later boot.
      found.retire(sector);
      table.set(sector, STATE, FREE);
    }
  }

  /** Moves the newest sector of a chain, so that all that is in it is programmed whole. */
  private settle(priority: number): void {
    const { table } = this;
    for (let newest = table.newest(priority); newest !== NONE; newest = table.newest(priority)) {
      this.levelOnce(newest);
      const target = table.coldest(FREE);
      // A worn-out log delivers what it has and takes nothing new.
      if (target === NONE) return;
      if (!this.move(newest, target)) continue;
      this.heads[priority] = target;
      return;
    }
  }

  // Sectors.

  private closeHead(priority: number): void {
    const head = this.heads[priority] as number;
    if (head === NONE) return;
    this.heads[priority] = NONE;
    if (this.table.get(head, LIVE_COUNT) === 0) this.table.set(head, STATE, FREE);
  }

  /** Takes a free sector for a chain; false when the policy keeps all that is there. */
  private openHead(priority: Priority): boolean {
    const { table } = this;
    for (;;) {
      // One is kept free for moves.
      while (table.freeCount() < 2) if (!this.drop(priority)) return false;
      this.level();
      if (table.freeCount() < 2) continue;
      const sector = table.coldest(FREE);
      if (!this.begin(sector, priority, this.lsnNext, NONE)) continue;
      this.heads[priority] = sector;
      return true;
    }
  }

  /** Erases a sector for its next use; a worn one is taken out of use. */
  private begin(sector: number, priority: number, firstLsn: number, from: number): boolean {
    const { found, table } = this;
    if (found.readHeader(sector)) found.retire(sector);
    found.priority = priority;
    found.wear = table.get(sector, WEAR) + 1;
    found.allocation = this.allocationNext;
    found.firstLsn = firstLsn;
    this.allocationNext += 1;
    table.set(sector, WEAR, found.wear);
    table.set(sector, PRIORITY, priority);
    table.set(sector, LIVE_COUNT, 0);
    table.set(sector, ALLOCATION, found.allocation);
    table.set(sector, FIRST_LSN, firstLsn);
    table.set(sector, END, found.recordsStart);
    const isTaken = found.begin(sector, from, from === NONE ? 0 : table.get(from, ALLOCATION));
    table.set(sector, STATE, isTaken ? IN_CHAIN : WORN);
    return isTaken;
  }

  /** Moves what is live in a sector to a free one; false when that took it not, or not all. */
  private move(from: number, target: number): boolean {
    const { found, table } = this;
    const priority = table.get(from, PRIORITY);
    let lsn = this.seek(from, 0) ? found.lsn : table.get(from, FIRST_LSN);
    if (!this.begin(target, priority, lsn, from)) return false;
    for (; this.seek(from, lsn); lsn += 1) {
      lsn = found.lsn;
      if (!found.isWhole(from, this.foundOffset)) {
        this.giveUpCorrupt(lsn);
        found.release(from, this.foundOffset);
        continue;
      }
      const end = table.get(target, END);
      table.set(target, END, end + found.footprint(found.size));
      if (!found.copyRecord(from, this.foundOffset, target, end)) {
        // Void while its origin is there, and retired before that can change.
        found.retire(target);
        table.set(target, STATE, WORN);
        return false;
      }
      table.add(target, LIVE_COUNT, 1);
    }
    found.retire(from);
    table.set(from, STATE, FREE);
    if (table.get(target, LIVE_COUNT) === 0) table.set(target, STATE, FREE);
    return true;
  }

  /**
   * Keeps wear within one erase: before the last free sector of the lowest wear is used, what
   * rests in sectors of that wear is moved on, and they are used instead.
   */
  private level(): void {
    const { table } = this;
    for (;;) {
      const target = table.coldest(FREE);
      const cold = table.coldest(IN_CHAIN);
      if (target === NONE || cold === NONE) return;
      const wear = table.get(target, WEAR);
      const coldWear = table.get(cold, WEAR);
      if (coldWear > wear || (coldWear === wear && table.freeCountOfWear(wear) > 1)) return;
      this.moveCold(cold, target);
    }
  }

  /** As `level`, but one sector at most and not so strictly: a mount is to be short. */
  private levelOnce(except: number): void {
    const { table } = this;
    const target = table.coldest(FREE);
    const cold = table.coldest(IN_CHAIN);
    if (target === NONE || cold === except) return;
    if (table.get(target, WEAR) - table.get(cold, WEAR) < MOUNT_WEAR_SPREAD) return;
    this.moveCold(cold, target);
  }

  private moveCold(cold: number, target: number): void {
    const { table } = this;
    const priority = table.get(cold, PRIORITY);
    const isHead = this.heads[priority] === cold;
    if (table.get(cold, LIVE_COUNT) === 0) {
      if (isHead) this.heads[priority] = NONE;
      table.set(cold, STATE, FREE);
    } else if (this.move(cold, target) && isHead) {
      this.heads[priority] = target;
    }
  }

  // The full policy.

  /** Gives up a sector for a record of `priority`; false when the policy keeps all of them. */
  private drop(priority: Priority): boolean {
    const { found, table } = this;
    const victim = this.victim(priority);
    if (victim === NONE) return false;
    for (let lsn = 0; this.seek(victim, lsn); lsn += 1) {
      lsn = found.lsn;
      this.droppedCount += 1;
      this.owner.onLogDropped(found.kind, found.sequence, lsn, BUFFER_FULL);
    }
    // Told first: a cut here leaves records that were told as dropped, never the other way round.
    found.retire(victim);
    this.count -= table.get(victim, LIVE_COUNT);
    const chain = table.get(victim, PRIORITY);
    if (this.heads[chain] === victim) this.heads[chain] = NONE;
    table.set(victim, STATE, FREE);
    return true;
  }

  private victim(priority: Priority): number {
    const { table } = this;
    let victim = this.emptyHead();
    if (victim !== NONE || this.policy === 'drop-newest') return victim;
    const highest = this.policy === 'drop-oldest' ? PRIORITY_HIGH : priority;
    for (let sector = 0; sector < table.count; sector += 1) {
      if (table.get(sector, STATE) !== IN_CHAIN || table.get(sector, PRIORITY) > highest) continue;
      if (this.holdsInflight(sector)) continue;
      if (victim === NONE || this.goesBefore(sector, victim)) victim = sector;
    }
    return victim;
  }

  private goesBefore(sector: number, other: number): boolean {
    const { table } = this;
    const order = table.get(sector, PRIORITY) - table.get(other, PRIORITY);
    if (this.policy !== 'drop-oldest' && order !== 0) return order < 0;
    return table.get(sector, FIRST_LSN) < table.get(other, FIRST_LSN);
  }

  /** A head of which all was released: its room costs nothing. */
  private emptyHead(): number {
    for (let priority = 0; priority < PRIORITY_COUNT; priority += 1) {
      const head = this.heads[priority] as number;
      if (head !== NONE && this.table.get(head, LIVE_COUNT) === 0) return head;
    }
    return NONE;
  }

  private holdsInflight(sector: number): boolean {
    for (let lsn = 0; this.seek(sector, lsn); lsn += 1) {
      lsn = this.found.lsn;
      if (this.owner.isLogInflight(lsn)) return true;
    }
    return false;
  }

  /** Finds the first record of a sector that is not released and has at least this number. */
  private seek(sector: number, lsnMin: number): boolean {
    const { found } = this;
    const end = this.table.get(sector, END);
    let offset = found.recordsStart;
    while (offset < end && found.readRecord(sector, offset)) {
      if (found.lsn >= lsnMin && !found.isReleased(sector, offset)) {
        this.foundSector = sector;
        this.foundOffset = offset;
        return true;
      }
      offset += found.footprint(found.size);
    }
    return false;
  }
}
