// A device: sensors → SenML packs → buffer → MQTT, and commands the other way.
// Composition only: what to do when is decided by the parts.

import { Outbox, type OutboxOwner, PRIORITY_HIGH, type Priority } from './buffer/outbox.ts';
import { readUtf8 } from './codec/text.ts';
import { executeCommand, writeResult } from './commands/commands.ts';
import type { DeviceProfile } from './device-profile.ts';
import { writeDiagnostics } from './diagnostics.ts';
import { Client, type ClientOwner } from './mqtt/client.ts';
import {
  PUBLISH_INFLIGHT,
  PUBLISH_LATER,
  PUBLISH_TOO_LARGE,
  PUBLISH_WRITTEN,
  type PublishResult,
} from './mqtt/delivery.ts';
import type { Packet, Qos, Subscription, Will } from './mqtt/packet.ts';
import {
  NOT_AUTHORIZED,
  PAYLOAD_FORMAT_INVALID,
  TOPIC_NAME_INVALID,
  UNSPECIFIED_ERROR,
} from './mqtt/reason-codes.ts';
import { Session } from './mqtt/session.ts';
import type { Platform, Timer, TimerTarget } from './platform.ts';
import { Sampler, type SamplerOwner } from './sampling/sampler.ts';
import { isOffline, writeOnlineStatus } from './status.ts';

/** What a record of the outbox is. */
const TELEMETRY = 0;
const RESULT = 1;

/** Session reference of the birth message, which is made anew instead of buffered. */
const BIRTH = 0;

/** How often diagnostics go out, besides at every connect. */
export const DIAGNOSTICS_INTERVAL_MS = 24 * 3600 * 1000;
/** First and longest pause after the server refused a message for now, in ms. */
const REFUSED_PAUSE_MS_MIN = 1000;
const REFUSED_PAUSE_MS_MAX = 60000;
/** Seconds after which the server takes a silent device for gone (MQTT 5). */
const WILL_DELAY_S = 5;

export interface DeviceIdentity {
  readonly platform: Platform;
  /** 1-64 characters of A-Z a-z 0-9 - . _ : so that it fits every topic and SenML name. */
  readonly id: string;
  readonly profile: DeviceProfile;
}

/** Counters of everything bounded; each only grows. */
export class DeviceCounters {
  dropped = 0;
  refused = 0;
  unconfirmed = 0;
  commands = 0;
  commandsRefused = 0;
  connects = 0;
}

export class Device implements ClientOwner, OutboxOwner, SamplerOwner, TimerTarget {
  readonly id: string;
  readonly platform: Platform;
  readonly profile: DeviceProfile;
  readonly client: Client;
  readonly outbox: Outbox;
  readonly sampler: Sampler;
  readonly counters = new DeviceCounters();
  /** Free for the program around this device. */
  application: unknown = undefined;

  private readonly timer: Timer;
  private diagnosticsDueMs = Number.POSITIVE_INFINITY;
  /** No publish before this time: the server asked for less. */
  private pausedUntilMs = 0;
  private refusedInRow = 0;
  /** When the birth goes out; Infinity = it did, or there is none. */
  private birthDueMs = Number.POSITIVE_INFINITY;
  /** When the timer fires, so that it is not started again for a later deadline. */
  private armedMs = Number.POSITIVE_INFINITY;

  /** Throws a RangeError for an id that cannot stand in topics and SenML names. */
  constructor(identity: DeviceIdentity) {
    const { platform, id, profile } = identity;
    if (!/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/.test(id)) {
      throw new RangeError(`device id '${id}': expected 1-64 of A-Z a-z 0-9 - . _ :`);
    }
    this.id = id;
    this.platform = platform;
    this.profile = profile;
    const { bufferSize } = profile;
    const { inflightMax, receiveMax } = profile.client;
    const bytes = platform.memory.allocate(bufferSize + Session.size(inflightMax, receiveMax));
    this.outbox = new Outbox(bytes, bufferSize, profile.fullPolicy, this);
    const session = new Session(bytes, bufferSize, inflightMax, receiveMax);
    this.client = new Client(platform, profile.client, session, this);
    this.timer = platform.createTimer(this);
    this.sampler = new Sampler(platform, id, profile.sensors, profile.intervalMs, this);
  }

  /** Connects and begins to sample, the first time within one interval. */
  start(): void {
    this.startSampling();
    this.client.start();
    this.arm();
  }

  startSampling(): void {
    this.sampler.start();
    this.arm();
  }

  /** Stops sampling; what is in the buffer still goes out. */
  stopSampling(): void {
    this.sampler.stop();
  }

