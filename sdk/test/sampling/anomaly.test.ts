// The detector against mean and variance written out as weighted sums over all values.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ANOMALY_STATE_SIZE,
  type AnomalyOptions,
  checkAnomaly,
  initAnomaly,
  isAnomaly,
  raiseAlarm,
  takeAlarm,
} from '../../src/sampling/anomaly.ts';
import { Random } from '../support/random.ts';

const AT = 1;
const options: AnomalyOptions = {
  zScoreMax: 4,
  weight: 0.02,
  warmupCount: 50,
  intervalMsMin: 1000,
};

class Detector {
  readonly state: number[] = new Array(AT + ANOMALY_STATE_SIZE + 1).fill(-7);
  readonly options: AnomalyOptions;

  constructor(more: Partial<AnomalyOptions> = {}) {
    this.options = { ...options, ...more };
    initAnomaly(this.state, AT);
  }

  take(value: number): boolean {
    return isAnomaly(this.state, AT, this.options, value);
  }

  raise(timeMs: number, value: number): boolean {
    return raiseAlarm(this.state, AT, this.options, timeMs, value);
  }

  takeAlarm(): number {
    return takeAlarm(this.state, AT);
  }
}

/** Weighted mean and standard deviation of all values; weights as the documentation says. */
function weighted(values: readonly number[], weight: number) {
  const weights: number[] = [];
  for (let index = 0; index < values.length; index += 1) {
    const newest = Math.max(weight, 1 / (index + 1));
    for (let older = 0; older < index; older += 1) weights[older]! *= 1 - newest;
    weights.push(newest);
  }
  const mean = values.reduce((sum, value, index) => sum + weights[index]! * value, 0);
  const variance = values.reduce((sum, value, index) => {
    return sum + weights[index]! * (value - mean) ** 2;
  }, 0);
  return { mean, deviation: Math.sqrt(variance) };
}

/** Normal noise (Box and Muller 1958). */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.uint32() / 4294967296));
  return radius * Math.cos((2 * Math.PI * random.uint32()) / 4294967296);
}

