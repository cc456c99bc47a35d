// The program behind a client in the model test: it keeps every message until the client says
// what became of it, as a device does with its buffer, and notes all that it is told.

import { Client } from '../../src/mqtt/client.ts';
import type { ClientOwner } from '../../src/mqtt/client-owner.ts';
import type { ClientProfile } from '../../src/mqtt/client-profile.ts';
import {
  PUBLISH_INFLIGHT,
  PUBLISH_LATER,
  PUBLISH_TOO_LARGE,
  PUBLISH_WRITTEN,
  type PublishResult,
} from '../../src/mqtt/delivery.ts';
import type { Packet, Qos, Subscription, Will } from '../../src/mqtt/packet.ts';
import { QOS_NOT_SUPPORTED } from '../../src/mqtt/reason-codes.ts';
import { Session } from '../../src/mqtt/session.ts';
import type { Timer } from '../../src/platform.ts';
import type { VirtualPlatform } from './virtual-platform.ts';
import type { WireAudit } from './wire-audit.ts';

/** Bytes of every payload before its filler: number u32, QoS. */
const STAMP_SIZE = 5;

/** A payload that says which message it is, and whose every byte can be checked. */
export function stamp(number: number, qos: Qos, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(STAMP_SIZE, size));
  new DataView(bytes.buffer).setUint32(0, number);
  bytes[4] = qos;
  for (let at = STAMP_SIZE; at < bytes.length; at += 1) bytes[at] = (number * 31 + at) & 255;
  return bytes;
}

/** The number in a payload; -1 when a byte of it is not what it was. */
export function unstamp(payload: Uint8Array): number {
  if (payload.length < STAMP_SIZE) return -1;
  const view = new DataView(payload.buffer, payload.byteOffset);
  const number = view.getUint32(0);
  for (let at = STAMP_SIZE; at < payload.length; at += 1) {
    if (payload[at] !== ((number * 31 + at) & 255)) return -1;
  }
  return number;
}

export type MessageState = 'waiting' | 'inflight' | 'settled' | 'dropped';

/** A message of the device's, from the order to send it to its end. */
export interface ModelMessage {
  readonly number: number;
  readonly topic: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly payload: Uint8Array;
  state: MessageState;
  /** True once it went out at QoS 0: then it may be lost. */
  unsafe: boolean;
  /** True once the server did not take its QoS any more: it may be there twice. */
  lowered: boolean;
}

/** A message that came to the device. */
export interface Received {
  readonly topic: string;
  readonly number: number;
  readonly qos: Qos;
  readonly life: number;
}

export class ModelOwner implements ClientOwner {
  readonly id = 'd1';
  readonly client: Client;
  readonly platform: VirtualPlatform;
  readonly messages: ModelMessage[];
  readonly received: Received[];
  readonly disconnects: string[] = [];
  /** Refused subscriptions: filter and reason code. */
  readonly refusals: [string, number][] = [];
  readonly failures: string[] = [];
  connectCount = 0;
  readyCount = 0;
  subscribedCount = 0;
  willMessage: Will | undefined = undefined;
  filters: Subscription[] = [{ filter: 'devices/d1/in/#', qos: 2 }];
  audit: WireAudit | undefined = undefined;
  /** Called for every message that comes. */
  onReceived: (packet: Packet, source: Uint8Array) => void = () => undefined;
  /** Called when the server says that it holds no session. */
  onNewSession: () => void = () => undefined;
  /** Counts resets of the device. */
  readonly life: number;
  readonly session: Session;
  private readonly timer: Timer;
  private readonly bytes: Uint8Array;
  private armedMs = Number.POSITIVE_INFINITY;

  /** `before`: the same program before a reset, whose messages were in flash. */
  constructor(platform: VirtualPlatform, profile: ClientProfile, before?: ModelOwner) {
    this.platform = platform;
    this.messages = before?.messages ?? [];
    this.received = before?.received ?? [];
    this.life = before === undefined ? 0 : before.life + 1;
    const { inflightMax, receiveMax } = profile;
    this.bytes = platform.memory.allocate(Session.size(inflightMax, receiveMax));
    this.session = new Session(this.bytes, 0, inflightMax, receiveMax);
    this.client = new Client(platform, profile, this.session, this);
    this.timer = platform.createTimer(this);
    for (const one of this.messages) if (one.state === 'inflight') one.state = 'waiting';
  }

