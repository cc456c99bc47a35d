// One measurement: a broker, an observer and the process of one side, all of them fresh, so that
// nothing is left of the one before: no sessions, no retained messages, no ports in TIME_WAIT.

import { setTimeout as delay } from 'node:timers/promises';
import { type Mosquitto, startMosquitto } from '../../simulator/test/support/mosquitto.ts';
import { Child } from '../child.ts';
import type { Sample } from './figures.ts';
import { IDLE_INTERVAL_MS, INTERVAL_MS, type Protocol, type Side } from './fleet.ts';
import type { HeapReading, HeapRequest } from './heap.ts';
import type { LoadOptions, LoadRequest, Reading, Totals } from './load.ts';
import type { Counts, ObserverRequest } from './observer.ts';

export interface Plan {
  readonly devices: number;
  readonly protocol: Protocol;
  /** How long the fleet publishes before it is measured, and while it is. */
  readonly warmMs: number;
  readonly windowMs: number;
}

/** What is measured in one go. */
export type Phase = 'connect' | 'qos0' | 'qos1';

/** Writes a CPU profile of the phase's measured time to a file. */
export interface Profiling {
  readonly file: string;
}

/** No limit on what waits for the observer; aliases off, so that both sides say whole topics. */
const BROKER_CONFIG = `
max_queued_messages 0
max_inflight_messages 0
max_topic_alias 0
connection_messages false
`;
/** The part of the fleet that is connected at the first reading of memory. */
const FIRST_SHARE = 0.2;
const CONNECT_MS_MAX = 60_000;
/** After the last birth was seen: its PUBACK and SUBACK are through by then. */
const SETTLE_MS = 300;
/** Nothing new for this long: all that was published was seen. */
const QUIET_MS = 500;
const POLL_MS = 50;
/** A window may differ by this much from the schedule: readings take their time. */
const SCHEDULE_TOLERANCE = 0.03;

const LOADS: Record<Side, URL> = {
  ours: new URL('./flotilla.ts', import.meta.url),
  mqttjs: new URL('./mqttjs.ts', import.meta.url),
};

/** A measurement that does not count, and why. */
export class InvalidRun extends Error {
  override readonly name = 'InvalidRun';
}

/** Broker, observer and load of one measurement. */
class Rig {
  private readonly broker: Mosquitto;
  private readonly observer: Child;
  private readonly load: Child;

  private constructor(broker: Mosquitto, side: Side) {
    this.broker = broker;
    this.observer = new Child('observer', new URL('./observer.ts', import.meta.url));
    this.load = new Child(side, LOADS[side], ['--expose-gc']);
  }

