// The statement: an adaptive sensor reports at the first sample at or after lastReport +
// intervalMsMin at which the signal is outside the deadband around the last reported value, and
// at intervalMsMax at the latest; it is read the more often the more it moves.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ADAPTIVE_STATE_SIZE,
  type AdaptiveOptions,
  checkAdaptive,
  GROWTH_MAX,
  initAdaptive,
  MOVE_RATIO_MAX,
  nextSampleMs,
  sampleMsOf,
  stepAdaptive,
} from '../../src/sampling/adaptive.ts';
import { adaptiveOptions } from './arbitraries.ts';

interface Sample {
  readonly timeMs: number;
  readonly value: number;
}

/** Where the state begins: not at 0, as little else in a device does. */
const AT = 3;

/** Signals that rest, drift, jump and come back. */
const moves = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.double({ min: -0.5, max: 0.5, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: -20, max: 20, noNaN: true }) },
);

const gaps = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 9000 }));

const signal = fc.array(fc.tuple(gaps, moves), { minLength: 1, maxLength: 120 }).chain((steps) =>
  fc.double({ min: -30, max: 30, noNaN: true }).map((start) => {
    let timeMs = 1000;
    let value = start;
    return steps.map(([gapMs, move]): Sample => {
      timeMs += gapMs;
      value += move;
      return { timeMs, value };
    });
  }),
);

/** The statement, word by word: positions of the reports among the samples. */
function reportsOf(samples: readonly Sample[], options: AdaptiveOptions): number[] {
  const { deadband = 0, deadbandRelative = 0, intervalMsMax, intervalMsMin } = options;
  const reports: number[] = [];
  let next = 0;
  while (next >= 0) {
    reports.push(next);
    const last = samples[next]!;
    const half = Math.max(deadband, deadbandRelative * Math.abs(last.value));
    next = samples.findIndex(({ timeMs, value }, index) => {
      if (index <= next) return false;
      const sinceMs = timeMs - last.timeMs;
      const outside = value - last.value > half || last.value - value > half;
      return (sinceMs >= intervalMsMin && outside) || sinceMs >= intervalMsMax;
    });
  }
  return reports;
}

class Adaptive {
  readonly state: number[] = new Array(AT + ADAPTIVE_STATE_SIZE + 1).fill(-7);
  private readonly options: AdaptiveOptions;

  constructor(options: AdaptiveOptions) {
    this.options = options;
    initAdaptive(this.state, AT, options);
  }

  step({ timeMs, value }: Sample, isOut = false): boolean {
    return stepAdaptive(this.state, AT, this.options, timeMs, value, isOut);
  }

  get sampleMs(): number {
    return sampleMsOf(this.state, AT);
  }

  nextMs(timeMs: number): number {
    return nextSampleMs(this.state, AT, this.options, timeMs);
  }
}

