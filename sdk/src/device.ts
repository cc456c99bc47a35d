// A device: sensors → SenML packs → buffer → MQTT, and commands the other way.
// Composition only: what to do when is decided by the parts.

import {
  announce,
  BIRTH,
  birthRefused,
  judgeEnd,
  planAnnouncements,
  resendBirth,
  sideDueMs,
  sideSaid,
} from './announcements.ts';
import { type Outbox, PRIORITY_HIGH, type Priority } from './buffer/outbox.ts';
import { Commands } from './commands/commands.ts';
import { endDeepSleep } from './deep-sleep.ts';
import { isDeviceId } from './device-id.ts';
import type { DeviceProfile } from './device-profile.ts';
import { Client } from './mqtt/client.ts';
import type { ClientOwner } from './mqtt/client-owner.ts';
import { PUBLISH_LATER, type PublishResult } from './mqtt/delivery.ts';
import type { Packet, Subscription, Will } from './mqtt/packet.ts';
import { reasonName, UNSPECIFIED_ERROR } from './mqtt/reason-codes.ts';
import { Session } from './mqtt/session.ts';
import type { UpdateOwner, Updater } from './ota/update-client.ts';
import type { UpdateStage } from './ota/update-state.ts';
import type { Platform, Timer, TimerTarget } from './platform.ts';
import { Sampler, type SamplerOwner } from './sampling/sampler.ts';
import { Shadow, type ShadowOwner } from './shadow/shadow.ts';
import type { ShadowValue } from './shadow/shadow-value.ts';
import { SHADOW, type SideMessages, STATUS } from './side-messages.ts';
import { isOffline, writeAsleepStatus } from './status.ts';
import { subscriptionsOf } from './subscriptions.ts';
import { Uplink } from './uplink.ts';
import { Wake } from './wake.ts';

/** A device that sleeps stays awake for what is due within this time. */
const SOON_MS = 60000;
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
  /** Messages given up, for whatever cause. */
  dropped = 0;
  /** Those of them that the server refused for good. */
  refused = 0;
  /** Those of them that were larger than the buffer, than a packet, or than the server takes. */
  tooLarge = 0;
  unconfirmed = 0;
  commands = 0;
  commandsRefused = 0;
  commandsRepeated = 0;
  connects = 0;
  /** Times that messages beside telemetry were left out for a day. */
  leftOut = 0;
}

export class Device implements ClientOwner, SamplerOwner, ShadowOwner, TimerTarget, UpdateOwner {
  readonly id: string;
  readonly platform: Platform;
  readonly profile: DeviceProfile;
  readonly client: Client;
  readonly uplink: Uplink;
  readonly sampler: Sampler;
  readonly counters = new DeviceCounters();
  /** Free for the program around this device. */
  application: unknown = undefined;

  private readonly timer: Timer;
  /** Present where the profile has one. */
  readonly shadow: Shadow<Device> | undefined;
  /** Present in connection mode `wake`. */
  readonly wake: Wake | undefined;
  /** Present where the profile has updates. */
  readonly updater: Updater<Device> | undefined;
  /** Made when the first command comes. */
  private commands: Commands | undefined = undefined;
  /** Present once a connection ended early. */
  side: SideMessages | undefined = undefined;
  /** When diagnostics go out next. */
  diagnosticsDueMs = Number.POSITIVE_INFINITY;
  /** When the birth goes out; Infinity = it did, or there is none. */
  birthDueMs = Number.POSITIVE_INFINITY;
  /** When the timer fires, so that it is not started again for a later deadline. */
  private armedMs = Number.POSITIVE_INFINITY;

  /** Throws a RangeError for an id that cannot stand in topics and SenML names. */
  constructor(identity: DeviceIdentity) {
    const { platform, id, profile } = identity;
    if (!isDeviceId(id)) {
      throw new RangeError(`device id '${id}': expected 1-64 of A-Z a-z 0-9 - . _ :`);
    }
    this.id = id;
    this.platform = platform;
    this.profile = profile;
    const { bufferSize } = profile;
    const { inflightMax, receiveMax } = profile.client;
    const bytes = platform.memory.allocate(bufferSize + Session.size(inflightMax, receiveMax));
    this.uplink = new Uplink(this, bytes);
    const session = new Session(bytes, bufferSize, inflightMax, receiveMax);
    this.client = new Client(platform, profile.client, session, this);
    this.timer = platform.createTimer(this);
    this.sampler = new Sampler(profile.sensors, profile.intervalMs, this);
    this.shadow =
      profile.shadow === undefined ? undefined : new Shadow<Device>(platform, profile.shadow, this);
    this.wake = profile.wake === undefined ? undefined : new Wake(this, profile.wake);
    this.updater =
      profile.update === undefined ? undefined : profile.update.createClient<Device>(this);
  }

