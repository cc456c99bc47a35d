// From bytes of a stream to whole packets (MQTT 3.1.1 §2.2, MQTT 5 §2.1).
//
// Whole packets are handled where they were read. Only a packet that is cut in two costs memory,
// and only until it is whole. A packet larger than the device can hold is skipped as it
// streams by: a disconnect would make the server send the same QoS 1 message again, for ever.

import type { Memory } from '../platform.ts';
import { FIXED_HEADER_SIZE_MAX, PUBLISH } from './packet.ts';
import { frameSize } from './read.ts';

/** What a receiver hands its packets to. */
export interface PacketTarget {
  /** One whole packet, valid until the return; false stops: the connection is gone. */
  onPacket(source: Uint8Array, start: number, end: number): boolean;
  /** A PUBLISH too large to hold went by; packetId is 0 where it has none. False stops. */
  onOversize(qos: number, packetId: number): boolean;
  /** The Remaining Length is malformed, or a packet that must be read whole is too large. */
  onUnframed(): void;
}

const EMPTY = -1;

export class Receiver {
  private readonly memory: Memory;
  private readonly sizeMax: number;
  private readonly target: PacketTarget;
  /** The packet that is being assembled; absent between packets. */
  private held: Uint8Array | undefined = undefined;
  private heldCount = 0;
  /** Whole size of the held packet; 0 while its length is not known. */
  private heldSize = 0;
  /** Bytes of an oversize PUBLISH still to come. */
  private skipCount = 0;
  /** Position in the variable header of the PUBLISH that is skipped: topic length, topic, id. */
  private skipAt = 0;
  private skipTopicSize = 0;
  /** Its QoS times 65,536, and its packet id. */
  private skipQosAndId = 0;

  /** Packets of more than `sizeMax` bytes are skipped. */
  constructor(memory: Memory, sizeMax: number, target: PacketTarget) {
    this.memory = memory;
    this.sizeMax = sizeMax;
    this.target = target;
  }

  /** True between two packets. */
  get idle(): boolean {
    return this.held === undefined && this.skipCount === 0;
  }

  /** Forgets a half-received packet: the connection is over. */
  reset(): void {
    this.releaseHeld();
    this.skipCount = 0;
  }

  /** Takes source[0, end) as the next bytes of the stream; false when the target stopped. */
  take(source: Uint8Array, end: number): boolean {
    let at = 0;
    while (at < end) {
      if (this.skipCount > 0) at = this.skip(source, at, end);
      else if (this.held !== undefined) at = this.assemble(source, at, end);
      else at = this.handle(source, at, end);
      if (at === EMPTY) return false;
    }
    return true;
  }

  /** A packet that begins in `source`; returns the offset after what was used. */
  private handle(source: Uint8Array, start: number, end: number): number {
    const size = frameSize(source, start, end);
    if (size < 0) {
      this.target.onUnframed();
      return EMPTY;
    }
    if (size > this.sizeMax) return this.beginSkip(source, start, end, size);
    if (size === 0 || start + size > end) {
      this.hold(source, start, end, size);
      return end;
    }
    return this.target.onPacket(source, start, start + size) ? start + size : EMPTY;
  }

  private hold(source: Uint8Array, start: number, end: number, size: number): void {
    const held = this.memory.allocate(size === 0 ? FIXED_HEADER_SIZE_MAX : size);
    for (let at = start; at < end; at += 1) held[at - start] = source[at] as number;
    this.held = held;
    this.heldCount = end - start;
    this.heldSize = size;
  }

  /** Moves bytes to the held packet until it is whole. */
  private assemble(source: Uint8Array, start: number, end: number): number {
    const held = this.held as Uint8Array;
    let at = start;
    if (this.heldSize === 0) {
      held[this.heldCount] = source[at] as number;
      this.heldCount += 1;
      at += 1;
      const size = frameSize(held, 0, this.heldCount);
      if (size === 0) return at;
      return this.sizeHeld(held, size) ? at : EMPTY;
    }
    while (at < end && this.heldCount < this.heldSize) {
      held[this.heldCount] = source[at] as number;
      this.heldCount += 1;
      at += 1;
    }
    if (this.heldCount < this.heldSize) return at;
    return this.finishHeld(held) ? at : EMPTY;
  }

  /** The length of the held packet is known now: take room for all of it. */
  private sizeHeld(header: Uint8Array, size: number): boolean {
    const count = this.heldCount;
    this.held = undefined;
    this.heldCount = 0;
    let going = true;
    if (size < 0) {
      this.target.onUnframed();
      going = false;
    } else if (size > this.sizeMax) {
      going = this.beginSkip(header, 0, count, size) !== EMPTY;
    } else {
      this.hold(header, 0, count, size);
      if (count === size) going = this.finishHeld(this.held as unknown as Uint8Array);
    }
    this.memory.release(header);
    return going;
  }

  private finishHeld(held: Uint8Array): boolean {
    const size = this.heldSize;
    // The handler may end the connection and reset this receiver: let go of the packet first.
    this.held = undefined;
    this.heldCount = 0;
    const going = this.target.onPacket(held, 0, size);
    this.memory.release(held);
    return going;
  }

  private releaseHeld(): void {
    if (this.held === undefined) return;
    this.memory.release(this.held);
    this.held = undefined;
    this.heldCount = 0;
  }

  private beginSkip(source: Uint8Array, start: number, end: number, size: number): number {
    const first = source[start] as number;
    if (first >> 4 !== PUBLISH) {
      this.target.onUnframed();
      return EMPTY;
    }
    let headerSize = 2;
    while (((source[start + headerSize - 1] as number) & 128) !== 0) headerSize += 1;
    this.skipCount = size - headerSize;
    this.skipAt = 0;
    this.skipTopicSize = 0;
    this.skipQosAndId = ((first >> 1) & 3) << 16;
    return start + headerSize < end ? this.skip(source, start + headerSize, end) : end;
  }

  private skip(source: Uint8Array, start: number, end: number): number {
    const count = Math.min(this.skipCount, end - start);
    // Only the topic's length and the packet id matter; all else goes by unread.
    for (let index = 0; index < count && this.skipAt + index < 2; index += 1) {
      this.skipTopicSize = (this.skipTopicSize << 8) | (source[start + index] as number);
    }
    const idAt = 2 + this.skipTopicSize - this.skipAt;
    for (let index = Math.max(0, idAt); index < count && index < idAt + 2; index += 1) {
      const packetId = ((this.skipQosAndId & 255) << 8) | (source[start + index] as number);
      this.skipQosAndId = (this.skipQosAndId & 0x30000) | packetId;
    }
    this.skipAt += count;
    this.skipCount -= count;
    if (this.skipCount > 0) return start + count;
    // A topic that reaches past the packet leaves no packet id, or half of one.
    const qos = this.skipQosAndId >> 16;
    const hasId = qos > 0 && 4 + this.skipTopicSize <= this.skipAt;
    const packetId = hasId ? this.skipQosAndId & 65535 : 0;
    return this.target.onOversize(qos, packetId) ? start + count : EMPTY;
  }
}
