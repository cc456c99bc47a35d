// From sensors to SenML packs: at a fixed interval, on an absolute schedule, one pack per turn
// with a sample of each sensor; and sensor by sensor as its adaptive, window, anomaly and every
// options say (docs/sampling.md).

import { PRIORITY_HIGH, PRIORITY_NORMAL, type Priority } from '../buffer/outbox.ts';
import { SequenceCounter } from '../buffer/sequence.ts';
import { hasLog } from '../buffer/store.ts';
import { beginPack, writeSample, writeUncertainty } from '../codec/senml.ts';
import type { Device } from '../device.ts';
import type { Sensor } from '../device-profile.ts';
import { type Platform, PowerLoss } from '../platform.ts';
import { nextSampleMs, sampleMsOf, stepAdaptive } from './adaptive.ts';
import { type AnomalyOptions, isAnomaly, raiseAlarm, takeAlarm } from './anomaly.ts';
import {
  ANOMALY_COUNT,
  ANOMALY_HELD_COUNT,
  anomalyOffset,
  createState,
  FIXED_DUE_MS,
  hasOwnSchedule,
  SENSORS_AT,
  stateSize,
  VALUE_MAX,
} from './sensor-state.ts';
import {
  addToWindow,
  clearWindow,
  enterWindow,
  WINDOW_RECORD_COUNT,
  writeWindow,
} from './window.ts';

/** A clock less certain than this is told with each pack, in ms. */
export const UNCERTAINTY_TOLD_MS = 1000;
/** Samples that a late turn still takes, each with its own time; older ones are missed. */
export const LATE_SAMPLES_MAX = 16;
/** Head of the longest pack: an array of 23 records, the most that one byte can say. */
const PACK_HEAD_MAX = 0x97;

/** What a value is, next to those before it. */
const NORMAL = 0;
/** An anomaly that is no alarm, because the last one was too short ago. */
const HELD = 1;
const ALARM = 2;

/** The device, which takes the packs. */
export interface SamplerOwner {
  readonly id: string;
  readonly platform: Platform;
  /** The pack is in scratch[0, size) until the return. */
  onPack(sequence: number, scheduledMs: number, size: number, priority: Priority): void;
}

export class Sampler {
  /** Monotonic ms of the next sample; Infinity = none. */
  dueMs = Number.POSITIVE_INFINITY;
  /** Packs made. */
  packCount = 0;
  /** Readings that were no value: nothing, NaN, an infinity, or a throw. */
  faultCount = 0;
  /** Samples too late to be taken. */
  missedCount = 0;
  /** Names the sequence: it begins at 0 again when RAM was lost, and then has another name. */
  readonly streamId: string;
  private readonly sensors: readonly Sensor[];
  private intervalMs: number;
  private readonly owner: SamplerOwner;
  /** Where records survive a reset, sequences do; undefined = the sequence is the count of packs. */
  private readonly counter: SequenceCounter | undefined;
  /** See sensor-state.ts; undefined when all sensors are plain. */
  private readonly state: number[] | undefined;

  /**
   * `intervalMs` Infinity takes no samples but those of sensors with a schedule of their own, and
   * leaves `report`.
   */
  constructor(sensors: readonly Sensor[], intervalMs: number, owner: SamplerOwner) {
    const { platform } = owner;
    this.sensors = sensors;
    this.intervalMs = intervalMs;
    this.owner = owner;
    this.counter = hasLog(platform) ? new SequenceCounter(platform) : undefined;
    const stream = this.counter === undefined ? platform.random() : this.counter.stream;
    this.streamId = stream.toString(36);
    this.state = createState(sensors);
  }

  /** Values that were anomalies. */
  get anomalyCount(): number {
    return this.state === undefined ? 0 : (this.state[ANOMALY_COUNT] as number);
  }

  /** Anomalies that were no alarm, because the sensor's last one was too short ago. */
  get anomalyHeldCount(): number {
    return this.state === undefined ? 0 : (this.state[ANOMALY_HELD_COUNT] as number);
  }

