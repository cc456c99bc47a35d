// A day in a room as a real sensor sees it, made from a seed: 21 Cel with a slow wave, heating that
// goes down for the night, two open windows, noise of 0.02 K rms and a resolution of 0.01 K. What
// adaptive sampling saves of it, and what is lost of the signal.

import { describe, expect, test } from 'vitest';
import type { AdaptiveOptions } from '../../src/sampling/adaptive.ts';
import { Random } from '../support/random.ts';
import { SamplingScene } from './sampling-scene.ts';

const SEED = Number(process.env.SEED ?? 20260101);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DEADBAND_K = 0.2;
const NOISE_K = 0.02;

/** Where the room is heading, from when on, and how fast it gets there (time constant). */
const STEPS: readonly (readonly [fromH: number, target: number, constantMin: number])[] = [
  [0, 18.5, 90],
  [6, 21, 35],
  [9.5, 17, 6],
  [9.75, 21, 12],
  [17, 22, 30],
  [19.2, 18, 6],
  [19.35, 21.5, 12],
  [22, 18.5, 90],
];

/** The true temperature, without noise. */
function room(timeMs: number): number {
  let value = 19;
  for (const [index, [fromH, target, constantMin]] of STEPS.entries()) {
    const fromMs = fromH * HOUR_MS;
    if (timeMs <= fromMs) break;
    const untilMs = Math.min(timeMs, (STEPS[index + 1]?.[0] ?? 24) * HOUR_MS);
    value = target + (value - target) * Math.exp(-(untilMs - fromMs) / (constantMin * 60_000));
  }
  return value + 0.15 * Math.sin((2 * Math.PI * timeMs) / (5 * HOUR_MS));
}

interface Day {
  readonly samples: readonly { readonly timeMs: number; readonly value: number }[];
  /** Each report: when, and what. */
  readonly reports: readonly { readonly timeMs: number; readonly value: number }[];
}

function spend(adaptive: AdaptiveOptions | undefined, intervalMs: number): Day {
  const random = new Random(SEED);
  const normal = () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.uint32() / 4294967296));
    return radius * Math.cos((2 * Math.PI * random.uint32()) / 4294967296);
  };
  const samples: { timeMs: number; value: number }[] = [];
  const read = () => {
    const value = Math.round((room(scene.nowMs) + NOISE_K * normal()) * 100) / 100;
    samples.push({ timeMs: scene.nowMs, value });
    return value;
  };
  const sensor = { name: 't', unit: 'Cel', read, ...(adaptive === undefined ? {} : { adaptive }) };
  const scene = new SamplingScene([sensor], { intervalMs });
  scene.start();
  scene.run(DAY_MS);
  const reports = scene.packs.map(({ scheduledMs, values }) => {
    return { timeMs: scheduledMs, value: values.t as number };
  });
  return { samples, reports };
}

/**
 * Largest error of holding the last reported value, over the samples at which a report was
 * possible: those of a report, and those at least intervalMsMin after the last.
 */
function errorOf({ samples, reports }: Day, intervalMsMin: number): number {
  let error = 0;
  let next = 0;
  for (const { timeMs, value } of samples) {
    if (reports[next]?.timeMs === timeMs) next += 1;
    const held = reports[next - 1]!;
    if (timeMs !== held.timeMs && timeMs < held.timeMs + intervalMsMin) continue;
    error = Math.max(error, Math.abs(value - held.value));
  }
  return error;
}

/** Root of the mean square of (true - held) over the whole day, second by second. */
function trueErrorOf({ reports }: Day): number {
  let squares = 0;
  let next = 0;
  for (let timeMs = 0; timeMs < DAY_MS; timeMs += 1000) {
    while (next < reports.length && reports[next]!.timeMs <= timeMs) next += 1;
    squares += (room(timeMs) - reports[Math.max(0, next - 1)]!.value) ** 2;
  }
  return Math.sqrt(squares / (DAY_MS / 1000));
}

const ADAPTIVE: AdaptiveOptions = {
  intervalMsMin: 10_000,
  intervalMsMax: 900_000,
  deadband: DEADBAND_K,
  sampleMsMin: 10_000,
  sampleMsMax: 10_000,
};

describe('a day in a room', () => {
  test.each<[string, AdaptiveOptions]>([
    ['samples every 10 s', ADAPTIVE],
    ['samples every 10 s, reports at most every 60 s', { ...ADAPTIVE, intervalMsMin: 60_000 }],
    ['samples every 10 s to 120 s', { ...ADAPTIVE, sampleMsMax: 120_000 }],
  ])('%s', (name, adaptive) => {
    const fixed = spend(undefined, adaptive.sampleMsMin);
    expect(fixed.reports.length).toBe(DAY_MS / adaptive.sampleMsMin + 1);
    const day = spend(adaptive, Number.POSITIVE_INFINITY);
    const { reports, samples } = day;
    const saved = 1 - reports.length / fixed.reports.length;
    const savedOfSamples = 1 - reports.length / samples.length;
    const error = errorOf(day, adaptive.intervalMsMin);
    const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
    console.log(
      `SEED=${SEED} ${name}: ${reports.length} messages instead of ${fixed.reports.length}, ` +
        `${percent(saved)} fewer (${percent(savedOfSamples)} of its own ${samples.length} ` +
        `samples); largest error ${error.toFixed(3)} K of a deadband of ${DEADBAND_K} K, ` +
        `rms of the true signal ${trueErrorOf(day).toFixed(3)} K`,
    );
    expect(saved).toBeGreaterThanOrEqual(0.9);
    expect(error).toBeLessThanOrEqual(DEADBAND_K);
    // What is saved is not the signal: the held value follows it through the steps.
    expect(trueErrorOf(day)).toBeLessThan(DEADBAND_K);
  });
});