  /** Says offline, ends the connection and the timers. What is buffered stays. */
  stop(): void {
    this.stopSampling();
    const { offlineStatus, status } = this.profile;
    if (status) {
      this.client.publish(BIRTH, 'status', offlineStatus, 0, offlineStatus.length, 0, true);
    }
    this.client.stop();
    this.diagnosticsDueMs = Number.POSITIVE_INFINITY;
    this.timer.stop();
    this.armedMs = Number.POSITIVE_INFINITY;
  }

  /**
   * Leaves nothing behind at the broker, as when a device is taken out of service: clears its
   * retained status, ends its session (MQTT 5) and stops.
   */
  retire(): void {
    this.stopSampling();
    const { offlineStatus, status } = this.profile;
    if (status) this.client.publish(BIRTH, 'status', offlineStatus, 0, 0, 0, true);
    this.client.stop(0);
    this.stop();
  }

  /** Says DISCONNECT and connects again at once, keeping session and buffer. */
  reconnect(): void {
    if (this.client.state !== 'connected') return;
    this.client.stop();
    this.onDisconnected('reconnect', true);
    this.client.start();
    this.arm();
  }

  /**
   * Sends one value now, beside the schedule: a message of its own, by way of the buffer.
   * Alarms (PRIORITY_HIGH) overtake what waits.
   */
  report(
    name: string,
    unit: string | undefined,
    value: number | boolean | string,
    priority: Priority,
  ): void {
    this.sampler.report(name, unit, value, priority);
    this.drain();
    this.arm();
  }

  /** Calls `visit` with the sequence of every telemetry message that waits or is in flight. */
  forEachPending(visit: (sequence: number) => void): void {
    this.outbox.forEach((kind, sequence) => {
      if (kind === TELEMETRY) visit(sequence);
    });
  }

  get isConnected(): boolean {
    return this.client.state === 'connected';
  }

  /** Messages that wait or are in flight. */
  get pendingCount(): number {
    return this.outbox.count;
  }

  onTimer(): void {
    this.armedMs = Number.POSITIVE_INFINITY;
    this.platform.feedWatchdog();
    const nowMs = this.platform.clock.monotonicMs();
    this.client.tick(nowMs);
    if (this.sampler.dueMs <= nowMs) this.sampler.tick(nowMs, this);
    this.drain();
    this.arm();
  }

  // The client's events.

  will(): Will | undefined {
    if (!this.profile.status) return undefined;
    return {
      topic: this.profile.client.topics.format(this.id, 'status'),
      payload: this.profile.offlineStatus,
      qos: 1,
      retain: true,
      delayS: WILL_DELAY_S,
    };
  }

  subscriptions(): readonly Subscription[] {
    const { client, status, subscriptions, takesCommands } = this.profile;
    const { topics } = client;
    const filters = subscriptions.slice();
    if (takesCommands) filters.push({ filter: topics.format(this.id, 'commands'), qos: 1 });
    // 3.1.1 has no will delay: the will of our own last connection may come after this birth.
    const watches = status && this.client.version === 4;
    if (watches) filters.push({ filter: topics.format(this.id, 'status'), qos: 0 });
    return filters;
  }

  onConnected(resumed: boolean): void {
    const nowMs = this.platform.clock.monotonicMs();
    this.counters.connects += 1;
    if (!resumed) this.outbox.setAllWaiting();
    this.birthDueMs = this.profile.status ? nowMs : Number.POSITIVE_INFINITY;
    this.diagnosticsDueMs = this.profile.diagnostics ? nowMs : Number.POSITIVE_INFINITY;
    const { onConnected } = this.profile.events;
    if (onConnected !== undefined) onConnected(this);
    this.arm();
  }

  onSubscribed(): void {
    // Commands come when they come.
  }

  onDisconnected(reason: string, wasConnected: boolean): void {
    this.birthDueMs = Number.POSITIVE_INFINITY;
    this.diagnosticsDueMs = Number.POSITIVE_INFINITY;
    const { onDisconnected } = this.profile.events;
    if (onDisconnected !== undefined) onDisconnected(this, reason, wasConnected);
    this.arm();
  }

  onReady(): void {
    this.drain();
    this.arm();
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    const { topics } = this.profile.client;
    const { payloadEnd, payloadStart, topicEnd, topicStart } = packet;
    if (topics.matches(source, topicStart, topicEnd, this.id, 'status')) {
      if (this.profile.status && isOffline(source, payloadStart, payloadEnd)) {
        this.birthDueMs = this.platform.clock.monotonicMs();
      }
      this.drain();
    } else if (topics.matches(source, topicStart, topicEnd, this.id, 'commands')) {
      this.executeCommand(source, payloadStart, payloadEnd);
    } else {
      const { onMessage } = this.profile.events;
      if (onMessage !== undefined) onMessage(this, packet, source);
    }
  }

