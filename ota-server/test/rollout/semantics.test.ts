import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AlertEffect,
  deviceStatusOf,
  type Effect,
  isNotified,
  load,
  type RolloutEvent,
  save,
  step,
  viewOf,
} from '../../src/rollout/index.ts';
import {
  check,
  commands,
  create,
  Driver,
  fleet,
  membersOf,
  options,
  report,
  STAGES,
  started,
  tick,
  wave,
} from './fleet.ts';

const MINUTE = 60_000;

function alerts(effects: readonly Effect[]): AlertEffect[] {
  return effects.filter((effect) => effect.type === 'alert');
}

describe('between two ticks', () => {
  test('devices may be heard in any order', () => {
    // Each with its own time; what one device says stays in its order.
    const device = (event: RolloutEvent) => {
      return event.type === 'check' || event.type === 'report' ? event.device : -1;
    };
    fc.assert(
      fc.property(commands(10), fc.array(fc.nat(), { minLength: 130 }), (list, dice) => {
        const plan = options([wave(60, { sampleMin: 2 }), wave(100)]);
        const straight = started(plan, fleet(10));
        const shuffled = load(save(straight));
        const driver = new Driver();
        let window: { event: RolloutEvent; atMs: number }[] = [];
        const flush = () => {
          const ranks = [...new Set(window.map(({ event }) => device(event)))];
          ranks.sort((a, b) => (dice[a + 1]! % 97) - (dice[b + 1]! % 97) || a - b);
          for (const rank of ranks) {
            for (const { atMs, event } of window) {
              if (device(event) === rank) step(shuffled, event, atMs);
            }
          }
          window = [];
          expect(save(shuffled)).toEqual(save(straight));
        };
        let offsetMs = 0;
        for (const command of list) {
          if (command.kind === 'operator' || command.kind === 'device') continue;
          for (const event of driver.events(command, straight)) {
            if (event.type === 'tick') {
              flush();
              driver.nowMs += offsetMs;
              offsetMs = 0;
              step(shuffled, event, driver.nowMs);
              step(straight, event, driver.nowMs);
            } else {
              offsetMs += 1;
              const atMs = driver.nowMs + offsetMs;
              window.push({ event, atMs });
              step(straight, event, atMs);
            }
          }
        }
        flush();
      }),
      { numRuns: 100 },
    );
  });

  test('the reports of one attempt may come in any order, and any number of times', () => {
    const stages = fc.subarray([...STAGES], { minLength: 1 });
    const shuffles = stages.chain((chosen) =>
      fc.tuple(
        fc.constant(chosen),
        fc
          .shuffledSubarray(chosen, { minLength: chosen.length })
          .chain((order) =>
            fc
              .array(fc.constantFrom(...chosen), { maxLength: 5 })
              .map((more) => [...order, ...more]),
          ),
      ),
    );
    fc.assert(
      fc.property(shuffles, fc.boolean(), ([chosen, shuffled], withCheck) => {
        const run = (order: readonly (typeof STAGES)[number][], checkFirst: boolean) => {
          const state = started(options([wave(100)]), fleet(3));
          check(state, 0, 5);
          const life = () => {
            const event = { type: 'check', device: 0, running: 'release', uptimeS: 1 } as const;
            if (withCheck) step(state, { ...event, abnormalResets: 9 }, 7);
          };
          if (checkFirst) life();
          for (const stage of order) report(state, 0, stage, 7);
          if (!checkFirst) life();
          tick(state, 8);
          state.head.ignoredReportCount = 0;
          return save(state);
        };
        expect(run(shuffled, true)).toEqual(run(chosen, false));
      }),
    );
  });

  test('a device that reports twice counts once; forged and stale reports count nothing', () => {
    const state = started(options([wave(100, { failureRatioMax: 1 })]), fleet(30));
    check(state, 0, 2);
    for (let times = 0; times < 50; times += 1) report(state, 0, 'failed', 3);
    // Never offered, another attempt, no such device.
    for (const device of [1, 2, 3]) report(state, device, 'failed', 3, 1);
    for (const attempt of [0, 2, -1, 1.5, 257]) report(state, 0, 'reverted', 3, attempt);
    for (const device of [-1, 30, 0.5, Number.NaN]) report(state, device, 'failed', 3, 1);
    expect(viewOf(state).waves[0]).toMatchObject({ failed: 1, confirmed: 0 });
    expect(state.head.ignoredReportCount).toBe(49 + 3 + 5 + 4);
  });
});

