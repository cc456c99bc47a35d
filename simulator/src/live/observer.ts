// The observer: subscribes to what the fleet publishes and accounts for what it sees. It runs in
// a process of its own, so that it does not disturb what is measured, and has a persistent
// session, so that a lost connection of its own loses no message.

import type { Clock, ConnectOptions } from '@flotilla/sdk';
import { CborReader, readValue } from '@flotilla/sdk/codec/cbor';
import { ABSOLUTE_TIME_S_MIN, Pack, readPackHead } from '@flotilla/sdk/codec/senml';
import { Client } from '@flotilla/sdk/mqtt/client';
import type { ClientOwner } from '@flotilla/sdk/mqtt/client-owner';
import { ClientProfile } from '@flotilla/sdk/mqtt/client-profile';
import { PUBLISH_TOO_LARGE, type PublishResult } from '@flotilla/sdk/mqtt/delivery';
import type { Packet, Subscription, Will } from '@flotilla/sdk/mqtt/packet';
import { Session } from '@flotilla/sdk/mqtt/session';
import { NodePlatform } from '@flotilla/sdk/node';
import { PLAIN_HEAD_SIZE, PlainMessage, readPlain } from '../fleet/plain-payload.ts';
import { SequenceSet } from '../ledger/sequence-set.ts';
import { Registry } from '../metrics/registry.ts';
import { connectSizeMax, TAKEN_SIZE_MAX } from '../scenario/message-size.ts';
import { deviceId } from '../scenario/schema.ts';
import type { FromObserver, ObserverReport, ObserverTask } from './messages.ts';
import { RunClock } from './run-clock.ts';

/**
 * The broker may have this many messages in flight to us. Said aloud, which the default of 65,535
 * would not be: mosquitto then allows itself only 20 and drops what it cannot queue.
 */
const RECEIVE_MAX = 65534;
/** Back quickly: while the observer is away, nothing can be observed. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 500;
const CONNECT_MS_MAX = 10000;
/** Failed attempts, or time, after which a broker that was never reached counts as unreachable. */
const ATTEMPT_COUNT_MAX = 3;
const STATUS_LIMITS = { depthMax: 2, countMax: 16, sizeMax: 256 };

class ObserverPlatform extends NodePlatform {
  override readonly clock: Clock;

  constructor(clock: Clock, packetSizeMax: number) {
    super({ packetSizeMax });
    this.clock = clock;
  }
}

export class Observer implements ClientOwner {
  readonly id: string;
  private readonly task: ObserverTask;
  private readonly clock: RunClock;
  private readonly send: (message: FromObserver) => void;
  private readonly client: Client;
  private readonly profile: ClientProfile;
  private readonly registry: Registry;
  private readonly indexOf = new Map<string, number>();
  private readonly fleetOf: Uint16Array;
  private readonly seen: SequenceSet[];
  /** Epoch ms of the present connection of each device, from its birth message. */
  private readonly sinceMs: Float64Array;
  private readonly pack = new Pack();
  private readonly plain = new PlainMessage();
  private readonly ticker: NodeJS.Timeout;
  private ready = false;
  private attemptCount = 0;
  /** Schedule of the latest message seen, in ms of the run: what came before it was delivered. */
  private latestMs = 0;
  private gapFromMs: number | undefined;

