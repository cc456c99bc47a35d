import { describe, expect, test } from 'vitest';
import {
  type Cause,
  type Effect,
  isNotified,
  load,
  type OperatorEvent,
  type RolloutState,
  type RolloutStatus,
  save,
  step,
  TRANSITIONS,
  viewOf,
} from '../../src/rollout/index.ts';
import { check, create, fleet, membersOf, options, report, started, tick, wave } from './fleet.ts';

const SECOND = 1_000;
const ROLLBACK = { rollbackRelease: '1.0.1' };
const EVENTS = ['start', 'approve', 'pause', 'resume', 'abort', 'rollback'] as const;

/** One wave, judged from the first device on. */
const SINGLE = [wave(100, { sampleMin: 1, failureRatioMax: 0.5, soakMs: 60 * SECOND })];

/** A state of every status, reached by events. */
function states(): Record<RolloutStatus, RolloutState> {
  const gated = [wave(50, { approval: true }), wave(100)];
  const run = (setup?: (state: RolloutState) => void) => {
    const state = started(options(SINGLE, ROLLBACK), fleet(4));
    setup?.(state);
    return state;
  };
  const confirmAll = (state: RolloutState) => {
    for (let device = 0; device < 4; device += 1) {
      check(state, device, 2);
      report(state, device, 'confirmed', 3);
    }
    tick(state, 4);
  };
  const failOne = (state: RolloutState) => {
    check(state, 0, 2);
    report(state, 0, 'failed', 3);
    tick(state, 4);
  };
  const apply = (type: OperatorEvent['type']) => (state: RolloutState) => {
    step(state, { type } as OperatorEvent, 5);
  };
  const reached = {
    draft: create(options(), fleet(4)),
    'waiting-approval': started(options(gated, ROLLBACK), fleet(4)),
    running: run(),
    soaking: run(confirmAll),
    paused: run(apply('pause')),
    stopped: run(failOne),
    aborted: run(apply('abort')),
    completed: run((state) => {
      confirmAll(state);
      tick(state, 4 + 60 * SECOND);
    }),
    'rolling-back': run((state) => {
      confirmAll(state);
      apply('rollback')(state);
    }),
    'rolled-back': run((state) => {
      apply('rollback')(state);
      tick(state, 6);
    }),
  };
  for (const [status, state] of Object.entries(reached)) expect(state.head.status).toBe(status);
  return reached;
}

function records(
  effects: readonly Effect[],
): { from: RolloutStatus; to: RolloutStatus; cause: Cause }[] {
  return effects.flatMap((effect) =>
    effect.type === 'record' ? [{ from: effect.from, to: effect.to, cause: effect.cause }] : [],
  );
}

