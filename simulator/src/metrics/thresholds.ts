// Thresholds: k6's expressions on metrics, such as `p(95)<500` or `count==0`.
//
// Two rules differ from k6. A threshold on a metric without any data fails: a test that measured
// nothing must not pass. And a count can be compared as a share of its whole, `share==1`.

import assert from 'node:assert/strict';
import { nearest } from '@flotilla/command-line/nearest';
import { METRIC_NAMES, METRICS, type MetricKind, type MetricName } from './names.ts';
import {
  type CounterValue,
  type GaugeValue,
  type MetricValue,
  type PercentileKey,
  type Snapshot,
  taggedName,
} from './snapshot.ts';
import { wholeOf } from './wholes.ts';

const OPERATORS = ['<=', '>=', '===', '==', '!=', '<', '>'] as const;

export type Operator = (typeof OPERATORS)[number];

export type Aggregate =
  | { readonly kind: 'avg' | 'min' | 'med' | 'max' | 'count' | 'rate' | 'value' | 'share' }
  /** `percentile` from 0 to 100. */
  | { readonly kind: 'percentile'; readonly percentile: number };

export interface Expression {
  readonly aggregate: Aggregate;
  readonly operator: Operator;
  readonly limit: number;
}

export interface Threshold {
  /** As written: `messages_lost` or `messages_lost{fleet:thermometers}`. */
  readonly metric: string;
  /** As written: `p(95) < 500`. */
  readonly expression: string;
  /** End the run as soon as it fails … */
  readonly abortOnFail: boolean;
  /** … but not before this much of the run has passed. */
  readonly delayAbortMs: number;
  /** The scenario does not name the metric: it is what every run is asked. */
  readonly implicit?: true;
  /** It holds also where nothing was measured. */
  readonly vacuous?: true;
}

export interface ThresholdResult {
  readonly metric: string;
  readonly expression: string;
  /** What was compared; null when nothing was measured. */
  readonly value: number | null;
  /** What a share is of. */
  readonly whole?: number;
  readonly ok: boolean;
  /** The scenario does not name the metric: it is what every run is asked. */
  readonly implicit?: true;
  /** Of a crossed one that is implicit: the fleets whose own values cross it. */
  readonly fleets?: readonly string[];
}

/** What the left side of an expression may be, by the metric's kind. */
const AGGREGATES: Readonly<Record<MetricKind, readonly string[]>> = {
  trend: ['avg', 'min', 'med', 'max', 'p(N)', 'count'],
  counter: ['count', 'rate', 'value'],
  gauge: ['value'],
  rate: ['rate'],
};

/** Percentiles that every trend value has under a name of its own. */
const NAMED_PERCENTILES: ReadonlyMap<number, 'med' | 'p90' | 'p95' | 'p99'> = new Map([
  [50, 'med'],
  [90, 'p90'],
  [95, 'p95'],
  [99, 'p99'],
]);

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const METRIC = /^([^{}\s]+)(?:\{\s*([^{}:\s]+)\s*:\s*([^{}\s]+)\s*\})?$/;

/** A metric with its tag, or what is wrong with it. */
export type ParsedMetric =
  | { readonly ok: true; readonly name: MetricName; readonly fleet?: string }
  | { readonly ok: false; readonly message: string };

export type ParsedExpression =
  | ({ readonly ok: true } & Expression)
  | { readonly ok: false; readonly message: string };

/** Reads `metric` or `metric{fleet:name}`. Whether the fleet exists is for the caller to check. */
export function parseMetric(text: string): ParsedMetric {
  const match = METRIC.exec(text.trim());
  if (match === null) {
    return { ok: false, message: `expected metric or metric{fleet:name}, got "${text}"` };
  }
  const [, name, tag, fleet] = match;
  if (!METRIC_NAMES.includes(name as MetricName)) {
    return { ok: false, message: `unknown metric "${name}"${nearest(name!, METRIC_NAMES)}` };
  }
  if (tag !== undefined && tag !== 'fleet') {
    return { ok: false, message: `unknown tag "${tag}"; metrics are tagged with fleet` };
  }
  return { ok: true, name: name as MetricName, ...(fleet === undefined ? {} : { fleet }) };
}

