// One network connection of an MQTT client: the stream, the room in it, the version that is
// spoken on it, and what the server announced when it accepted.

import type { ConnectOptions, Memory, Platform, Stream, StreamHandlers } from '../platform.ts';
import type { Packet, ProtocolVersion, Qos, Subscription } from './packet.ts';
import { isShared } from './topic.ts';
import { writeAck, writeDisconnect, writeSubscribe } from './write.ts';

/** Largest acknowledgement: header 2, packet id 2, reason 1, property length 1. */
export const ACK_SIZE_MAX = 6;
/** Room that DISCONNECT needs. */
const DISCONNECT_SIZE_MAX = 16;

const RETAIN = 1;
const WILDCARD = 2;
const SHARED = 4;

export class Connection {
  version: ProtocolVersion = 5;
  /** Monotonic ms at which the server accepted, and of the last bytes each way; NaN = never. */
  acceptedMs = Number.NaN;
  sentMs = Number.NaN;
  receivedMs = Number.NaN;
  /** Bytes that can be written now. */
  room = 0;
  /** Room that belongs to the answers to what was read and is not handled yet. */
  reserved = 0;
  /** True when a packet waits for room that is only reserved. */
  starved = false;
  /** What the server announced in CONNACK (MQTT 5 §3.2.2.3). */
  receiveMaximum = 65535;
  qosMax: Qos = 2;
  /** Bytes; 0 = no limit. */
  packetSizeMax = 0;
  /** Topic aliases that the server takes; 0 = none. */
  topicAliasMaximum = 0;
  /** What it has, in bits: one number takes less RAM than three flags. */
  private features = RETAIN | WILDCARD | SHARED;
  /** True once a PUBLISH on this connection has introduced the alias. */
  aliasKnown = false;
  /** Counts streams, so that a loop over one notices that a handler opened another. */
  epoch = 0;
  private readonly platform: Platform;
  private stream: Stream | undefined = undefined;

  constructor(platform: Platform) {
    this.platform = platform;
  }

  get memory(): Memory {
    return this.platform.memory;
  }

  /** Opens a stream; `handlers` find `target` as theirs. */
  open(options: ConnectOptions, handlers: StreamHandlers, target: unknown): void {
    this.epoch += 1;
    this.stream = this.platform.connect(options, handlers, target);
  }

  get retainAvailable(): boolean {
    return (this.features & RETAIN) !== 0;
  }

  get isOpen(): boolean {
    return this.stream !== undefined;
  }

  accepted(packet: Packet): void {
    this.acceptedMs = this.receivedMs;
    this.receiveMaximum = packet.receiveMaximum;
    this.qosMax = packet.maximumQos;
    this.packetSizeMax = packet.maximumPacketSize;
    this.topicAliasMaximum = this.version === 5 ? packet.topicAliasMaximum : 0;
    this.features =
      (packet.retainAvailable ? RETAIN : 0) |
      (packet.wildcardAvailable ? WILDCARD : 0) |
      (packet.sharedAvailable ? SHARED : 0);
    this.aliasKnown = false;
  }

  /** Those subscriptions that the server did not rule out (MQTT 5 §3.2.2.3.11, §3.2.2.3.13). */
  takenFilters(wanted: readonly Subscription[]): readonly Subscription[] {
    const hasWildcard = (this.features & WILDCARD) !== 0;
    const hasShared = (this.features & SHARED) !== 0;
    if (hasWildcard && hasShared) return wanted;
    const taken: Subscription[] = [];
    for (let index = 0; index < wanted.length; index += 1) {
      const subscription = wanted[index] as Subscription;
      const { filter } = subscription;
      const isWild = filter.indexOf('+') >= 0 || filter.indexOf('#') >= 0;
      if ((hasWildcard || !isWild) && (hasShared || !isShared(filter))) {
        taken.push(subscription);
      }
    }
    return taken;
  }

  /** Reads into the shared receive buffer; returns the count, 0 when nothing can be read now. */
  read(): number {
    const stream = this.stream;
    const { receive } = this.platform.memory;
    // An answer is never longer than what it answers, but a packet's last byte may come alone: with
    // room for one answer more than bytes are read there is room for every acknowledgement.
    const size = Math.min(receive.length, this.room - ACK_SIZE_MAX);
    const count = stream === undefined || size <= 0 ? 0 : stream.read(receive, size);
    this.reserved = count > 0 ? count + ACK_SIZE_MAX : 0;
    if (count > 0) this.receivedMs = this.platform.clock.monotonicMs();
    return count;
  }

  /** True when `size` bytes can be written and every answer that is due still has its room. */
  hasRoom(size: number): boolean {
    if (size > this.room) return false;
    if (size > this.room - this.reserved) this.starved = true;
    return !this.starved;
  }

  /** Sends SUBSCRIBE: 'later' while there is no room, 'never' when it is larger than allowed. */
  subscribe(packetId: number, filters: readonly Subscription[]): 'sent' | 'later' | 'never' {
    const { transmit } = this.platform.memory;
    const end = writeSubscribe(transmit, 0, this.version, packetId, filters);
    if (end > transmit.length || (this.packetSizeMax > 0 && end > this.packetSizeMax)) {
      return 'never';
    }
    if (!this.hasRoom(end)) return 'later';
    this.flush(end);
    return 'sent';
  }

  /**
   * Sends the transmit buffer's first `end` bytes, for which there is room; nothing when the server
   * takes no packet of that size (MQTT-3.2.2-15).
   */
  flush(end: number): void {
    // Bounds what is not measured before: no answer or farewell has more than 9 bytes.
    if (this.packetSizeMax > 0 && end > this.packetSizeMax) return;
    const stream = this.stream as Stream;
    this.room = stream.write(this.platform.memory.transmit, 0, end);
    this.sentMs = this.platform.clock.monotonicMs();
  }

  /** Sends PUBACK, PUBREC, PUBREL or PUBCOMP. */
  acknowledge(type: number, packetId: number, reasonCode: number): void {
    const { transmit } = this.platform.memory;
    this.flush(writeAck(transmit, 0, type, packetId, this.version, reasonCode));
  }

  /** Sends DISCONNECT, where there is room for it. */
  disconnect(reasonCode: number, sessionExpiryS?: number): void {
    if (this.room < DISCONNECT_SIZE_MAX) return;
    const { transmit } = this.platform.memory;
    this.flush(writeDisconnect(transmit, 0, this.version, reasonCode, sessionExpiryS));
  }

  close(): void {
    const stream = this.stream;
    this.stream = undefined;
    this.epoch += 1;
    this.packetSizeMax = 0;
    this.room = 0;
    this.reserved = 0;
    this.starved = false;
    if (stream !== undefined) stream.close();
  }
}
