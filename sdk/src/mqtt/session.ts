// The part of an MQTT session that outlives a connection: packet identifiers in use, messages
// in flight in the order they were sent, and incoming QoS 2 identifiers
// (MQTT 3.1.1 §3.1.2.4, §4.3, §4.4; MQTT 5 §4.1).

import { assert } from '../assert.ts';
import { readUint32, writeUint32 } from '../codec/uint32.ts';
import type { Qos } from './packet.ts';

/** Bytes per message in flight: packetId u16, state u8, tick u8, reference u32. */
const ENTRY_SIZE = 8;
/** Bytes per incoming QoS 2 packet identifier. */
const INCOMING_SIZE = 2;

/** What a message in flight waits for. */
export const AWAIT_PUBACK = 1;
export const AWAIT_PUBREC = 2;
export const AWAIT_PUBCOMP = 3;

export class Session {
  /** Messages in flight; also counts entries in AWAIT_PUBCOMP. */
  inflightCount = 0;
  /** Incoming QoS 2 messages that await PUBREL. */
  incomingCount = 0;
  /** So many of them, the first, may be of a session that the server does not have any more. */
  private doubtfulCount = 0;
  private packetIdLast = 0;
  private readonly bytes: Uint8Array;
  private readonly start: number;
  private readonly inflightMax: number;
  private readonly incomingMax: number;

  /** Bytes that a session with these limits needs. */
  static size(inflightMax: number, incomingMax: number): number {
    return inflightMax * ENTRY_SIZE + incomingMax * INCOMING_SIZE;
  }

  /** Lives in bytes[start, start + Session.size(…)), which belongs to the device. */
  constructor(bytes: Uint8Array, start: number, inflightMax: number, incomingMax: number) {
    assert(
      start + Session.size(inflightMax, incomingMax) <= bytes.length,
      'session past its bytes',
    );
    this.bytes = bytes;
    this.start = start;
    this.inflightMax = inflightMax;
    this.incomingMax = incomingMax;
  }

  get full(): boolean {
    return this.inflightCount === this.inflightMax;
  }

  /** True when no exchange is under way, in either direction. */
  get isIdle(): boolean {
    return this.inflightCount === 0 && this.incomingCount === 0;
  }

  /** Forgets everything: the server holds no session either. Packet ids go on counting. */
  clear(): void {
    this.inflightCount = 0;
    this.incomingCount = 0;
    this.doubtfulCount = 0;
  }

  /** The server may have begun another session since: its packet ids may mean other messages. */
  doubtIncoming(): void {
    this.doubtfulCount = this.incomingCount;
  }

  /** True for a second copy of an incoming QoS 2 message that was delivered. */
  isIncoming(packetId: number, dup: boolean): boolean {
    const index = this.incomingIndexOf(packetId);
    // Another session counts its packet ids anew: without DUP it is a first copy (MQTT-3.3.1-1).
    if (index < 0 || dup || index >= this.doubtfulCount) return index >= 0;
    this.removeIncoming(index);
    return false;
  }

  /** A packet identifier that nothing in flight uses (MQTT-2.2.1-3); `busy` is one more in use. */
  nextPacketId(busy: number): number {
    do {
      this.packetIdLast = this.packetIdLast === 65535 ? 1 : this.packetIdLast + 1;
    } while (this.packetIdLast === busy || this.indexOf(this.packetIdLast) >= 0);
    return this.packetIdLast;
  }

  /** Appends a message that is being sent; the caller checked `full`. */
  add(packetId: number, qos: Qos, reference: number): void {
    assert(!this.full, 'inflight table full');
    const at = this.start + this.inflightCount * ENTRY_SIZE;
    const bytes = this.bytes;
    bytes[at] = packetId >> 8;
    bytes[at + 1] = packetId & 255;
    bytes[at + 2] = qos === 2 ? AWAIT_PUBREC : AWAIT_PUBACK;
    writeUint32(bytes, at + 4, reference);
    this.inflightCount += 1;
  }