describe('an anomaly', () => {
  test('is a value further than zScoreMax weighted deviations from the weighted mean', () => {
    const value = fc.double({ min: -100, max: 100, noNaN: true });
    const values = fc.array(value, { minLength: 3, maxLength: 80 });
    const weight = fc.double({ min: 0.005, max: 0.5 });
    fc.assert(
      fc.property(values, weight, fc.double({ min: 1, max: 5 }), (all, newest, zScoreMax) => {
        // All but the last are warm-up, so the last alone is judged.
        const warmupCount = all.length - 1;
        const detector = new Detector({ weight: newest, zScoreMax, warmupCount });
        const found = all.map((each) => detector.take(each));
        expect(found.slice(0, -1)).not.toContain(true);
        const { deviation, mean } = weighted(all.slice(0, -1), newest);
        const last = all.at(-1)!;
        const z = Math.abs(last - mean) / deviation;
        // Rounding decides at the limit itself, and where there is no deviation.
        fc.pre(deviation > 1e-6 && Math.abs(z - zScoreMax) > 1e-6 * zScoreMax);
        expect(found.at(-1)).toBe(z > zScoreMax);
        expect([detector.state[0], detector.state.at(-1)]).toEqual([-7, -7]);
      }),
      { numRuns: 1000 },
    );
  });

  test('is learned as a value at the limit', () => {
    const values = [10, 12, 11, 9, 10, 13, 8, 1000, 11, -1e6, 10];
    const detector = new Detector({ warmupCount: 7, zScoreMax: 3, weight: 0.1 });
    const learned: number[] = [];
    for (const value of values) {
      const { deviation, mean } = weighted(learned, 0.1);
      const far = learned.length >= 7 && Math.abs(value - mean) > 3 * deviation;
      expect(detector.take(value)).toBe(far);
      learned.push(far ? mean + Math.sign(value - mean) * 3 * deviation : value);
    }
    expect(learned.filter((value, index) => value !== values[index])).toHaveLength(2);
  });

  test('is found in noise at about the rate of a normal distribution, beside any offset', () => {
    for (const offset of [0, 21, -1e7]) {
      const random = new Random(7);
      const detector = new Detector({ zScoreMax: 3 });
      let count = 0;
      for (let index = 0; index < 100_000; index += 1) {
        if (detector.take(offset + 0.02 * normal(random))) count += 1;
      }
      // 0.27 % are beyond 3; an estimate from 100 values is itself uncertain.
      expect(count / 100_000).toBeGreaterThan(0.0027);
      expect(count / 100_000).toBeLessThan(0.008);
    }
  });

  test('is each spike, and one spike does not hide the next', () => {
    const random = new Random(3);
    const detector = new Detector();
    const found: number[] = [];
    for (let index = 0; index < 400; index += 1) {
      const spike = index === 200 ? 1e6 : index === 205 ? 0.5 : index === 210 ? -0.5 : 0;
      if (detector.take(21 + spike + 0.02 * normal(random))) found.push(index);
    }
    expect(found).toEqual([200, 205, 210]);
  });

  test('is a new level at first, which then becomes normal', () => {
    const random = new Random(5);
    const detector = new Detector();
    const found: number[] = [];
    for (let index = 0; index < 1000; index += 1) {
      const level = index < 500 ? 21 : 25;
      if (detector.take(level + 0.02 * normal(random))) found.push(index);
    }
    expect(found[0]).toBe(500);
    expect(found.length).toBeLessThan(40);
    expect(found.at(-1)).toBeLessThan(540);
  });

  test('is any change of what never changed, unless deviationMin says what a change is', () => {
    const steps = (detector: Detector) => {
      for (let index = 0; index < 60; index += 1) expect(detector.take(0.1)).toBe(false);
      return [detector.take(0.11), detector.take(0.2)];
    };
    expect(steps(new Detector())).toEqual([true, true]);
    expect(steps(new Detector({ deviationMin: 0.01 }))).toEqual([false, true]);
  });

  test('is what a step of what never changed becomes, and for a time only', () => {
    const detector = new Detector();
    for (let index = 0; index < 60; index += 1) detector.take(1);
    let count = 0;
    for (let index = 0; index < 200; index += 1) if (detector.take(2)) count += 1;
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(40);
  });

  test('leaves finite numbers, whatever the values', () => {
    const any = fc.oneof(
      fc.double({ min: -1e150, max: 1e150, noNaN: true }),
      fc.constantFrom(0, 1e150, -1e150, 5e-324),
    );
    fc.assert(
      fc.property(fc.array(any), (values) => {
        const detector = new Detector({ warmupCount: 2 });
        for (const value of values) detector.take(value);
        expect(detector.state.slice(AT, AT + 3).every(Number.isFinite)).toBe(true);
        expect(detector.state[AT + 2]).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('alarms', () => {
  test('are intervalMsMin apart at least, and each value is there once', () => {
    const detector = new Detector();
    expect(detector.takeAlarm()).toBeNaN();
    expect([detector.raise(500, 1), detector.takeAlarm()]).toEqual([true, 1]);
    expect(detector.takeAlarm()).toBeNaN();
    expect([detector.raise(1499, 2), detector.takeAlarm()]).toEqual([false, Number.NaN]);
    expect([detector.raise(1500, 3), detector.takeAlarm()]).toEqual([true, 3]);
  });
});

describe('options', () => {
  test.each<[string, Partial<AnomalyOptions>]>([
    ['a.zScoreMax', { zScoreMax: 0.9 }],
    ['a.zScoreMax', { zScoreMax: Number.POSITIVE_INFINITY }],
    ['a.weight', { weight: 0 }],
    ['a.weight', { weight: 1 }],
    ['a.weight', { weight: Number.NaN }],
    ['a.warmupCount', { warmupCount: 1 }],
    ['a.warmupCount', { warmupCount: Number.NaN }],
    ['a.intervalMsMin', { intervalMsMin: -1 }],
    ['a.deviationMin', { deviationMin: -1 }],
    ['a.deviationMin', { deviationMin: Number.NaN }],
  ])('%s is named when it is wrong', (name, wrong) => {
    expect(() => checkAnomaly({ ...options, ...wrong }, 'a')).toThrow(RangeError);
    expect(() => checkAnomaly({ ...options, ...wrong }, 'a')).toThrow(name);
  });

  test('without a smallest deviation are good', () => {
    expect(() => checkAnomaly(options, 'a')).not.toThrow();
    expect(() => checkAnomaly({ ...options, deviationMin: 0 }, 'a')).not.toThrow();
  });
});
