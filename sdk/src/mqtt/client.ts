// The life of an MQTT client's connections: opening, CONNECT, subscriptions, keep-alive, backoff.
// It decides on bytes and events only; stream, time and randomness come from the platform.

import { pauseMs } from '../backoff.ts';
import { LARGER_THAN_PACKET } from '../drop-cause.ts';
import type { Platform, StreamHandlers } from '../platform.ts';
import type { ClientOwner } from './client-owner.ts';
import type { ClientProfile } from './client-profile.ts';
import { type ClientEvent, type ClientState, nextState } from './client-state.ts';
import { ANSWER_MS_MAX, Connection } from './connection.ts';
import { Delivery, PUBLISH_LATER, type PublishResult, type Reply } from './delivery.ts';
import {
  CONNACK,
  CONNECT,
  DISCONNECT,
  type Packet,
  PINGRESP,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Qos,
  SUBACK,
  type Subscription,
  UNSUBACK,
} from './packet.ts';
import { mayGreet, readPacket } from './read.ts';
import {
  MALFORMED_PACKET,
  PACKET_TOO_LARGE,
  PROTOCOL_ERROR,
  RECEIVE_MAXIMUM_EXCEEDED,
  reasonName,
  SESSION_TAKEN_OVER,
  SUCCESS,
  TOPIC_ALIAS_INVALID,
  UNSPECIFIED_ERROR,
} from './reason-codes.ts';
import { type PacketTarget, Receiver } from './receiver.ts';
import type { Session } from './session.ts';
import { refusesVersion, type VersionChooser, versionChooser } from './version-choice.ts';
import { reducedWill, WILL_WHOLE, willMaxAfter } from './will.ts';

/**
 * A connection that lasted this long ends the series of failures that backoff counts, when the server
 * acknowledges a message then, or owes nothing at its end.
 */
export const STABLE_MS = 10000;
/** Why a connection is given up, by what its oldest message waits for (AWAIT_…). */
const NO_ACK: readonly string[] = ['', 'no PUBACK', 'no PUBREC', 'no PUBCOMP'];

export class Client implements PacketTarget {
  state: ClientState = 'idle';
  /** Failed attempts since the last stable connection. */
  failureCount = 0;
  oversizeCount = 0;
  subscribeRefusedCount = 0;

  private readonly owner: ClientOwner;
  private readonly connection: Connection;
  private readonly delivery: Delivery;
  private readonly receiver: Receiver;
  private readonly versionChoice: VersionChooser;

  /** What the server keeps of us. */
  private held: 'nothing' | 'session' | 'subscriptions' = 'nothing';
  /** What servers have left of our will. */
  private willMax = WILL_WHOLE;
  /** Of the SUBSCRIBE that is not answered; 0 = none. */
  private subscribePacketId = 0;
  /** Subscriptions before this one are confirmed or refused, on this connection. */
  private subscribeIndex = 0;
  /** Ends a session from before our reset (3.1.1): wanted = by this attempt, done = it was. */
  private wipe: 'no' | 'wanted' | 'done' = 'no';
  /** End of the present wait: backoff, connect, SUBACK; Infinity = none. */
  private deadlineMs = Number.POSITIVE_INFINITY;

  constructor(platform: Platform, profile: ClientProfile, session: Session, owner: ClientOwner) {
    this.owner = owner;
    this.connection = new Connection(platform);
    this.delivery = new Delivery(this.connection, profile, session, owner);
    this.receiver = new Receiver(platform.memory, profile.packetSizeMax, this);
    const nowMs = platform.clock.monotonicMs();
    this.versionChoice = versionChooser(profile.protocol, platform, nowMs);
  }

  // Its parts have them: a second field would take RAM in every device.
  private get platform(): Platform {
    return this.connection.platform;
  }

  private get profile(): ClientProfile {
    return this.delivery.profile;
  }

  /** The version of the present or last connection. */
  get version(): ProtocolVersion {
    return this.connection.version;
  }

  /** Why a packet that is too large goes out on no connection like this one. */
  get sizeRefusal(): number {
    return this.connection.isServersLimit ? PACKET_TOO_LARGE : LARGER_THAN_PACKET;
  }

  /** Messages that the server has not settled yet. */
  get inflightCount(): number {
    return this.delivery.session.inflightCount;
  }

  /** True when the server keeps a session in which nothing is under way. */
  get holdsSession(): boolean {
    return this.held === 'subscriptions' && this.delivery.session.isIdle;
  }

  /** Set after deep sleep, to what it was before. */
  set holdsSession(holds: boolean) {
    this.held = holds ? 'subscriptions' : 'nothing';
  }

  /** Monotonic ms at which the present connection was accepted. */
  get connectedMs(): number {
    return this.connection.acceptedMs;
  }