/**
 * Reads `aggregate operator number`, spaces or not, for a metric of the given kind; `hasWhole`:
 * it may be compared as a share.
 */
export function parseExpression(
  text: string,
  kind: MetricKind,
  hasWhole = false,
): ParsedExpression {
  const at = text.search(/[<>=!]/);
  if (at < 0) {
    return wrong(`expected an operator (${OPERATORS.join(' ')}) in "${text}"`);
  }
  const operator = OPERATORS.filter((candidate) => text.startsWith(candidate, at)).sort(
    (a, b) => b.length - a.length,
  )[0];
  if (operator === undefined) {
    return wrong(`unknown operator in "${text}"; known are ${OPERATORS.join(' ')}`);
  }
  const left = text.slice(0, at).trim();
  const aggregate = parseAggregate(left, kind, hasWhole);
  if (typeof aggregate === 'string') return wrong(aggregate);
  const right = text.slice(at + operator.length).trim();
  if (!NUMBER.test(right)) {
    return wrong(`expected a number after ${operator}, got "${right}"`);
  }
  return { ok: true, aggregate, operator, limit: Number(right) };
}

function wrong(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

function isSum(kind: MetricKind): boolean {
  return kind === 'counter' || kind === 'gauge';
}

function parseAggregate(text: string, kind: MetricKind, hasWhole: boolean): Aggregate | string {
  const allowed = [...AGGREGATES[kind], ...(hasWhole && isSum(kind) ? ['share'] : [])];
  const percentile = /^p\(\s*(.*?)\s*\)$/.exec(text)?.[1];
  if (percentile !== undefined && kind === 'trend') {
    const value = Number(percentile);
    if (!/^\d+(\.\d+)?$/.test(percentile) || value > 100) {
      return `p(N) takes a number from 0 to 100, got "${percentile}"`;
    }
    return { kind: 'percentile', percentile: value };
  }
  if (allowed.includes(text) && text !== 'p(N)') {
    return { kind: text as Exclude<Aggregate['kind'], 'percentile'> };
  }
  const which = `a ${kind} is compared by ${allowed.join(', ')}`;
  if (text === 'share') return `this ${kind} has no whole that it is a share of; ${which}`;
  return text === '' ? `nothing to compare; ${which}` : `unknown value "${text}"; ${which}`;
}

/** The percentiles that these thresholds need beside the usual ones; for `Registry.snapshot`. */
export function thresholdPercentiles(thresholds: readonly Threshold[]): number[] {
  const needed = new Set<number>();
  for (const threshold of thresholds) {
    const { aggregate } = read(threshold);
    if (aggregate.kind === 'percentile' && !NAMED_PERCENTILES.has(aggregate.percentile)) {
      needed.add(aggregate.percentile);
    }
  }
  return [...needed].sort((a, b) => a - b);
}

/**
 * Judges each threshold, in order. `seconds` is how long the run has lasted, for the rate of
 * counters. The thresholds must have been checked: one that does not parse is a bug.
 */
export function evaluate(
  thresholds: readonly Threshold[],
  snapshot: Snapshot,
  seconds: number,
): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const { metric, expression, implicit } = threshold;
    const parsed = read(threshold);
    const judged = judge(threshold, parsed, parsed.fleet, snapshot, seconds);
    const fleets = implicit === undefined || judged.ok ? [] : fleetsOf(snapshot, parsed.fleet);
    const crossing = fleets.filter((fleet) => {
      return !judge(threshold, parsed, fleet, snapshot, seconds).ok;
    });
    return {
      metric,
      expression,
      ...judged,
      ...(implicit === undefined ? {} : { implicit }),
      ...(crossing.length === 0 ? {} : { fleets: crossing }),
    };
  });
}

