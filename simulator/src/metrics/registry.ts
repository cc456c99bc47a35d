// Where a worker records and what workers merge: counters and gauges as numbers, trends as
// HDR histograms of whole microseconds. Everything recorded is an integer, so merging is exact
// and its order does not matter; the total of all fleets is a merge too.

import assert from 'node:assert/strict';
import { Float64Histogram } from 'hdr-histogram-js';
import {
  COUNTER_NAMES,
  type CounterName,
  GAUGE_NAMES,
  type GaugeName,
  TREND_NAMES,
  type TrendName,
} from './names.ts';
import {
  type MetricValue,
  type PercentileKey,
  type RateValue,
  type Snapshot,
  type TrendValue,
  taggedName,
} from './snapshot.ts';

/** Largest latency that is told apart: one hour. A larger one counts as one hour. */
export const TREND_US_MAX = 3_600_000_000;

/** Significant digits: a percentile is at most 0.1 % above the true value. */
const TREND_DIGITS = 3;

/** A sum that only grows. */
export class Counter {
  value = 0;

  /** Whole numbers only: fractions would make a merge depend on its order. */
  add(count = 1): void {
    this.value += count;
  }
}

/** A number of things at this moment; workers hold parts of it, so a merge adds. */
export class Gauge {
  value = 0;

  set(value: number): void {
    this.value = value;
  }

  add(change: number): void {
    this.value += change;
    assert(this.value >= 0, `a gauge of ${this.value}`);
  }
}

/** Content of a trend as plain data; `values` holds value in µs and its count in turn. */
export interface TrendWire {
  readonly count: number;
  readonly sumUs: number;
  readonly minUs: number;
  readonly maxUs: number;
  readonly values: Float64Array;
}

const EMPTY: TrendWire = {
  count: 0,
  sumUs: 0,
  minUs: Number.POSITIVE_INFINITY,
  maxUs: 0,
  values: new Float64Array(0),
};

/** A distribution of latencies. */
export class Trend {
  count = 0;
  private sumUs = 0;
  private minUs = Number.POSITIVE_INFINITY;
  private maxUs = 0;
  private wire: TrendWire = EMPTY;
  // 64-bit counts: a day at 50,000 messages/s may put more than 2^32 into one bucket.
  private readonly histogram = new Float64Histogram(1, TREND_US_MAX, TREND_DIGITS);

  /** Records one latency; below zero (clocks of two hosts) counts as zero. Allocates nothing. */
  record(ms: number): void {
    const rounded = Math.round(ms * 1000);
    const us = rounded > 0 ? Math.min(rounded, TREND_US_MAX) : 0;
    this.count++;
    this.sumUs += us;
    if (us < this.minUs) this.minUs = us;
    if (us > this.maxUs) this.maxUs = us;
    this.histogram.recordValue(us);
  }

  merge(wire: TrendWire): void {
    if (wire.count === 0) return;
    this.count += wire.count;
    this.sumUs += wire.sumUs;
    this.minUs = Math.min(this.minUs, wire.minUs);
    this.maxUs = Math.max(this.maxUs, wire.maxUs);
    for (let index = 0; index < wire.values.length; index += 2) {
      this.histogram.recordValueWithCount(wire.values[index]!, wire.values[index + 1]!);
    }
  }

  /** The content; the object of the last time when nothing was recorded since. */
  toWire(): TrendWire {
    if (this.wire.count === this.count) return this.wire;
    const { count, sumUs, minUs, maxUs } = this;
    const values = new Float64Array(2 * this.bucketCount());
    for (let index = 0, at = 0; at < values.length; index++) {
      const inBucket = this.histogram.getCountAtIndex(index);
      if (inBucket === 0) continue;
      values[at] = this.histogram.valueFromIndex(index);
      values[at + 1] = inBucket;
      at += 2;
    }
    this.wire = { count, sumUs, minUs, maxUs, values };
    return this.wire;
  }

  /** Buckets that hold something. */
  private bucketCount(): number {
    let buckets = 0;
    for (let index = 0, left = this.count; left > 0; index++) {
      const inBucket = this.histogram.getCountAtIndex(index);
      if (inBucket > 0) buckets++;
      left -= inBucket;
    }
    return buckets;
  }

  /** In ms. A bucket reports its upper end, so the true extremes bound it. */
  percentile(percentile: number): number {
    if (this.count === 0) return 0;
    const us = this.histogram.getValueAtPercentile(percentile);
    return Math.min(Math.max(us, this.minUs), this.maxUs) / 1000;
  }

  value(percentiles: readonly number[]): TrendValue {
    const value: TrendValue & { [key: PercentileKey]: number } = {
      kind: 'trend',
      count: this.count,
      min: this.count === 0 ? 0 : this.minUs / 1000,
      avg: this.count === 0 ? 0 : this.sumUs / this.count / 1000,
      med: this.percentile(50),
      p90: this.percentile(90),
      p95: this.percentile(95),
      p99: this.percentile(99),
      max: this.maxUs / 1000,
    };
    for (const percentile of percentiles) value[`p(${percentile})`] = this.percentile(percentile);
    return value;
  }
}

/** A registry as plain data, for `postMessage`. Arrays run fleet by fleet, metric by metric. */
export interface RegistryWire {
  readonly fleets: readonly string[];
  readonly counters: Float64Array;
  readonly gauges: Float64Array;
  /** Empty when they were left out. */
  readonly trends: readonly TrendWire[];
}

