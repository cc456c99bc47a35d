// The wheel against a list: the same timers fire at the same ticks, in order, whatever is
// started, stopped and skipped when.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Wheel } from '../../src/fleet/wheel.ts';

const TIMER_COUNT = 12;
const NONE = -1;

/** What the wheel must do, done slowly. */
class Model {
  private readonly dueTicks = new Map<number, number>();
  private tick = 0;

  start(timer: number, dueMs: number): void {
    this.dueTicks.set(timer, Math.max(this.tick + 1, Math.ceil(dueMs)));
  }

  stop(timer: number): void {
    this.dueTicks.delete(timer);
  }

  /** The tick at which something is due next; Infinity = nothing runs. */
  nextTick(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.dueTicks.values());
  }

  isDue(timer: number, tick: number): boolean {
    return this.dueTicks.get(timer) === tick;
  }

  /** Time is `tick`, and what `timer` waited for has come. */
  fire(timer: number, tick: number): void {
    this.tick = tick;
    this.dueTicks.delete(timer);
  }

  advance(tick: number): void {
    this.tick = tick;
  }
}

interface Inside {
  tick: number;
  readonly heads: Int32Array;
}

/**
 * Moves an idle wheel to just before the next tick at which it looks at a slot that is not empty:
 * what it would visit until then are empty slots, billions of them before a far timer.
 */
function leap(wheel: Wheel, endTick: number): void {
  const inside = wheel as unknown as Inside;
  let next = endTick;
  for (const [slot, head] of inside.heads.entries()) {
    if (head === NONE) continue;
    const span = 256 ** (slot >> 8);
    const round = span * 256;
    let visit = Math.floor(inside.tick / round) * round + (slot & 255) * span;
    if (visit <= inside.tick) visit += round;
    next = Math.min(next, visit);
  }
  inside.tick = Math.max(inside.tick, next - 1);
}

interface Reaction {
  readonly timer: number;
  /** Absent = stop the timer. */
  readonly delay: number | undefined;
}

/** A wheel and its model, through the same commands. */
class Comparison {
  nowMs = 0;
  firedCount = 0;
  private readonly wheel = new Wheel(TIMER_COUNT);
  private readonly model = new Model();
  private readonly reactions: readonly Reaction[];

  /** The nth timer that fires does what the nth reaction says. */
  constructor(startMs: number, reactions: readonly Reaction[]) {
    this.reactions = reactions;
    this.advance(startMs);
  }

  start(timer: number, delay: number): void {
    this.wheel.start(timer, this.nowMs + delay);
    this.model.start(timer, this.nowMs + delay);
  }

  stop(timer: number): void {
    this.wheel.stop(timer);
    this.model.stop(timer);
  }

  advance(by: number): void {
    const endMs = this.nowMs + by;
    const endTick = Math.floor(endMs);
    const inside = this.wheel as unknown as Inside;
    while (inside.tick < endTick) {
      leap(this.wheel, endTick);
      // The last step is that of the command: a fraction of a tick must not matter.
      const stepMs = endTick - inside.tick > 700 ? inside.tick + 700 : endMs;
      this.wheel.advance(stepMs, (timer) => this.fired(timer, endTick));
      this.model.advance(Math.floor(stepMs));
    }
    this.nowMs = endMs;
    expect(this.model.nextTick()).toBeGreaterThan(endTick);
    const nextMs = this.wheel.nextMs();
    expect(nextMs).toBeGreaterThan(endTick);
    expect(nextMs).toBeLessThanOrEqual(endTick + 256);
    expect(nextMs).toBeLessThanOrEqual(this.model.nextTick());
  }

  private fired(timer: number, endTick: number): void {
    const { tick } = this.wheel as unknown as Inside;
    expect(tick).toBe(this.model.nextTick());
    expect(tick).toBeLessThanOrEqual(endTick);
    expect(this.model.isDue(timer, tick)).toBe(true);
    this.model.fire(timer, tick);
    const reaction = this.reactions[this.firedCount];
    this.firedCount += 1;
    if (reaction === undefined) return;
    if (reaction.delay === undefined) {
      this.stop(reaction.timer);
    } else {
      this.wheel.start(reaction.timer, tick + reaction.delay);
      this.model.start(reaction.timer, tick + reaction.delay);
    }
  }
}

const timer = fc.nat(TIMER_COUNT - 1);

