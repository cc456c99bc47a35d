// The values of metrics at one moment, in the form of the exported summary (k6's conventions).

export interface CounterValue {
  readonly kind: 'counter';
  readonly value: number;
}

export interface GaugeValue {
  readonly kind: 'gauge';
  readonly value: number;
}

/** `value` = passes / (passes + fails), 0 when nothing was measured. */
export interface RateValue {
  readonly kind: 'rate';
  readonly value: number;
  readonly passes: number;
  readonly fails: number;
}

/** A key of a percentile that was asked for beside the usual ones: `p(99.9)`. */
export type PercentileKey = `p(${number})`;

/** Milliseconds with a resolution of 1 µs; percentiles within 0.1 %. All 0 while `count` is. */
export interface TrendValue {
  readonly kind: 'trend';
  readonly count: number;
  readonly min: number;
  readonly avg: number;
  readonly med: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  readonly [percentile: PercentileKey]: number;
}

export type MetricValue = CounterValue | GaugeValue | RateValue | TrendValue;

/** By metric name, and by `metric{fleet:name}` for each fleet. */
export type Snapshot = Readonly<Record<string, MetricValue>>;

/** The key of a fleet's own value of a metric. */
export function taggedName(metric: string, fleet: string): string {
  return `${metric}{fleet:${fleet}}`;
}