  /** Begins at a random phase within one interval, so that a fleet does not do so at once. */
  start(): void {
    if (this.dueMs < Number.POSITIVE_INFINITY) return;
    const spanMs = this.state === undefined ? this.intervalMs : this.spanMs();
    if (spanMs === Number.POSITIVE_INFINITY) return;
    const phase = this.owner.platform.random() / 4294967296;
    const nowMs = this.owner.platform.clock.monotonicMs();
    const dueMs = Math.floor(nowMs + phase * spanMs);
    this.dueMs = this.state === undefined ? dueMs : this.startSchedules(this.state, nowMs, dueMs);
  }

  stop(): void {
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  /** From now on at this interval; sampling begins anew at a random phase, if it goes on at all. */
  setInterval(intervalMs: number): void {
    const isRunning = this.dueMs < Number.POSITIVE_INFINITY;
    this.intervalMs = intervalMs;
    if (!isRunning) return;
    this.stop();
    this.start();
  }

  /** True when every sensor has a value now. */
  canRead(device: Device): boolean {
    const { sensors } = this;
    for (let index = 0; index < sensors.length; index += 1) {
      if (readSensor(sensors[index] as Sensor, device) === undefined) return false;
    }
    return true;
  }

  /** For deep sleep: true when a reset now leaves neither a gap nor a sensor without its state. */
  secure(): boolean {
    if (this.state !== undefined || this.counter === undefined) return false;
    this.counter.close();
    return true;
  }

  /** Takes the samples that are due at `nowMs`. */
  tick(nowMs: number, device: Device): void {
    if (this.state !== undefined) {
      this.tickSchedules(this.state, nowMs, device);
      return;
    }
    const { intervalMs } = this;
    const late = Math.floor((nowMs - this.dueMs) / intervalMs);
    if (late >= LATE_SAMPLES_MAX) {
      const missed = late - LATE_SAMPLES_MAX + 1;
      this.missedCount += missed;
      this.dueMs += missed * intervalMs;
    }
    while (this.dueMs <= nowMs) {
      const scheduledMs = this.dueMs;
      // An absolute schedule: a late turn does not shift the samples after it.
      this.dueMs = scheduledMs + intervalMs;
      this.sample(scheduledMs, nowMs, device);
    }
  }

  /** One value as a pack of its own, now. */
  report(
    name: string,
    unit: string | undefined,
    value: number | boolean | string,
    priority: Priority,
  ): void {
    const nowMs = this.owner.platform.clock.monotonicMs();
    const { scratch } = this.owner.platform.memory;
    const end = writeSample(scratch, this.begin(nowMs, nowMs, 1), name, unit, value, 0);
    this.finish(nowMs, end, priority);
  }

  private sample(scheduledMs: number, nowMs: number, device: Device): void {
    const { sensors } = this;
    const { scratch } = this.owner.platform.memory;
    let end = this.begin(scheduledMs, nowMs, sensors.length);
    let faults = 0;
    for (let index = 0; index < sensors.length; index += 1) {
      const sensor = sensors[index] as Sensor;
      const value = readSensor(sensor, device);
      if (value === undefined) faults += 1;
      else end = writeSample(scratch, end, sensor.name, sensor.unit, value, 0);
    }
    this.faultCount += faults;
    // A head of fewer than 24 items is one byte with the count in it (RFC 8949 §3).
    if (faults > 0) scratch[0] = (scratch[0] as number) - faults;
    if (faults < sensors.length) this.finish(scheduledMs, end, PRIORITY_NORMAL);
  }

  /** What the first samples are spread over, ms; Infinity = there are none to take. */
  private spanMs(): number {
    if (this.intervalMs < Number.POSITIVE_INFINITY) return this.intervalMs;
    let longestMs = 0;
    for (let index = 0; index < this.sensors.length; index += 1) {
      const sensor = this.sensors[index] as Sensor;
      if (hasOwnSchedule(sensor)) longestMs = Math.max(longestMs, sampleMsMax(sensor));
    }
    return longestMs > 0 ? longestMs : Number.POSITIVE_INFINITY;
  }

  /**
   * Sets when each sensor is due first, and returns when the first of them is. Those with a
   * schedule of their own begin within their interval, in step with `fixedMs`, so that samples
   * of one moment share a pack.
   */
  private startSchedules(state: number[], nowMs: number, fixedMs: number): number {
    const { sensors } = this;
    state[FIXED_DUE_MS] = Number.POSITIVE_INFINITY;
    let at = SENSORS_AT;
    for (let index = 0; index < sensors.length; index += 1) {
      const sensor = sensors[index] as Sensor;
      if (hasOwnSchedule(sensor)) {
        const stepMs = sampleMsMax(sensor);
        const stepCount = Math.floor(Math.max(0, fixedMs - nowMs) / stepMs);
        state[at] = fixedMs - stepCount * stepMs;
      } else if (this.intervalMs < Number.POSITIVE_INFINITY) {
        state[FIXED_DUE_MS] = fixedMs;
      }
      at += stateSize(sensor);
    }
    return this.nextDueMs(state);
  }

  /** Monotonic ms at which the next sensor is due. */
  private nextDueMs(state: readonly number[]): number {
    const { sensors } = this;
    let dueMs = state[FIXED_DUE_MS] as number;
    let at = SENSORS_AT;
    for (let index = 0; index < sensors.length; index += 1) {
      const sensor = sensors[index] as Sensor;
      if (hasOwnSchedule(sensor)) dueMs = Math.min(dueMs, state[at] as number);
      at += stateSize(sensor);
    }
    return dueMs;
  }

  private tickSchedules(state: number[], nowMs: number, device: Device): void {
    while (this.dueMs <= nowMs) {
      if (this.dueMs < nowMs) this.skipMissed(state, nowMs);
      const scheduledMs = this.dueMs;
      this.sampleDue(state, scheduledMs, nowMs, device);
      // Unless the program stopped the sampling from within.
      if (this.dueMs === scheduledMs) this.dueMs = this.nextDueMs(state);
    }
  }

  /** Passes over the samples that are too late to be taken. */
  private skipMissed(state: number[], nowMs: number): void {
    const { sensors } = this;
    this.skipAt(state, FIXED_DUE_MS, this.intervalMs, nowMs);
    let at = SENSORS_AT;
    for (let index = 0; index < sensors.length; index += 1) {
      const { adaptive, window } = sensors[index] as Sensor;
      if (adaptive !== undefined) this.skipAt(state, at, sampleMsOf(state, at + 1), nowMs);
      else if (window !== undefined) this.skipAt(state, at, window.sampleMs, nowMs);
      at += stateSize(sensors[index] as Sensor);
    }
    this.dueMs = this.nextDueMs(state);
  }

  private skipAt(state: number[], at: number, intervalMs: number, nowMs: number): void {
    const late = Math.floor((nowMs - (state[at] as number)) / intervalMs);
    if (!(late >= LATE_SAMPLES_MAX)) return;
    const missed = late - LATE_SAMPLES_MAX + 1;
    this.missedCount += missed;
    state[at] = (state[at] as number) + missed * intervalMs;
  }

  /** Takes the samples of one moment: one pack of what goes out, and one of alarms. */
  private sampleDue(state: number[], scheduledMs: number, nowMs: number, device: Device): void {
    const { sensors } = this;
    const anomalyCount = state[ANOMALY_COUNT] as number;
    const fixedIsDue = (state[FIXED_DUE_MS] as number) <= scheduledMs;
    if (fixedIsDue) state[FIXED_DUE_MS] = (state[FIXED_DUE_MS] as number) + this.intervalMs;
    let end = 0;
    let at = SENSORS_AT;
    for (let index = 0; index < sensors.length; index += 1) {
      const sensor = sensors[index] as Sensor;
      const isDue = hasOwnSchedule(sensor) ? (state[at] as number) <= scheduledMs : fixedIsDue;
      if (isDue) end = this.take(end, sensor, state, at, scheduledMs, nowMs, device);
      at += stateSize(sensor);
    }
    if (end > 0) this.finish(scheduledMs, end, PRIORITY_NORMAL);
    if ((state[ANOMALY_COUNT] as number) > anomalyCount) {
      this.sendAlarms(state, scheduledMs, nowMs);
    }
  }

  /** Takes a sample of one sensor; returns the end of the pack, as `append` does. */
  private take(
    end: number,
    sensor: Sensor,
    state: number[],
    at: number,
    scheduledMs: number,
    nowMs: number,
    device: Device,
  ): number {
    const { adaptive, anomaly, every, window } = sensor;
    let next = end;
    if (window !== undefined) {
      state[at] = scheduledMs + window.sampleMs;
      if (enterWindow(state, at + 1, window, scheduledMs)) {
        next = this.append(
          next,
          sensor,
          undefined,
          state,
          at + 1,
          scheduledMs,
          nowMs,
          PRIORITY_NORMAL,
        );
        clearWindow(state, at + 1);
      }
    } else if (every !== undefined && anomaly === undefined && (state[at] as number) > 0) {
      // Nobody looks at this one: it is not even read.
      state[at] = (state[at] as number) - 1;
      return next;
    }
    const value = readSensor(sensor, device);
    const number = toNumber(sensor, value);
    if (value === undefined || number !== number) {
      this.faultCount += 1;
      if (adaptive !== undefined) state[at] = nextSampleMs(state, at + 1, adaptive, scheduledMs);
      return next;
    }
    const verdict =
      anomaly === undefined
        ? NORMAL
        : judge(state, at + anomalyOffset(sensor), anomaly, scheduledMs, number);
    if (window !== undefined) {
      // An anomaly is no part of the aggregate, alarm or not.
      if (verdict === NORMAL) addToWindow(state, at + 1, number);
      return next;
    }
    const isAlarm = verdict === ALARM;
    let goesOut = true;
    if (adaptive !== undefined) {
      goesOut = stepAdaptive(state, at + 1, adaptive, scheduledMs, number, isAlarm);
      state[at] = nextSampleMs(state, at + 1, adaptive, scheduledMs);
    } else if (every !== undefined) {
      goesOut = state[at] === 0;
      state[at] = goesOut ? every - 1 : (state[at] as number) - 1;
    }
    if (isAlarm || !goesOut) return next;
    return this.append(next, sensor, value, state, at, scheduledMs, nowMs, PRIORITY_NORMAL);
  }

  /** Sends the alarms of one moment. */
  private sendAlarms(state: number[], scheduledMs: number, nowMs: number): void {
    const { sensors } = this;
    let end = 0;
    let at = SENSORS_AT;
    for (let index = 0; index < sensors.length; index += 1) {
      const sensor = sensors[index] as Sensor;
      if (sensor.anomaly !== undefined) {
        const value = takeAlarm(state, at + anomalyOffset(sensor));
        if (value === value) {
          end = this.append(end, sensor, value, state, at, scheduledMs, nowMs, PRIORITY_HIGH);
        }
      }
      at += stateSize(sensor);
    }
    if (end > 0) this.finish(scheduledMs, end, PRIORITY_HIGH);
  }

  /**
   * Appends to the pack that ends at `end`, 0 = to a new one, and returns the new end: `value`,
   * or when that is undefined the window whose numbers begin at `at`. A full pack goes out first;
   * what does not fit an empty one is a fault, and 0 is returned.
   */
  private append(
    end: number,
    sensor: Sensor,
    value: number | boolean | string | undefined,
    state: readonly number[],
    at: number,
    scheduledMs: number,
    nowMs: number,
    priority: Priority,
  ): number {
    if (end > 0) {
      const next = this.write(end, sensor, value, state, at);
      if (next > 0) return next;
      this.finish(scheduledMs, end, priority);
    }
    const next = this.write(this.begin(scheduledMs, nowMs, 0), sensor, value, state, at);
    if (next === 0) this.faultCount += 1;
    return next;
  }

  /** Returns the offset after, or 0 when the pack has no room for it. */
  private write(
    end: number,
    sensor: Sensor,
    value: number | boolean | string | undefined,
    state: readonly number[],
    at: number,
  ): number {
    const { scratch } = this.owner.platform.memory;
    const { name, unit } = sensor;
    const head = (scratch[0] as number) + (value === undefined ? WINDOW_RECORD_COUNT : 1);
    const next =
      value === undefined
        ? writeWindow(scratch, end, name, unit, state, at)
        : writeSample(scratch, end, name, unit, value, 0);
    if (head > PACK_HEAD_MAX || next > scratch.length) return 0;
    scratch[0] = head;
    return next;
  }

  /** Begins a pack of `sampleCount` samples in scratch and returns the offset after its head. */
  private begin(scheduledMs: number, nowMs: number, sampleCount: number): number {
    const { clock, memory } = this.owner.platform;
    const epochMs = clock.epochMs();
    const known = isFinite(epochMs);
    const uncertaintyMs = clock.epochUncertaintyMs();
    const tellsUncertainty = known && uncertaintyMs >= UNCERTAINTY_TOLD_MS;
    // Set when the pack goes out.
    const baseTimeS = known ? (epochMs - (nowMs - scheduledMs)) / 1000 : NaN;
    const recordCount = 1 + (tellsUncertainty ? 1 : 0) + sampleCount;
    const { counter, owner, streamId } = this;
    const sequence = counter === undefined ? this.packCount : counter.next;
    const end = beginPack(memory.scratch, 0, recordCount, owner.id, streamId, baseTimeS, sequence);
    return tellsUncertainty ? writeUncertainty(memory.scratch, end, uncertaintyMs / 1000) : end;
  }

  private finish(scheduledMs: number, size: number, priority: Priority): void {
    const sequence = this.counter === undefined ? this.packCount : this.counter.take();
    this.packCount += 1;
    this.owner.onPack(sequence, scheduledMs, size, priority);
  }
}

/** The value, or undefined when there is none worth sending. */
function readSensor(sensor: Sensor, device: Device): number | boolean | string | undefined {
  try {
    const value = sensor.read(device);
    return typeof value === 'number' && !isFinite(value) ? undefined : value;
  } catch (error) {
    if (error instanceof PowerLoss) throw error;
    return undefined;
  }
}

/** The value to adapt to, aggregate or judge; NaN where the sensor needs one and it is none. */
function toNumber(sensor: Sensor, value: number | boolean | string | undefined): number {
  if (sensor.anomaly === undefined && !hasOwnSchedule(sensor)) return 0;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'number' && Math.abs(value) <= VALUE_MAX ? value : Number.NaN;
}

/** Longest time between two samples of a sensor with a schedule of its own, ms. */
function sampleMsMax(sensor: Sensor): number {
  if (sensor.adaptive !== undefined) return sensor.adaptive.sampleMsMax;
  return sensor.window === undefined ? 0 : sensor.window.sampleMs;
}

/** NORMAL, HELD or ALARM; anomalies are counted. */
function judge(
  state: number[],
  at: number,
  options: AnomalyOptions,
  timeMs: number,
  value: number,
): number {
  if (!isAnomaly(state, at, options, value)) return NORMAL;
  state[ANOMALY_COUNT] = (state[ANOMALY_COUNT] as number) + 1;
  if (raiseAlarm(state, at, options, timeMs, value)) return ALARM;
  state[ANOMALY_HELD_COUNT] = (state[ANOMALY_HELD_COUNT] as number) + 1;
  return HELD;
}