describe('a device', () => {
  test('that took the offer and stays silent times out; one that never took it is pending', () => {
    const state = started(options([wave(100)]), fleet(30));
    check(state, 0, 10);
    report(state, 0, 'downloaded', 20);
    tick(state, 10 + 60 * MINUTE - 1);
    expect(deviceStatusOf(state, 0).status).toBe('downloaded');
    tick(state, 10 + 60 * MINUTE);
    expect(deviceStatusOf(state, 0).status).toBe('timedOut');
    expect(viewOf(state).waves[0]).toMatchObject({ failed: 1, byStatus: { pending: 29 } });
    // It was only slow.
    report(state, 0, 'confirmed', 11 + 60 * MINUTE);
    expect(viewOf(state).waves[0]).toMatchObject({ failed: 0, confirmed: 1 });
  });

  test('that fails after confirming, within the soak, counts as failed', () => {
    const soaked = () => {
      const state = started(options([wave(100, { failureRatioMax: 1, soakMs: 20 * MINUTE })]));
      check(state, 0, 10);
      report(state, 0, 'confirmed', 20);
      return state;
    };
    const crashing = soaked();
    check(crashing, 0, 10 * MINUTE, 'release', 2);
    expect(deviceStatusOf(crashing, 0).status).toBe('confirmed');
    check(crashing, 0, 11 * MINUTE, 'release', 3);
    expect(deviceStatusOf(crashing, 0).status).toBe('unstable');
    const late = soaked();
    check(late, 0, 20 + 20 * MINUTE + 1, 'release', 3);
    expect(deviceStatusOf(late, 0).status).toBe('confirmed');
    const silent = soaked();
    check(silent, 0, 2 * MINUTE, 'release');
    tick(silent, 7 * MINUTE - 1);
    expect(deviceStatusOf(silent, 0).status).toBe('confirmed');
    tick(silent, 7 * MINUTE);
    expect(viewOf(silent).waves[0]).toMatchObject({ failed: 1, confirmed: 0 });
    check(silent, 0, 8 * MINUTE, 'release');
    expect(viewOf(silent).waves[0]).toMatchObject({ failed: 0, confirmed: 1 });
    const reverted = soaked();
    report(reverted, 0, 'reverted', 2 * MINUTE);
    expect(viewOf(reverted).waves[0]).toMatchObject({ failed: 1, confirmed: 0 });
  });

  test('that tries again counts as failed until it confirms', () => {
    const state = started(options([wave(100, { failureRatioMax: 1 })]), fleet(30));
    check(state, 0, 2);
    report(state, 0, 'failed', 3);
    expect(check(state, 0, 3 + MINUTE).offer?.attempt).toBe(2);
    for (const stage of ['downloading', 'trial'] as const) {
      report(state, 0, stage, 4 + MINUTE);
      expect(viewOf(state).waves[0]).toMatchObject({ failed: 1, confirmed: 0 });
    }
    report(state, 0, 'confirmed', 5 + MINUTE);
    expect(viewOf(state).waves[0]).toMatchObject({ failed: 0, confirmed: 1 });
  });

  test('whose offer a stop withdrew has its whole time again after resume', () => {
    const state = started(options([wave(100, { sampleMin: 1 })]), fleet(30));
    check(state, 0, 2);
    check(state, 1, 2);
    report(state, 0, 'failed', 3);
    tick(state, 4);
    expect(state.head.status).toBe('stopped');
    step(state, { type: 'retry' }, 100 * MINUTE);
    step(state, { type: 'resume' }, 100 * MINUTE);
    tick(state, 160 * MINUTE - 1);
    expect(deviceStatusOf(state, 1).status).toBe('offered');
    tick(state, 160 * MINUTE);
    expect(deviceStatusOf(state, 1).status).toBe('timedOut');
  });

  test('joins the wave that its id says, and leaves without a trace', () => {
    const state = started(options([wave(100)]), fleet(3));
    step(state, { type: 'enrol', device: 3, id: 'new', deviceClass: 'gate' }, 2);
    expect(check(state, 3, 3).offer).toBeDefined();
    report(state, 3, 'failed', 4);
    expect(viewOf(state).waves[0]).toMatchObject({ size: 4, failed: 1 });
    step(state, { type: 'remove', device: 3 }, 5);
    expect(viewOf(state).waves[0]).toMatchObject({ size: 3, failed: 0, classes: [] });
    expect(check(state, 3, 6)).toEqual({ why: 'not-targeted' });
  });
});