/** Judges by the metric of one fleet, or of all. */
function judge(
  { vacuous }: Threshold,
  { aggregate, limit, name, operator }: ReadThreshold,
  fleet: string | undefined,
  snapshot: Snapshot,
  seconds: number,
): Pick<ThresholdResult, 'value' | 'whole' | 'ok'> {
  const metricOf = (metric: MetricName) =>
    snapshot[fleet === undefined ? metric : taggedName(metric, fleet)];
  const metric = metricOf(name);
  let value = metric === undefined ? null : measured(metric, aggregate, seconds);
  const whole = aggregate.kind === 'share' ? metricOf(wholeOf(name)!) : undefined;
  if (isCount(whole) && value !== null) value = whole.value === 0 ? null : value / whole.value;
  const ok = value === null ? vacuous === true : compare(value, operator, limit);
  return { value, ...(isCount(whole) ? { whole: whole.value } : {}), ok };
}

function isCount(metric: MetricValue | undefined): metric is CounterValue | GaugeValue {
  return metric?.kind === 'counter' || metric?.kind === 'gauge';
}

/** The one that is named, or all that a snapshot has. */
function fleetsOf(snapshot: Snapshot, named: string | undefined): string[] {
  if (named !== undefined) return [named];
  return Object.keys(snapshot).flatMap((key) => /^devices\{fleet:(.*)\}$/.exec(key)?.[1] ?? []);
}

/**
 * The first threshold that ends the run now: it may, its delay has passed, it has data, and it
 * fails. No data yet is no reason to end a run that has just begun.
 */
export function abortingThreshold(
  thresholds: readonly Threshold[],
  snapshot: Snapshot,
  seconds: number,
): ThresholdResult | undefined {
  const due = thresholds.filter(
    ({ abortOnFail, delayAbortMs }) => abortOnFail && seconds * 1000 >= delayAbortMs,
  );
  return evaluate(due, snapshot, seconds).find(({ ok, value }) => !ok && value !== null);
}

type ReadThreshold = Expression & { readonly name: MetricName; readonly fleet?: string };

function read(threshold: Threshold): ReadThreshold {
  const metric = parseMetric(threshold.metric);
  assert(metric.ok, `unchecked metric ${threshold.metric}`);
  const { kind } = METRICS[metric.name];
  const hasWhole = wholeOf(metric.name) !== undefined;
  const expression = parseExpression(threshold.expression, kind, hasWhole);
  assert(expression.ok, `unchecked expression ${threshold.expression}`);
  return { ...expression, ...metric };
}

/** The number to compare, or null when the metric holds no data. */
function measured(metric: MetricValue, aggregate: Aggregate, seconds: number): number | null {
  switch (metric.kind) {
    case 'gauge':
      return metric.value;
    case 'counter':
      if (aggregate.kind !== 'rate') return metric.value;
      return seconds > 0 ? metric.value / seconds : null;
    case 'rate':
      return metric.passes + metric.fails === 0 ? null : metric.value;
    case 'trend': {
      if (aggregate.kind === 'count') return metric.count;
      if (metric.count === 0) return null;
      if (aggregate.kind !== 'percentile') return metric[aggregate.kind as 'avg'];
      const { percentile } = aggregate;
      const key = NAMED_PERCENTILES.get(percentile) ?? (`p(${percentile})` as PercentileKey);
      const value = metric[key];
      assert(value !== undefined, `the snapshot was taken without ${key}`);
      return value;
    }
  }
}

function compare(value: number, operator: Operator, limit: number): boolean {
  switch (operator) {
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '>':
      return value > limit;
    case '>=':
      return value >= limit;
    case '==':
    case '===':
      return value === limit;
    case '!=':
      return value !== limit;
  }
}