/** Within each level of the wheel, at their edges, beyond all of them, and in the past. */
const delay = fc.oneof(
  fc.double({ min: -5, max: 4, noNaN: true }),
  fc.integer({ min: 1, max: 255 }),
  fc.integer({ min: 250, max: 70_000 }),
  fc.integer({ min: 65_000, max: 17_000_000 }),
  fc.double({ min: 2 ** 24 - 300, max: 2 ** 33 + 300, noNaN: true }),
  fc.constantFrom(255, 256, 257, 65_535, 65_536, 65_537, 2 ** 24 - 1, 2 ** 24, 2 ** 32 - 1),
);

const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ act: fc.constant('start' as const), timer, delay }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('stop' as const), timer }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('advance' as const), by: delay }) },
);

const reaction = fc.record({ timer, delay: fc.option(delay, { nil: undefined }) });

/** Where the wheel stands when the commands begin: anywhere, and just before its rounds end. */
const startMs = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 2 ** 40, noNaN: true }),
  fc
    .tuple(fc.constantFrom(2 ** 8, 2 ** 16, 2 ** 24, 2 ** 32, 2 ** 34), fc.nat(3), fc.nat(600))
    .map(([round, times, before]) => round * (times + 1) - before)
    .filter((ms) => ms >= 0),
);

describe('the wheel', () => {
  test('fires what a list fires, at the same ticks', () => {
    let firedCount = 0;
    const commands = fc.array(command, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(startMs, commands, fc.array(reaction, { maxLength: 20 }), (start, acts, more) => {
        const comparison = new Comparison(start, more);
        for (const act of acts) {
          if (act.act === 'start') comparison.start(act.timer, act.delay);
          else if (act.act === 'stop') comparison.stop(act.timer);
          else comparison.advance(Math.max(0, act.by));
        }
        // Until the farthest has come.
        comparison.advance(2 ** 34);
        firedCount += comparison.firedCount;
      }),
      { numRuns: 400 },
    );
    expect(firedCount).toBeGreaterThan(400);
  });

  test('starts at 0 ms, with every timer stopped', () => {
    const fired: number[] = [];
    const wheel = new Wheel(3);
    wheel.start(0, 1);
    wheel.advance(0.99, (index) => fired.push(index));
    expect(fired).toEqual([]);
    wheel.advance(1, (index) => fired.push(index));
    wheel.advance(1000, (index) => fired.push(index));
    expect(fired).toEqual([0]);
  });

  test('a timer that is started again at once fires at the next tick, not for ever', () => {
    const wheel = new Wheel(1);
    let count = 0;
    wheel.start(0, 0);
    wheel.advance(50, () => {
      count += 1;
      wheel.start(0, 0);
    });
    expect(count).toBe(50);
  });

  test('time that stands still or goes back fires nothing', () => {
    const wheel = new Wheel(1);
    const fired: number[] = [];
    wheel.advance(1000, (index) => fired.push(index));
    wheel.start(0, 500);
    wheel.advance(1000, (index) => fired.push(index));
    wheel.advance(10, (index) => fired.push(index));
    expect(fired).toEqual([]);
    wheel.advance(1001, (index) => fired.push(index));
    expect(fired).toEqual([0]);
  });

  test('tells beforehand only what the next advance fires', () => {
    const starts = fc.array(
      fc.record({
        timer: fc.nat({ max: 49 }),
        inMs: fc.nat({ max: 3000 }),
        stepMs: fc.nat({ max: 8 }),
      }),
      { minLength: 50, maxLength: 300 },
    );
    let told = 0;
    let fired = 0;
    fc.assert(
      fc.property(starts, (steps) => {
        const wheel = new Wheel(50);
        let nowMs = 0;
        for (const { timer, inMs, stepMs } of steps) {
          wheel.start(timer, nowMs + inMs / 100);
          wheel.start((timer + 25) % 50, nowMs + inMs);
          nowMs += stepMs;
          const due: number[] = [];
          wheel.forEachDue(nowMs, (index) => due.push(index));
          const firing = new Set<number>();
          wheel.advance(nowMs, (index) => firing.add(index));
          expect(due.filter((index) => !firing.has(index))).toEqual([]);
          told += due.length;
          fired += firing.size;
        }
      }),
      { numRuns: 30 },
    );
    expect(told).toBeGreaterThan(0.9 * fired);
  });

  test('without timers is empty, not wrong', () => {
    const wheel = new Wheel(0);
    wheel.advance(10_000, () => {
      throw new Error('nothing to fire');
    });
    expect(wheel.nextMs()).toBeGreaterThan(10_000);
  });
});