describe('a wave', () => {
  test('that is smaller than its sample is judged by all of it', () => {
    const state = started(options([wave(100, { sampleMin: 1000 })]), fleet(10));
    for (let device = 0; device < 10; device += 1) {
      check(state, device, 2);
      report(state, device, device < 8 ? 'confirmed' : 'failed', 3);
      if (device < 9) expect(tick(state, 4)).toEqual([]);
    }
    expect(alerts(tick(state, 5))).toMatchObject([{ failed: 2, resolved: 10 }]);
  });

  test('stops for one hardware class that fails, and names it', () => {
    const classes = ['meter', 'meter', 'meter', 'meter', 'meter', 'meter', 'meter', 'old-gate'];
    const state = started(
      options([wave(100, { failureRatioMax: 0.2, successRatioMin: 0.5 })]),
      fleet(400, classes),
    );
    let effects: readonly Effect[] = [];
    for (let device = 0; device < 400 && viewOf(state).status !== 'stopped'; device += 1) {
      check(state, device, 2);
      report(state, device, device % 8 === 7 ? 'failed' : 'confirmed', 3);
      effects = tick(state, 4);
    }
    expect(state.head.status).toBe('stopped');
    expect(alerts(effects)).toEqual([
      {
        type: 'alert',
        reason: 'class-failure-ratio',
        wave: 0,
        deviceClasses: ['old-gate'],
        failed: 20,
        resolved: 20,
        failureRatioMax: 0.2,
      },
    ]);
  });

  test('stops for a class smaller than the sample when all of it fails, not for one device', () => {
    for (const [rare, status] of [
      [3, 'stopped'],
      [1, 'running'],
    ] as const) {
      const devices = fleet(300).map(({ id }, index) => {
        return { id, deviceClass: index < rare ? 'rare' : 'meter' };
      });
      const state = started(options([wave(100, { successRatioMin: 1 })]), devices);
      for (let device = 0; device < 300; device += 1) {
        check(state, device, 2);
        report(state, device, device < rare ? 'reverted' : 'confirmed', 3);
      }
      expect(alerts(tick(state, 4)).map(({ deviceClasses }) => deviceClasses)).toEqual(
        rare === 3 ? [['rare']] : [],
      );
      expect(state.head.status).toBe(status);
    }
  });

  test('if it is the last does not complete while a device is at it', () => {
    const state = started(options([wave(100, { sampleMin: 1, soakMs: MINUTE })]), fleet(3));
    check(state, 0, 2);
    check(state, 1, 2);
    report(state, 0, 'confirmed', 3);
    tick(state, 4);
    tick(state, 2 * MINUTE);
    expect(state.head.status).toBe('soaking');
    report(state, 1, 'confirmed', 2 * MINUTE);
    tick(state, 2 * MINUTE);
    expect(state.head.status).toBe('completed');
    // Whoever was away is still offered the release.
    expect(check(state, 2, 3 * MINUTE).offer).toBeDefined();
  });

  test('if it is the last opens evenly over its duration, and stands still while paused', () => {
    const last = wave(100, { spreadMs: 100 * MINUTE });
    const first = wave(10, { sampleMin: 1, soakMs: 0 });
    const state = started(options([first, last], { attemptsMax: 1 }), fleet(4000));
    const canary = membersOf(state, 0, 10)[0]!;
    check(state, canary, 2);
    report(state, canary, 'confirmed', 3);
    tick(state, MINUTE);
    expect(state.head).toMatchObject({ wave: 1, status: 'running', openedMs: MINUTE });
    const later = membersOf(state, 10, 100);
    const told = new Set<number>();
    const openShare = (nowMs: number) => {
      for (const effect of tick(state, nowMs)) {
        if (effect.type !== 'notify') continue;
        for (const device of later) if (isNotified(state, effect, device)) told.add(device);
      }
      const copy = load(save(state));
      const open = later.filter((device) => check(copy, device, nowMs).offer !== undefined);
      expect(open.every((device) => told.has(device))).toBe(true);
      return open.length / later.length;
    };
    let before = 0;
    for (const share of [0.1, 0.25, 0.5]) {
      const open = openShare(MINUTE + share * 100 * MINUTE);
      expect(Math.abs(open - share)).toBeLessThan(5 * Math.sqrt(0.25 / later.length));
      expect(open).toBeGreaterThanOrEqual(before);
      before = open;
    }
    step(state, { type: 'pause' }, 51 * MINUTE);
    step(state, { type: 'resume' }, 551 * MINUTE);
    expect(openShare(551 * MINUTE)).toBe(before);
    expect(openShare(601 * MINUTE)).toBe(1);
  });
});

test('a saved state that was damaged is refused', () => {
  const state = create(options(), fleet(5));
  const bytes = save(state);
  expect(save(load(bytes))).toEqual(bytes);
  for (let size = 0; size < bytes.length; size += 1) {
    expect(() => load(bytes.subarray(0, size))).toThrow();
  }
});
