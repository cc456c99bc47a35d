// The buffer of a device: the outbox in RAM, and behind it the flash log where the device has one.
//
// Alarms are written through to flash. Others wait in RAM and are spilled, oldest first, when
// they take more than half of it; the other half is for what is fetched from flash to be sent.
// A fetched record is released in flash when it is released here.

import { writeUint32 } from '../codec/uint32.ts';
import { LARGER_THAN_BUFFER } from '../drop-cause.ts';
import type { Platform } from '../platform.ts';
import { FlashLog, type FlashLogOwner } from './flash-log.ts';
import { WORK_SIZE } from './log-sectors.ts';
import {
  type AppendOutcome,
  type FullPolicy,
  INFLIGHT,
  Outbox,
  type OutboxOwner,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_MASK,
  PRIORITY_NORMAL,
  type Priority,
  RECORD_HEADER_SIZE,
  RELEASED,
} from './outbox.ts';

/** The partition that holds the log. */
export const BUFFER_PARTITION = 'buffer';

/** In the flags byte: a copy of a record in flash; its id has FLASH_ID and the lsn. */
const FROM_FLASH = 16;
/** Ids of records that are in RAM only are below. */
const FLASH_ID = 0x80000000;
const NONE = -1;

/** True where records can survive a reset. */
export function hasLog(platform: Platform): boolean {
  return platform.partition(BUFFER_PARTITION) !== undefined;
}

/**
 * The buffer in bytes[0, size), and in the partition 'buffer' where the platform has one; mounts
 * that. Without it this is an outbox, and costs nothing more.
 */
export function openStore(
  platform: Platform,
  bytes: Uint8Array,
  size: number,
  policy: FullPolicy,
  owner: OutboxOwner,
): Outbox {
  const partition = platform.partition(BUFFER_PARTITION);
  if (partition === undefined) return new Outbox(bytes, size, policy, owner);
  const work = platform.memory.allocate(WORK_SIZE);
  const store = new FlashStore(bytes, size, policy, owner, platform.clock.monotonicMs());
  store.log = new FlashLog(partition, work, policy, store);
  return store;
}

export class FlashStore extends Outbox implements FlashLogOwner {
  log!: FlashLog;
  /** Records of `bytes` that are copies of records in flash. */
  private copyCount = 0;
  private readonly mountedMs: number;

  /** `mountedMs` is the monotonic time now: what records from before a reset are said to be of. */
  constructor(
    bytes: Uint8Array,
    size: number,
    policy: FullPolicy,
    owner: OutboxOwner,
    mountedMs: number,
  ) {
    super(bytes, size, policy, owner);
    this.mountedMs = mountedMs;
  }

  override get count(): number {
    return this.ramCount - this.copyCount + this.log.count;
  }

  /** As of an outbox; 'durable' says that the record is in flash. */
  override append(
    kind: number,
    priority: Priority,
    sequence: number,
    timeMs: number,
    payload: Uint8Array,
    payloadSize: number,
  ): AppendOutcome {
    const need = RECORD_HEADER_SIZE + payloadSize;
    // What is larger than RAM could never be fetched, and what is not whole never sent.
    if (need <= this.size && payloadSize <= payload.length) {
      const isAlarm = priority === PRIORITY_HIGH;
      if (isAlarm && this.log.append(kind, priority, sequence, timeMs, payload, 0, payloadSize)) {
        return 'durable';
      }
      this.spill(need);
      this.makeFetchRoom(need);
    }
    if (this.idNext >= FLASH_ID) this.idNext = 1;
    return super.append(kind, priority, sequence, timeMs, payload, payloadSize);
  }

  /** As of an outbox: the newest alarm, else the oldest record; it is fetched where need be. */
  override next(): number {
    const inRam = this.nextPlain();
    if (this.log.count === 0) return inRam;
    // An alarm is in RAM alone when flash took it no more: it is newer than those in flash.
    if (inRam !== NONE && this.priorityAt(inRam) === PRIORITY_HIGH) return inRam;
    let position = this.nextAlarm();
    if (position === NONE) position = this.nextOldest();
    // What is fetched may have gone: then what is in RAM is looked up anew.
    return position === NONE ? this.nextPlain() : position;
  }

