// Store and forward in RAM: payloads wait here, by priority, until the server has taken them.
//
// Records lie one after another in the device's bytes. A released record stays as a hole until
// it is the last one or room is needed; then the rest moves down. An empty outbox starts at
// offset 0 again, so a device that is online touches the same few bytes over and over.

import { assert } from '../assert.ts';
import { readUint32, writeUint32 } from '../codec/uint32.ts';
import { BUFFER_FULL, LARGER_THAN_BUFFER } from '../drop-cause.ts';

/**
 * Bytes before each payload: size u16, kind 3 bits with 5 more of the size above them, flags u8,
 * id u32, sequence u32, timeMs u32.
 */
export const RECORD_HEADER_SIZE = 16;
/** Largest payload of a record, and so of a message that is buffered: 1 MB. */
export const PAYLOAD_SIZE_MAX = 1048576;

export const PRIORITY_LOW = 0;
export const PRIORITY_NORMAL = 1;
/** Alarms: the newest goes out before everything else. */
export const PRIORITY_HIGH = 2;
export type Priority = 0 | 1 | 2;

/** What happens to an append when the outbox is full. */
export type FullPolicy = 'drop-oldest' | 'drop-newest' | 'drop-lowest-priority';

/**
 * Where an appended record is: 'durable' survives a reset, 'volatile' does not; 'dropped' is
 * nowhere: the full policy gave up the new record.
 */
export type AppendOutcome = 'durable' | 'volatile' | 'dropped';

/** In the flags byte. */
export const PRIORITY_MASK = 3;
export const INFLIGHT = 4;
export const RELEASED = 8;
/** Of the third byte of a record. */
const KIND_BITS = 3;
const KIND_MASK = 7;
const NONE = -1;

/** Told about every record that is dropped for want of room; must not append another. */
export interface OutboxOwner {
  /** `cause`: BUFFER_FULL or LARGER_THAN_BUFFER. */
  onRecordDropped(kind: number, sequence: number, cause: number): void;
}

export class Outbox {
  /** Records dropped by the full policy since the start. */
  droppedCount = 0;
  /** Where the payload ranges of positions lie. */
  readonly bytes: Uint8Array;
  /** Records in `bytes` that wait or are in flight. */
  protected ramCount = 0;
  protected used = 0;
  protected idNext = 1;
  protected readonly size: number;
  private readonly policy: FullPolicy;
  protected readonly owner: OutboxOwner;

  /** Lives in bytes[0, size), which belongs to the device. */
  constructor(bytes: Uint8Array, size: number, policy: FullPolicy, owner: OutboxOwner) {
    assert(size <= bytes.length, 'outbox past its bytes');
    this.bytes = bytes;
    this.size = size;
    this.policy = policy;
    this.owner = owner;
  }

  /** Bytes from the first record to the end of the last. */
  get usedSize(): number {
    return this.used;
  }

  /** Part of the room that is taken, 0 to 1. */
  get usedShare(): number {
    return this.used / this.size;
  }

  /** Puts every record where it survives a reset; false when one has no such place. */
  secure(): boolean {
    return this.count === 0;
  }

  /** Records that wait or are in flight. */
  get count(): number {
    return this.ramCount;
  }

  /**
   * Copies payload[0, payloadSize) in as a new record. `kind` is 0-7; `timeMs` is the monotonic
   * time that it is about, in whole ms modulo 2^32.
   *
   * Returns 'volatile': a RAM record does not survive a reset. Returns 'dropped' when the full
   * policy gave up the new record; records given up for it are reported to the owner.
   */
  append(
    kind: number,
    priority: Priority,
    sequence: number,
    timeMs: number,
    payload: Uint8Array,
    payloadSize: number,
  ): AppendOutcome {
    const need = RECORD_HEADER_SIZE + payloadSize;
    // Writers count on past the end of their target: such a payload was never there as a whole.
    const isWhole = payloadSize <= payload.length && payloadSize <= PAYLOAD_SIZE_MAX;
    const isTooLarge = !isWhole || need > this.size;
    if (isTooLarge || !this.makeRoom(need, priority)) {
      this.droppedCount += 1;
      this.owner.onRecordDropped(kind, sequence, isTooLarge ? LARGER_THAN_BUFFER : BUFFER_FULL);
      return 'dropped';
    }
    const at = this.used;
    const bytes = this.bytes;
    this.writeHead(at, payloadSize, kind, priority);
    writeUint32(bytes, at + 4, this.idNext);
    writeUint32(bytes, at + 8, sequence);
    writeUint32(bytes, at + 12, timeMs);
    const payloadAt = at + RECORD_HEADER_SIZE;
    for (let index = 0; index < payloadSize; index += 1) {
      bytes[payloadAt + index] = payload[index] as number;
    }
    this.used += need;
    this.ramCount += 1;
    // 0 is no record's id: the owner uses it for messages that are not buffered.
    this.idNext = this.idNext === 0xffffffff ? 1 : this.idNext + 1;
    return 'volatile';
  }

  /**
   * Position of the record to send next, or -1: the newest waiting alarm, else the oldest
   * waiting record. Positions are valid until the next append, release or drop.
   */
  next(): number {
    let oldest = NONE;
    let newestAlarm = NONE;
    for (let at = 0; at < this.used; at = this.after(at)) {
      const flags = this.bytes[at + 3] as number;
      if ((flags & (INFLIGHT | RELEASED)) !== 0) continue;
      if ((flags & PRIORITY_MASK) === PRIORITY_HIGH) newestAlarm = at;
      else if (oldest === NONE) oldest = at;
    }
    return newestAlarm === NONE ? oldest : newestAlarm;
  }

