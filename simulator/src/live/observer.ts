// The observer: subscribes to what the fleet publishes and accounts for what it sees. It runs in
// a process of its own, so that it does not disturb what is measured, and has a persistent
// session, so that a lost connection of its own loses no message. What it says of the broker holds
// only where it could see: it watches itself as well.

import { randomBytes } from 'node:crypto';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { Clock, ConnectOptions } from '@flotilla/sdk';
import { ABSOLUTE_TIME_S_MIN, Pack, readPackHead } from '@flotilla/sdk/codec/senml';
import { Client } from '@flotilla/sdk/mqtt/client';
import type { ClientOwner } from '@flotilla/sdk/mqtt/client-owner';
import { ClientProfile } from '@flotilla/sdk/mqtt/client-profile';
import { PUBLISH_LATER, type PublishResult } from '@flotilla/sdk/mqtt/delivery';
import type { Packet, Subscription, Will } from '@flotilla/sdk/mqtt/packet';
import { reasonName } from '@flotilla/sdk/mqtt/reason-codes';
import { Session } from '@flotilla/sdk/mqtt/session';
import { NodePlatform } from '@flotilla/sdk/node';
import { PLAIN_HEAD_SIZE, PlainMessage, readPlain } from '../fleet/plain-payload.ts';
import { SequenceSet } from '../ledger/sequence-set.ts';
import { Registry } from '../metrics/registry.ts';
import { connectSizeMax, TAKEN_SIZE_MAX } from '../scenario/message-size.ts';
import { deviceId } from '../scenario/schema.ts';
import { DeliveryLatencies } from './delivery-latencies.ts';
import type { FromObserver, ObserverReport, ObserverTask } from './messages.ts';
import { ObserverWatch, OUTSTANDING_MAX } from './observer-watch.ts';
import { RunClock } from './run-clock.ts';

/**
 * The broker may have this many messages in flight to us. Said aloud, which the default of 65,535
 * would not be: mosquitto then allows itself only 20 and drops what it cannot queue.
 */