describe('reports', () => {
  test('are at exactly the samples of the statement', () => {
    fc.assert(
      fc.property(adaptiveOptions, signal, (options, samples) => {
        const adaptive = new Adaptive(options);
        const reports = samples.flatMap((sample, index) => (adaptive.step(sample) ? [index] : []));
        expect(reports).toEqual(reportsOf(samples, options));
        // Nothing beside its own numbers is written.
        const { state } = adaptive;
        expect([...state.slice(0, AT), state.at(-1)]).toEqual([-7, -7, -7, -7]);
      }),
      { numRuns: 1000 },
    );
  });

  test('are no more than 1 + duration / intervalMsMin, and no fewer than heartbeats', () => {
    fc.assert(
      fc.property(adaptiveOptions, fc.array(moves, { minLength: 300 }), (options, steps) => {
        const adaptive = new Adaptive(options);
        let timeMs = 0;
        let value = 0;
        const times: number[] = [];
        for (const move of steps) {
          value += move;
          if (adaptive.step({ timeMs, value })) times.push(timeMs);
          timeMs = adaptive.nextMs(timeMs);
        }
        for (let index = 1; index < times.length; index += 1) {
          const sinceMs = times[index]! - times[index - 1]!;
          expect(sinceMs).toBeGreaterThanOrEqual(options.intervalMsMin);
          // A sample falls on the heartbeat, so it is never late.
          expect(sinceMs).toBeLessThanOrEqual(options.intervalMsMax);
        }
      }),
    );
  });

  test.each<[string, Partial<AdaptiveOptions>, number, boolean]>([
    ['on its edge', { deadband: 0.5 }, 20.5, false],
    ['past its edge', { deadband: 0.5 }, 20.500001, true],
    ['below it', { deadband: 0.5 }, 19.4, true],
    ['within 10 %', { deadbandRelative: 0.1 }, 21.9, false],
    ['past 10 %', { deadbandRelative: 0.1 }, 22.1, true],
    ['past the narrower of both', { deadband: 0.5, deadbandRelative: 0.1 }, 21.9, false],
    ['the same without any', { deadband: 0 }, 20, false],
    ['any change without any', { deadband: 0 }, 20.0000001, true],
  ])('%s of the deadband', (_, band, value, expected) => {
    const times = { intervalMsMin: 10, intervalMsMax: 1000, sampleMsMin: 1, sampleMsMax: 9 };
    const adaptive = new Adaptive({ ...times, ...band });
    expect(adaptive.step({ timeMs: 0, value: 20 })).toBe(true);
    expect(adaptive.step({ timeMs: 9, value })).toBe(false);
    expect(adaptive.step({ timeMs: 10, value })).toBe(expected);
  });

  test('count a value that went out otherwise', () => {
    const adaptive = new Adaptive({
      intervalMsMin: 10,
      intervalMsMax: 100,
      deadband: 1,
      sampleMsMin: 1,
      sampleMsMax: 9,
    });
    adaptive.step({ timeMs: 0, value: 20 });
    expect(adaptive.step({ timeMs: 5, value: 30 }, true)).toBe(true);
    expect(adaptive.step({ timeMs: 14, value: 20 })).toBe(false);
    expect(adaptive.step({ timeMs: 15, value: 30.5 })).toBe(false);
    expect(adaptive.step({ timeMs: 16, value: 20 })).toBe(true);
  });
});