  /** Connects and begins to sample, the first time within one interval. */
  start(): void {
    // First, since it also sets the schedule of the samples.
    const wakeMs = this.wake === undefined ? undefined : endDeepSleep(this);
    this.startSampling();
    if (this.wake === undefined) this.client.start();
    else this.wake.start(this.platform.clock.monotonicMs(), wakeMs);
    if (this.updater !== undefined) this.updater.start(this.platform.clock.monotonicMs());
    this.arm();
  }

  startSampling(): void {
    this.sampler.start();
    this.arm();
  }

  /** Samples at another interval than the profile's, ms, at least 1. */
  setInterval(intervalMs: number): void {
    if (!(intervalMs >= 1)) throw new RangeError('intervalMs: expected at least 1');
    this.sampler.setInterval(intervalMs);
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
    if (this.wake !== undefined) this.wake.stop();
    if (this.updater !== undefined) this.updater.stop();
    this.endConnection('stopped');
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
    this.endConnection('retired', 0);
    this.stop();
  }

  /** Says DISCONNECT and connects again at once, keeping session and buffer. */
  reconnect(): void {
    if (this.client.state !== 'connected') return;
    this.endConnection('reconnect');
    this.client.start();
    this.arm();
  }

  /** Says DISCONNECT, and tells the program of the end of a connection, or of an attempt. */
  private endConnection(reason: string, sessionExpiryS?: number): void {
    const { state } = this.client;
    const wasConnected = state === 'connected';
    this.client.stop(sessionExpiryS);
    if (state === 'idle' || state === 'waiting') return;
    if (wasConnected && this.side !== undefined) {
      this.side.left(this.platform.clock.monotonicMs(), this.client.connectedMs);
    }
    this.disconnected(reason, wasConnected);
  }

  /** Connects now and sends what waits, where the device sleeps between its connections. */
  wakeUp(): void {
    if (this.wake !== undefined) this.wake.wakeUp();
    this.arm();
  }

  /** For `Wake`: ends the connection until `untilMs`, keeping the session. */
  goToSleep(untilMs: number): void {
    const { client, platform } = this;
    if (this.profile.status) {
      const { clock, memory } = platform;
      const untilEpochMs = clock.epochMs() + untilMs - clock.monotonicMs();
      const end = writeAsleepStatus(memory.scratch, 0, untilEpochMs);
      client.publish(BIRTH, 'status', memory.scratch, 0, end, 0, true);
    }
    this.endConnection('asleep');
  }

