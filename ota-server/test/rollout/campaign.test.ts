// Whole rollouts in virtual time: devices that poll, download, boot, fail. And how fast it is.

import { describe, expect, test } from 'vitest';
import {
  createRollout,
  type Effect,
  offerFor,
  positionOf,
  type RolloutState,
  step,
  viewOf,
} from '../../src/rollout/index.ts';
import { check, create, fleet, options, report, tick, wave } from './fleet.ts';

const MINUTE = 60_000;
/** Rollouts per property; ROLLOUT_SEEDS=5000 for a campaign. */
const SEED_COUNT = Number(process.env.ROLLOUT_SEEDS ?? 25);

interface Run {
  readonly state: RolloutState;
  readonly alerts: readonly Effect[];
}

/** 1,000 devices that poll every 5 minutes; a failure takes longer to report than a success. */
function simulate(seed: number, failureShare: number, failureRatioMax: number): Run {
  const waves = [5, 25, 100].map((percent) =>
    wave(percent, { failureRatioMax, successRatioMin: 0.9, soakMs: 30 * MINUTE }),
  );
  const devices = fleet(1000);
  const salt = `seed-${seed}`;
  const state = create(
    options(waves, { salt, silenceMsMax: 20 * MINUTE, attemptsMax: 1 }),
    devices,
  );
  const draw = (device: number, what: string) =>
    positionOf(`${salt}-${what}`, devices[device]!.id) / 2 ** 32;
  const alerts: Effect[] = [];
  const doneMs = new Map<number, number>();
  step(state, { type: 'start' }, 1);
  for (let minute = 1; minute < 300; minute += 1) {
    const nowMs = minute * MINUTE;
    for (const [device, atMs] of doneMs) {
      if (atMs !== nowMs) continue;
      report(state, device, draw(device, 'fails') < failureShare ? 'reverted' : 'confirmed', nowMs);
    }
    for (let device = minute % 5; device < 1000; device += 5) {
      const isOn = (doneMs.get(device) ?? Number.POSITIVE_INFINITY) <= nowMs;
      const isGood = draw(device, 'fails') >= failureShare;
      const { offer } = check(state, device, nowMs, isOn && isGood ? 'release' : 'other');
      if (offer === undefined || doneMs.has(device)) continue;
      const minutes = isGood ? 2 + Math.floor(draw(device, 'takes') * 8) : 12;
      doneMs.set(device, nowMs + minutes * MINUTE);
    }
    alerts.push(...tick(state, nowMs).filter(({ type }) => type === 'alert'));
    if (state.head.status === 'stopped' || state.head.status === 'completed') break;
  }
  return { state, alerts };
}

describe('1,000 devices in waves of 5, 25 and 100 %', () => {
  test('of which 30 % fail: stopped in the first wave, nobody else touched, whatever the seed', () => {
    for (let seed = 0; seed < SEED_COUNT; seed += 1) {
      const { alerts, state } = simulate(seed, 0.3, 0.05);
      const view = viewOf(state);
      expect({ seed, status: view.status, wave: view.wave }).toEqual({
        seed,
        status: 'stopped',
        wave: 0,
      });
      expect(alerts).toHaveLength(1);
      for (const { byStatus, size } of view.waves.slice(1)) expect(byStatus.pending).toBe(size);
    }
  });

  test('of which 1 % or none fail: completes, and all others are confirmed', () => {
    for (let seed = 0; seed < SEED_COUNT; seed += 1) {
      const share = seed % 2 === 0 ? 0 : 0.01;
      const { alerts, state } = simulate(seed, share, 0.15);
      const view = viewOf(state);
      expect({ seed, status: view.status, alerts }).toEqual({
        seed,
        status: 'completed',
        alerts: [],
      });
      let confirmed = 0;
      let failed = 0;
      for (const counts of view.waves) {
        confirmed += counts.confirmed;
        failed += counts.failed;
      }
      expect(confirmed + failed).toBe(1000);
      expect(confirmed).toBeGreaterThan(share === 0 ? 999 : 970);
    }
  });
});

test('a million devices: how fast', () => {
  const count = 1_000_000;
  const time = (what: string, events: number, run: () => void) => {
    const beganMs = performance.now();
    run();
    const ms = performance.now() - beganMs;
    return `${what}: ${ms.toFixed(0)} ms, ${((events / ms) * 1000).toExponential(1)}/s`;
  };
  const entry = (index: number) => ({ id: `device-${index}`, deviceClass: 'meter' });
  let state!: RolloutState;
  const lines = [
    time('create, devices', count, () => {
      state = createRollout(options([wave(100)]), { count, entry });
    }),
  ];
  step(state, { type: 'start' }, 1);
  const every = (run: (device: number) => void) => () => {
    // A third, or the suite would be known for this test.
    for (let device = 0; device < count; device += 3) run(device);
  };
  lines.push(
    time(
      'check with offer',
      count / 3,
      every((device) => {
        const { offer } = offerFor(state, device, 'other', 2);
        const event = { type: 'check', device, running: 'other', uptimeS: 1 } as const;
        step(state, { ...event, abnormalResets: 0, offered: offer! }, 2);
      }),
    ),
    time(
      'report',
      count / 3,
      every((device) => {
        step(state, { type: 'report', device, attempt: 1, stage: 'confirmed' }, 3);
      }),
    ),
    time('tick, nothing due', 1, () => tick(state, 4)),
    time('tick, 333,334 due', 1, () => tick(state, 10 * MINUTE)),
  );
  console.log(lines.join('\n'));
  expect(viewOf(state).waves[0]!.byStatus.silent).toBe(333_334);
});
