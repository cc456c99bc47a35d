// What every run is asked, whatever its scenario says: that its devices are connected, that nothing
// was lost on the way, and that something came of it. A scenario that provokes the contrary says so
// by thresholds of its own: one that it names, for all devices or for a fleet, is not asked there.

import type { Fleet } from '../scenario/schema.ts';
import { METRIC_NAMES, type MetricName } from './names.ts';
import { taggedName } from './snapshot.ts';
import { parseMetric, type Threshold } from './thresholds.ts';

/** Counts that are zero in a run without a fault. One that no metric has yet is passed over. */
const ZEROS = [
  'messages_lost',
  'messages_unseen',
  'messages_dropped',
  'messages_pending',
  'application_errors',
] as readonly MetricName[];

/** What of a scenario decides about it. */
export interface Asked {
  readonly fleets: readonly Pick<Fleet, 'name' | 'intervalMs' | 'kind' | 'sensors' | 'wake'>[];
  readonly rampMs: number;
  /** Of sampling; 0 = the run ends by itself, perhaps at once. */
  readonly durationMs: number;
}

/** True for a metric that every run is asked about. */
export function isImplicit(metric: MetricName): boolean {
  return ['devices_connected', 'messages_observed', ...ZEROS].includes(metric);
}

/** In this time each device has something to tell; Infinity where that depends on what it senses. */
function sampleMsMax({ intervalMs, kind, sensors }: Asked['fleets'][number]): number {
  const isSteady = sensors.some(({ adaptive, every = 1, window }) => {
    return adaptive === undefined && window === undefined && every === 1;
  });
  return kind === 'plain' || isSteady ? intervalMs : Number.POSITIVE_INFINITY;
}

/** `named`: the metrics of the scenario's own thresholds, as written, `[]` among them. */
export function implicitThresholds(named: readonly string[], asked: Asked): Threshold[] {
  const { durationMs, fleets, rampMs } = asked;
  const own = named.flatMap((text) => {
    const parsed = parseMetric(text);
    return parsed.ok ? [parsed] : [];
  });
  const all = fleets.map(({ name }) => name);
  // Devices that sleep are connected now and then.
  const awake = fleets.filter(({ wake }) => wake === undefined).map(({ name }) => name);
  const publishes = fleets.some((fleet) => sampleMsMax(fleet) + rampMs <= durationMs);
  const ask = (metric: MetricName, expression: string, of: readonly string[] = all) => {
    const mine = own.filter(({ name }) => name === metric);
    if (mine.some(({ fleet }) => fleet === undefined)) return [];
    const left = of.filter((name) => !mine.some(({ fleet }) => fleet === name));
    const metrics =
      left.length === all.length ? [metric] : left.map((fleet) => taggedName(metric, fleet));
    return metrics.map(
      (each): Threshold => ({
        metric: each,
        expression,
        abortOnFail: false,
        delayAbortMs: 0,
        implicit: true,
      }),
    );
  };
  return [
    ...ask('devices_connected', 'share == 1', awake),
    ...ask('messages_observed', 'share > 0').map((threshold): Threshold => {
      return publishes ? threshold : { ...threshold, vacuous: true };
    }),
    ...ZEROS.filter((name) => METRIC_NAMES.includes(name)).flatMap((name) => {
      return ask(name, 'count == 0');
    }),
  ];
}
