// What a sampler must do, said sensor by sensor and moment by moment, for random profiles and
// random turns. The rules of one value (adaptive, anomaly) have tests of their own and are used
// here; schedules, windows, thinning, packs, priorities and counters are modelled.

import type { Sensor } from '../../src/device-profile.ts';
import {
  ADAPTIVE_STATE_SIZE,
  initAdaptive,
  nextSampleMs,
  sampleMsOf,
  stepAdaptive,
} from '../../src/sampling/adaptive.ts';
import {
  ANOMALY_STATE_SIZE,
  initAnomaly,
  isAnomaly,
  raiseAlarm,
} from '../../src/sampling/anomaly.ts';

/** What a sensor says: a value, nothing, or a throw. */
export type Reading = number | boolean | string | undefined | Error;

export interface ModelPack {
  readonly scheduledMs: number;
  readonly priority: number;
  readonly values: Readonly<Record<string, unknown>>;
}

/** The most records of one pack beside the sequence. */
const SAMPLES_MAX = 22;
const LATE_MAX = 16;

export class SamplerModel {
  readonly packs: ModelPack[] = [];
  faults = 0;
  missed = 0;
  anomalies = 0;
  held = 0;
  private readonly sensors: readonly ModelSensor[];

  constructor(
    sensors: readonly Sensor[],
    read: (index: number) => Reading,
    intervalMs: number,
    firstMs: number,
  ) {
    const isCommon = (sensor: Sensor) => (sensor.adaptive ?? sensor.window) === undefined;
    const common = sensors.findIndex(isCommon);
    this.sensors = sensors.map((sensor, index) => {
      const dueMs = isCommon(sensor) && intervalMs === Infinity ? Infinity : firstMs;
      const counts = !isCommon(sensor) || index === common;
      return new ModelSensor(this, sensor, () => read(index), intervalMs, dueMs, counts);
    });
  }

  turn(nowMs: number): void {
    for (;;) {
      for (const sensor of this.sensors) sensor.skip(nowMs);
      const scheduledMs = Math.min(...this.sensors.map((sensor) => sensor.dueMs));
      if (!(scheduledMs <= nowMs)) return;
      const due = this.sensors.filter((sensor) => sensor.dueMs === scheduledMs);
      const alarms: [string, unknown][] = [];
      const groups = due.map((sensor) => {
        const outcome = sensor.take(scheduledMs);
        if (outcome.alarm !== undefined) alarms.push([sensor.name, outcome.alarm]);
        return outcome.records;
      });
      this.pack(scheduledMs, 1, groups);
      this.pack(
        scheduledMs,
        2,
        alarms.map((alarm) => [alarm]),
      );
    }
  }

  /** The records of one sensor stay together. */
  private pack(scheduledMs: number, priority: number, groups: [string, unknown][][]): void {
    let pack: [string, unknown][] = [];
    for (const group of groups) {
      if (pack.length + group.length > SAMPLES_MAX) {
        this.packs.push({ scheduledMs, priority, values: Object.fromEntries(pack) });
        pack = [];
      }
      pack.push(...group);
    }
    if (pack.length === 0) return;
    this.packs.push({ scheduledMs, priority, values: Object.fromEntries(pack) });
  }
}

class ModelSensor {
  dueMs: number;
  /** Sensors of the common interval are missed together, and counted once. */
  private readonly countsMisses: boolean;
  private readonly model: SamplerModel;
  private readonly sensor: Sensor;
  private readonly read: () => Reading;
  private readonly intervalMs: number;
  private readonly adaptive: number[] = new Array(ADAPTIVE_STATE_SIZE);
  private readonly anomaly: number[] = new Array(ANOMALY_STATE_SIZE);
  /** Values of the open window. */
  private values: number[] = [];
  private windowStartMs: number | undefined = undefined;
  /** Intervals since the last value that a thinned sensor sent. */
  private since = Number.POSITIVE_INFINITY;

