// One measurement: a broker, an observer and the process of one side, all of them fresh, so that
// nothing is left of the one before: no sessions, no retained messages, no ports in TIME_WAIT.

import { setTimeout as delay } from 'node:timers/promises';
import { type Mosquitto, startMosquitto } from '../../simulator/test/support/mosquitto.ts';
import { Child } from '../child.ts';
import type { Sample } from './figures.ts';
import {
  BUFFER_SIZE,
  IDLE_INTERVAL_MS,
  INTERVAL_MS,
  MESSAGE_BUFFER_SIZE,
  type Protocol,
  type Side,
} from './fleet.ts';
import type { HeapReading, HeapRequest } from './heap.ts';
import type { LoadOptions, LoadRequest, Reading, Totals } from './load.ts';
import type { Counts, ObserverRequest } from './observer.ts';

export interface Plan {
  readonly devices: number;
  readonly protocol: Protocol;
  /** How long the fleet publishes before it is measured, and while it is. */
  readonly warmMs: number;
  readonly windowMs: number;
  /** How long it is watched at rest. */
  readonly idleMs: number;
}

/** What is measured in one go, in this order. */
export const PHASES = ['memory', 'whole', 'connect', 'qos0', 'qos1'] as const;
export type Phase = (typeof PHASES)[number];

/** What happens around the measured time of a phase when it is profiled. */
export interface Profiling {
  /** Where V8's profile goes. */
  readonly file: string;
  /** The measured time begins now in the process with this id, to look at with other tools. */
  onBegin(pid: number): void;
}

export interface Measurement {
  readonly side: Side;
  readonly phase: Phase;
  readonly plan: Plan;
  readonly profiling?: Profiling;
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
/** A generator that answers later than this is behind its schedule. */
const LATE_MS_MAX = 300;

const LOADS: Record<Side, URL> = {
  ours: new URL('./flotilla.ts', import.meta.url),
  mqttjs: new URL('./mqttjs.ts', import.meta.url),
};

/** Devices that only stay connected. */
const IDLE_LOAD = { qos: 1, intervalMs: IDLE_INTERVAL_MS, bufferSize: BUFFER_SIZE } as const;

/** A measurement that does not count, and why. */
export class InvalidRun extends Error {
  override readonly name = 'InvalidRun';
}

/** Broker, observer and load of one measurement. */
class Rig {
  private readonly broker: Mosquitto;
  private readonly observer: Child;
  private readonly load: Child;
  private prepared = 0;
  private readonly profiling: Profiling | undefined;

  private constructor(broker: Mosquitto, side: Side, profiling: Profiling | undefined) {
    this.broker = broker;
    this.profiling = profiling;
    this.observer = new Child('observer', new URL('./observer.ts', import.meta.url));
    // The second flag names the compiled functions to `perf`.
    const flags = profiling === undefined ? [] : ['--perf-basic-prof'];
    this.load = new Child(side, LOADS[side], ['--expose-gc', ...flags]);
  }

