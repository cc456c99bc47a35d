// One network connection of an MQTT client: the stream, the room in it, the version that is
// spoken on it, and what the server announced when it accepted.

import type { ConnectOptions, Memory, Platform, Stream, StreamHandlers } from '../platform.ts';
import type { ClientProfile } from './client-profile.ts';
import type { Packet, ProtocolVersion, Qos, Subscription, Will } from './packet.ts';
import {
  PACKET_TOO_LARGE,
  SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
  SUCCESS,
  WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
} from './reason-codes.ts';
import { isShared } from './topic.ts';
import { writeAck, writeConnect, writeDisconnect, writePingreq, writeSubscribe } from './write.ts';

/** Largest acknowledgement: header 2, packet id 2, reason 1, property length 1. */
export const ACK_SIZE_MAX = 6;
/** How long PINGRESP and SUBACK may take. */
export const ANSWER_MS_MAX = 10000;
/** PINGREQ goes out at this share of the keep-alive, so that a late timer is still in time. */
const PING_SHARE = 0.75;
/** Room that DISCONNECT needs. */
const DISCONNECT_SIZE_MAX = 16;

/** Filters in one SUBSCRIBE: what AWS IoT takes. */
const FILTER_COUNT_MAX = 8;

const RETAIN = 1;
const WILDCARD = 2;
const SHARED = 4;
const STARVED = 8;
const ALIAS_KNOWN = 16;

export class Connection {
  version: ProtocolVersion = 5;
  /** Monotonic ms at which the server accepted, and of the last bytes each way; NaN = never. */
  acceptedMs = Number.NaN;
  sentMs = Number.NaN;
  receivedMs = Number.NaN;
  /** 0 = off. */
  keepAliveMs = 0;
  /** When PINGRESP is overdue; Infinity = none is awaited. */
  pingDeadlineMs = Number.POSITIVE_INFINITY;
  /** Bytes that can be written now. */
  room = 0;
  /** Room that belongs to the answers to what was read and is not handled yet. */
  reserved = 0;
  /** What the server announced in CONNACK (MQTT 5 §3.2.2.3). */
  receiveMaximum = 65535;
  qosMax: Qos = 2;
  /** Bytes; 0 = no limit. */
  packetSizeMax = 0;
  /** Topic aliases that the server takes; 0 = none. */
  topicAliasMaximum = 0;
  /** What it has, and two flags of ours: one number takes less RAM than five. */
  private features = RETAIN | WILDCARD | SHARED;
  /** Counts streams, so that a loop over one notices that a handler opened another. */
  epoch = 0;
  readonly platform: Platform;
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

  /** Sends CONNECT; false when it is too large. */
  connect(
    profile: ClientProfile,
    clientId: string,
    cleanStart: boolean,
    will: Will | undefined,
  ): boolean {
    const { transmit } = this.platform.memory;
    const end = writeConnect(transmit, 0, this.version, {
      clientId,
      cleanStart,
      keepAliveS: Math.min(65535, Math.ceil(profile.keepAliveMs / 1000)),
      username: profile.username,
      password: profile.password,
      will,
      sessionExpiryS: profile.sessionExpiryS,
      receiveMaximum: profile.receiveMax,
      maximumPacketSize: profile.packetSizeMax,
    });
    if (end > transmit.length || end > this.room) return false;
    this.flush(end);
    return true;
  }

  /** True where the server's Maximum Packet Size bounds our packets, and not the transmit buffer. */
  get isServersLimit(): boolean {
    return this.packetSizeMax > 0 && this.packetSizeMax < this.platform.memory.transmit.length;
  }

  get retainAvailable(): boolean {
    return (this.features & RETAIN) !== 0;
  }

  /** True when a packet waits for room that is only reserved. */
  get starved(): boolean {
    return (this.features & STARVED) !== 0;
  }

  set starved(is: boolean) {
    this.features = is ? this.features | STARVED : this.features & ~STARVED;
  }

  /** True once a PUBLISH on this connection has introduced the alias. */
  get aliasKnown(): boolean {
    return (this.features & ALIAS_KNOWN) !== 0;
  }

  set aliasKnown(is: true) {
    if (is) this.features |= ALIAS_KNOWN;
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
  }

  /**
   * Why the server takes no such subscription: it ruled it out (MQTT 5 §3.2.2.3.11, §3.2.2.3.13), or
   * no packet can hold it. SUCCESS = it may be asked for.
   */
  refusalOf(subscription: Subscription): number {
    const { filter } = subscription;
    if ((this.features & SHARED) === 0 && isShared(filter)) {
      return SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
    }
    if (
      (this.features & WILDCARD) === 0 &&
      (filter.indexOf('+') >= 0 || filter.indexOf('#') >= 0)
    ) {
      return WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED;
    }
    return this.takesSize(this.writeSubscribe(1, [subscription])) ? SUCCESS : PACKET_TOO_LARGE;
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

  /**
   * Sends as many of wanted[first …] as one SUBSCRIBE takes; false while there is no room for it.
   * `refusalOf` the first is SUCCESS.
   */
  subscribe(packetId: number, wanted: readonly Subscription[], first: number): boolean {
    let last = Math.min(wanted.length, first + FILTER_COUNT_MAX);
    for (let index = first; index < last; index += 1) {
      if (this.refusalOf(wanted[index] as Subscription) !== SUCCESS) last = index;
    }
    let end = this.writeSubscribe(packetId, wanted.slice(first, last));
    for (; !this.takesSize(end); last -= 1) {
      end = this.writeSubscribe(packetId, wanted.slice(first, last - 1));
    }
    if (!this.hasRoom(end)) return false;
    this.flush(end);
    return true;
  }

  /** True for a packet that the transmit buffer holds and the server takes (MQTT-3.2.2-15). */
  takesSize(size: number): boolean {
    if (size > this.platform.memory.transmit.length) return false;
    return this.packetSizeMax === 0 || size <= this.packetSizeMax;
  }

  private writeSubscribe(packetId: number, filters: readonly Subscription[]): number {
    return writeSubscribe(this.platform.memory.transmit, 0, this.version, packetId, filters);
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

  /** The monotonic ms at which `keepAlive` is wanted next; Infinity = never. */
  keepAliveDueMs(): number {
    const { keepAliveMs, pingDeadlineMs } = this;
    if (keepAliveMs === 0 || pingDeadlineMs !== Number.POSITIVE_INFINITY) return pingDeadlineMs;
    // Silence of either side counts: a dead peer takes what we send without an error.
    return Math.min(this.sentMs, this.receivedMs) + keepAliveMs * PING_SHARE;
  }

  /** Sends PINGREQ when it is due; false when PINGRESP is overdue. */
  keepAlive(nowMs: number): boolean {
    if (this.keepAliveDueMs() > nowMs) return true;
    if (this.pingDeadlineMs !== Number.POSITIVE_INFINITY) return false;
    // No later than the next packet must go out, which would be another PINGREQ (MQTT-3.1.2-20).
    this.pingDeadlineMs = nowMs + Math.min(ANSWER_MS_MAX, this.keepAliveMs);
    if (this.room >= 2) this.flush(writePingreq(this.platform.memory.transmit, 0));
    return true;
  }

  close(): void {
    const stream = this.stream;
    this.stream = undefined;
    this.pingDeadlineMs = Number.POSITIVE_INFINITY;
    this.epoch += 1;
    this.packetSizeMax = 0;
    this.room = 0;
    this.reserved = 0;
    this.starved = false;
    if (stream !== undefined) stream.close();
  }
}