  /** Of the flash: what RAM has no room for goes there. */
  override get usedShare(): number {
    return this.log.usedShare;
  }

  override secure(): boolean {
    this.spill(Number.POSITIVE_INFINITY);
    return this.ramCount === this.copyCount;
  }

  /** As of an outbox: of what is in RAM, and of the newest alarm. */
  override nextSince(sinceMs: number): number {
    const inRam = super.nextSince(sinceMs);
    if (inRam !== NONE || !this.findAlarm()) return inRam;
    const { lsn, timeMs } = this.log.found;
    const isSince = lsn >= this.log.lsnMounted && ((timeMs - sinceMs) | 0) >= 0;
    return isSince ? this.fetch(PRIORITY_HIGH) : NONE;
  }

  override isRecovered(at: number): boolean {
    return this.isCopy(at) && this.idAt(at) - FLASH_ID < this.log.lsnMounted;
  }

  override release(at: number): void {
    if (this.isCopy(at)) {
      this.log.release(this.priorityAt(at), this.idAt(at) - FLASH_ID);
      this.copyCount -= 1;
    }
    super.release(at);
  }

  /** Calls the owner for every record that is still here: of flash, by priority, then of RAM. */
  override forEach(visit: (kind: number, sequence: number) => void): void {
    const { found } = this.log;
    for (let priority = PRIORITY_HIGH as number; priority >= PRIORITY_LOW; priority -= 1) {
      let lsn = 0;
      while (this.log.findOldest(priority as Priority, lsn)) {
        lsn = found.lsn + 1;
        visit(found.kind, found.sequence);
      }
    }
    for (let at = 0; at < this.used; at = this.after(at)) {
      if (!this.isGone(at) && !this.isCopy(at)) visit(this.kindAt(at), this.sequenceAt(at));
    }
  }

  onLogDropped(kind: number, sequence: number, lsn: number, cause: number): void {
    const at = this.find(FLASH_ID + lsn);
    if (at !== NONE) this.removeCopy(at);
    this.droppedCount += 1;
    this.owner.onRecordDropped(kind, sequence, cause);
  }

  isLogInflight(lsn: number): boolean {
    const at = this.find(FLASH_ID + lsn);
    return at !== NONE && this.isInflight(at);
  }

  /** The newest waiting alarm that is in RAM only, else the oldest such record. */
  private nextPlain(): number {
    let oldest = NONE;
    let newestAlarm = NONE;
    for (let at = 0; at < this.used; at = this.after(at)) {
      if (this.isGone(at) || this.isInflight(at) || this.isCopy(at)) continue;
      if (this.priorityAt(at) === PRIORITY_HIGH) newestAlarm = at;
      else if (oldest === NONE) oldest = at;
    }
    return newestAlarm === NONE ? oldest : newestAlarm;
  }

  private nextAlarm(): number {
    return this.findAlarm() ? this.fetch(PRIORITY_HIGH) : NONE;
  }

  /** Finds the newest alarm that is not in flight. */
  private findAlarm(): boolean {
    const { log } = this;
    let isFound = log.findNewest(PRIORITY_HIGH, FLASH_ID);
    while (isFound && this.isLogInflight(log.found.lsn)) {
      isFound = log.findNewest(PRIORITY_HIGH, log.found.lsn);
    }
    return isFound;
  }

  private nextOldest(): number {
    const { found } = this.log;
    let lsn = this.findWaiting(PRIORITY_NORMAL) ? found.lsn : NONE;
    let priority: Priority = PRIORITY_NORMAL;
    if (this.findWaiting(PRIORITY_LOW) && (lsn === NONE || found.lsn < lsn)) {
      priority = PRIORITY_LOW;
      lsn = found.lsn;
    }
    if (lsn === NONE || !this.log.findOldest(priority, lsn)) return NONE;
    return this.fetch(priority);
  }