  /** Index of the entry in flight with this packet id, or -1. */
  indexOf(packetId: number): number {
    for (let index = 0; index < this.inflightCount; index += 1) {
      if (this.packetIdAt(index) === packetId) return index;
    }
    return -1;
  }

  packetIdAt(index: number): number {
    const at = this.start + index * ENTRY_SIZE;
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  stateAt(index: number): number {
    return this.bytes[this.start + index * ENTRY_SIZE + 2] as number;
  }

  /** It was sent, or moved on, at `tick`, of which 8 bits are kept. */
  setTick(index: number, tick: number): void {
    this.bytes[this.start + index * ENTRY_SIZE + 3] = tick & 255;
  }

  /** Ticks from `setTick` to `tick`, modulo 256. */
  ageAt(index: number, tick: number): number {
    return (tick - (this.bytes[this.start + index * ENTRY_SIZE + 3] as number)) & 255;
  }

  /**
   * The server owns the message now; only its PUBCOMP is still to come. The entry moves up behind
   * those of which the same is true, so that PUBRELs that are sent again keep the order of the
   * PUBRECs (MQTT-4.6.0-4) and come before the PUBLISHes behind them. Returns its new index.
   */
  setReceived(index: number): number {
    const { bytes, start } = this;
    let to = 0;
    while (this.stateAt(to) === AWAIT_PUBCOMP) to += 1;
    for (let offset = 0; offset < ENTRY_SIZE; offset += 1) {
      let at = start + index * ENTRY_SIZE + offset;
      const byte = bytes[at] as number;
      for (; at >= start + (to + 1) * ENTRY_SIZE; at -= ENTRY_SIZE) {
        bytes[at] = bytes[at - ENTRY_SIZE] as number;
      }
      bytes[at] = byte;
    }
    bytes[start + to * ENTRY_SIZE + 2] = AWAIT_PUBCOMP;
    return to;
  }

  referenceAt(index: number): number {
    return readUint32(this.bytes, this.start + index * ENTRY_SIZE + 4);
  }

  /** Takes an entry out; those behind it move up, so the order of sending stays. */
  remove(index: number): void {
    const end = this.start + this.inflightCount * ENTRY_SIZE;
    for (let at = this.start + index * ENTRY_SIZE; at + ENTRY_SIZE < end; at += 1) {
      this.bytes[at] = this.bytes[at + ENTRY_SIZE] as number;
    }
    this.inflightCount -= 1;
  }

  /** Index of an incoming QoS 2 packet id that was delivered and awaits PUBREL, or -1. */
  incomingIndexOf(packetId: number): number {
    for (let index = 0; index < this.incomingCount; index += 1) {
      const at = this.incomingAt(index);
      if ((((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number)) === packetId) {
        return index;
      }
    }
    return -1;
  }

  /** Remembers a delivered QoS 2 packet id; false when there are as many as our Receive Maximum. */
  addIncoming(packetId: number): boolean {
    // Within one session there are never more than our Receive Maximum: the oldest was of another.
    if (this.incomingCount === this.incomingMax && this.doubtfulCount > 0) this.removeIncoming(0);
    if (this.incomingCount === this.incomingMax) return false;
    const at = this.incomingAt(this.incomingCount);
    this.bytes[at] = packetId >> 8;
    this.bytes[at + 1] = packetId & 255;
    this.incomingCount += 1;
    return true;
  }

  removeIncoming(index: number): void {
    this.incomingCount -= 1;
    if (index < this.doubtfulCount) this.doubtfulCount -= 1;
    const end = this.incomingAt(this.incomingCount);
    for (let at = this.incomingAt(index); at < end; at += 1) {
      this.bytes[at] = this.bytes[at + INCOMING_SIZE] as number;
    }
  }

  private incomingAt(index: number): number {
    return this.start + this.inflightMax * ENTRY_SIZE + index * INCOMING_SIZE;
  }
}
