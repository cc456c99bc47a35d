// Messages both ways over a connection, with what the session remembers of them
// (MQTT 3.1.1 §4.3-4.6, MQTT 5 §4.3-4.9): QoS 0, 1 and 2, retransmission, flow control.

import { pauseMs } from '../backoff.ts';
import { utf8Size, writeUtf8 } from '../codec/text.ts';
import type { ClientProfile } from './client-profile.ts';
import { ACK_SIZE_MAX, type Connection } from './connection.ts';
import { type Packet, PUBACK, PUBCOMP, PUBREC, PUBREL, type Qos } from './packet.ts';
import { QOS_NOT_SUPPORTED, QUOTA_EXCEEDED, SUCCESS } from './reason-codes.ts';
import { AWAIT_PUBACK, AWAIT_PUBCOMP, AWAIT_PUBREC, type Session } from './session.ts';
import { publishSize, writePublishHead, writePublishTail } from './write.ts';
import {
  correlationSize,
  topicAliasSize,
  writeCorrelation,
  writeTopicAlias,
} from './write-properties.ts';

/** Where an answer goes that was asked for with a Response Topic (MQTT 5 §4.10). */
export interface Reply {
  /** Whole, not by the template. */
  readonly topic: string;
  readonly correlation: Uint8Array | undefined;
}

/** What became of a `publish`. */
export const PUBLISH_LATER = 0;
/** Written at QoS 0: nothing more will be heard of it. */
export const PUBLISH_WRITTEN = 1;
/** In flight: `onSettled` follows, on this connection or a later one. */
export const PUBLISH_INFLIGHT = 2;
/** Larger than the server or the transmit buffer takes; it never will go. */
export const PUBLISH_TOO_LARGE = 3;
export type PublishResult = 0 | 1 | 2 | 3;

/** The device behind the messages. All calls are synchronous; none may throw. */
export interface DeliveryOwner {
  readonly id: string;
  /** A message; ranges of `source` are valid until the return. */
  onMessage(packet: Packet, source: Uint8Array): void;
  /** The server took the message (reason < 0x80) or refused it. */
  onSettled(reference: number, reasonCode: number): void;
  /** Calls `publishAgain` with this message; PUBLISH_TOO_LARGE when it is gone. */
  resend(reference: number): PublishResult;
}

/** Steps of `ackMsMax` in which the age of a message in flight is told, in one byte. */
const TICK_COUNT = 64;

export class Delivery {
  readonly session: Session;
  /** When `overdue` is wanted next; Infinity = never. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly connection: Connection;
  readonly profile: ClientProfile;
  private readonly owner: DeliveryOwner;
  /** Entries [resendIndex, resendCount) of the session are still to be sent again. */
  private resendIndex = 0;
  private resendCount = 0;
  /** True once a QoS 2 message of 3.1.1 found no room on this connection. */
  private passedOver = false;

  constructor(
    connection: Connection,
    profile: ClientProfile,
    session: Session,
    owner: DeliveryOwner,
  ) {
    this.connection = connection;
    this.profile = profile;
    this.session = session;
    this.owner = owner;
  }

  /** The server resumed our session: what was in flight goes out again before anything new. */
  resume(): void {
    this.resendIndex = 0;
    this.resendCount = this.session.inflightCount;
  }

