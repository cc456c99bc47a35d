// What sensors measure depends on (seed, device, sensor, count) and time alone: not on who else
// reads, in which order, or in which worker.

import type { Device } from '@flotilla/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Sensor, SensorModel } from '../../src/scenario/schema.ts';
import { createSensors, type SensorPlace } from '../../src/world/sensors.ts';

const DEVICE_COUNT = 8;

/** Sensors of devices whose places are said at each reading. */
function sensorsOf(sensors: readonly Sensor[], seed: number) {
  let place: SensorPlace = { deviceIndex: 0, localIndex: 0, elapsedMs: 0 };
  const created = createSensors(sensors, seed, DEVICE_COUNT, () => place);
  return (index: number, at: SensorPlace): number => {
    place = at;
    return created[index]!.read(undefined as unknown as Device) as number;
  };
}

/** The first values of one device, alone. */
function series(model: SensorModel, seed: number, deviceIndex: number, count: number): number[] {
  const read = sensorsOf([{ name: 'x', model }], seed);
  return Array.from({ length: count }, (_, at) => {
    return read(0, { deviceIndex, localIndex: 0, elapsedMs: at * 1000 });
  });
}

const coarse = fc.integer({ min: -5000, max: 5000 }).map((value) => value / 100);
const fine = fc.double({ min: -50, max: 50, noNaN: true });

const randomWalk = fc
  .tuple(
    fc.oneof(coarse, fine),
    fc.double({ min: 0, max: 20, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0.001, max: 30, noNaN: true }),
  )
  .map(([min, range, where, step]): SensorModel & { kind: 'random-walk' } => {
    return { kind: 'random-walk', min, max: min + range, start: min + range * where, step };
  });

const model: fc.Arbitrary<SensorModel> = fc.oneof(
  fc.record({ kind: fc.constant('constant' as const), value: fine }),
  fc.record({
    kind: fc.constant('sine' as const),
    mean: fine,
    amplitude: fine,
    periodMs: fc.integer({ min: 1, max: 100_000 }),
  }),
  fc.record({
    kind: fc.constant('noise' as const),
    mean: fine,
    deviation: fc.double({ min: 0, max: 10, noNaN: true }),
  }),
  randomWalk,
);

const seed = fc.nat(0xffffffff);

describe('sensors', () => {
  test('of a device say the same whoever reads beside it', () => {
    const readings = fc.array(
      fc.record({ device: fc.nat(DEVICE_COUNT - 1), sensor: fc.nat(1), elapsedMs: fc.nat(60_000) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.tuple(model, model), seed, readings, (models, runSeed, order) => {
        const sensors = models.map((each, index) => ({ name: `s${index}`, model: each }));
        const together = sensorsOf(sensors, runSeed);
        // Each device in a worker of its own, where it has another local index.
        const alone = Array.from({ length: DEVICE_COUNT }, () => sensorsOf(sensors, runSeed));
        for (const { device, sensor, elapsedMs } of order) {
          const deviceIndex = 1000 + device;
          const value = together(sensor, { deviceIndex, localIndex: device, elapsedMs });
          expect(value).toBe(alone[device]!(sensor, { deviceIndex, localIndex: 0, elapsedMs }));
          expect(Number.isFinite(value)).toBe(true);
        }
      }),
    );
  });

  test.each<[string, SensorModel]>([
    ['noise', { kind: 'noise', mean: 400, deviation: 60 }],
    ['a random walk', { kind: 'random-walk', start: 20, step: 1, min: 0, max: 40 }],
  ])('of %s differ by device, by seed and by sensor', (_name, noisy) => {
    const own = series(noisy, 1, 5, 50);
    expect(series(noisy, 1, 5, 50)).toEqual(own);
    expect(series(noisy, 1, 6, 50)).not.toEqual(own);
    expect(series(noisy, 2, 5, 50)).not.toEqual(own);
    const read = sensorsOf(
      [
        { name: 'a', model: noisy },
        { name: 'b', model: noisy },
      ],
      1,
    );
    const at = { deviceIndex: 5, localIndex: 0, elapsedMs: 0 };
    expect(own.map(() => read(1, at))).not.toEqual(own);
    expect(own.map(() => read(0, at))).toEqual(own);
  });

  test('have names and units as the scenario says', () => {
    const constant = { kind: 'constant', value: 1 } as const;
    const created = createSensors(
      [
        { name: 'power', unit: 'W', model: constant },
        { name: 'door', model: constant },
      ],
      1,
      1,
      () => ({ deviceIndex: 0, localIndex: 0, elapsedMs: 0 }),
    );
    expect(created.map(({ name, unit }) => [name, unit])).toEqual([
      ['power', 'W'],
      ['door', undefined],
    ]);
    expect('unit' in created[1]!).toBe(false);
  });
});

describe('a random walk', () => {
  test('stays within its bounds and moves by its step at most', () => {
    fc.assert(
      fc.property(randomWalk, seed, (walk, runSeed) => {
        let before = walk.start;
        for (const value of series(walk, runSeed, 3, 100)) {
          expect(value).toBeGreaterThanOrEqual(walk.min);
          expect(value).toBeLessThanOrEqual(walk.max);
          // Both are rounded to what a sensor resolves.
          expect(Math.abs(value - before)).toBeLessThanOrEqual(walk.step + 0.0101);
          before = value;
        }
      }),
      { numRuns: 300 },
    );
  });

  test('goes everywhere', () => {
    const values = series(
      { kind: 'random-walk', start: 20, step: 2, min: 15, max: 30 },
      1,
      0,
      2000,
    );
    expect(Math.min(...values)).toBe(15);
    expect(Math.max(...values)).toBe(30);
  });
});

describe('a sine', () => {
  test('has its mean, amplitude and period, from zero upwards', () => {
    const sine = { kind: 'sine', mean: 45, amplitude: 10, periodMs: 4000 } as const;
    expect(series(sine, 1, 0, 9)).toEqual([45, 55, 45, 35, 45, 55, 45, 35, 45]);
    expect(series(sine, 2, 7, 9)).toEqual(series(sine, 1, 0, 9));
  });
});

describe('noise', () => {
  test('has its mean and standard deviation', () => {
    const values = series({ kind: 'noise', mean: 400, deviation: 60 }, 1, 0, 20_000);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean - 400)).toBeLessThan(2.5);
    expect(Math.abs(Math.sqrt(variance) - 60)).toBeLessThan(1.8);
  });

  test('without deviation is a constant', () => {
    expect(new Set(series({ kind: 'noise', mean: 4.25, deviation: 0 }, 1, 0, 20))).toEqual(
      new Set([4.25]),
    );
  });
});
