// The adaptive sampler: a value goes out when it left the deadband around the last one that went
// out (send on delta), and as a heartbeat; samples are taken as often as the signal moves.
// The rules and their sources: docs/sampling.md.
//
// State: numbers in state[at, at + ADAPTIVE_STATE_SIZE), a part of the device's one array.

/** When an adaptive sensor is read and when its value goes out. Shared by all devices. */
export interface AdaptiveOptions {
  /** Shortest time between two reports, ms; 1 or more. */
  readonly intervalMsMin: number;
  /** Longest time between two reports, ms; Infinity = no heartbeat. */
  readonly intervalMsMax: number;
  /** Half-width of the deadband in the sensor's unit; the wider of the two given counts. */
  readonly deadband?: number;
  /** Half-width of the deadband as a part of the last reported value's size: 0.05 = 5 %. */
  readonly deadbandRelative?: number;
  /** Shortest time between two samples, ms, while the signal moves; 1 or more. */
  readonly sampleMsMin: number;
  /** Longest time between two samples, ms, while the signal rests. */
  readonly sampleMsMax: number;
}

/** Between two samples a signal should move by this part of the deadband's half-width at most. */
export const MOVE_RATIO_MAX = 0.5;
/** The sample interval grows by this factor at most, from one sample to the next. */
export const GROWTH_MAX = 1.5;

export const ADAPTIVE_STATE_SIZE = 4;
/** Present sample interval, ms. */
const SAMPLE_MS = 0;
/** Monotonic ms of the last report; NaN before the first. */
const REPORT_MS = 1;
/** What was reported then. */
const REPORT_VALUE = 2;
/** The value of the last sample; NaN before the first. */
const SAMPLE_VALUE = 3;

/** Throws a RangeError that names the option; `path` stands before it. */
export function checkAdaptive(options: AdaptiveOptions, path: string): void {
  const { deadband, deadbandRelative, intervalMsMax, intervalMsMin } = options;
  const { sampleMsMax, sampleMsMin } = options;
  if (!(intervalMsMin >= 1 && isFinite(intervalMsMin))) {
    throw new RangeError(`${path}.intervalMsMin: expected at least 1`);
  }
  if (!(intervalMsMax >= intervalMsMin)) {
    throw new RangeError(`${path}.intervalMsMax: expected at least intervalMsMin`);
  }
  if (!(sampleMsMin >= 1)) throw new RangeError(`${path}.sampleMsMin: expected at least 1`);
  if (!(sampleMsMax >= sampleMsMin && isFinite(sampleMsMax))) {
    throw new RangeError(`${path}.sampleMsMax: expected at least sampleMsMin`);
  }
  if (deadband === undefined && deadbandRelative === undefined) {
    throw new RangeError(`${path}: expected deadband or deadbandRelative`);
  }
  if (deadband !== undefined && !(deadband >= 0)) {
    throw new RangeError(`${path}.deadband: expected at least 0`);
  }
  if (deadbandRelative !== undefined && !(deadbandRelative >= 0)) {
    throw new RangeError(`${path}.deadbandRelative: expected at least 0`);
  }
}

export function initAdaptive(state: number[], at: number, options: AdaptiveOptions): void {
  state[at + SAMPLE_MS] = options.sampleMsMin;
  state[at + REPORT_MS] = Number.NaN;
  state[at + REPORT_VALUE] = Number.NaN;
  state[at + SAMPLE_VALUE] = Number.NaN;
}

/** Present sample interval, ms. */
export function sampleMsOf(state: readonly number[], at: number): number {
  return state[at + SAMPLE_MS] as number;
}

/** Half-width of the deadband around the last report; NaN before the first. */
function halfWidth(state: readonly number[], at: number, options: AdaptiveOptions): number {
  const { deadband, deadbandRelative } = options;
  const absolute = deadband === undefined ? 0 : deadband;
  const relative = deadbandRelative === undefined ? 0 : deadbandRelative;
  return Math.max(absolute, relative * Math.abs(state[at + REPORT_VALUE] as number));
}

/**
 * Whether the sample `value` of time `timeMs` is to be reported: it is the first of all, or at
 * least intervalMsMin after the last report and outside its deadband, or intervalMsMax after it.
 */
function isReport(
  state: readonly number[],
  at: number,
  options: AdaptiveOptions,
  timeMs: number,
  value: number,
): boolean {
  const reportMs = state[at + REPORT_MS] as number;
  if (reportMs !== reportMs) return true;
  if (timeMs < reportMs + options.intervalMsMin) return false;
  if (timeMs >= reportMs + options.intervalMsMax) return true;
  const move = Math.abs(value - (state[at + REPORT_VALUE] as number));
  return move > halfWidth(state, at, options);
}

/** Adapts the sample interval to how far the signal moved since the last sample. */
function adaptInterval(state: number[], at: number, options: AdaptiveOptions, value: number): void {
  const before = state[at + SAMPLE_VALUE] as number;
  state[at + SAMPLE_VALUE] = value;
  if (before !== before) return;
  const sampleMs = state[at + SAMPLE_MS] as number;
  const move = Math.abs(value - before);
  const moveMax = MOVE_RATIO_MAX * halfWidth(state, at, options);
  // Whole ms; upwards, or 1 would never grow.
  let nextMs = Math.ceil(sampleMs * GROWTH_MAX);
  // At its present speed the signal moves by moveMax in this time.
  if (move * GROWTH_MAX > moveMax) nextMs = Math.floor((sampleMs * moveMax) / move);
  const { sampleMsMax, sampleMsMin } = options;
  state[at + SAMPLE_MS] = Math.min(sampleMsMax, Math.max(sampleMsMin, nextMs));
}

/**
 * Takes the sample `value` of time `timeMs`; true when it is to be reported. `isOut` says that it
 * goes out anyway, as an alarm.
 */
export function stepAdaptive(
  state: number[],
  at: number,
  options: AdaptiveOptions,
  timeMs: number,
  value: number,
  isOut: boolean,
): boolean {
  adaptInterval(state, at, options, value);
  if (!isOut && !isReport(state, at, options, timeMs, value)) return false;
  state[at + REPORT_MS] = timeMs;
  state[at + REPORT_VALUE] = value;
  return true;
}

/** Monotonic ms of the sample after that of `timeMs`: one falls on the heartbeat. */
export function nextSampleMs(
  state: readonly number[],
  at: number,
  options: AdaptiveOptions,
  timeMs: number,
): number {
  const nextMs = timeMs + (state[at + SAMPLE_MS] as number);
  const heartbeatMs = (state[at + REPORT_MS] as number) + options.intervalMsMax;
  // A heartbeat whose sample was no value waits for the next one.
  return heartbeatMs > timeMs && heartbeatMs < nextMs ? heartbeatMs : nextMs;
}
