// What the subscribers of a worker receive of the fleet's telemetry: how much of it, and how late.

import type { Device } from '@flotilla/sdk';
import { Pack, readPackHead } from '@flotilla/sdk/codec/senml';
import type { Packet } from '@flotilla/sdk/mqtt/packet';
import type { DevicePlaces } from '../fleet/device-places.ts';
import { PLAIN_HEAD_SIZE, PlainMessage, readPlain } from '../fleet/plain-payload.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { FanOutPlan } from '../ledger/fan-out-plan.ts';
import { ReceivedCounts } from '../ledger/received-counts.ts';
import { SequenceBits } from '../ledger/sequence-bits.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Fleet } from '../scenario/schema.ts';
import type { FanOutResult, SubscriberResult, WorkerTask } from './messages.ts';
import type { RunClock } from './run-clock.ts';

/** One subscriber and one audience that it belongs to. */
interface Receipts {
  readonly device: number;
  /** Place of the audience in the plan. */
  readonly audience: number;
  /** Absent in a group, whose members are counted together. */
  readonly counts: ReceivedCounts | undefined;
  received: number;
  latencyCount: number;
  latencySumMs: number;
  latencyMaxMs: number;
}

export class FanOutMeter {
  private readonly plan: FanOutPlan;
  private readonly task: WorkerTask;
  private readonly clock: RunClock;
  private readonly registry: Registry;
  private readonly places: DevicePlaces;
  private readonly pack = new Pack();
  private readonly plain = new PlainMessage();
  /** Of the message that was read last: its sequence, and its schedule in ms since 1970. */
  private sequence = 0;
  private scheduledMs = 0;
  private readonly indexOf = new Map<string, number>();
  /** By local index of the subscriber; made when it receives first. */
  private readonly receipts = new Map<number, Receipts[]>();
  /** By audience and column. */
  private readonly groups = new Map<number, (SequenceBits | undefined)[]>();

  constructor(
    plan: FanOutPlan,
    task: WorkerTask,
    places: DevicePlaces,
    clock: RunClock,
    registry: Registry,
  ) {
    this.plan = plan;
    this.task = task;
    this.clock = clock;
    this.registry = registry;
    this.places = places;
    if (plan.audiences.length === 0) return;
    for (let device = 0; device < places.total; device += 1) {
      this.indexOf.set(places.idOf(device, task.run), device);
    }
  }

  /** A subscriber received a message; false when it is none of the fleet's, but the observer's. */
  receive(device: Device, fleet: number, packet: Packet, source: Uint8Array): boolean {
    const { payloadEnd, payloadStart, topicEnd, topicStart } = packet;
    const topic = Buffer.from(source.buffer, source.byteOffset + topicStart, topicEnd - topicStart);
    const id = device.profile.client.topics.idOf(topic.toString('latin1'), 'telemetry');
    if (id === `${this.task.run}-observer`) return false;
    const publisher = this.indexOf.get(id);
    // On a shared broker others may use the same topics; what is retained is of an older run.
    if (publisher === undefined || packet.retain) return true;
    const sender = this.task.scenario.fleets[this.places.fleetOf(publisher)]!;
    if (!this.readHead(sender, source, payloadStart, payloadEnd)) return true;
    const latencyMs = this.latencyOf(publisher, this.scheduledMs - this.task.start.epochMs);
    const { localIndex, deviceIndex } = device.platform as SimulatedPlatform;
    let all = this.receipts.get(localIndex);
    if (all === undefined) {
      all = this.plan.byFleet[fleet]!.map((audience) => this.createReceipts(deviceIndex, audience));
      this.receipts.set(localIndex, all);
    }
    for (const receipts of all) this.count(receipts, publisher, latencyMs);
    return true;
  }

  result(): FanOutResult {
    const subscribers: SubscriberResult[] = [];
    for (const all of this.receipts.values()) {
      for (const { counts, ...receipts } of all) {
        const byColumn = counts === undefined ? {} : { counts: counts.counts() };
        subscribers.push({ ...receipts, ...byColumn });
      }
    }
    const groups = [...this.groups].map(([audience, columns]) => ({
      audience,
      bits: columns.map((bits) => bits?.toBytes()),
    }));
    return { subscribers, groups };
  }

  /** Reads what a message of `sender` says of itself; false when that is nothing. */
  private readHead(sender: Fleet, source: Uint8Array, start: number, end: number): boolean {
    const { pack, plain } = this;
    if (sender.kind === 'plain') {
      if (end - start < PLAIN_HEAD_SIZE || end - start !== sender.payloadSize) return false;
      readPlain(source, start, this.clock.epochMs(), plain);
      this.sequence = plain.sequence;
      this.scheduledMs = plain.scheduledMs;
      return true;
    }
    if (!readPackHead(source, start, end, pack)) return false;
    this.sequence = pack.sequence;
    this.scheduledMs = pack.baseTimeS * 1000;
    return true;
  }

  private createReceipts(device: number, audience: number): Receipts {
    const { publishers, share } = this.plan.audiences[audience]!;
    const counts = share === undefined ? new ReceivedCounts(publishers.length) : undefined;
    return {
      device,
      audience,
      counts,
      received: 0,
      latencyCount: 0,
      latencySumMs: 0,
      latencyMaxMs: 0,
    };
  }

  /** Counts the message that was read last, once. */
  private count(receipts: Receipts, publisher: number, latencyMs: number): void {
    const { sequence } = this;
    const { columns, fleet } = this.plan.audiences[receipts.audience]!;
    const column = columns[publisher]!;
    if (column < 0) return;
    const isNew =
      receipts.counts?.add(column, sequence) ??
      this.bitsOf(receipts.audience, column).add(sequence);
    if (!isNew) return;
    receipts.received += 1;
    this.registry.counter('fanout_received', fleet).add();
    if (!(latencyMs >= 0)) return;
    this.registry.trend('fanout_latency_ms', fleet).record(latencyMs);
    receipts.latencyCount += 1;
    receipts.latencySumMs += latencyMs;
    receipts.latencyMaxMs = Math.max(receipts.latencyMaxMs, latencyMs);
  }

  private bitsOf(audience: number, column: number): SequenceBits {
    let columns = this.groups.get(audience);
    if (columns === undefined) {
      columns = [];
      this.groups.set(audience, columns);
    }
    columns[column] ??= new SequenceBits();
    return columns[column];
  }

  /** NaN for a message that waited for its publisher's connection, or whose time may be wrong. */
  private latencyOf(publisher: number, scheduledMs: number): number {
    const nowMs = this.clock.monotonicMs();
    const sinceMs = Atomics.load(this.task.connectedMs, publisher);
    const fleet = this.task.scenario.fleets[this.places.fleetOf(publisher)]!;
    const waited = sinceMs - scheduledMs >= 1;
    return waited || fleet.clock !== undefined ? Number.NaN : nowMs - scheduledMs;
  }
}
