// Edges of the criteria that random streams seldom meet.

import { expect, test } from 'vitest';
import { step, viewOf } from '../../src/rollout/index.ts';
import { check, fleet, membersOf, options, report, started, tick, wave } from './fleet.ts';

const MINUTE = 60_000;

test('a failure ratio at its limit is allowed, one above it is not', () => {
  for (const [failing, status] of [
    [2, 'soaking'],
    [3, 'stopped'],
  ] as const) {
    const state = started(options([wave(100, { failureRatioMax: 0.1 })]), fleet(20));
    for (let device = 0; device < 20; device += 1) {
      check(state, device, 2);
      report(state, device, device < failing ? 'failed' : 'confirmed', 3);
    }
    tick(state, 4);
    expect(viewOf(state).status).toBe(status);
  }
});

test('a wave that spreads soaks only when all of it is open', () => {
  const spread = wave(100, { spreadMs: 10 * MINUTE, sampleMin: 1 });
  const state = started(options([spread]), fleet(100));
  const first = membersOf(state, 0, 20)[0]!;
  check(state, first, 5 * MINUTE);
  report(state, first, 'confirmed', 5 * MINUTE);
  tick(state, 6 * MINUTE);
  expect(state.head.status).toBe('running');
  check(state, first, 10 * MINUTE + 1, 'release');
  tick(state, 10 * MINUTE + 1);
  expect(state.head.status).toBe('soaking');
});

test('devices that had the release before are not part of the sample', () => {
  const state = started(options([wave(100, { sampleMin: 20 })]), fleet(20));
  for (let device = 0; device < 15; device += 1) check(state, device, 2, 'release');
  for (let device = 15; device < 20; device += 1) {
    check(state, device, 2);
    report(state, device, 'confirmed', 3);
  }
  tick(state, 4);
  expect(state.head.status).toBe('soaking');
});

test('a rollout that stops while paused resumes where it was before the pause', () => {
  const state = started(options([wave(100, { sampleMin: 1 })]), fleet(30));
  check(state, 0, 2);
  step(state, { type: 'pause' }, 3);
  report(state, 0, 'failed', 4);
  tick(state, 5);
  expect(state.head.status).toBe('stopped');
  step(state, { type: 'resume' }, 6);
  expect(state.head.status).toBe('running');
});

test('attempts of the release do not use up those of the rollback', () => {
  const plan = options([wave(100, { failureRatioMax: 1 })], { rollbackRelease: '1.0.1' });
  const state = started(plan, fleet(30));
  check(state, 0, 2);
  report(state, 0, 'failed', 3);
  check(state, 0, 2 * MINUTE);
  report(state, 0, 'confirmed', 2 * MINUTE);
  step(state, { type: 'rollback' }, 3 * MINUTE);
  expect(check(state, 0, 4 * MINUTE, 'release').offer).toEqual({ image: 'rollback', attempt: 3 });
  report(state, 0, 'failed', 5 * MINUTE);
  expect(check(state, 0, 6 * MINUTE, 'release').offer).toEqual({ image: 'rollback', attempt: 4 });
});