  static async open(side: Side, options: Omit<LoadOptions, 'port'>): Promise<Rig> {
    const broker = await startMosquitto({ config: BROKER_CONFIG });
    const rig = new Rig(broker, side);
    const { port } = broker;
    try {
      await Promise.all([
        rig.observer.ask({ kind: 'open', port } satisfies ObserverRequest),
        rig.ask({ kind: 'open', options: { ...options, port } }),
      ]);
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  async close(): Promise<void> {
    await Promise.all([this.load.stop(), this.observer.stop()]);
    await this.broker.stop();
  }

  ask<T>(request: LoadRequest): Promise<T> {
    return this.load.ask<T>(request);
  }

  counts(): Promise<Counts> {
    return this.observer.ask<Counts>({ kind: 'count' } satisfies ObserverRequest);
  }

  read(collect = false): Promise<Reading> {
    return this.ask<Reading>({ kind: 'read', collect });
  }

  /** Connects `more` devices on top of `present`, until all of them have said what they say. */
  async connect(present: number, more: number): Promise<void> {
    const wanted = present + more;
    await this.ask({ kind: 'connect', count: more });
    const deadlineMs = performance.now() + CONNECT_MS_MAX;
    for (;;) {
      const { births, diagnostics } = await this.counts();
      if (births >= wanted && diagnostics >= wanted) break;
      if (performance.now() > deadlineMs) {
        throw new InvalidRun(`only ${births} of ${wanted} devices connected`);
      }
      await delay(POLL_MS);
    }
    await delay(SETTLE_MS);
  }

  /** Publishing has ended: waits for what is on its way, and checks that nothing is missing. */
  async verify(devices: number): Promise<Counts> {
    let counts = await this.counts();
    for (let seen = -1; seen !== counts.messages; ) {
      seen = counts.messages;
      await delay(QUIET_MS);
      counts = await this.counts();
    }
    const { produced, pending, dropped } = await this.ask<Totals>({ kind: 'finish' });
    const { births, messages, misplaced } = counts;
    if (births !== devices) throw new InvalidRun(`${births} births of ${devices} devices`);
    if (misplaced > 0 || messages !== produced || pending > 0 || dropped > 0) {
      throw new InvalidRun(
        `published ${produced}, observed ${messages} and ${misplaced} out of order, ` +
          `${pending} pending, ${dropped} dropped`,
      );
    }
    return counts;
  }
}

/** Memory per device and CPU time per connect, of devices that publish nothing. */
async function measureConnect(side: Side, plan: Plan, profiling?: Profiling): Promise<Sample> {
  const { devices, protocol } = plan;
  const first = Math.round(devices * FIRST_SHARE);
  const rig = await Rig.open(side, { protocol, qos: 1, intervalMs: IDLE_INTERVAL_MS });
  try {
    if (profiling !== undefined) await rig.ask({ kind: 'profile' });
    const start = await rig.read();
    await rig.connect(0, first);
    const firstConnected = await rig.read();
    const firstAtRest = await rig.read(true);
    const restart = await rig.read();
    await rig.connect(first, devices - first);
    const connected = await rig.read();
    if (profiling !== undefined) await rig.ask({ kind: 'end-profile', file: profiling.file });
    const atRest = await rig.read(true);
    await rig.ask({ kind: 'stop-publishing' });
    await rig.verify(devices);
    const sum = (unit: 'threadUs' | 'processUs') =>
      (firstConnected[unit] - start[unit] + connected[unit] - restart[unit]) / devices;
    return {
      memoryBytes: (atRest.rssBytes - firstAtRest.rssBytes) / (devices - first),
      connectUs: sum('threadUs'),
      connectProcessUs: sum('processUs'),
    };
  } finally {
    await rig.close();
  }
}

interface Window {
  readonly messages: number;
  readonly durationMs: number;
  readonly threadUs: number;
  readonly processUs: number;
}

/** What happens in the next `durationMs`. */
async function observe(rig: Rig, durationMs: number): Promise<Window> {
  const [before, countsBefore] = await Promise.all([rig.read(), rig.counts()]);
  await delay(durationMs);
  const [after, countsAfter] = await Promise.all([rig.read(), rig.counts()]);
  return {
    messages: countsAfter.messages - countsBefore.messages,
    durationMs: after.atMs - before.atMs,
    threadUs: after.threadUs - before.threadUs,
    processUs: after.processUs - before.processUs,
  };
}

/** CPU time per message in a window of steady publishing, and of the same fleet at rest. */
async function measureMessages(
  side: Side,
  plan: Plan,
  qos: 0 | 1,
  profiling?: Profiling,
): Promise<Sample> {
  const { devices, protocol, warmMs, windowMs } = plan;
  const rig = await Rig.open(side, { protocol, qos, intervalMs: INTERVAL_MS });
  try {
    await rig.connect(0, devices);
    await delay(warmMs);
    if (profiling !== undefined) await rig.ask({ kind: 'profile' });
    const busy = await observe(rig, windowMs);
    if (profiling !== undefined) await rig.ask({ kind: 'end-profile', file: profiling.file });
    await rig.ask({ kind: 'stop-publishing' });
    await delay(SETTLE_MS);
    const idle = await observe(rig, windowMs / 2);
    const { messages, payloadBytes } = await rig.verify(devices);
    const scheduled = (devices * busy.durationMs) / INTERVAL_MS;
    if (Math.abs(busy.messages / scheduled - 1) > SCHEDULE_TOLERANCE) {
      throw new InvalidRun(`${busy.messages} messages in time for ${Math.round(scheduled)}`);
    }
    const idleUsPerS = (idle.threadUs / idle.durationMs) * 1000;
    const gross = busy.threadUs / busy.messages;
    const net = gross - (idleUsPerS * busy.durationMs) / 1000 / busy.messages;
    const process = busy.processUs / busy.messages;
    const payload = payloadBytes / messages;
    return qos === 0
      ? { qos0Us: gross, qos0NetUs: net, qos0ProcessUs: process }
      : {
          qos1Us: gross,
          qos1NetUs: net,
          qos1ProcessUs: process,
          idleUsPerS,
          payloadBytes: payload,
        };
  } finally {
    await rig.close();
  }
}

/** Measures one phase of one side. */
export function measure(
  side: Side,
  phase: Phase,
  plan: Plan,
  profiling?: Profiling,
): Promise<Sample> {
  if (phase === 'connect') return measureConnect(side, plan, profiling);
  return measureMessages(side, plan, phase === 'qos0' ? 0 : 1, profiling);
}

/** Heap per device of ours, at rest. */
export async function measureHeap(devices: number): Promise<Sample> {
  const child = new Child('heap', new URL('./heap.ts', import.meta.url), ['--expose-gc']);
  try {
    const request: HeapRequest = { devices };
    const { bytes, simulatedBytes } = await child.ask<HeapReading>(request);
    return { heapBytes: bytes, simulatedHeapBytes: simulatedBytes };
  } finally {
    await child.stop();
  }
}