/** A report without trends leaves those of the one before it standing. */
export function withTrends(wire: RegistryWire, previous: RegistryWire | undefined): RegistryWire {
  if (wire.trends.length > 0 || previous === undefined) return wire;
  return { ...wire, trends: previous.trends };
}

/**
 * All metrics of a run, per fleet. A worker fetches its counters, gauges and trends once and
 * keeps them; `toWire` goes to the main thread, which merges and takes snapshots.
 */
export class Registry {
  readonly fleets: readonly string[];
  private readonly counters: readonly Counter[];
  private readonly gauges: readonly Gauge[];
  private readonly trends: readonly Trend[];

  /** `fleets`: the names of the scenario's fleets, the same and in the same order everywhere. */
  constructor(fleets: readonly string[]) {
    this.fleets = [...fleets];
    this.counters = Array.from(
      { length: fleets.length * COUNTER_NAMES.length },
      () => new Counter(),
    );
    this.gauges = Array.from({ length: fleets.length * GAUGE_NAMES.length }, () => new Gauge());
    this.trends = Array.from({ length: fleets.length * TREND_NAMES.length }, () => new Trend());
  }

  /** The counter of a fleet, given by its index. */
  counter(name: CounterName, fleet: number): Counter {
    return this.counters[this.position(COUNTER_NAMES, name, fleet)]!;
  }

  gauge(name: GaugeName, fleet: number): Gauge {
    return this.gauges[this.position(GAUGE_NAMES, name, fleet)]!;
  }

  trend(name: TrendName, fleet: number): Trend {
    return this.trends[this.position(TREND_NAMES, name, fleet)]!;
  }

  /** Sum over all fleets. */
  total(name: CounterName | GaugeName): number {
    const isCounter = COUNTER_NAMES.includes(name as CounterName);
    return this.fleets.reduce(
      (sum, _, fleet) =>
        sum +
        (isCounter
          ? this.counter(name as CounterName, fleet).value
          : this.gauge(name as GaugeName, fleet).value),
      0,
    );
  }

  /** Trends are most of it; without them the wire says nothing about them. */
  toWire(withTrends = true): RegistryWire {
    return {
      fleets: this.fleets,
      counters: Float64Array.from(this.counters, (counter) => counter.value),
      gauges: Float64Array.from(this.gauges, (gauge) => gauge.value),
      trends: withTrends ? this.trends.map((trend) => trend.toWire()) : [],
    };
  }

  static fromWire(wire: RegistryWire): Registry {
    const registry = new Registry(wire.fleets);
    registry.merge(wire);
    return registry;
  }

  /** Adds what another registry of the same fleets recorded. */
  merge(wire: RegistryWire): void {
    assert.deepEqual(wire.fleets, this.fleets, 'registries of different scenarios');
    for (const [index, counter] of this.counters.entries()) counter.add(wire.counters[index]!);
    for (const [index, gauge] of this.gauges.entries()) gauge.add(wire.gauges[index]!);
    for (const [index, trend] of wire.trends.entries()) this.trends[index]!.merge(trend);
  }

  /**
   * The values at this moment, totals and per fleet. `percentiles` are computed beside the usual
   * 50, 90, 95 and 99: `thresholdPercentiles` tells those that thresholds need.
   */
  snapshot(percentiles: readonly number[] = []): Snapshot {
    const snapshot: Record<string, MetricValue> = {};
    const fleets = this.fleets.map((_, fleet) => fleet);
    this.addValues(snapshot, (name) => name, fleets, percentiles);
    for (const fleet of fleets) {
      const tagged = (name: string) => taggedName(name, this.fleets[fleet]!);
      this.addValues(snapshot, tagged, [fleet], percentiles);
    }
    return snapshot;
  }

  private addValues(
    snapshot: Record<string, MetricValue>,
    key: (name: string) => string,
    fleets: readonly number[],
    percentiles: readonly number[],
  ): void {
    const sum = (value: (fleet: number) => number) =>
      fleets.reduce((total, fleet) => total + value(fleet), 0);
    const counted = (name: CounterName) => sum((fleet) => this.counter(name, fleet).value);
    for (const name of GAUGE_NAMES) {
      const value = sum((fleet) => this.gauge(name, fleet).value);
      snapshot[key(name)] = { kind: 'gauge', value };
    }
    for (const name of COUNTER_NAMES) {
      snapshot[key(name)] = { kind: 'counter', value: counted(name) };
    }
    snapshot[key('messages_delivered')] = delivered(
      counted('messages_observed'),
      counted('messages_produced') - counted('messages_unobservable'),
    );
    snapshot[key('shadow_convergence')] = delivered(
      counted('shadow_converged'),
      counted('shadow_updates'),
    );
    for (const name of TREND_NAMES) {
      const trends = fleets.map((fleet) => this.trend(name, fleet));
      snapshot[key(name)] = mergedTrend(trends).value(percentiles);
    }
  }

  private position<Name>(names: readonly Name[], name: Name, fleet: number): number {
    assert(fleet >= 0 && fleet < this.fleets.length, `no fleet has the index ${fleet}`);
    return fleet * names.length + names.indexOf(name);
  }
}

function mergedTrend(trends: readonly Trend[]): Trend {
  if (trends.length === 1) return trends[0]!;
  const merged = new Trend();
  for (const trend of trends) merged.merge(trend.toWire());
  return merged;
}

/** While a run goes on, the observer can be ahead of a worker's last report: fails stay ≥ 0. */
function delivered(observed: number, observable: number): RateValue {
  const fails = Math.max(0, observable - observed);
  const value = observed + fails === 0 ? 0 : observed / (observed + fails);
  return { kind: 'rate', value, passes: observed, fails };
}