describe('operators', () => {
  test('may do in each state what the table says, and nothing else', () => {
    for (const [name, state] of Object.entries(states())) {
      const status = name as RolloutStatus;
      for (const type of EVENTS) {
        const copy = load(save(state));
        const before = save(copy);
        const effects = step(copy, { type } as OperatorEvent, 1e6);
        const target = TRANSITIONS[status][type];
        // Nothing is out before the first approval: there is nothing to take back.
        if (target === undefined || (type === 'rollback' && status === 'waiting-approval')) {
          expect(effects).toEqual([
            { type: 'refused', event: type, reason: 'not-in-this-state', status },
          ]);
          expect(save(copy)).toEqual(before);
        } else {
          expect(records(effects)).toHaveLength(1);
          const to = target === 'as-before' ? 'running' : target;
          expect(copy.head.status).toBe(to);
          expect(records(effects)[0]).toEqual({ from: status, to, cause: type });
        }
      }
    }
  });

  test('roll back only with a signed rollback release', () => {
    const state = started(options(SINGLE), fleet(4));
    check(state, 0, 2);
    report(state, 0, 'confirmed', 3);
    expect(step(state, { type: 'rollback' }, 4)).toEqual([
      { type: 'refused', event: 'rollback', reason: 'no-rollback-release', status: 'running' },
    ]);
    expect(check(state, 0, 5, 'release')).toEqual({ why: 'up-to-date' });
    const effects = step(state, { type: 'rollback', ...ROLLBACK }, 6);
    expect(state.head.status).toBe('rolling-back');
    const notify = effects.find((effect) => effect.type === 'notify')!;
    expect([0, 1].map((device) => isNotified(state, notify, device))).toEqual([true, false]);
    expect(check(state, 0, 7, 'release')).toEqual({ offer: { image: 'rollback', attempt: 2 } });
    expect(check(state, 1, 7, 'other')).toEqual({ why: 'not-affected' });
    report(state, 0, 'trial', 8);
    expect(tick(state, 9)).toEqual([]);
    report(state, 0, 'confirmed', 10);
    expect(records(tick(state, 11))).toEqual([
      { from: 'rolling-back', to: 'rolled-back', cause: 'all-back' },
    ]);
    // One that was away for it all is taken back when it comes.
    expect(check(state, 3, 12, 'release').offer?.image).toBe('rollback');
  });

  test('pause: no new offer by the next check, offers taken stay, failures are still seen', () => {
    const state = started(options([wave(100, { sampleMin: 2 })]), fleet(20));
    expect(check(state, 0, 2).offer).toEqual({ image: 'release', attempt: 1 });
    check(state, 1, 2);
    step(state, { type: 'pause' }, 3);
    for (let device = 2; device < 20; device += 1) {
      expect(check(state, device, 4)).toEqual({ why: 'paused' });
    }
    expect(check(state, 0, 4).offer).toEqual({ image: 'release', attempt: 1 });
    report(state, 0, 'reverted', 5);
    expect(tick(state, 6)).toEqual([]);
    report(state, 1, 'failed', 7);
    const effects = tick(state, 8);
    expect(records(effects)).toEqual([{ from: 'paused', to: 'stopped', cause: 'breach' }]);
    expect(effects.some(({ type }) => type === 'alert')).toBe(true);
  });

  test('resume where it was, also in a soak and before an approval', () => {
    for (const status of ['running', 'soaking', 'waiting-approval', 'completed'] as const) {
      const state = states()[status];
      step(state, { type: 'pause' }, 1e6);
      expect(state.head.status).toBe('paused');
      step(state, { type: 'resume' }, 2e6);
      expect(state.head.status).toBe(status);
    }
  });

  test('abort: whoever has not started gets nothing any more, whoever has is still seen', () => {
    const state = started(options([wave(100)]), fleet(10));
    for (const device of [0, 1, 2]) check(state, device, 2);
    report(state, 0, 'downloading', 3);
    report(state, 1, 'downloading', 3);
    const [, notify] = step(state, { type: 'abort' }, 4);
    if (notify?.type !== 'notify') throw new Error('expected a notify');
    expect([0, 1, 2, 3].map((device) => isNotified(state, notify, device))).toEqual([
      false,
      false,
      true,
      false,
    ]);
    for (let device = 0; device < 10; device += 1) {
      expect(check(state, device, 5)).toEqual({ why: 'aborted' });
    }
    report(state, 0, 'reverted', 6);
    tick(state, 10 + 3_600 * SECOND);
    const { byStatus } = viewOf(state).waves[0]!;
    // The silent one that had started timed out; the one that had not is no failure.
    expect(byStatus).toMatchObject({ reverted: 1, timedOut: 1, offered: 1, pending: 7 });
  });

  test('approve each gated wave', () => {
    const gate = { approval: true, soakMs: 0, sampleMin: 1 };
    const state = started(options([wave(50, gate), wave(100, gate)]), fleet(40));
    const [first, second] = [membersOf(state, 0, 50), membersOf(state, 50, 100)];
    expect(check(state, first[0]!, 2)).toEqual({ why: 'wave-not-open' });
    step(state, { type: 'approve' }, 3);
    expect(check(state, first[0]!, 4).offer).toBeDefined();
    report(state, first[0]!, 'confirmed', 5);
    tick(state, 6);
    expect(state.head).toMatchObject({ status: 'waiting-approval', wave: 1, openCount: 1 });
    expect(check(state, second[0]!, 7)).toEqual({ why: 'wave-not-open' });
    // Those of the open wave that come late do not wait for it.
    expect(check(state, first[1]!, 7).offer).toBeDefined();
    const effects = step(state, { type: 'approve' }, 8);
    const notify = effects.find((effect) => effect.type === 'notify')!;
    expect(second.every((device) => isNotified(state, notify, device))).toBe(true);
    expect(first.some((device) => isNotified(state, notify, device))).toBe(false);
    expect(check(state, second[0]!, 9).offer).toBeDefined();
  });

  test('retry: offered beyond its attempts only then, and the failure is forgotten', () => {
    const state = started(options([wave(100, { failureRatioMax: 1 })]), fleet(10));
    let nowMs = 2;
    for (const attempt of [1, 2]) {
      expect(check(state, 0, nowMs).offer).toEqual({ image: 'release', attempt });
      report(state, 0, 'failed', nowMs);
      // 60 s after the first, 120 s after the second.
      expect(check(state, 0, nowMs + attempt * 60 * SECOND - 1).offer).toBeUndefined();
      nowMs += attempt * 60 * SECOND;
      expect(viewOf(state).waves[0]!.failed).toBe(1);
    }
    expect(check(state, 0, nowMs + 1e9)).toEqual({ why: 'attempts-used-up' });
    expect(step(state, { type: 'retry', device: 1 }, nowMs)).toMatchObject([
      { reason: 'nothing-to-retry' },
    ]);
    expect(step(state, { type: 'retry' }, nowMs)).toMatchObject([{ audience: 'granted' }]);
    expect(viewOf(state).waves[0]!.failed).toBe(0);
    expect(check(state, 0, nowMs).offer).toEqual({ image: 'release', attempt: 3 });
  });
});