  private executeCommand(source: Uint8Array, start: number, end: number): void {
    const outcome = executeCommand(this, source, start, end);
    if (outcome === undefined) {
      this.counters.commandsRefused += 1;
      return;
    }
    this.counters.commands += 1;
    const scratch = this.platform.memory.scratch;
    const size = writeResult(scratch, outcome);
    const nowMs = this.platform.clock.monotonicMs();
    this.outbox.append(RESULT, PRIORITY_HIGH, this.counters.commands, nowMs, scratch, size);
    this.drain();
  }

  onSettled(reference: number, reasonCode: number): void {
    if (reference === BIRTH) {
      if (reasonCode < UNSPECIFIED_ERROR) return;
      this.counters.refused += 1;
      if (!isFinal(reasonCode)) this.birthDueMs = this.refusedPauseEndMs();
      this.arm();
      return;
    }
    const outbox = this.outbox;
    const at = outbox.find(reference);
    if (at < 0) return;
    if (reasonCode < UNSPECIFIED_ERROR) {
      this.refusedInRow = 0;
      this.acknowledge(at);
    } else if (isFinal(reasonCode)) {
      this.counters.refused += 1;
      this.drop(at);
    } else {
      // The server cannot take it now: keep it and ask less often (full jitter, doubling).
      outbox.setWaiting(at);
      this.pausedUntilMs = this.refusedPauseEndMs();
      this.arm();
    }
  }

  private refusedPauseEndMs(): number {
    const windowMs = REFUSED_PAUSE_MS_MIN * (1 << Math.min(this.refusedInRow, 10));
    const random = this.platform.random() / 4294967296;
    this.refusedInRow += 1;
    const pauseMs = Math.floor(Math.min(REFUSED_PAUSE_MS_MAX, windowMs) * random);
    return this.platform.clock.monotonicMs() + pauseMs;
  }

  resend(reference: number): PublishResult {
    const { client, outbox } = this;
    if (reference === BIRTH) {
      const scratch = this.platform.memory.scratch;
      const end = this.writeBirth(scratch);
      const result = client.publishAgain('status', scratch, 0, end, true);
      // The old birth says the same as a new one would.
      if (result !== PUBLISH_LATER) this.birthDueMs = Number.POSITIVE_INFINITY;
      return result;
    }
    const at = outbox.find(reference);
    if (at < 0) return PUBLISH_TOO_LARGE;
    const start = this.bodyStart(at);
    const { bytes } = outbox;
    const result = client.publishAgain(
      this.topicOf(at),
      bytes,
      start,
      outbox.payloadEnd(at),
      false,
    );
    if (result === PUBLISH_TOO_LARGE) this.drop(at);
    return result;
  }

  onRecordDropped(kind: number, sequence: number): void {
    this.counters.dropped += 1;
    const { onDropped } = this.profile.events;
    if (kind === TELEMETRY && onDropped !== undefined) onDropped(this, sequence);
  }

  /** A pack goes into the buffer. */
  onPack(sequence: number, scheduledMs: number, size: number, priority: Priority): void {
    const { onProduced } = this.profile.events;
    if (onProduced !== undefined) onProduced(this, sequence);
    const { scratch } = this.platform.memory;
    const isAlone = this.profile.qos === 0 && this.outbox.count === 0;
    if (isAlone && this.publishNow(sequence, scheduledMs, scratch, size)) return;
    this.outbox.append(TELEMETRY, priority, sequence, scheduledMs, scratch, size);
  }

  /** Sends a message that nothing waits for and that waits for nothing past the buffer. */
  private publishNow(
    sequence: number,
    scheduledMs: number,
    pack: Uint8Array,
    size: number,
  ): boolean {
    // What is said first at a connection is written to scratch too.
    if (this.birthDueMs < Number.POSITIVE_INFINITY) return false;
    const nowMs = this.platform.clock.monotonicMs();
    if (this.diagnosticsDueMs <= nowMs || !this.mayPublish()) return false;
    const result = this.client.publish(BIRTH, 'telemetry', pack, 0, size, 0, false);
    if (result !== PUBLISH_WRITTEN) return false;
    this.acknowledged(sequence, scheduledMs);
    return true;
  }

  /** Says first what is to be said first. */
  private mayPublish(): boolean {
    if (this.client.state !== 'connected') return false;
    if (this.birthDueMs < Number.POSITIVE_INFINITY && !this.publishBirth()) return false;
    if (this.diagnosticsDueMs < Number.POSITIVE_INFINITY) this.publishDiagnostics();
    if (this.pausedUntilMs > 0) {
      if (this.platform.clock.monotonicMs() < this.pausedUntilMs) return false;
      this.pausedUntilMs = 0;
    }
    return true;
  }