  static async open(
    side: Side,
    options: Omit<LoadOptions, 'port'>,
    profiling: Profiling | undefined,
  ): Promise<Rig> {
    const broker = await startMosquitto({ config: BROKER_CONFIG });
    const rig = new Rig(broker, side, profiling);
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

  async beginProfile(): Promise<void> {
    if (this.profiling === undefined) return;
    await this.ask({ kind: 'profile' });
    this.profiling.onBegin(this.load.pid);
  }

  async endProfile(): Promise<void> {
    if (this.profiling === undefined) return;
    await this.ask({ kind: 'end-profile', file: this.profiling.file });
  }

  /** Gets ready to connect this many more devices. */
  async prepare(count: number): Promise<void> {
    await this.ask({ kind: 'prepare', count });
    this.prepared += count;
  }

  /** Connects the devices that are prepared, until all of them have said what they say. */
  async connect(): Promise<void> {
    const wanted = this.prepared;
    await this.ask({ kind: 'connect' });
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
    const { produced, pending, dropped, missed } = await this.ask<Totals>({ kind: 'finish' });
    const { births, messages, misplaced } = counts;
    if (missed > 0) throw new InvalidRun(`the generator left out ${missed} messages`);
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

/** Memory per device: what the process grows by from a part of the fleet to all of it. */
async function measureMemory(
  { side, plan, profiling }: Measurement,
  isWhole: boolean,
): Promise<Sample> {
  const { devices, protocol } = plan;
  const first = Math.round(devices * FIRST_SHARE);
  const rig = await Rig.open(side, { ...IDLE_LOAD, protocol, isWhole }, profiling);
  try {
    await rig.beginProfile();
    // What loading the program has left is gone before the first reading.
    await rig.read(true);
    await rig.prepare(first);
    await rig.connect();
    const firstGrown = await rig.read();
    const firstAtRest = await rig.read(true);
    await rig.prepare(devices - first);
    await rig.connect();
    const grown = await rig.read();
    const atRest = await rig.read(true);
    await rig.endProfile();
    await rig.verify(devices);
    const more = devices - first;
    if (isWhole) return { wholeBytes: (atRest.rssBytes - firstAtRest.rssBytes) / more };
    return {
      memoryBytes: (atRest.rssBytes - firstAtRest.rssBytes) / more,
      grownBytes: (grown.rssBytes - firstGrown.rssBytes) / more,
    };
  } finally {
    await rig.close();
  }
}

/** CPU time per connect, with all that a device says then, of devices that publish nothing. */
async function measureConnect({ side, plan, profiling }: Measurement): Promise<Sample> {
  const { devices, protocol } = plan;
  const rig = await Rig.open(side, { ...IDLE_LOAD, protocol }, profiling);
  try {
    await rig.prepare(devices);
    await rig.beginProfile();
    const before = await rig.read();
    await rig.connect();
    const after = await rig.read();
    await rig.endProfile();
    await rig.verify(devices);
    return {
      connectUs: (after.threadUs - before.threadUs) / devices,
      connectProcessUs: (after.processUs - before.processUs) / devices,
    };
  } finally {
    await rig.close();
  }
}

interface Window {
  readonly durationMs: number;
  readonly threadUs: number;
  readonly processUs: number;
}

/** What happens in the next `durationMs`. */
async function observe(rig: Rig, durationMs: number): Promise<Window> {
  const before = await readPromptly(rig);
  await delay(durationMs);
  const after = await readPromptly(rig);
  return {
    durationMs: after.atMs - before.atMs,
    threadUs: after.threadUs - before.threadUs,
    processUs: after.processUs - before.processUs,
  };
}

async function readPromptly(rig: Rig): Promise<Reading> {
  const askedMs = performance.now();
  const reading = await rig.read();
  const lateMs = performance.now() - askedMs;
  if (lateMs > LATE_MS_MAX) {
    throw new InvalidRun(`the generator answered after ${Math.round(lateMs)} ms: busy machine?`);
  }
  return reading;
}

/** CPU time per message in a window of steady publishing, and of the same fleet at rest. */
async function measureMessages(
  { side, plan, profiling }: Measurement,
  qos: 0 | 1,
): Promise<Sample> {
  const { devices, protocol, warmMs, windowMs, idleMs } = plan;
  const load = { protocol, qos, intervalMs: INTERVAL_MS, bufferSize: MESSAGE_BUFFER_SIZE };
  const rig = await Rig.open(side, load, profiling);
  try {
    await rig.prepare(devices);
    await rig.connect();
    await delay(warmMs);
    await rig.beginProfile();
    const busy = await observe(rig, windowMs);
    await rig.endProfile();
    await rig.ask({ kind: 'stop-publishing' });
    // Timers that were set for the next message still fire once.
    await delay(INTERVAL_MS + SETTLE_MS);
    const idle = await observe(rig, idleMs);
    const { messages, payloadBytes } = await rig.verify(devices);
    const idleUsPerS = (idle.threadUs / idle.durationMs) * 1000;
    // What was scheduled in the window: both generators keep it and are not late at its ends.
    const published = (devices * busy.durationMs) / INTERVAL_MS;
    const grossUs = busy.threadUs / published;
    const netUs = grossUs - (idleUsPerS * busy.durationMs) / 1000 / published;
    const processUs = busy.processUs / published;
    if (qos === 0) return { qos0Us: grossUs, qos0NetUs: netUs, qos0ProcessUs: processUs };
    return {
      qos1Us: grossUs,
      qos1NetUs: netUs,
      qos1ProcessUs: processUs,
      idleUsPerS,
      payloadBytes: payloadBytes / messages,
    };
  } finally {
    await rig.close();
  }
}

/** Measures one phase of one side; throws `InvalidRun` when it does not count. */
export function measure(measurement: Measurement): Promise<Sample> {
  switch (measurement.phase) {
    case 'memory':
      return measureMemory(measurement, false);
    case 'whole':
      return measureMemory(measurement, true);
    case 'connect':
      return measureConnect(measurement);
    case 'qos0':
      return measureMessages(measurement, 0);
    case 'qos1':
      return measureMessages(measurement, 1);
  }
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