const RECEIVE_MAX = 65534;
/** Back quickly: while the observer is away, nothing can be observed. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 500;
/** Failed attempts, or time, after which a broker that was never reached counts as unreachable. */
const ATTEMPT_COUNT_MAX = 3;
const UNREACHABLE_MS = 10000;
/** Short, so that a link that is dead in silence is noticed; sentinels notice more, and sooner. */
const KEEP_ALIVE_MS = 10_000;
const TICK_MS = 20;
const BUSY_INTERVAL_MS = 1000;
/** From the subscription to the first sentinel that comes back. */
const FIRST_PROOF_MS_MAX = 10_000;
/** At the end: how long the last sentinel may take while nothing comes, and at all. */
const CHECK_QUIET_MS_MAX = 8000;
const CHECK_MS_MAX = 30_000;
const NONCE_SIZE = 6;

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
  private readonly latencies: DeliveryLatencies;
  private readonly watch: ObserverWatch;
  /** Tells our sentinels from those of an older observer, whose session we may have. */
  private readonly nonce = randomBytes(NONCE_SIZE).toString('hex');
  private readonly pack = new Pack();
  private readonly plain = new PlainMessage();
  private readonly ticker: NodeJS.Timeout;
  private ready = false;
  private attemptCount = 0;
  private readonly startMs: number;
  private subscribedMs = Number.NaN;
  private busySince: EventLoopUtilization = performance.eventLoopUtilization();
  private busyDueMs = 0;
  /** Times in a row that it was deaf. */
  private deafCount = 0;
  private lastReason = '';
  /** Since when the run waits to hear whether we still see; NaN = it does not. */
  private checkedMs = Number.NaN;

  constructor(task: ObserverTask, send: (message: FromObserver) => void) {
    this.task = task;
    this.send = send;
    const { run, scenario, start, target } = task;
    this.id = `${run}-observer`;
    this.clock = new RunClock(start);
    this.startMs = this.clock.monotonicMs();
    this.registry = new Registry(scenario.fleets.map(({ name }) => name));
    const total = scenario.fleets.reduce((sum, { count }) => sum + count, 0);
    this.fleetOf = new Uint16Array(total);
    this.watch = new ObserverWatch(this.clock.monotonicMs());
    this.latencies = new DeliveryLatencies(total, task.workerCount, this.record);
    this.seen = Array.from({ length: total }, () => new SequenceSet());
    this.indexDevices();
    const { host, port, tls } = target;
    const broker: ConnectOptions = tls === undefined ? { host, port } : { host, port, tls };
    this.profile = new ClientProfile({
      broker,
      ...(target.username === undefined ? {} : { username: target.username }),
      ...(target.password === undefined ? {} : { password: Buffer.from(target.password) }),
      topics: scenario.topics,
      keepAliveMs: KEEP_ALIVE_MS,
      inflightMax: OUTSTANDING_MAX,
      receiveMax: RECEIVE_MAX,
      packetSizeMax: TAKEN_SIZE_MAX,
      connectMsMax: scenario.connect.timeoutMs,
      retryMsMin: RETRY_MS_MIN,
      retryMsMax: RETRY_MS_MAX,
    });
    const sessionBytes = new Uint8Array(Session.size(OUTSTANDING_MAX, RECEIVE_MAX));
    const session = new Session(sessionBytes, 0, OUTSTANDING_MAX, RECEIVE_MAX);
    const platform = new ObserverPlatform(this.clock, connectSizeMax(target));
    this.client = new Client(platform, this.profile, session, this);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.client.start();
  }

  report(withTrends: boolean): ObserverReport {
    const isAway = this.client.state !== 'connected';
    return {
      kind: 'report',
      registry: this.registry.toWire(withTrends),
      isBlind: isAway || this.watch.isBlind(this.clock.monotonicMs()),
      health: this.watch.health(),
    };
  }

  /** What a worker tells of its devices' connections, as `DeliveryLatencies.connected`. */
  connected(worker: number, connections: Float64Array, upToMs: number): void {
    this.latencies.connected(worker, connections, upToMs);
  }

  /** Answers with 'checked' once it is known whether all is seen that was acknowledged so far. */
  check(): void {
    this.checkedMs = this.clock.monotonicMs();
    this.watch.hurry(this.checkedMs);
  }

  /** Records what is still held back. */
  settle(): void {
    this.latencies.settle();
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
    return [{ filter: topics.format('+', 'telemetry'), qos: 1 }];
  }

  onConnected(resumed: boolean): void {
    const nowMs = this.clock.monotonicMs();
    if (resumed) this.subscribedMs = nowMs;
    this.watch.connected(resumed, nowMs);
  }

  onSubscribed(): void {
    if (this.client.subscribeRefusedCount > 0) {
      const filter = this.profile.topics.format('+', 'telemetry');
      this.send({ kind: 'unreachable', reason: `the broker refused a subscription to ${filter}` });
    } else {
      this.subscribedMs = this.clock.monotonicMs();
    }
  }

  onDisconnected(reason: string): void {
    this.subscribedMs = Number.NaN;
    this.lastReason = reason;
    // The run's own broker listens, however long a busy machine takes to show it.
    if (this.ready || this.task.scenario.broker === undefined) return;
    this.attemptCount += 1;
    const late = this.clock.monotonicMs() - this.startMs >= UNREACHABLE_MS;
    if (this.attemptCount >= ATTEMPT_COUNT_MAX || late) {
      this.send({ kind: 'unreachable', reason });
    }
  }

  onReady(): void {
    // Sentinels go out by the clock.
  }

  onSettled(reference: number, reasonCode: number): void {
    if (reasonCode < 128) return;
    this.lastReason = reasonName(reasonCode, this.client.version);
    this.watch.refused(reference);
  }

  resend(reference: number): PublishResult {
    const sentinel = this.sentinel(reference);
    return this.client.publishAgain('telemetry', sentinel, 0, sentinel.length, false);
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    const topic = text(source, packet.topicStart, packet.topicEnd);
    const { topics } = this.profile;
    const id = topics.idOf(topic, 'telemetry');
    const { payloadStart, payloadEnd } = packet;
    if (id === this.id) this.takeSentinel(text(source, payloadStart, payloadEnd));
    const index = this.indexOf.get(id);
    // On a shared broker other devices use the same topics; what is retained is of an older run.
    if (index === undefined || packet.retain) return;
    const { kind } = this.task.scenario.fleets[this.fleetOf[index]!]!;
    if (kind === 'plain') this.takePlain(index, source, payloadStart, payloadEnd);
    else this.takePack(index, source, payloadStart, payloadEnd);
  }

  /** Our own message came back, by the subscription that we judge by. */
  private takeSentinel(said: string): void {
    const [nonce, number] = said.split(' ');
    if (nonce !== this.nonce) return;
    const nowMs = this.clock.monotonicMs();
    this.watch.alive(nowMs);
    this.watch.returned(Number(number), nowMs);
    this.deafCount = 0;
  }

  private takePack(index: number, source: Uint8Array, start: number, end: number): void {
    const { pack } = this;
    if (!readPackHead(source, start, end, pack)) return;
    const fleet = this.fleetOf[index]!;
    const isTrusted = this.task.scenario.fleets[fleet]!.clock === undefined;
    const nowMs = this.clock.monotonicMs();
    const scheduledMs = isTrusted ? pack.baseTimeS * 1000 - this.task.start.epochMs : nowMs;
    if (!this.count(index, pack.sequence, scheduledMs, nowMs)) return;
    if (isTrusted) this.latencies.add(index, scheduledMs, nowMs);
    else this.measureTime(fleet);
  }

  private takePlain(index: number, source: Uint8Array, start: number, end: number): void {
    const { plain, task } = this;
    if (end - start !== task.scenario.fleets[this.fleetOf[index]!]!.payloadSize) return;
    const nowMs = this.clock.monotonicMs();
    if (end - start < PLAIN_HEAD_SIZE) {
      // One like the other: the account settles how many came, not which.
      this.count(index, this.seen[index]!.end, nowMs, nowMs);
      return;
    }
    readPlain(source, start, this.clock.epochMs(), plain);
    const scheduledMs = plain.scheduledMs - task.start.epochMs;
    if (this.count(index, plain.sequence, scheduledMs, nowMs)) {
      this.latencies.add(index, scheduledMs, nowMs);
    }
  }

  /** False for a message that measures nothing: a further copy, of an older run, or long here. */
  private count(index: number, sequence: number, scheduledMs: number, nowMs: number): boolean {
    this.watch.alive(nowMs);
    this.watch.heard(nowMs);
    // Of an older run with the same ids: it waited in a session that the broker kept for us.
    if (!(scheduledMs >= 0)) return false;
    const fleet = this.fleetOf[index]!;
    if (!this.seen[index]!.add(sequence)) {
      this.registry.counter('messages_duplicated', fleet).add();
      return false;
    }
    this.registry.counter('messages_observed', fleet).add();
    if (!this.watch.isDraining) return true;
    // What waited for us is no measure of the broker, nor of a device's clock.
    this.watch.leftOut();
    return false;
  }

  private readonly record = (index: number, latencyMs: number, buffered: boolean): void => {
    const name = buffered ? 'buffered_latency_ms' : 'delivery_latency_ms';
    this.registry.trend(name, this.fleetOf[index]!).record(latencyMs);
  };

  /** Of a device whose clock may be wrong: what it says of the time is measured, not believed. */
  private measureTime(fleet: number): void {
    const { baseTimeS } = this.pack;
    // Relative times count from the arrival (RFC 8428 §4.5.3), and so cannot be wrong.
    if (baseTimeS < ABSOLUTE_TIME_S_MIN) return;
    const errorMs = Math.abs(this.clock.epochMs() - baseTimeS * 1000);
    this.registry.trend('time_error_ms', fleet).record(errorMs);
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
    const { client, watch } = this;
    const nowMs = this.clock.monotonicMs();
    watch.alive(nowMs);
    client.tick(nowMs);
    if (nowMs >= this.busyDueMs) this.lookHowBusy(nowMs);
    const isSubscribed = client.state === 'connected' && this.subscribedMs <= nowMs;
    if (isSubscribed && watch.isDue(nowMs)) this.sendSentinel(nowMs);
    if (isSubscribed && watch.isDeaf(nowMs)) this.reconnect();
    for (const gap of watch.takeGaps()) this.send({ kind: 'gap', gap });
    if (!this.ready) this.getReady(nowMs);
    if (this.checkedMs <= nowMs) this.answerCheck(nowMs);
  }

  private lookHowBusy(nowMs: number): void {
    this.busyDueMs = nowMs + BUSY_INTERVAL_MS;
    const total = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(total, this.busySince);
    this.busySince = total;
    this.watch.busy(utilization, nowMs);
  }

  private sentinel(number: number): Buffer {
    return Buffer.from(`${this.nonce} ${number}`);
  }

  private sendSentinel(nowMs: number): void {
    const { number } = this.watch;
    const bytes = this.sentinel(number);
    const result = this.client.publish(number, 'telemetry', bytes, 0, bytes.length, 1, false);
    if (result !== PUBLISH_LATER) this.watch.sent(nowMs);
  }

  /** Its session may hold what was not delivered; where that did not help, a new one may. */
  private reconnect(): void {
    if (this.deafCount > 0) this.client.holdsSession = false;
    this.deafCount += 1;
    this.lastReason = 'nothing was delivered to it';
    this.subscribedMs = Number.NaN;
    this.client.stop();
    this.client.start();
  }

  private getReady(nowMs: number): void {
    const { watch } = this;
    if (watch.hasProof || watch.isRefused) {
      this.ready = true;
      this.send({ kind: 'ready' });
    } else if (nowMs - this.subscribedMs >= FIRST_PROOF_MS_MAX) {
      const topic = this.profile.topics.format(this.id, 'telemetry');
      this.send({ kind: 'unreachable', reason: `its own message to ${topic} did not come back` });
    }
  }

  private answerCheck(nowMs: number): void {
    const { checkedMs, client, watch } = this;
    if (watch.hasProvenSince(checkedMs)) {
      this.checkedMs = Number.NaN;
      this.send({ kind: 'checked' });
      return;
    }
    const quietMs = nowMs - Math.max(checkedMs, watch.heardMs);
    const isOver = quietMs >= CHECK_QUIET_MS_MAX || nowMs - checkedMs >= CHECK_MS_MAX;
    if (!isOver && !watch.isRefused) return;
    this.checkedMs = Number.NaN;
    const gap = watch.endBlind(nowMs);
    this.send({ kind: 'gap', gap });
    const why = client.state === 'connected' && !watch.isRefused ? '' : this.lastReason;
    this.send({ kind: 'checked', blind: { fromMs: gap.fromMs, why } });
  }
}

function text(source: Uint8Array, start: number, end: number): string {
  return Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('latin1');
}
