// The anomaly detector: a value is one when it is further from the exponentially weighted mean
// than zScoreMax exponentially weighted standard deviations. Incremental updates after West 1979
// ("Updating mean and variance estimates", CACM 22(9)) and Finch 2009 ("Incremental calculation
// of weighted mean and variance", §9). The rules and formulas: docs/sampling.md.
//
// State: numbers in state[at, at + ANOMALY_STATE_SIZE), a part of the device's one array.

/** When a value is an alarm. Shared by all devices. */
export interface AnomalyOptions {
  /** Standard deviations from the mean that are still normal; 1 or more. */
  readonly zScoreMax: number;
  /** Weight of the newest value, above 0 and below 1: about 1/weight values are remembered. */
  readonly weight: number;
  /** Values that are learned before the first is judged; 2 or more. */
  readonly warmupCount: number;
  /** Shortest time between two alarms, ms. */
  readonly intervalMsMin: number;
  /** Smallest standard deviation to judge by, in the sensor's unit: its resolution, or noise. */
  readonly deviationMin?: number;
}

export const ANOMALY_STATE_SIZE = 5;
/** Values learned. */
const COUNT = 0;
const MEAN = 1;
const VARIANCE = 2;
/** Monotonic ms of the last alarm; NaN before the first. */
const ALARM_MS = 3;
/** The value to go out as an alarm; NaN = none. */
const ALARM_VALUE = 4;

/** Throws a RangeError that names the option; `path` stands before it. */
export function checkAnomaly(options: AnomalyOptions, path: string): void {
  const { deviationMin, intervalMsMin, warmupCount, weight, zScoreMax } = options;
  if (!(zScoreMax >= 1 && isFinite(zScoreMax))) {
    throw new RangeError(`${path}.zScoreMax: expected at least 1`);
  }
  if (!(weight > 0 && weight < 1)) {
    throw new RangeError(`${path}.weight: expected more than 0, less than 1`);
  }
  if (!(warmupCount >= 2)) throw new RangeError(`${path}.warmupCount: expected at least 2`);
  if (!(intervalMsMin >= 0)) throw new RangeError(`${path}.intervalMsMin: expected at least 0`);
  if (deviationMin !== undefined && !(deviationMin >= 0 && isFinite(deviationMin))) {
    throw new RangeError(`${path}.deviationMin: expected at least 0`);
  }
}

export function initAnomaly(state: number[], at: number): void {
  state[at + COUNT] = 0;
  state[at + MEAN] = 0;
  state[at + VARIANCE] = 0;
  state[at + ALARM_MS] = Number.NaN;
  state[at + ALARM_VALUE] = Number.NaN;
}

/** Judges a finite value of at most VALUE_MAX in size by those before it, then learns it. */
export function isAnomaly(
  state: number[],
  at: number,
  options: AnomalyOptions,
  value: number,
): boolean {
  const { deviationMin, warmupCount, zScoreMax } = options;
  const count = state[at + COUNT] as number;
  const mean = state[at + MEAN] as number;
  const variance = state[at + VARIANCE] as number;
  let difference = value - mean;
  let found = false;
  if (count >= warmupCount) {
    let deviation = Math.sqrt(variance);
    if (deviationMin !== undefined && deviation < deviationMin) deviation = deviationMin;
    const limit = zScoreMax * deviation;
    found = Math.abs(difference) > limit;
    // An anomaly is learned as if it lay at the limit: one alone then hardly widens the normal,
    // and a new level becomes normal all the same. Without a deviation there is no limit yet.
    if (found && limit > 0) difference = difference > 0 ? limit : -limit;
  }
  // The first values weigh alike, or the very first would count for 1/weight of them.
  const weight = Math.max(options.weight, 1 / (count + 1));
  const step = weight * difference;
  state[at + COUNT] = count + 1;
  state[at + MEAN] = mean + step;
  state[at + VARIANCE] = (1 - weight) * (variance + difference * step);
  return found;
}

/** Keeps an anomaly to go out as an alarm; false when the last alarm was too short ago. */
export function raiseAlarm(
  state: number[],
  at: number,
  options: AnomalyOptions,
  timeMs: number,
  value: number,
): boolean {
  if (timeMs < (state[at + ALARM_MS] as number) + options.intervalMsMin) return false;
  state[at + ALARM_MS] = timeMs;
  state[at + ALARM_VALUE] = value;
  return true;
}

/** The value to go out as an alarm, once; NaN = none. */
export function takeAlarm(state: number[], at: number): number {
  const value = state[at + ALARM_VALUE] as number;
  state[at + ALARM_VALUE] = Number.NaN;
  return value;
}
