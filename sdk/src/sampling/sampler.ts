// From sensors to SenML packs: at a fixed interval, on an absolute schedule, one pack per turn
// with a sample of each sensor.

import type { Priority } from '../buffer/outbox.ts';
import { PRIORITY_NORMAL } from '../buffer/outbox.ts';
import { beginPack, writeSample, writeUncertainty } from '../codec/senml.ts';
import type { Device } from '../device.ts';
import type { Sensor } from '../device-profile.ts';
import { type Platform, PowerLoss } from '../platform.ts';

/** A clock less certain than this is told with each pack, in ms. */
export const UNCERTAINTY_TOLD_MS = 1000;
/** Samples that a late turn still takes, each with its own time; older ones are missed. */
export const LATE_SAMPLES_MAX = 16;

/** Takes the packs. */
export interface SamplerOwner {
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
  private readonly platform: Platform;
  private readonly id: string;
  private readonly sensors: readonly Sensor[];
  private readonly intervalMs: number;
  private readonly owner: SamplerOwner;

  /** `intervalMs` Infinity takes no samples, and leaves `report`. */
  constructor(
    platform: Platform,
    id: string,
    sensors: readonly Sensor[],
    intervalMs: number,
    owner: SamplerOwner,
  ) {
    this.platform = platform;
    this.id = id;
    this.sensors = sensors;
    this.intervalMs = intervalMs;
    this.owner = owner;
    this.streamId = platform.random().toString(36);
  }

  /** Begins at a random phase within one interval, so that a fleet does not do so at once. */
  start(): void {
    if (this.dueMs < Number.POSITIVE_INFINITY || this.intervalMs === Number.POSITIVE_INFINITY) {
      return;
    }
    const phase = this.platform.random() / 4294967296;
    this.dueMs = Math.floor(this.platform.clock.monotonicMs() + phase * this.intervalMs);
  }

  stop(): void {
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  /** Takes the samples that are due at `nowMs`. */
  tick(nowMs: number, device: Device): void {
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
    const nowMs = this.platform.clock.monotonicMs();
    const { scratch } = this.platform.memory;
    const end = writeSample(scratch, this.begin(nowMs, nowMs, 1), name, unit, value, 0);
    this.finish(nowMs, end, priority);
  }

  private sample(scheduledMs: number, nowMs: number, device: Device): void {
    const { sensors } = this;
    const { scratch } = this.platform.memory;
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

  /** Begins a pack of `sampleCount` samples in scratch and returns the offset after its head. */
  private begin(scheduledMs: number, nowMs: number, sampleCount: number): number {
    const { clock, memory } = this.platform;
    const epochMs = clock.epochMs();
    const known = isFinite(epochMs);
    const uncertaintyMs = clock.epochUncertaintyMs();
    const tellsUncertainty = known && uncertaintyMs >= UNCERTAINTY_TOLD_MS;
    // A relative base time of 0 means "about now" (RFC 8428 §4.5.3).
    const baseTimeS = known ? (epochMs - (nowMs - scheduledMs)) / 1000 : 0;
    const recordCount = 1 + (tellsUncertainty ? 1 : 0) + sampleCount;
    const { id, packCount, streamId } = this;
    const end = beginPack(memory.scratch, 0, recordCount, id, streamId, baseTimeS, packCount);
    return tellsUncertainty ? writeUncertainty(memory.scratch, end, uncertaintyMs / 1000) : end;
  }

  private finish(scheduledMs: number, size: number, priority: Priority): void {
    const sequence = this.packCount;
    this.packCount = sequence + 1;
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
