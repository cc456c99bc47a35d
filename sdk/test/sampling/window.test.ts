// Aggregates equal those of a reference that keeps all values and passes over them twice.

import { decode } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addToWindow,
  checkWindow,
  clearWindow,
  enterWindow,
  initWindow,
  WINDOW_STATE_SIZE,
  windowCount,
  windowDeviation,
  windowMax,
  windowMean,
  windowMin,
  writeWindow,
} from '../../src/sampling/window.ts';

const AT = 2;
const TOLERANCE = 1e-9;

function windowOf(values: readonly number[], state = newState()): number[] {
  for (const value of values) addToWindow(state, AT, value);
  return state;
}

function newState(): number[] {
  const state: number[] = new Array(AT + WINDOW_STATE_SIZE + 1).fill(-7);
  initWindow(state, AT);
  return state;
}

/** A sum whose error does not grow with the count (Neumaier 1974). */
function sumOf(values: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return sum + lost;
}

/** Two passes; the second corrects for the rounding of the mean (Chan, Golub, LeVeque 1983). */
function reference(values: readonly number[]) {
  const mean = sumOf(values) / values.length;
  const differences = values.map((value) => value - mean);
  const squares = sumOf(differences.map((difference) => difference * difference));
  const corrected = squares - sumOf(differences) ** 2 / values.length;
  const deviation = values.length < 2 ? 0 : Math.sqrt(corrected / (values.length - 1));
  return { mean, deviation, min: Math.min(...values), max: Math.max(...values) };
}

function expectReference(values: readonly number[], state: readonly number[]): void {
  const { deviation, max, mean, min } = reference(values);
  expect(windowCount(state, AT)).toBe(values.length);
  // Of 0 and -0, either may be the least.
  expect(windowMin(state, AT) + 0).toBe(min + 0);
  expect(windowMax(state, AT) + 0).toBe(max + 0);
  // Values that cancel leave a mean whose own size says nothing: their sizes do.
  const size = Math.max(...values.map(Math.abs));
  expect(Math.abs(windowMean(state, AT) - mean)).toBeLessThanOrEqual(TOLERANCE * size);
  expect(Math.abs(windowDeviation(state, AT) - deviation)).toBeLessThanOrEqual(
    TOLERANCE * deviation,
  );
}

/** Multiples of 2^-10, so that even beside an offset of 2^40 the value itself is exact. */
const noise = fc.integer({ min: -4096, max: 4096 }).map((value) => value / 1024);
const offset = fc.oneof(
  fc.constantFrom(0, 20, -273.15, 1e6, -1e9, 1e12, 2 ** 40),
  fc.double({ min: -1e12, max: 1e12, noNaN: true }),
);

describe('an aggregate', () => {
  test('equals a two-pass reference to 1e-9, beside any offset', () => {
    const values = fc
      .tuple(offset, fc.array(noise, { minLength: 1, maxLength: 400 }))
      .map(([base, noises]) => noises.map((each) => base + each));
    fc.assert(
      fc.property(values, (all) => expectReference(all, windowOf(all))),
      { numRuns: 500 },
    );
  });

  test('equals it for values of all sizes, whichever comes first', () => {
    const any = fc.oneof(
      fc.double({ min: -1e150, max: 1e150, noNaN: true }),
      fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      fc.constantFrom(0, -0, 5e-324, 1e150, -1e150, 1, 1e6),
    );
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 60 }), (all) => {
        const state = windowOf(all);
        const { deviation } = reference(all);
        expect(Number.isFinite(windowMean(state, AT))).toBe(true);
        expect(Number.isFinite(windowDeviation(state, AT))).toBe(true);
        // Squares below the least double are 0 on either side.
        if (deviation > 1e-140) expectReference(all, state);
      }),
      { numRuns: 500 },
    );
  });

  test('equals it after 100,000 values beside an offset of 1e9', () => {
    const values = Array.from({ length: 100_000 }, (_, index) => 1e9 + Math.sin(index) * 0.02);
    expectReference(values, windowOf(values));
  });

  test('of a constant has no deviation at all', () => {
    const state = windowOf(new Array(1000).fill(0.1));
    expect([windowMean(state, AT), windowDeviation(state, AT)]).toEqual([0.1, 0]);
  });

  test('begins anew after clearing, and writes nothing beside its own numbers', () => {
    fc.assert(
      fc.property(fc.array(noise), fc.array(noise, { minLength: 1 }), (before, after) => {
        const state = windowOf(before);
        clearWindow(state, AT);
        expectReference(after, windowOf(after, state));
        expect([...state.slice(0, AT), state.at(-1)]).toEqual([-7, -7, -7]);
      }),
    );
  });
});