  /** For deep sleep: true when RAM has nothing that would be lost, as of now. */
  secure(): boolean {
    const { commands, sampler, updater } = this;
    if (updater !== undefined && updater.isBusy) return false;
    const hasCommands =
      commands !== undefined && commands.nextDeadlineMs() < Number.POSITIVE_INFINITY;
    if (hasCommands) return false;
    return this.uplink.outbox.secure() && sampler.secure();
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

  /**
   * The value of a key of the shadow changed at the device, by a button or a measurement; null
   * removes it. False when the value is not taken (see `Shadow.report`).
   */
  reportState(key: string, value: ShadowValue): boolean {
    if (this.shadow === undefined) return false;
    const taken = this.shadow.report(key, value);
    this.drain();
    this.arm();
    return taken;
  }

  /** For `Shadow`. */
  publishShadow(name: string, payload: Uint8Array, size: number): boolean {
    const topic = `shadow/${name}`;
    const { shadowTopics } = this.profile;
    const isOwn = shadowTopics === this.profile.client.topics;
    const whole = isOwn
      ? undefined
      : { topic: shadowTopics.format(this.id, topic), correlation: undefined };
    const result = this.client.publish(BIRTH, topic, payload, 0, size, 0, false, whole);
    if (result === PUBLISH_LATER) return false;
    sideSaid(this, SHADOW);
    return true;
  }

  /** For `Shadow`. */
  onShadowTime(epochMs: number, uncertaintyMs: number): void {
    this.platform.clock.adjust(epochMs, uncertaintyMs);
  }

  /** Calls `visit` with the sequence of every telemetry message that waits or is in flight. */
  forEachPending(visit: (sequence: number) => void): void {
    this.uplink.forEachPending(visit);
  }

  /** What waits for the server. */
  get outbox(): Outbox {
    return this.uplink.outbox;
  }

  get isConnected(): boolean {
    return this.client.state === 'connected';
  }

  /** True while messages can go out: connected, and all is said that comes first. */
  get isClear(): boolean {
    return this.isClearFor(0);
  }

  /** The same, and nothing of it is due within `ms`. */
  private isClearFor(ms: number): boolean {
    const dueMs = Math.min(this.birthDueMs, this.diagnosticsDueMs);
    return this.client.state === 'connected' && dueMs > this.platform.clock.monotonicMs() + ms;
  }

  /** Messages that wait or are in flight. */
  get pendingCount(): number {
    return this.uplink.outbox.count;
  }

  onTimer(): void {
    this.armedMs = Number.POSITIVE_INFINITY;
    this.platform.feedWatchdog();
    const nowMs = this.platform.clock.monotonicMs();
    this.client.tick(nowMs);
    if (this.shadow !== undefined) this.shadow.tick(nowMs);
    if (this.sampler.dueMs <= nowMs) this.sampler.tick(nowMs, this);
    if (this.updater !== undefined && this.mayUpdate) this.updater.tick(nowMs);
    if (this.commands !== undefined) this.commands.tick(nowMs);
    this.drain();
    if (this.wake !== undefined) this.wake.tick(nowMs);
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
    return subscriptionsOf(this);
  }

  onConnected(resumed: boolean): void {
    this.counters.connects += 1;
    this.uplink.connected(resumed);
    // Without a session the subscriptions come first.
    if (resumed && this.shadow !== undefined) this.shadow.onConnected(sideDueMs(this, SHADOW));
    planAnnouncements(this);
    const { onConnected } = this.profile.events;
    if (onConnected !== undefined) onConnected(this);
    this.arm();
  }

  onSubscribed(): void {
    const { onSubscribed } = this.profile.events;
    if (onSubscribed !== undefined) onSubscribed(this);
    if (this.shadow === undefined) return;
    this.shadow.onConnected(sideDueMs(this, SHADOW));
    this.drain();
    this.arm();
  }

  onSubscriptionRefused(filter: string, reasonCode: number): void {
    const { onSubscriptionRefused } = this.profile.events;
    if (onSubscriptionRefused === undefined) return;
    onSubscriptionRefused(this, filter, reasonName(reasonCode, this.client.version));
  }

  onDisconnected(reason: string, wasConnected: boolean): void {
    if (wasConnected) judgeEnd(this, reason);
    this.disconnected(reason, wasConnected);
  }

  private disconnected(reason: string, wasConnected: boolean): void {
    this.birthDueMs = Number.POSITIVE_INFINITY;
    this.diagnosticsDueMs = Number.POSITIVE_INFINITY;
    if (this.shadow !== undefined) this.shadow.onDisconnected();
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
        this.birthDueMs = sideDueMs(this, STATUS);
      }
      this.drain();
    } else if (topics.matches(source, topicStart, topicEnd, this.id, 'commands')) {
      if (this.commands === undefined) this.commands = new Commands(this);
      this.commands.receive(packet, source);
      this.arm();
    } else if (
      this.updater !== undefined &&
      topics.matches(source, topicStart, topicEnd, this.id, 'ota/notify')
    ) {
      this.updater.checkNow();
    } else if (!this.takeShadow(packet, source)) {
      const { onMessage } = this.profile.events;
      if (onMessage !== undefined) onMessage(this, packet, source);
    }
  }

  /** False when the message is none of the shadow's. */
  private takeShadow(packet: Packet, source: Uint8Array): boolean {
    if (this.shadow === undefined) return false;
    const { payloadEnd, payloadStart, topicEnd, topicStart } = packet;
    const name = this.profile.shadowTopics.nameOf(source, topicStart, topicEnd, this.id);
    if (name.indexOf('shadow/') !== 0) return false;
    if (!this.shadow.onMessage(name.substring(7), source, payloadStart, payloadEnd)) return false;
    this.drain();
    this.arm();
    return true;
  }

  // The update client's events.

  onUpdateDue(): void {
    this.arm();
  }

  onUpdateStage(stage: UpdateStage, reason: string): void {
    const { onUpdateStage } = this.profile.events;
    if (onUpdateStage !== undefined) onUpdateStage(this, stage, reason);
  }

  /** For the trial of a new image: true when every sensor can be read, undefined = not yet. */
  checkSensors(): boolean | undefined {
    return this.sampler.canRead(this) ? true : undefined;
  }

  /** The result of a command in scratch[0, size), as `writeResult` wrote it. */
  sendResult(size: number): void {
    this.uplink.addResult(size);
    this.drain();
  }

  onSettled(reference: number, reasonCode: number): void {
    if (reference === BIRTH) {
      if (reasonCode < UNSPECIFIED_ERROR) return;
      birthRefused(this, reasonCode);
      this.arm();
      return;
    }
    this.uplink.settle(reference, reasonCode);
    if (reasonCode >= UNSPECIFIED_ERROR) this.arm();
  }

  resend(reference: number): PublishResult {
    return reference === BIRTH ? resendBirth(this) : this.uplink.resend(reference);
  }

  onPack(sequence: number, scheduledMs: number, size: number, priority: Priority): void {
    const { onProduced } = this.profile.events;
    if (onProduced !== undefined) onProduced(this, sequence, scheduledMs);
    this.uplink.addPack(sequence, scheduledMs, size, priority);
    if (this.wake !== undefined)
      this.wake.added(priority === PRIORITY_HIGH, this.uplink.outbox.usedShare);
  }

  /** Sends what waits, and first what is to be said first. */
  private drain(): void {
    if (this.client.state !== 'connected') return;
    if (!announce(this)) return;
    this.uplink.drain();
    if (this.shadow !== undefined) this.shadow.pump();
    if (this.wake !== undefined) this.wake.rested(this.isAtRest);
  }

  /** A device that sleeps has no network meanwhile. */
  private get mayUpdate(): boolean {
    return this.wake === undefined || this.wake.isAwake;
  }

  /** Nothing is left to send, nor to hear of. */
  private get isAtRest(): boolean {
    const hasCommands =
      this.commands !== undefined && this.commands.nextDeadlineMs() < Number.POSITIVE_INFINITY;
    if (
      !this.isClearFor(SOON_MS) ||
      hasCommands ||
      (this.shadow !== undefined && !this.shadow.isSettled)
    ) {
      return false;
    }
    if (this.updater !== undefined && this.updater.isBusy) return false;
    return this.pendingCount + this.client.inflightCount === 0;
  }

  /** Starts the timer for the next deadline, unless it fires before that anyway. */
  private arm(): void {
    const { birthDueMs, diagnosticsDueMs } = this;
    const nowMs = this.platform.clock.monotonicMs();
    let nextMs = Math.min(this.client.nextDeadlineMs(), this.sampler.dueMs);
    nextMs = Math.min(nextMs, this.uplink.nextDeadlineMs(nowMs));
    if (this.commands !== undefined) nextMs = Math.min(nextMs, this.commands.nextDeadlineMs());
    if (this.wake !== undefined) nextMs = Math.min(nextMs, this.wake.nextDeadlineMs());
    if (this.updater !== undefined && this.mayUpdate) {
      nextMs = Math.min(nextMs, this.updater.nextDeadlineMs);
    }
    const shadowMs =
      this.shadow === undefined ? Number.POSITIVE_INFINITY : this.shadow.nextDeadlineMs;
    if (shadowMs > nowMs && shadowMs < nextMs) nextMs = shadowMs;
    // What is overdue waits for room or a connection: that is told by `onReady`, not by a timer.
    if (birthDueMs > nowMs && birthDueMs < nextMs) nextMs = birthDueMs;
    if (diagnosticsDueMs > nowMs && diagnosticsDueMs < nextMs) nextMs = diagnosticsDueMs;
    if (nextMs >= this.armedMs || nextMs === Number.POSITIVE_INFINITY) return;
    this.armedMs = nextMs;
    this.timer.start(Math.max(0, nextMs - nowMs));
  }
}