  constructor(task: ObserverTask, send: (message: FromObserver) => void) {
    this.task = task;
    this.send = send;
    const { run, scenario, start, target } = task;
    this.id = `${run}-observer`;
    this.clock = new RunClock(start);
    this.registry = new Registry(scenario.fleets.map(({ name }) => name));
    const total = scenario.fleets.reduce((sum, { count }) => sum + count, 0);
    this.fleetOf = new Uint16Array(total);
    this.sinceMs = new Float64Array(total).fill(Number.NEGATIVE_INFINITY);
    this.seen = Array.from({ length: total }, () => new SequenceSet());
    this.indexDevices();
    const { host, port, tls } = target;
    const broker: ConnectOptions = tls === undefined ? { host, port } : { host, port, tls };
    this.profile = new ClientProfile({
      broker,
      ...(target.username === undefined ? {} : { username: target.username }),
      ...(target.password === undefined ? {} : { password: Buffer.from(target.password) }),
      topics: scenario.topics,
      receiveMax: RECEIVE_MAX,
      packetSizeMax: TAKEN_SIZE_MAX,
      connectMsMax: Math.min(CONNECT_MS_MAX, scenario.connect.timeoutMs),
      retryMsMin: RETRY_MS_MIN,
      retryMsMax: RETRY_MS_MAX,
    });
    const sessionBytes = new Uint8Array(Session.size(1, RECEIVE_MAX));
    const session = new Session(sessionBytes, 0, 1, RECEIVE_MAX);
    const platform = new ObserverPlatform(this.clock, connectSizeMax(target));
    this.client = new Client(platform, this.profile, session, this);
    this.ticker = setInterval(() => this.tick(), 20);
    this.client.start();
  }

  report(withTrends: boolean): ObserverReport {
    const away = this.client.state !== 'connected';
    return {
      kind: 'report',
      registry: this.registry.toWire(withTrends),
      openGapFromMs: this.gapFromMs ?? (away ? this.latestMs : undefined),
    };
  }

  /** Ends session and connection, and tells what was seen. */
  finish(): FromObserver {
    clearInterval(this.ticker);
    this.client.stop(0);
    return { kind: 'seen', seen: this.seen.map((set) => set.toRanges()) };
  }

  // The client's events.

  will(): Will | undefined {
    return undefined;
  }

  subscriptions(): readonly Subscription[] {
    const { topics } = this.profile;
    return [
      { filter: topics.format('+', 'status'), qos: 1 },
      { filter: topics.format('+', 'telemetry'), qos: 1 },
    ];
  }

  onConnected(resumed: boolean): void {
    if (!resumed && this.ready) this.gapFromMs ??= this.latestMs;
  }

  onSubscribed(): void {
    if (this.client.subscribeRefusedCount > 0) {
      const filter = this.profile.topics.format('+', 'telemetry');
      this.send({ kind: 'unreachable', reason: `the broker refused a subscription to ${filter}` });
    } else if (!this.ready) {
      this.ready = true;
      this.send({ kind: 'ready' });
    } else if (this.gapFromMs !== undefined) {
      const toMs = this.clock.monotonicMs();
      this.send({ kind: 'gap', gap: { fromMs: this.gapFromMs, toMs } });
      this.gapFromMs = undefined;
    }
  }

  onDisconnected(reason: string): void {
    if (this.ready) return;
    this.attemptCount += 1;
    const late = this.clock.monotonicMs() >= CONNECT_MS_MAX;
    if (this.attemptCount >= ATTEMPT_COUNT_MAX || late) {
      this.send({ kind: 'unreachable', reason });
    }
  }

  onReady(): void {
    // The observer publishes nothing.
  }

  onSettled(): void {
    // The observer publishes nothing.
  }

  resend(): PublishResult {
    return PUBLISH_TOO_LARGE;
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    const topic = text(source, packet.topicStart, packet.topicEnd);
    const { topics } = this.profile;
    const telemetryOf = topics.idOf(topic, 'telemetry');
    const index = this.indexOf.get(telemetryOf === '' ? topics.idOf(topic, 'status') : telemetryOf);
    // On a shared broker other devices use the same topics; a retained status is of an older run.
    if (index === undefined || packet.retain) return;
    const { payloadStart, payloadEnd } = packet;
    if (telemetryOf === '') this.takeStatus(index, source, payloadStart, payloadEnd);
    else if (this.task.scenario.fleets[this.fleetOf[index]!]!.kind === 'plain') {
      this.takePlain(index, source, payloadStart, payloadEnd);
    } else {
      this.takePack(index, source, payloadStart, payloadEnd);
    }
  }