  /** As `next`, of the records whose time is `sinceMs` (modulo 2^32) or later. */
  nextSince(sinceMs: number): number {
    for (let at = 0; at < this.used; at = this.after(at)) {
      const waits = ((this.bytes[at + 3] as number) & (INFLIGHT | RELEASED)) === 0;
      if (waits && ((this.timeMsAt(at) - sinceMs) | 0) >= 0) return at;
    }
    return NONE;
  }

  /** Position of the record with this id, or -1 when it is gone. */
  find(id: number): number {
    for (let at = 0; at < this.used; at = this.after(at)) {
      if (this.idAt(at) === id && ((this.bytes[at + 3] as number) & RELEASED) === 0) return at;
    }
    return NONE;
  }

  kindAt(at: number): number {
    return (this.bytes[at + 2] as number) & KIND_MASK;
  }

  idAt(at: number): number {
    return readUint32(this.bytes, at + 4);
  }

  sequenceAt(at: number): number {
    return readUint32(this.bytes, at + 8);
  }

  timeMsAt(at: number): number {
    return readUint32(this.bytes, at + 12);
  }

  /** True for a record of an earlier boot: `timeMsAt` is not the time that it is about. */
  isRecovered(_at: number): boolean {
    return false;
  }

  payloadStart(at: number): number {
    return at + RECORD_HEADER_SIZE;
  }

  payloadEnd(at: number): number {
    return this.after(at);
  }

  /** In flight: `next` passes over it, and no policy drops it. */
  setInflight(at: number): void {
    this.bytes[at + 3] = (this.bytes[at + 3] as number) | INFLIGHT;
  }

  /** Waiting again: the server refused it for now, or lost the session. */
  setWaiting(at: number): void {
    this.bytes[at + 3] = (this.bytes[at + 3] as number) & ~INFLIGHT;
  }

  /** Everything waits again: the server has no session of ours. */
  setAllWaiting(): void {
    for (let at = 0; at < this.used; at = this.after(at)) this.setWaiting(at);
  }

  /** Lets a record go; its room is used again. */
  release(at: number): void {
    this.remove(at);
  }

  /** Calls the owner for every record that is still here, oldest first. */
  forEach(visit: (kind: number, sequence: number) => void): void {
    for (let at = 0; at < this.used; at = this.after(at)) {
      if (((this.bytes[at + 3] as number) & RELEASED) === 0) {
        visit(this.kindAt(at), this.sequenceAt(at));
      }
    }
  }

  /** Takes a record out of `bytes`. */
  protected remove(at: number): void {
    this.bytes[at + 3] = (this.bytes[at + 3] as number) | RELEASED;
    this.ramCount -= 1;
    if (this.ramCount === 0) this.used = 0;
    else if (this.after(at) === this.used) this.used = at;
  }

  /** Makes `need` bytes free at the end; false when the policy says that the new record goes. */
  private makeRoom(need: number, priority: Priority): boolean {
    if (this.used + need <= this.size) return true;
    let live = this.compact();
    // Nothing is given up for a record that would not fit even then.
    if (live - this.droppableSize(priority) + need > this.size) return false;
    while (live + need > this.size) {
      const victim = this.victim(priority);
      this.droppedCount += 1;
      this.owner.onRecordDropped(this.kindAt(victim), this.sequenceAt(victim), BUFFER_FULL);
      this.release(victim);
      live = this.compact();
    }
    return true;
  }

  /** Bytes of the waiting records that the policy may give up for one of `priority`. */
  private droppableSize(priority: Priority): number {
    if (this.policy === 'drop-newest') return 0;
    const highest = this.policy === 'drop-oldest' ? PRIORITY_HIGH : priority;
    let size = 0;
    for (let at = 0; at < this.used; at = this.after(at)) {
      const flags = this.bytes[at + 3] as number;
      const waits = (flags & (INFLIGHT | RELEASED)) === 0;
      if (waits && (flags & PRIORITY_MASK) <= highest) size += this.after(at) - at;
    }
    return size;
  }

  /** The waiting record that the policy gives up next for one of `priority`. */
  private victim(priority: Priority): number {
    let found = NONE;
    let lowest = this.policy === 'drop-oldest' ? PRIORITY_MASK : priority + 1;
    for (let at = 0; at < this.used; at = this.after(at)) {
      const flags = this.bytes[at + 3] as number;
      if ((flags & (INFLIGHT | RELEASED)) !== 0) continue;
      if (this.policy === 'drop-oldest') return at;
      if ((flags & PRIORITY_MASK) < lowest) {
        lowest = flags & PRIORITY_MASK;
        found = at;
      }
    }
    return found;
  }

  /** Closes the holes; returns the bytes in use. */
  protected compact(): number {
    const bytes = this.bytes;
    let to = 0;
    let at = 0;
    while (at < this.used) {
      const end = this.after(at);
      if (((bytes[at + 3] as number) & RELEASED) !== 0) {
        at = end;
      } else if (to === at) {
        at = end;
        to = end;
      } else {
        while (at < end) {
          bytes[to] = bytes[at] as number;
          to += 1;
          at += 1;
        }
      }
    }
    this.used = to;
    return to;
  }

  /** The first four bytes of a record. */
  protected writeHead(at: number, payloadSize: number, kind: number, flags: number): void {
    const { bytes } = this;
    bytes[at] = (payloadSize >> 8) & 255;
    bytes[at + 1] = payloadSize & 255;
    bytes[at + 2] = kind | ((payloadSize >> 16) << KIND_BITS);
    bytes[at + 3] = flags;
  }

  protected after(at: number): number {
    const { bytes } = this;
    const high = (bytes[at + 2] as number) >> KIND_BITS;
    const low = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    return at + RECORD_HEADER_SIZE + ((high << 16) | low);
  }
}