  /** Finds the oldest record of a priority that is not in flight. */
  private findWaiting(priority: Priority): boolean {
    const { log } = this;
    let isFound = log.findOldest(priority, 0);
    while (isFound && this.isLogInflight(log.found.lsn)) {
      isFound = log.findOldest(priority, log.found.lsn + 1);
    }
    return isFound;
  }

  /** Position of the record that the log has found, brought into RAM; NONE for want of room. */
  private fetch(priority: Priority): number {
    const { found } = this.log;
    const { kind, lsn, sequence, size } = found;
    const present = this.find(FLASH_ID + lsn);
    if (present !== NONE) return present;
    const need = RECORD_HEADER_SIZE + size;
    if (need > this.size) {
      // Of a program with a larger buffer.
      this.onLogDropped(kind, sequence, lsn, LARGER_THAN_BUFFER);
      this.log.release(priority, lsn);
      return NONE;
    }
    if (!this.makeFetchRoom(need)) return NONE;
    const at = this.used;
    const { bytes } = this;
    this.writeHead(at, size, kind, priority | FROM_FLASH);
    writeUint32(bytes, at + 4, FLASH_ID + lsn);
    writeUint32(bytes, at + 8, sequence);
    // Monotonic time began anew with the boot; the payload has the time of its samples.
    writeUint32(bytes, at + 12, lsn < this.log.lsnMounted ? this.mountedMs : found.timeMs);
    if (!this.log.read(bytes, at + RECORD_HEADER_SIZE)) return NONE;
    this.used += need;
    this.ramCount += 1;
    this.copyCount += 1;
    return at;
  }

  /** Moves waiting records to flash, oldest first, until `need` more are half of the bytes. */
  private spill(need: number): void {
    let plainSize = need;
    for (let at = 0; at < this.used; at = this.after(at)) {
      if (!this.isGone(at) && !this.isCopy(at)) plainSize += this.after(at) - at;
    }
    for (let at = 0; at < this.used && plainSize * 2 > this.size; ) {
      const end = this.after(at);
      // What is in flight is in use; before a reset it is no more.
      const isFree = need === Number.POSITIVE_INFINITY || !this.isInflight(at);
      if (!this.isGone(at) && !this.isCopy(at) && isFree) {
        const start = this.payloadStart(at);
        const isTaken = this.log.append(
          this.kindAt(at),
          this.priorityAt(at),
          this.sequenceAt(at),
          this.timeMsAt(at),
          this.bytes,
          start,
          end - start,
        );
        if (!isTaken) return;
        plainSize -= end - at;
        this.remove(at);
      }
      at = end;
    }
  }

  /** Makes `need` bytes free at the end at the cost of waiting copies only. */
  private makeFetchRoom(need: number): boolean {
    if (this.used + need <= this.size) return true;
    this.compact();
    for (let at = 0; at < this.used && this.used + need > this.size; ) {
      const isWaitingCopy = this.isCopy(at) && !this.isGone(at) && !this.isInflight(at);
      if (isWaitingCopy) {
        this.removeCopy(at);
        this.compact();
      } else {
        at = this.after(at);
      }
    }
    return this.used + need <= this.size;
  }

  private removeCopy(at: number): void {
    this.copyCount -= 1;
    this.remove(at);
  }

  private priorityAt(at: number): Priority {
    return ((this.bytes[at + 3] as number) & PRIORITY_MASK) as Priority;
  }

  private isCopy(at: number): boolean {
    return ((this.bytes[at + 3] as number) & FROM_FLASH) !== 0;
  }

  private isInflight(at: number): boolean {
    return ((this.bytes[at + 3] as number) & INFLIGHT) !== 0;
  }

  private isGone(at: number): boolean {
    return ((this.bytes[at + 3] as number) & RELEASED) !== 0;
  }
}