  private takePack(index: number, source: Uint8Array, start: number, end: number): void {
    const { pack } = this;
    if (!readPackHead(source, start, end, pack)) return;
    const fleet = this.fleetOf[index]!;
    const isTrusted = this.task.scenario.fleets[fleet]!.clock === undefined;
    const nowMs = this.clock.monotonicMs();
    const scheduledMs = isTrusted ? pack.baseTimeS * 1000 - this.task.start.epochMs : nowMs;
    if (!this.count(index, pack.sequence, scheduledMs)) return;
    if (isTrusted) this.measureDelivery(index, nowMs, scheduledMs);
    else this.measureTime(fleet);
  }

  private takePlain(index: number, source: Uint8Array, start: number, end: number): void {
    const { plain, task } = this;
    const fleet = this.fleetOf[index]!;
    if (end - start !== task.scenario.fleets[fleet]!.payloadSize) return;
    const nowMs = this.clock.monotonicMs();
    if (end - start < PLAIN_HEAD_SIZE) {
      // One like the other: the account settles how many came, not which.
      this.count(index, this.seen[index]!.end, nowMs);
      return;
    }
    readPlain(source, start, this.clock.epochMs(), plain);
    const scheduledMs = plain.scheduledMs - task.start.epochMs;
    if (this.count(index, plain.sequence, scheduledMs)) {
      this.measureDelivery(index, nowMs, scheduledMs);
    }
  }

  /** False for a message that counts no more: a further copy, or of an older run. */
  private count(index: number, sequence: number, scheduledMs: number): boolean {
    // Of an older run with the same ids: it waited in a session that the broker kept for us.
    if (!(scheduledMs >= 0)) return false;
    const fleet = this.fleetOf[index]!;
    if (!this.seen[index]!.add(sequence)) {
      this.registry.counter('messages_duplicated', fleet).add();
      return false;
    }
    this.registry.counter('messages_observed', fleet).add();
    if (scheduledMs > this.latestMs) this.latestMs = scheduledMs;
    return true;
  }

  private measureDelivery(index: number, nowMs: number, scheduledMs: number): void {
    // Sampled before the device's present connection: it waited for that, not for the broker.
    if (scheduledMs + this.task.start.epochMs < this.sinceMs[index]!) return;
    const fleet = this.fleetOf[index]!;
    this.registry.trend('delivery_latency_ms', fleet).record(nowMs - scheduledMs);
  }

  /** Of a device whose clock may be wrong: what it says of the time is measured, not believed. */
  private measureTime(fleet: number): void {
    const { baseTimeS } = this.pack;
    // Relative times count from the arrival (RFC 8428 §4.5.3), and so cannot be wrong.
    if (baseTimeS < ABSOLUTE_TIME_S_MIN) return;
    const errorMs = Math.abs(this.clock.epochMs() - baseTimeS * 1000);
    this.registry.trend('time_error_ms', fleet).record(errorMs);
  }

  private takeStatus(index: number, source: Uint8Array, start: number, end: number): void {
    const reader = new CborReader();
    reader.reset(source, start, end);
    const status = readValue(reader, STATUS_LIMITS) as { since?: unknown } | undefined;
    if (typeof status?.since === 'number') this.sinceMs[index] = status.since * 1000;
  }

  private indexDevices(): void {
    const { run, scenario } = this.task;
    let device = 0;
    for (const [fleetIndex, fleet] of scenario.fleets.entries()) {
      for (let index = 0; index < fleet.count; index += 1) {
        this.indexOf.set(deviceId(fleet.id, run, fleet.name, index), device);
        this.fleetOf[device] = fleetIndex;
        device += 1;
      }
    }
  }

  private tick(): void {
    this.client.tick(this.clock.monotonicMs());
  }
}

function text(source: Uint8Array, start: number, end: number): string {
  return Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('latin1');
}