  start(): void {
    if (this.state === 'idle') this.open('start');
  }

  /** Says DISCONNECT, so that no will is published, and ends the connection. */
  stop(sessionExpiryS?: number): void {
    if (this.state === 'idle') return;
    if (this.state === 'connected') this.connection.disconnect(SUCCESS, sessionExpiryS);
    this.release();
    this.state = nextState(this.state, 'stop');
    this.deadlineMs = Number.POSITIVE_INFINITY;
  }

  /** The monotonic ms at which `tick` is wanted next; Infinity = never. */
  nextDeadlineMs(): number {
    if (this.state !== 'connected') return this.deadlineMs;
    const answerMs = Math.min(this.deadlineMs, this.delivery.dueMs);
    return Math.min(answerMs, this.connection.keepAliveDueMs());
  }

  /** Does what is due at `nowMs`. */
  tick(nowMs: number): void {
    if (this.deadlineMs <= nowMs) {
      if (this.state === 'waiting') this.open('due');
      else if (this.state === 'connected') this.lost('no SUBACK in time');
      else if (this.state === 'opening') this.lost('connect timed out');
      else this.lost('no CONNACK in time');
    } else if (this.state === 'connected') {
      const awaited = this.delivery.dueMs <= nowMs ? this.delivery.overdue(nowMs) : 0;
      if (awaited > 0) this.lost(NO_ACK[awaited] as string);
      else if (!this.connection.keepAlive(nowMs)) this.lost('no PINGRESP in time');
    }
  }

  /**
   * Sends payload[start, end) to the topic of this name, where server and stream allow it now.
   * `reference` names the message to the owner later; it is kept for QoS 1 and 2.
   */
  publish(
    reference: number,
    topic: string,
    payload: Uint8Array,
    start: number,
    end: number,
    qos: Qos,
    retain: boolean,
    reply?: Reply,
  ): PublishResult {
    if (this.state !== 'connected') return PUBLISH_LATER;
    return this.delivery.publish(
      reference,
      topic,
      payload,
      start,
      end,
      qos,
      retain,
      this.subscribePacketId,
      reply,
    );
  }

  /** As `publish`, for the message that `owner.resend` was asked for. */
  publishAgain(
    topic: string,
    payload: Uint8Array,
    start: number,
    end: number,
    retain: boolean,
    reply?: Reply,
  ): PublishResult {
    return this.delivery.publishAgain(topic, payload, start, end, retain, reply);
  }

  // Stream events.

  onOpen(): void {
    const { owner, profile } = this;
    this.state = nextState(this.state, 'opened');
    // 3.1.1 keeps a session only when both sides of its life are not clean (MQTT-3.1.2-6).
    const cleanStart =
      this.connection.version === 4
        ? profile.sessionExpiryS === 0 || this.wipe === 'wanted'
        : this.held === 'nothing';
    const will = reducedWill(owner.will(), this.willMax);
    if (!this.connection.connect(profile, owner.id, cleanStart, will)) {
      this.lost('CONNECT does not fit in the transmit buffer');
    }
  }

  onWritable(room: number): void {
    this.connection.room = room;
    if (this.state === 'opening') {
      this.onOpen();
      return;
    }
    this.onReadable();
    this.pump();
  }

  onReadable(): void {
    const { connection } = this;
    const { receive } = this.platform.memory;
    const epoch = connection.epoch;
    for (let count = connection.read(); count > 0; count = connection.read()) {
      // What is no MQTT server is told apart at its first byte, not when its bytes run out.
      if (this.state === 'greeting' && this.receiver.idle && !mayGreet(receive[0] as number)) {
        this.lost('what answers there does not speak MQTT');
        return;
      }
      if (!this.receiver.take(receive, count) || epoch !== connection.epoch) return;
    }
    if (!connection.starved) return;
    connection.starved = false;
    this.pump();
  }

  onStreamError(reason: string | undefined): void {
    // Before CONNACK: an outage, or a server's way to refuse this version.
    if (this.state === 'greeting' && this.versionChoice.closed(this.connection.version)) {
      this.release();
      this.open('refused');
    } else {
      this.lost(reason === undefined ? 'closed by the server' : reason);
    }
  }

  // Packets.