describe('windows', () => {
  const options = { intervalMs: 60, sampleMs: 10 };

  test('begin with the first sample and end on an absolute schedule', () => {
    const state = newState();
    const ended: number[] = [];
    for (let timeMs = 7; timeMs < 400; timeMs += 10) {
      if (enterWindow(state, AT, options, timeMs)) {
        ended.push(timeMs, windowCount(state, AT));
        clearWindow(state, AT);
      }
      addToWindow(state, AT, 1);
    }
    expect(ended).toEqual([67, 6, 127, 6, 187, 6, 247, 6, 307, 6, 367, 6]);
  });

  test('without values are passed over, and do not shift those after them', () => {
    const state = newState();
    expect(enterWindow(state, AT, options, 0)).toBe(false);
    expect(enterWindow(state, AT, options, 65)).toBe(false);
    addToWindow(state, AT, 1);
    expect(enterWindow(state, AT, options, 119)).toBe(false);
    // Slept through five windows.
    expect(enterWindow(state, AT, options, 425)).toBe(true);
    expect(enterWindow(state, AT, options, 479)).toBe(false);
    expect(enterWindow(state, AT, options, 480)).toBe(true);
  });
});

describe('records', () => {
  const state = windowOf([1, 2, 3, 6]);
  const target = new Uint8Array(200);

  test('are five samples with the parts of the aggregate in their names', () => {
    for (const unit of ['Cel', '', undefined]) {
      const end = writeWindow(target, 0, 'air', unit, state, AT);
      const records = decode(Uint8Array.of(0x85, ...target.subarray(0, end)));
      const part = (name: string, value: number) => ({
        '0': `air/${name}`,
        ...(unit === 'Cel' && name !== 'count' ? { '1': unit } : {}),
        '2': value,
      });
      expect(records).toEqual([
        part('count', 4),
        part('mean', 3),
        part('min', 1),
        part('max', 6),
        part('stddev', Math.sqrt(14 / 3)),
      ]);
    }
  });

  test('that do not fit say their size all the same', () => {
    const size = writeWindow(target, 0, 'air', 'Cel', state, AT);
    for (let room = 0; room < size; room += 1) {
      expect(writeWindow(new Uint8Array(room), 0, 'air', 'Cel', state, AT)).toBe(size);
    }
  });
});

describe('options', () => {
  test.each<[string, number, number]>([
    ['w.sampleMs', 0, 1],
    ['w.sampleMs', Number.NaN, 1],
    ['w.sampleMs', Number.POSITIVE_INFINITY, 1],
    ['w.intervalMs', 2, 1],
    ['w.intervalMs', 1, Number.POSITIVE_INFINITY],
    ['w.intervalMs', 1, Number.NaN],
  ])('%s is named when it is wrong', (name, sampleMs, intervalMs) => {
    expect(() => checkWindow({ sampleMs, intervalMs }, 'w')).toThrow(RangeError);
    expect(() => checkWindow({ sampleMs, intervalMs }, 'w')).toThrow(name);
  });

  test('a window of one sample is good', () => {
    expect(() => checkWindow({ sampleMs: 1, intervalMs: 1 }, 'w')).not.toThrow();
  });
});
