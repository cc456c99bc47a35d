// The gate that paces connects, in a time of its own.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SimulatedPlatform } from '../../src/fleet/simulated-platform.ts';
import { ConnectGate, type ConnectLimits } from '../../src/live/connect-gate.ts';

const DEVICE_COUNT = 12;
/** What the bucket of tokens holds at most, in seconds of the rate. */
const BURST_S = 0.1;

/** A gate, its devices, and what became of them. */
class Scene {
  readonly gate: ConnectGate;
  readonly devices: readonly SimulatedPlatform[];
  /** Connects opened, with their time; in order. */
  readonly opened: { device: number; atMs: number }[] = [];
  readonly late: number[] = [];
  readonly waiting: number[] = [];
  readonly underway = new Map<number, number>();
  nowMs = 0;

  constructor(limits: Partial<ConnectLimits>) {
    const all = { inFlight: 1, rate: undefined, timeoutMs: 10_000, ...limits };
    // Devices are no more to a gate than that they differ.
    this.devices = Array.from({ length: DEVICE_COUNT }, (_, localIndex) => {
      return { localIndex } as SimulatedPlatform;
    });
    this.gate = new ConnectGate(all, ({ localIndex }) => {
      expect(this.waiting[0], 'first come, first served').toBe(localIndex);
      this.waiting.shift();
      this.underway.set(localIndex, this.nowMs);
      this.opened.push({ device: localIndex, atMs: this.nowMs });
      expect(this.underway.size).toBeLessThanOrEqual(all.inFlight);
    });
  }

  request(device: number): void {
    // A device asks anew only after its last connect is over.
    this.release(device);
    this.waiting.push(device);
    this.gate.request(this.devices[device]!, this.nowMs);
  }

  release(device: number): void {
    const at = this.waiting.indexOf(device);
    if (at >= 0) this.waiting.splice(at, 1);
    this.underway.delete(device);
    this.gate.release(this.devices[device]!, this.nowMs);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.gate.admit(this.nowMs);
  }

  expire(): void {
    this.gate.expire(this.nowMs, ({ localIndex }) => {
      this.underway.delete(localIndex);
      this.late.push(localIndex);
    });
  }
}

const device = fc.nat(DEVICE_COUNT - 1);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ act: fc.constant('request' as const), device }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('release' as const), device }) },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('pass' as const),
      ms: fc.double({ min: 0, max: 400, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('expire' as const) }) },
);

describe('the gate', () => {
  test('keeps its limits and its order, whatever comes when', () => {
    const limits = fc.record({
      inFlight: fc.integer({ min: 1, max: 5 }),
      rate: fc.option(fc.double({ min: 0.5, max: 200, noNaN: true }), { nil: undefined }),
      timeoutMs: fc.integer({ min: 1, max: 2000 }),
    });
    const begin = fc.double({ min: 0, max: 5000, noNaN: true });
    fc.assert(
      fc.property(limits, begin, fc.array(step, { maxLength: 80 }), (given, beginMs, steps) => {
        const scene = new Scene(given);
        scene.pass(beginMs);
        for (const each of steps) {
          if (each.act === 'request') scene.request(each.device);
          else if (each.act === 'release') scene.release(each.device);
          else if (each.act === 'pass') scene.pass(each.ms);
          else {
            const due = [...scene.underway].filter(([, startMs]) => {
              return scene.nowMs - startMs >= given.timeoutMs;
            });
            const before = scene.late.length;
            scene.expire();
            expect(scene.late.slice(before)).toEqual(due.map(([late]) => late));
            scene.pass(0);
          }
          // Nobody waits without a reason.
          if (given.rate === undefined && scene.waiting.length > 0) {
            expect(scene.underway.size).toBe(given.inFlight);
          }
        }
        const { rate, inFlight } = given;
        if (rate !== undefined) {
          for (const [first, { atMs }] of scene.opened.entries()) {
            for (const [last, { atMs: endMs }] of scene.opened.entries()) {
              if (last < first) continue;
              const allowed = Math.max(1, rate * BURST_S) + ((endMs - atMs) * rate) / 1000;
              expect(last - first + 1).toBeLessThanOrEqual(allowed + 1e-6);
            }
          }
        }
        // And all who wait get their turn.
        for (let turn = 0; turn < 1000 && scene.waiting.length > 0; turn += 1) {
          for (const busy of [...scene.underway.keys()]) scene.release(busy);
          scene.pass(100);
        }
        expect(scene.waiting).toEqual([]);
        expect(scene.underway.size).toBeLessThanOrEqual(inFlight);
      }),
      { numRuns: 400 },
    );
  });

  test('lets the next one in as soon as a connect is over, however it ended', () => {
    const scene = new Scene({ inFlight: 2 });
    for (const each of [0, 1, 2, 3, 4]) scene.request(each);
    expect(scene.opened.map(({ device: each }) => each)).toEqual([0, 1]);
    scene.release(1);
    expect(scene.opened.map(({ device: each }) => each)).toEqual([0, 1, 2]);
    scene.release(3); // It gave up while it waited.
    scene.release(3);
    expect(scene.opened.length).toBe(3);
    scene.release(0);
    expect(scene.opened.map(({ device: each }) => each)).toEqual([0, 1, 2, 4]);
  });

  test.each([
    [5, 1, 5],
    [50, 5, 50],
    [400, 40, 400],
  ])('starts %i a second evenly: %i at once, %i in a second', (rate, burst, inOneSecond) => {
    const count = (ms: number) => {
      let opened = 0;
      const limits = { inFlight: 1000, rate, timeoutMs: 10_000 };
      const gate = new ConnectGate(limits, () => {
        opened += 1;
      });
      // It has rested: its bucket is full.
      gate.admit(10_000);
      for (let each = 0; each < 1000; each += 1) {
        gate.request({ localIndex: each } as SimulatedPlatform, 10_000);
      }
      for (let nowMs = 0; nowMs < ms; nowMs += 10) gate.admit(10_010 + nowMs);
      return opened;
    };
    expect(count(0)).toBe(burst);
    expect(Math.abs(count(1000) - inOneSecond - burst)).toBeLessThanOrEqual(1);
  });

  test('times a connect from its opening: one that waits for its turn is not late', () => {
    const scene = new Scene({ inFlight: 1, timeoutMs: 1000 });
    scene.request(0);
    scene.request(1);
    scene.pass(999);
    scene.expire();
    expect(scene.late).toEqual([]);
    scene.pass(1);
    scene.expire();
    expect(scene.late).toEqual([0]);
    scene.pass(0);
    expect(scene.opened.at(-1)).toEqual({ device: 1, atMs: 1000 });
    scene.pass(900);
    scene.expire();
    expect(scene.late).toEqual([0]);
  });
});