  start(): void {
    this.client.start();
    this.arm();
  }

  stop(): void {
    this.client.stop();
    this.timer.stop();
    this.armedMs = Number.POSITIVE_INFINITY;
  }

  send(topic: string, qos: Qos, size: number, retain: boolean): ModelMessage {
    const number = this.messages.length;
    const message: ModelMessage = {
      number,
      topic,
      qos,
      retain,
      payload: stamp(number, qos, size),
      state: 'waiting',
      unsafe: false,
      lowered: false,
    };
    this.messages.push(message);
    this.drain();
    this.arm();
    return message;
  }

  /** Messages whose end is not known yet. */
  get pendingCount(): number {
    return this.messages.filter((one) => one.state === 'waiting' || one.state === 'inflight')
      .length;
  }

  onTimer(): void {
    this.armedMs = Number.POSITIVE_INFINITY;
    this.client.tick(this.platform.clock.monotonicMs());
    this.drain();
    this.arm();
  }

  will(): Will | undefined {
    return this.willMessage;
  }

  subscriptions(): readonly Subscription[] {
    return this.filters;
  }

  onConnected(resumed: boolean): void {
    this.connectCount += 1;
    if (!resumed) {
      this.onNewSession();
      for (const one of this.messages) if (one.state === 'inflight') one.state = 'waiting';
    }
    this.arm();
  }

  onSubscribed(): void {
    this.subscribedCount += 1;
  }

  onSubscriptionRefused(filter: string, reasonCode: number): void {
    this.refusals.push([filter, reasonCode]);
  }

  onDisconnected(reason: string): void {
    this.disconnects.push(reason);
    this.arm();
  }

  onReady(): void {
    this.readyCount += 1;
    this.drain();
    this.arm();
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    const { packetId, payloadEnd, payloadStart, qos, topicEnd, topicStart } = packet;
    this.audit?.handling(qos, packetId);
    const topic = Buffer.from(source.subarray(topicStart, topicEnd)).toString();
    const number = unstamp(source.subarray(payloadStart, payloadEnd));
    if (number < 0) this.failures.push(`message on ${topic} came broken`);
    this.received.push({ topic, number, qos, life: this.life });
    this.onReceived(packet, source);
  }

  onSettled(reference: number, reasonCode: number): void {
    const message = this.messages[reference];
    if (message === undefined || message.state !== 'inflight') {
      this.failures.push(`message ${reference} settled while ${message?.state}`);
      return;
    }
    if (reasonCode < 0x80) message.state = 'settled';
    else if (reasonCode === 0x87) message.state = 'dropped';
    else message.state = 'waiting';
    if (reasonCode === QOS_NOT_SUPPORTED) message.lowered = true;
  }

  resend(reference: number): PublishResult {
    const message = this.messages[reference];
    if (message === undefined || message.state !== 'inflight') {
      this.failures.push(`message ${reference} asked for again while ${message?.state}`);
      return PUBLISH_TOO_LARGE;
    }
    const { payload, retain, topic } = message;
    const result = this.client.publishAgain(topic, payload, 0, payload.length, retain);
    if (result === PUBLISH_TOO_LARGE) message.state = 'dropped';
    return result;
  }

  private drain(): void {
    for (const message of this.messages) {
      if (message.state !== 'waiting') continue;
      const { number, payload, qos, retain, topic } = message;
      const result = this.client.publish(number, topic, payload, 0, payload.length, qos, retain);
      if (result === PUBLISH_LATER) return;
      if (result === PUBLISH_TOO_LARGE) message.state = 'dropped';
      if (result === PUBLISH_INFLIGHT) message.state = 'inflight';
      if (result === PUBLISH_WRITTEN) {
        message.state = 'settled';
        message.unsafe = true;
      }
    }
  }

  private arm(): void {
    const nextMs = this.client.nextDeadlineMs();
    if (nextMs >= this.armedMs || nextMs === Number.POSITIVE_INFINITY) return;
    this.armedMs = nextMs;
    this.timer.start(Math.max(0, nextMs - this.platform.clock.monotonicMs()));
  }
}