describe('the sample interval', () => {
  const options: AdaptiveOptions = {
    intervalMsMin: 1,
    intervalMsMax: 1e9,
    deadband: 1,
    sampleMsMin: 100,
    sampleMsMax: 60_000,
  };

  test('stays in its bounds, in whole ms, and grows by half at most', () => {
    fc.assert(
      fc.property(adaptiveOptions, signal, (any, samples) => {
        const adaptive = new Adaptive(any);
        expect(adaptive.sampleMs).toBe(any.sampleMsMin);
        for (const sample of samples) {
          const before = adaptive.sampleMs;
          adaptive.step(sample);
          expect(Number.isInteger(adaptive.sampleMs)).toBe(true);
          expect(adaptive.sampleMs).toBeGreaterThanOrEqual(any.sampleMsMin);
          expect(adaptive.sampleMs).toBeLessThanOrEqual(any.sampleMsMax);
          expect(adaptive.sampleMs).toBeLessThanOrEqual(Math.ceil(before * GROWTH_MAX));
        }
      }),
    );
  });

  test('grows from the shortest to the longest while the signal rests, also from 1 ms', () => {
    for (const sampleMsMin of [1, 100]) {
      const adaptive = new Adaptive({ ...options, sampleMsMin });
      let count = 0;
      for (let timeMs = 0; adaptive.sampleMs < 60_000; timeMs = adaptive.nextMs(timeMs)) {
        const before = adaptive.sampleMs;
        adaptive.step({ timeMs, value: 5 });
        if (count > 0) expect(adaptive.sampleMs).toBeGreaterThan(before);
        count += 1;
      }
      expect(count).toBeLessThan(32);
    }
  });

  test('is at once what a moving signal needs', () => {
    const adaptive = new Adaptive(options);
    let timeMs = 0;
    while (adaptive.sampleMs < 60_000) {
      adaptive.step({ timeMs, value: 5 });
      timeMs = adaptive.nextMs(timeMs);
    }
    // 4 deadbands within a minute are half a deadband within 7.5 s.
    adaptive.step({ timeMs, value: 9 });
    expect(adaptive.sampleMs).toBe(7500);
    // A jump has no speed that any interval could follow.
    adaptive.step({ timeMs: timeMs + 7500, value: 9000 });
    expect(adaptive.sampleMs).toBe(100);
  });

  test('settles where a steady ramp moves by at most MOVE_RATIO_MAX of the deadband', () => {
    const speed = fc.double({ min: 1e-5, max: 4e-3, noNaN: true });
    fc.assert(
      fc.property(speed, (perMs) => {
        const adaptive = new Adaptive(options);
        let timeMs = 0;
        for (let count = 0; count < 60; count += 1) {
          adaptive.step({ timeMs, value: perMs * timeMs });
          timeMs = adaptive.nextMs(timeMs);
        }
        const move = perMs * adaptive.sampleMs;
        expect(move).toBeLessThanOrEqual(MOVE_RATIO_MAX * 1.0001);
        const longest = adaptive.sampleMs === options.sampleMsMax;
        if (!longest) expect(move).toBeGreaterThan(MOVE_RATIO_MAX / GROWTH_MAX ** 2);
      }),
    );
  });

  test('ends at the heartbeat', () => {
    const adaptive = new Adaptive({ ...options, intervalMsMax: 250 });
    adaptive.step({ timeMs: 0, value: 5 });
    expect(adaptive.nextMs(0)).toBe(100);
    expect(adaptive.nextMs(200)).toBe(250);
    // One that was no value waits for the next sample.
    expect(adaptive.nextMs(250)).toBe(350);
  });
});

describe('options', () => {
  const good: AdaptiveOptions = {
    intervalMsMin: 1,
    intervalMsMax: 1,
    deadband: 0,
    sampleMsMin: 1,
    sampleMsMax: 1,
  };

  test.each<[Partial<AdaptiveOptions>]>([
    [{}],
    [{ intervalMsMax: Number.POSITIVE_INFINITY }],
    [{ deadbandRelative: 0.1 }],
  ])('%o are good', (options) => {
    expect(() => checkAdaptive({ ...good, ...options }, 'a')).not.toThrow();
  });

  test.each<[string, Partial<AdaptiveOptions>]>([
    ['a.intervalMsMin', { intervalMsMin: 0 }],
    ['a.intervalMsMin', { intervalMsMin: Number.NaN }],
    ['a.intervalMsMin', { intervalMsMin: Number.POSITIVE_INFINITY }],
    ['a.intervalMsMax', { intervalMsMin: 2 }],
    ['a.intervalMsMax', { intervalMsMax: Number.NaN }],
    ['a.sampleMsMin', { sampleMsMin: 0.5 }],
    ['a.sampleMsMax', { sampleMsMin: 2 }],
    ['a.sampleMsMax', { sampleMsMax: Number.POSITIVE_INFINITY }],
    ['a.deadband:', { deadband: -1 }],
    ['a.deadband:', { deadband: Number.NaN }],
    ['a.deadbandRelative', { deadbandRelative: -1 }],
  ])('%s is named when it is wrong', (name, options) => {
    expect(() => checkAdaptive({ ...good, ...options }, 'a')).toThrow(RangeError);
    expect(() => checkAdaptive({ ...good, ...options }, 'a')).toThrow(name);
  });

  test('a deadband must be there', () => {
    const { deadband: _, ...none } = good;
    expect(() => checkAdaptive(none, 'a')).toThrow('a: expected deadband or deadbandRelative');
  });
});