  /** Hands waiting records to the client, as long as it takes them. */
  private drain(): void {
    const { client, outbox } = this;
    if (!this.mayPublish()) return;
    for (let at = outbox.next(); at >= 0; at = outbox.next()) {
      const qos: Qos = outbox.kindAt(at) === TELEMETRY ? this.profile.qos : 1;
      const result = client.publish(
        outbox.idAt(at),
        this.topicOf(at),
        outbox.bytes,
        this.bodyStart(at),
        outbox.payloadEnd(at),
        qos,
        false,
      );
      if (result === PUBLISH_LATER) return;
      if (result === PUBLISH_INFLIGHT) outbox.setInflight(at);
      else if (result === PUBLISH_TOO_LARGE) this.drop(at);
      else {
        // The server takes QoS 0 only: released on write, and counted.
        if (qos > 0) this.counters.unconfirmed += 1;
        this.acknowledge(at);
      }
    }
  }

  private acknowledge(at: number): void {
    const { outbox } = this;
    const kind = outbox.kindAt(at);
    const sequence = outbox.sequenceAt(at);
    const scheduledMs = outbox.timeMsAt(at);
    // Let go first: the program may report from within its event, and records move then.
    outbox.release(at);
    if (kind === TELEMETRY) this.acknowledged(sequence, scheduledMs);
  }

  private acknowledged(sequence: number, scheduledMs: number): void {
    const { onAcknowledged } = this.profile.events;
    if (onAcknowledged === undefined) return;
    // Times of records are modulo 2^32; so is their difference.
    const buffered = ((this.client.connectedMs - scheduledMs) | 0) > 0;
    onAcknowledged(this, sequence, scheduledMs, buffered);
  }

  private drop(at: number): void {
    const kind = this.outbox.kindAt(at);
    const sequence = this.outbox.sequenceAt(at);
    this.outbox.release(at);
    this.onRecordDropped(kind, sequence);
  }

  /** A result's topic goes before its body: a size byte, then the name. */
  private topicOf(at: number): string {
    if (this.outbox.kindAt(at) === TELEMETRY) return 'telemetry';
    const bytes = this.outbox.bytes;
    const start = this.outbox.payloadStart(at);
    return readUtf8(bytes, start + 1, start + 1 + (bytes[start] as number));
  }

  private bodyStart(at: number): number {
    const start = this.outbox.payloadStart(at);
    if (this.outbox.kindAt(at) === TELEMETRY) return start;
    return start + 1 + (this.outbox.bytes[start] as number);
  }

  private writeBirth(target: Uint8Array): number {
    const clock = this.platform.clock;
    const sinceMs = clock.epochMs() - (clock.monotonicMs() - this.client.connectedMs);
    return writeOnlineStatus(target, 0, sinceMs);
  }

  /** False when there is no room for it now; true also when it is not due yet. */
  private publishBirth(): boolean {
    if (this.birthDueMs > this.platform.clock.monotonicMs()) return true;
    const scratch = this.platform.memory.scratch;
    const end = this.writeBirth(scratch);
    if (this.client.publish(BIRTH, 'status', scratch, 0, end, 1, true) === PUBLISH_LATER) {
      return false;
    }
    this.birthDueMs = Number.POSITIVE_INFINITY;
    return true;
  }

  private publishDiagnostics(): void {
    const nowMs = this.platform.clock.monotonicMs();
    if (nowMs < this.diagnosticsDueMs) return;
    const scratch = this.platform.memory.scratch;
    const end = writeDiagnostics(scratch, 0, this);
    const result = this.client.publish(BIRTH, 'diagnostics', scratch, 0, end, 0, false);
    if (result !== PUBLISH_LATER) this.diagnosticsDueMs = nowMs + DIAGNOSTICS_INTERVAL_MS;
  }

  /** Starts the timer for the next deadline, unless it fires before that anyway. */
  private arm(): void {
    const { birthDueMs, diagnosticsDueMs, pausedUntilMs } = this;
    const nowMs = this.platform.clock.monotonicMs();
    let nextMs = Math.min(this.client.nextDeadlineMs(), this.sampler.dueMs);
    // What is overdue waits for room or a connection: that is told by `onReady`, not by a timer.
    if (birthDueMs > nowMs && birthDueMs < nextMs) nextMs = birthDueMs;
    if (diagnosticsDueMs > nowMs && diagnosticsDueMs < nextMs) nextMs = diagnosticsDueMs;
    if (pausedUntilMs > nowMs && pausedUntilMs < nextMs) nextMs = pausedUntilMs;
    if (nextMs >= this.armedMs || nextMs === Number.POSITIVE_INFINITY) return;
    this.armedMs = nextMs;
    this.timer.start(Math.max(0, nextMs - nowMs));
  }
}

/** Refusals that no retry mends: not allowed, bad topic, bad payload. */
function isFinal(reasonCode: number): boolean {
  return (
    reasonCode === NOT_AUTHORIZED ||
    reasonCode === TOPIC_NAME_INVALID ||
    reasonCode === PAYLOAD_FORMAT_INVALID
  );
}