  /** The connection is over. */
  suspend(): void {
    this.resendIndex = 0;
    this.resendCount = 0;
    this.passedOver = false;
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  /**
   * What the oldest message in flight waits for, when that has taken too long by `nowMs`; 0 = none
   * has. Looked at now and then only: the steady state pays for no timer.
   */
  overdue(nowMs: number): number {
    const { resendCount, resendIndex, session } = this;
    const tick = this.tickAt(nowMs);
    let oldest = -1;
    let state = 0;
    for (let index = 0; index < session.inflightCount; index += 1) {
      // What is still to be sent again waits for its turn.
      if (index >= resendIndex && index < resendCount) continue;
      const age = session.ageAt(index, tick);
      if (age <= oldest) continue;
      oldest = age;
      state = session.stateAt(index);
    }
    if (oldest > TICK_COUNT) return state;
    this.dueMs = oldest < 0 ? Number.POSITIVE_INFINITY : this.dueAfter(nowMs, oldest);
    return 0;
  }

  /** See `Client.publish`. `busyPacketId` is in use by a subscription. */
  publish(
    reference: number,
    topic: string,
    payload: Uint8Array,
    start: number,
    end: number,
    qosWanted: Qos,
    retain: boolean,
    busyPacketId: number,
    reply: Reply | undefined,
  ): PublishResult {
    if (this.resendIndex < this.resendCount) return PUBLISH_LATER;
    const { connection, session } = this;
    const qos = qosWanted > connection.qosMax ? connection.qosMax : qosWanted;
    if (qos > 0 && (session.full || session.inflightCount >= connection.receiveMaximum)) {
      return PUBLISH_LATER;
    }
    const alias = reply === undefined ? this.aliasOf(topic) : 0;
    const topicSize = this.topicSize(topic, alias, reply);
    const fits = this.fits(topicSize, this.propertiesSize(alias, reply), qos, end - start);
    if (fits !== PUBLISH_WRITTEN) return fits;
    const packetId = qos === 0 ? 0 : session.nextPacketId(busyPacketId);
    const flags = (qos << 1) | (retain && connection.retainAvailable ? 1 : 0);
    this.writePublish(flags, packetId, topic, alias, topicSize, payload, start, end, reply);
    if (qos === 0) return PUBLISH_WRITTEN;
    session.add(packetId, qos, reference);
    this.sent(session.inflightCount - 1);
    return PUBLISH_INFLIGHT;
  }

  /** Sends the message that `owner.resend` was asked for: same packet id, DUP set. */
  publishAgain(
    topic: string,
    payload: Uint8Array,
    start: number,
    end: number,
    retain: boolean,
    reply: Reply | undefined,
  ): PublishResult {
    const { connection, resendIndex, session } = this;
    const qos = session.stateAt(resendIndex) === AWAIT_PUBREC ? 2 : 1;
    const alias = reply === undefined ? this.aliasOf(topic) : 0;
    const topicSize = this.topicSize(topic, alias, reply);
    const fits = this.fits(topicSize, this.propertiesSize(alias, reply), qos, end - start);
    if (fits !== PUBLISH_WRITTEN) return fits;
    const flags = 8 | (qos << 1) | (retain && connection.retainAvailable ? 1 : 0);
    const packetId = session.packetIdAt(resendIndex);
    this.writePublish(flags, packetId, topic, alias, topicSize, payload, start, end, reply);
    this.sent(resendIndex);
    return PUBLISH_INFLIGHT;
  }

  /** Sends again what was in flight, in order (MQTT-4.4.0-1); true when nothing is left of it. */
  pump(): boolean {
    const { connection, session } = this;
    while (this.resendIndex < this.resendCount) {
      const index = this.resendIndex;
      if (session.stateAt(index) === AWAIT_PUBCOMP) {
        if (!connection.hasRoom(ACK_SIZE_MAX)) return false;
        connection.acknowledge(PUBREL, session.packetIdAt(index), SUCCESS);
        this.sent(index);
        this.resendIndex += 1;
        continue;
      }
      const qos = session.stateAt(index) === AWAIT_PUBREC ? 2 : 1;
      if (qos > connection.qosMax) {
        // The server takes less than it did (MQTT-3.2.2-11): the owner publishes it anew.
        const reference = session.referenceAt(index);
        this.removeInflight(index);
        this.owner.onSettled(reference, QOS_NOT_SUPPORTED);
        continue;
      }
      // The server's Receive Maximum counts anew on each connection (MQTT 5 §4.9).
      const flying = session.inflightCount - (this.resendCount - index);
      if (flying >= connection.receiveMaximum) return false;
      const result = this.owner.resend(session.referenceAt(index));
      if (result === PUBLISH_LATER) return false;
      if (result === PUBLISH_TOO_LARGE) this.removeInflight(index);
      else this.resendIndex += 1;
    }
    this.resendIndex = 0;
    this.resendCount = 0;
    return true;
  }

  /** A PUBLISH; false when the server exceeds our Receive Maximum. */
  receive(packet: Packet, source: Uint8Array): boolean {
    const { connection, owner, session } = this;
    // The handler may read another packet into the same struct.
    const { packetId, qos } = packet;
    const { epoch } = connection;
    if (qos === 2) {
      if (!session.isIncoming(packetId, packet.dup)) {
        if (this.passedOver || !session.addIncoming(packetId)) {
          // 3.1.1 has no Receive Maximum. Unacknowledged, the message comes again on the next
          // connection, which `complete` asks for; none behind it may overtake it.
          this.passedOver = connection.version === 4;
          return this.passedOver;
        }
        owner.onMessage(packet, source);
      }
    } else {
      owner.onMessage(packet, source);
    }
    // A handler that ended the connection, or made a new one, acknowledges nothing.
    if (qos > 0 && epoch === connection.epoch) {
      connection.acknowledge(qos === 1 ? PUBACK : PUBREC, packetId, SUCCESS);
    }
    return true;
  }

  /** A PUBLISH that was too large to hold is refused: 5 says so, 3.1.1 can only acknowledge. */
  refuse(qos: number, packetId: number): void {
    if (qos === 2 && this.passedOver) return;
    const code = this.connection.version === 5 ? QUOTA_EXCEEDED : SUCCESS;
    this.connection.acknowledge(qos === 1 ? PUBACK : PUBREC, packetId, code);
  }

  /**
   * PUBREL: the incoming QoS 2 exchange ends; an unknown id is answered all the same. False when a
   * new connection is needed for messages that were passed over.
   */
  complete(packetId: number): boolean {
    const index = this.session.incomingIndexOf(packetId);
    if (index >= 0) this.session.removeIncoming(index);
    this.connection.acknowledge(PUBCOMP, packetId, SUCCESS);
    return !this.passedOver || this.session.incomingCount > 0;
  }

  /** PUBACK, PUBREC or PUBCOMP of a message of ours. */
  settle(packet: Packet): void {
    const { connection, owner, session } = this;
    const { type, packetId, reasonCode } = packet;
    const index = session.indexOf(packetId);
    const state = index < 0 ? 0 : session.stateAt(index);
    if (type === PUBREC && (state === AWAIT_PUBCOMP || (state === 0 && reasonCode < 128))) {
      // Asked twice, or of a session that we lost: the release lets the server forget it.
      connection.acknowledge(PUBREL, packetId, SUCCESS);
    } else if (type === PUBREC && state === AWAIT_PUBREC) {
      const reference = session.referenceAt(index);
      if (reasonCode < 128) {
        const to = session.setReceived(index);
        const skipped = index >= this.resendIndex && index < this.resendCount;
        if (skipped && to <= this.resendIndex) this.resendIndex += 1;
        connection.acknowledge(PUBREL, packetId, SUCCESS);
        this.sent(to);
      } else {
        this.removeInflight(index);
      }
      owner.onSettled(reference, reasonCode);
    } else if (type === PUBACK && (state === AWAIT_PUBACK || this.isDowngrade(state))) {
      const reference = session.referenceAt(index);
      this.removeInflight(index);
      owner.onSettled(reference, reasonCode);
    } else if (type === PUBCOMP && state === AWAIT_PUBCOMP) {
      this.removeInflight(index);
    }
  }

  /** The message in flight at `index` waits from now on. */
  private sent(index: number): void {
    const { sentMs } = this.connection;
    this.session.setTick(index, this.tickAt(sentMs));
    if (this.dueMs === Number.POSITIVE_INFINITY) this.dueMs = this.dueAfter(sentMs, 0);
  }

  private tickAt(ms: number): number {
    return Math.floor((ms * TICK_COUNT) / this.profile.ackMsMax);
  }

  /** When a message that is `age` ticks old at `ms` is overdue, and up to a quarter later. */
  private dueAfter(ms: number, age: number): number {
    const { ackMsMax } = this.profile;
    const jitterMs = pauseMs(this.connection.platform, ackMsMax / 4, ackMsMax / 4, 0);
    return ms + ((TICK_COUNT + 1 - age) * ackMsMax) / TICK_COUNT + jitterMs;
  }

  /** RabbitMQ 3 takes QoS 2 as QoS 1: no PUBREC would ever follow its PUBACK. */
  private isDowngrade(state: number): boolean {
    return state === AWAIT_PUBREC && this.connection.version === 4;
  }

  private removeInflight(index: number): void {
    this.session.remove(index);
    if (index < this.resendIndex) this.resendIndex -= 1;
    if (index < this.resendCount) this.resendCount -= 1;
  }

  private fits(
    topicSize: number,
    propertiesSize: number,
    qos: Qos,
    payloadSize: number,
  ): PublishResult {
    const { connection } = this;
    const size = publishSize(connection.version, topicSize, qos, payloadSize, propertiesSize);
    if (connection.packetSizeMax > 0 && size > connection.packetSizeMax) return PUBLISH_TOO_LARGE;
    if (size > connection.memory.transmit.length) return PUBLISH_TOO_LARGE;
    return connection.hasRoom(size) ? PUBLISH_WRITTEN : PUBLISH_LATER;
  }

  private propertiesSize(alias: number, reply: Reply | undefined): number {
    if (reply === undefined) return topicAliasSize(alias);
    // 3.1.1, to which a device may have fallen back since the request, has none.
    return this.connection.version === 5 ? correlationSize(reply.correlation) : 0;
  }

  /** The alias of a topic on this connection, or 0 (MQTT 5 §3.3.2.3.4). */
  private aliasOf(topic: string): number {
    const alias = topic === ALIASED_TOPIC ? 1 : 0;
    return alias <= this.connection.topicAliasMaximum ? alias : 0;
  }

  /** Bytes of the topic as it is written: 0 once the server knows the alias. */
  private topicSize(topic: string, alias: number, reply: Reply | undefined): number {
    if (reply !== undefined) return utf8Size(reply.topic);
    if (alias > 0 && this.connection.aliasKnown) return 0;
    return this.profile.topics.size(this.owner.id, topic);
  }

  private writePublish(
    flags: number,
    packetId: number,
    topic: string,
    alias: number,
    topicSize: number,
    payload: Uint8Array,
    start: number,
    end: number,
    reply: Reply | undefined,
  ): void {
    const { connection } = this;
    const { transmit } = connection.memory;
    const { version } = connection;
    const qos = ((flags >> 1) & 3) as Qos;
    const propertiesSize = this.propertiesSize(alias, reply);
    const payloadSize = end - start;
    let at = writePublishHead(
      transmit,
      0,
      version,
      flags,
      topicSize,
      qos,
      payloadSize,
      propertiesSize,
    );
    if (reply !== undefined) at = writeUtf8(transmit, at, reply.topic);
    else if (topicSize > 0) at = this.profile.topics.write(transmit, at, this.owner.id, topic);
    at = writePublishTail(transmit, at, version, qos, packetId, propertiesSize);
    if (reply !== undefined && propertiesSize > 0) {
      at = writeCorrelation(transmit, at, reply.correlation);
    }
    at = writeTopicAlias(transmit, at, alias);
    if (alias > 0) connection.aliasKnown = true;
    for (let index = start; index < end; index += 1) {
      transmit[at] = payload[index] as number;
      at += 1;
    }
    connection.flush(at);
  }
}

/** The topic that is published over and over. */
const ALIASED_TOPIC = 'telemetry';