  onPacket(source: Uint8Array, start: number, end: number): boolean {
    const packet = this.profile.packet;
    const type = (source[start] as number) >> 4;
    // A server without MQTT 5 refuses in its own words: a CONNACK of 3.1.1, four bytes long.
    const version = type === CONNACK && end - start === 4 ? 4 : this.connection.version;
    const code = readPacket(packet, source, start, end, version);
    // No DISCONNECT may say what a reader says of another protocol's CONNECT (MQTT-3.14.2-1).
    if (code !== 0) return this.fail(type === CONNECT ? PROTOCOL_ERROR : code);
    if (this.state === 'greeting') return this.greet(packet, version);
    switch (type) {
      case PUBLISH:
        return this.receivePublish(packet, source);
      case PUBACK:
      case PUBREC:
      case PUBCOMP:
        this.delivery.settle(packet);
        if (this.hasLasted(this.connection.receivedMs)) this.failureCount = 0;
        this.pump();
        return this.state === 'connected';
      case PUBREL:
        return this.delivery.complete(packet.packetId) || this.fail(RECEIVE_MAXIMUM_EXCEEDED);
      case SUBACK:
        return this.confirmSubscriptions(packet, source);
      case PINGRESP:
        this.connection.pingDeadlineMs = Number.POSITIVE_INFINITY;
        // The next PINGREQ is due earlier than this answer was: the owner plans anew.
        this.pump();
        return this.state === 'connected';
      case DISCONNECT:
        if (packet.reasonCode === SESSION_TAKEN_OVER) this.doubtSession();
        this.lost(`server: ${reasonName(packet.reasonCode, 5)}`);
        return false;
      case UNSUBACK:
        return true;
      default:
        return this.fail(PROTOCOL_ERROR);
    }
  }

  onOversize(qos: number, packetId: number): boolean {
    this.oversizeCount += 1;
    if (qos === 0) return true;
    if (qos === 3 || packetId === 0) return this.fail(MALFORMED_PACKET);
    this.delivery.refuse(qos, packetId);
    return true;
  }

  onUnframed(): void {
    this.fail(this.state === 'greeting' ? MALFORMED_PACKET : PACKET_TOO_LARGE);
  }

  private greet(packet: Packet, version: ProtocolVersion): boolean {
    if (packet.type === DISCONNECT) {
      this.lost(`server: ${reasonName(packet.reasonCode, 5)}`);
      return false;
    }
    if (packet.type !== CONNACK) return this.fail(PROTOCOL_ERROR);
    const code = packet.reasonCode;
    if (refusesVersion(code, version, this.connection.version)) {
      if (this.versionChoice.refused(this.connection.version)) {
        this.release();
        this.open('refused');
      } else {
        this.lost('server refuses this MQTT version');
      }
      return false;
    }
    if (code !== SUCCESS) {
      // The will asks for more than this server takes (MQTT-3.2.2-13, MQTT-3.2.2-12): with less of
      // it the next attempt may be let in.
      this.willMax = willMaxAfter(this.willMax, code);
      this.lost(`connection refused: ${reasonName(code, version)}`);
      return false;
    }
    // MQTT-3.2.2-4: a server that remembers a session which we began clean is wrong.
    if (packet.sessionPresent && this.connection.version === 5 && this.held === 'nothing') {
      return this.fail(PROTOCOL_ERROR);
    }
    const isStale = packet.sessionPresent && this.held === 'nothing' && this.wipe === 'no';
    if (isStale || this.wipe === 'wanted') return this.wipeSession();
    this.accept(packet);
    return this.state === 'connected';
  }

  /**
   * A session from before our reset would take new QoS 2 messages for old ones of the same packet
   * id. 3.1.1 can begin clean or keep, not both: a clean connection first, then one that keeps.
   */
  private wipeSession(): false {
    this.wipe = this.wipe === 'no' ? 'wanted' : 'done';
    this.connection.disconnect(SUCCESS);
    this.release();
    this.open('refused');
    return false;
  }

  private accept(packet: Packet): void {
    this.versionChoice.accepted(this.connection.version);
    this.connection.accepted(packet);
    this.state = nextState(this.state, 'accepted');
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const keepAliveS = packet.serverKeepAliveS;
    this.connection.keepAliveMs = keepAliveS >= 0 ? keepAliveS * 1000 : this.profile.keepAliveMs;
    const resumed = packet.sessionPresent && this.held !== 'nothing';
    if (resumed) {
      this.delivery.resume();
    } else {
      this.delivery.session.clear();
      this.held = 'session';
    }
    // Ready before it is told, so that the owner may publish from within `onConnected`.
    if (this.held === 'session') this.subscribe(false);
    this.owner.onConnected(resumed);
    this.pump();
  }