  constructor(
    model: SamplerModel,
    sensor: Sensor,
    read: () => Reading,
    intervalMs: number,
    firstMs: number,
    countsMisses: boolean,
  ) {
    this.countsMisses = countsMisses;
    this.model = model;
    this.sensor = sensor;
    this.read = read;
    this.intervalMs = intervalMs;
    this.dueMs = firstMs;
    if (sensor.adaptive !== undefined) initAdaptive(this.adaptive, 0, sensor.adaptive);
    initAnomaly(this.anomaly, 0);
  }

  get name(): string {
    return this.sensor.name;
  }

  private get stepMs(): number {
    const { adaptive, window } = this.sensor;
    if (adaptive !== undefined) return sampleMsOf(this.adaptive, 0);
    return window?.sampleMs ?? this.intervalMs;
  }

  /** Of the samples that are due, only the last 16 are taken. */
  skip(nowMs: number): void {
    while (this.dueMs + LATE_MAX * this.stepMs <= nowMs) {
      if (this.countsMisses) this.model.missed += 1;
      this.dueMs += this.stepMs;
    }
  }

  take(timeMs: number): { records: [string, unknown][]; alarm?: number } {
    const { adaptive, anomaly, every = 1, name, window } = this.sensor;
    const records = window === undefined ? [] : this.endWindow(timeMs, window.intervalMs);
    if (adaptive === undefined) this.dueMs = timeMs + this.stepMs;
    this.since += 1;
    if (this.since < every && anomaly === undefined) return { records };
    const reading = this.read();
    const isMeasured = (adaptive ?? window ?? anomaly) !== undefined;
    const number = typeof reading === 'number' || typeof reading === 'boolean' ? +reading : NaN;
    const isText = typeof reading === 'string' && !isMeasured;
    const sizeMax = isMeasured ? 1e150 : Number.MAX_VALUE;
    if (!isText && !(Math.abs(number) <= sizeMax)) {
      this.model.faults += 1;
      // The next interval takes its place.
      this.since -= 1;
      if (adaptive !== undefined) this.dueMs = nextSampleMs(this.adaptive, 0, adaptive, timeMs);
      return { records };
    }
    const isFar = anomaly !== undefined && isAnomaly(this.anomaly, 0, anomaly, number);
    const isAlarm = isFar && raiseAlarm(this.anomaly, 0, anomaly, timeMs, number);
    if (isFar) this.model.anomalies += 1;
    if (isFar && !isAlarm) this.model.held += 1;
    const alarm = isAlarm ? { alarm: number } : {};
    if (window !== undefined) {
      if (!isFar) this.values.push(number);
      return { records, ...alarm };
    }
    let goesOut = true;
    if (adaptive !== undefined) {
      goesOut = stepAdaptive(this.adaptive, 0, adaptive, timeMs, number, isAlarm);
      this.dueMs = nextSampleMs(this.adaptive, 0, adaptive, timeMs);
    } else if (this.since < every) goesOut = false;
    else this.since = 0;
    return goesOut && !isAlarm ? { records: [[name, reading]] } : { records, ...alarm };
  }

  /** The records of the window that ended by now, if it has values. */
  private endWindow(timeMs: number, intervalMs: number): [string, unknown][] {
    this.windowStartMs ??= timeMs;
    if (timeMs < this.windowStartMs + intervalMs) return [];
    while (timeMs >= this.windowStartMs + intervalMs) this.windowStartMs += intervalMs;
    const { values } = this;
    this.values = [];
    if (values.length === 0) return [];
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const deviation = values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1));
    const { name } = this.sensor;
    return [
      [`${name}/count`, values.length],
      [`${name}/mean`, mean],
      [`${name}/min`, Math.min(...values)],
      [`${name}/max`, Math.max(...values)],
      [`${name}/stddev`, deviation],
    ];
  }
}
