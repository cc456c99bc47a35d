import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceClock } from '../../src/fleet/device-clock.ts';

const START_MS = 1_767_225_600_000;

class World {
  nowMs = 0;
  monotonicMs = () => this.nowMs;
  epochMs = () => START_MS + this.nowMs;
  epochUncertaintyMs = () => 0;
  adjust = () => undefined;
}

const anyForm = fc.record({
  skewMs: fc.nat({ max: 7_200_000 }),
  driftPpm: fc.nat({ max: 500 }),
  known: fc.constant(true),
});

describe('the clock of a device', () => {
  test('is as wrong as it says at most, before and after it was set', () => {
    fc.assert(
      fc.property(
        anyForm,
        fc.nat({ max: 1000 }),
        fc.nat({ max: 86_400_000 }),
        fc.integer({ min: -500, max: 500 }),
        (form, device, afterMs, errorMs) => {
          const world = new World();
          const clock = new DeviceClock(world, form, 7, device);
          const isTrue = () =>
            Math.abs(clock.epochMs() - world.epochMs()) <= clock.epochUncertaintyMs() + 1e-3;
          expect(isTrue()).toBe(true);
          world.nowMs = afterMs;
          expect(isTrue()).toBe(true);
          const before = clock.epochUncertaintyMs();
          clock.adjust(world.epochMs() + errorMs, 500);
          expect(clock.epochUncertaintyMs()).toBe(Math.min(before, 500));
          world.nowMs += 3_600_000;
          expect(isTrue()).toBe(true);
        },
      ),
    );
  });

  test('knows no time until it is told', () => {
    const world = new World();
    const clock = new DeviceClock(world, { skewMs: 0, driftPpm: 0, known: false }, 7, 0);
    expect([clock.epochMs(), clock.epochUncertaintyMs()]).toEqual([Number.NaN, Infinity]);
    world.nowMs = 5000;
    clock.adjust(world.epochMs() - 300, 1000);
    expect(clock.epochMs()).toBe(START_MS + 4700);
  });

  test('differs from device to device, and is the same in every run', () => {
    const world = new World();
    const form = { skewMs: 60_000, driftPpm: 0, known: true };
    const offsets = (seed: number) =>
      Array.from({ length: 50 }, (_, device) => {
        return new DeviceClock(world, form, seed, device).epochMs() - START_MS;
      });
    expect(new Set(offsets(7)).size).toBe(50);
    expect(offsets(7)).toEqual(offsets(7));
    expect(offsets(8)).not.toEqual(offsets(7));
  });
});
