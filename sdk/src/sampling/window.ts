// The window aggregator: count, mean, min, max and standard deviation of the samples of a time
// window, without keeping them (Welford 1962, "Note on a method for calculating corrected sums of
// squares and products", Technometrics 4(3)).
//
// Values are taken relative to the window's first, so that an offset that is large against the
// deviation costs no digits: the first value is itself among the data, so the mean of the
// differences is at most sqrt(count) deviations from 0 (docs/sampling.md).
//
// State: numbers in state[at, at + WINDOW_STATE_SIZE), a part of the device's one array.

import {
  MAJOR_TEXT,
  writeHead,
  writeInteger,
  writeMapHead,
  writeNumber,
  writeText,
} from '../codec/cbor-write.ts';
import { LABEL_NAME, LABEL_UNIT, LABEL_VALUE } from '../codec/senml-write.ts';
import { utf8Size, writeUtf8 } from '../codec/text.ts';

/** What is aggregated into one message. Shared by all devices. */
export interface WindowOptions {
  /** Length of a window, ms: at least sampleMs. */
  readonly intervalMs: number;
  /** Time between two samples, ms; 1 or more. */
  readonly sampleMs: number;
}

/** Records of an aggregate: count, mean, min, max, stddev. */
export const WINDOW_RECORD_COUNT = 5;

export const WINDOW_STATE_SIZE = 7;
/** Monotonic ms of the end of the window; NaN before the first. */
const END_MS = 0;
const COUNT = 1;
/** The first value; mean and sum of squares are of differences from it. */
const FIRST = 2;
const MEAN = 3;
/** Sum of squared differences from the mean. */
const SQUARES = 4;
const MIN = 5;
const MAX = 6;

/** Throws a RangeError that names the option; `path` stands before it. */
export function checkWindow(options: WindowOptions, path: string): void {
  const { intervalMs, sampleMs } = options;
  if (!(sampleMs >= 1 && isFinite(sampleMs))) {
    throw new RangeError(`${path}.sampleMs: expected at least 1`);
  }
  if (!(intervalMs >= sampleMs && isFinite(intervalMs))) {
    throw new RangeError(`${path}.intervalMs: expected at least sampleMs`);
  }
}

export function initWindow(state: number[], at: number): void {
  state[at + END_MS] = Number.NaN;
  state[at + COUNT] = 0;
}

/**
 * Moves to the window that holds `timeMs`, the time of a sample to come. True when a window ended
 * with values in it: send its aggregate, then `clearWindow`.
 */
export function enterWindow(
  state: number[],
  at: number,
  options: WindowOptions,
  timeMs: number,
): boolean {
  const endMs = state[at + END_MS] as number;
  const { intervalMs } = options;
  if (timeMs < endMs) return false;
  if (endMs !== endMs) {
    state[at + END_MS] = timeMs + intervalMs;
    return false;
  }
  // An absolute schedule, also over windows that were slept through.
  state[at + END_MS] = endMs + intervalMs * (1 + Math.floor((timeMs - endMs) / intervalMs));
  return (state[at + COUNT] as number) > 0;
}

export function clearWindow(state: number[], at: number): void {
  state[at + COUNT] = 0;
}

/** Adds a finite value of at most VALUE_MAX in size. */
export function addToWindow(state: number[], at: number, value: number): void {
  const count = (state[at + COUNT] as number) + 1;
  state[at + COUNT] = count;
  if (count === 1) {
    state[at + FIRST] = value;
    state[at + MEAN] = 0;
    state[at + SQUARES] = 0;
    state[at + MIN] = value;
    state[at + MAX] = value;
    return;
  }
  const difference = value - (state[at + FIRST] as number);
  const before = state[at + MEAN] as number;
  const mean = before + (difference - before) / count;
  state[at + MEAN] = mean;
  state[at + SQUARES] =
    (state[at + SQUARES] as number) + (difference - before) * (difference - mean);
  if (value < (state[at + MIN] as number)) state[at + MIN] = value;
  if (value > (state[at + MAX] as number)) state[at + MAX] = value;
}

export function windowCount(state: readonly number[], at: number): number {
  return state[at + COUNT] as number;
}

/** Of at least one value, like those after it. */
export function windowMean(state: readonly number[], at: number): number {
  return (state[at + FIRST] as number) + (state[at + MEAN] as number);
}

export function windowMin(state: readonly number[], at: number): number {
  return state[at + MIN] as number;
}

export function windowMax(state: readonly number[], at: number): number {
  return state[at + MAX] as number;
}

/** Standard deviation of a sample (divided by count - 1); 0 for a single value. */
export function windowDeviation(state: readonly number[], at: number): number {
  const count = state[at + COUNT] as number;
  return count < 2 ? 0 : Math.sqrt((state[at + SQUARES] as number) / (count - 1));
}

/** Writes `name/count`, `/mean`, `/min`, `/max` and `/stddev`; returns the offset after. */
export function writeWindow(
  target: Uint8Array,
  offset: number,
  name: string,
  unit: string | undefined,
  state: readonly number[],
  at: number,
): number {
  let next = writePart(target, offset, name, '/count', undefined, windowCount(state, at));
  next = writePart(target, next, name, '/mean', unit, windowMean(state, at));
  next = writePart(target, next, name, '/min', unit, windowMin(state, at));
  next = writePart(target, next, name, '/max', unit, windowMax(state, at));
  return writePart(target, next, name, '/stddev', unit, windowDeviation(state, at));
}

/** A sample (RFC 8428 §6) whose name is in two pieces: joined, it would be garbage each time. */
function writePart(
  target: Uint8Array,
  offset: number,
  name: string,
  part: string,
  unit: string | undefined,
  value: number,
): number {
  const hasUnit = unit !== undefined && unit !== '';
  let next = writeMapHead(target, offset, hasUnit ? 3 : 2);
  next = writeInteger(target, next, LABEL_NAME);
  next = writeHead(target, next, MAJOR_TEXT, utf8Size(name) + part.length);
  next = writeUtf8(target, writeUtf8(target, next, name), part);
  if (hasUnit) {
    next = writeInteger(target, next, LABEL_UNIT);
    next = writeText(target, next, unit);
  }
  next = writeInteger(target, next, LABEL_VALUE);
  return writeNumber(target, next, value);
}