  /**
   * Sends one SUBSCRIBE of the subscriptions that are left; true when none is. What the server does
   * not take is told only where `mayRefuse`, and left out.
   */
  private subscribe(mayRefuse: boolean): boolean {
    const { connection } = this;
    const wanted = this.owner.subscriptions();
    while (this.subscribeIndex < wanted.length) {
      const code = connection.refusalOf(wanted[this.subscribeIndex] as Subscription);
      if (code === SUCCESS) {
        const packetId = this.delivery.session.nextPacketId(0);
        if (connection.subscribe(packetId, wanted, this.subscribeIndex)) {
          this.subscribePacketId = packetId;
          this.deadlineMs = connection.sentMs + ANSWER_MS_MAX;
        }
        return false;
      }
      if (!mayRefuse) return false;
      this.subscribeEnded(wanted, code);
    }
    return true;
  }

  private confirmSubscriptions(packet: Packet, source: Uint8Array): boolean {
    if (packet.packetId !== this.subscribePacketId) return true;
    this.subscribePacketId = 0;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const { epoch } = this.connection;
    const { payloadEnd, payloadStart } = packet;
    const wanted = this.owner.subscriptions();
    for (let at = payloadStart; at < payloadEnd && epoch === this.connection.epoch; at += 1) {
      this.subscribeEnded(wanted, source[at] as number);
    }
    this.pump();
    return epoch === this.connection.epoch && this.state === 'connected';
  }

  private subscribeEnded(wanted: readonly Subscription[], reasonCode: number): void {
    const subscription = wanted[this.subscribeIndex];
    this.subscribeIndex += 1;
    if (reasonCode < UNSPECIFIED_ERROR || subscription === undefined) return;
    this.subscribeRefusedCount += 1;
    const { owner } = this;
    if (owner.onSubscriptionRefused !== undefined) {
      owner.onSubscriptionRefused(subscription.filter, reasonCode);
    }
  }

  private receivePublish(packet: Packet, source: Uint8Array): boolean {
    // Our Topic Alias Maximum is 0 (MQTT 5 §3.3.4).
    if (packet.topicAlias > 0) return this.fail(TOPIC_ALIAS_INVALID);
    if (!this.delivery.receive(packet, source)) return this.fail(RECEIVE_MAXIMUM_EXCEEDED);
    return this.state === 'connected';
  }

  private pump(): void {
    const isDue = this.held === 'session' && this.subscribePacketId === 0;
    if (this.state === 'connected' && isDue && this.subscribe(true) && this.held === 'session') {
      this.held = 'subscriptions';
      this.owner.onSubscribed();
    }
    if (this.state === 'connected' && this.delivery.pump()) this.owner.onReady();
  }

  // Connection.

  private open(event: ClientEvent): void {
    this.state = nextState(this.state, event);
    const nowMs = this.platform.clock.monotonicMs();
    this.connection.version = this.versionChoice.next(nowMs, event === 'refused');
    this.deadlineMs = nowMs + this.profile.connectMsMax;
    this.connection.open(this.profile.broker, STREAM_HANDLERS, this);
  }

  /** A violation by the server: says why where MQTT 5 can, and ends the connection. */
  private fail(reasonCode: number): false {
    const { connection, state } = this;
    if (state === 'connected' && connection.version === 5) connection.disconnect(reasonCode);
    this.lost(`server violated MQTT: ${reasonName(reasonCode, 5)}`);
    return false;
  }

  private lost(reason: string): void {
    if (this.state === 'idle' || this.state === 'waiting') return;
    const nowMs = this.platform.clock.monotonicMs();
    const wasConnected = this.state === 'connected';
    // A server that acknowledges nothing is not stable, however long it answers PINGREQ.
    const isOwed = this.delivery.session.inflightCount > 0;
    if (wasConnected && !isOwed && this.hasLasted(nowMs)) this.failureCount = 0;
    this.release();
    this.state = nextState(this.state, 'lost');
    const { retryMsMax, retryMsMin } = this.profile;
    this.deadlineMs = nowMs + pauseMs(this.platform, retryMsMin, retryMsMax, this.failureCount);
    this.failureCount += 1;
    this.owner.onDisconnected(reason, wasConnected);
  }

  private hasLasted(nowMs: number): boolean {
    return nowMs - this.connectedMs >= STABLE_MS;
  }

  private release(): void {
    if (this.state === 'greeting') this.doubtSession();
    this.subscribePacketId = 0;
    this.subscribeIndex = 0;
    this.delivery.suspend();
    this.receiver.reset();
    this.connection.close();
  }

  /** An unanswered CONNECT may have begun another session, which the server then calls present. */
  private doubtSession(): void {
    if (this.held === 'subscriptions') this.held = 'session';
    this.delivery.session.doubtIncoming();
  }
}

const STREAM_HANDLERS: StreamHandlers = {
  onWritable(room: number): void {
    (this.target as Client).onWritable(room);
  },
  onReadable(): void {
    (this.target as Client).onReadable();
  },
  onError(reason?: string): void {
    (this.target as Client).onStreamError(reason);
  },
};
