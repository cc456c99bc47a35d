// Chaos: edits, outages, resets, deletions, losses and repetitions in any order; then peace.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meets } from '../../src/shadow/shadow-value.ts';
import { POLICIES, ShadowScene } from '../support/shadow-scene.ts';

type Step =
  | {
      readonly do: 'desire' | 'report';
      readonly key: 'a' | 'b' | 'c';
      readonly value: number | null | { [member: string]: number };
    }
  | { readonly do: 'connect' | 'disconnect' | 'reset' | 'delete' }
  | { readonly do: 'run'; readonly ms: number };

const value = fc.option(fc.integer({ min: 1, max: 999 }), { freq: 6 });
const nested = fc.dictionary(fc.constantFrom('x', 'y'), fc.integer({ min: 1, max: 9 }), {
  minKeys: 1,
});
const key = fc.constantFrom('a' as const, 'b' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('desire' as const), key, value }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('desire' as const),
      key: fc.constant('c' as const),
      value: nested,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      key: fc.constant('c' as const),
      value: nested,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('report' as const), key, value }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('run' as const), ms: fc.nat(15_000) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'disconnect' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'connect' as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'reset' as const }, { do: 'delete' as const }) },
);

interface Chaos {
  readonly steps: readonly Step[];
  /** Fates of messages, in turn. */
  readonly fates: readonly (0 | 1 | 2)[];
  readonly latencyMs: number;
  readonly session: boolean;
  readonly restarts: boolean;
  readonly deltaOnReport: boolean;
  readonly policy: number;
  /** The last round, after peace: who edits, and who last. */
  readonly finale: 'cloud' | 'device' | 'cloud-device' | 'device-cloud';
  /** Codes that requests are rejected with, 0 = they are not. */
  readonly codes: readonly number[];
  /** Messages take up to so much longer, each its own time. */
  readonly jitterMs: number;
}

const chaos: fc.Arbitrary<Chaos> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
  fates: fc.array(fc.constantFrom(0 as const, 1 as const, 1 as const, 2 as const), {
    minLength: 1,
    maxLength: 20,
  }),
  latencyMs: fc.constantFrom(10, 700, 4000),
  session: fc.boolean(),
  restarts: fc.boolean(),
  deltaOnReport: fc.boolean(),
  policy: fc.nat(3),
  finale: fc.constantFrom('cloud', 'device', 'cloud-device', 'device-cloud'),
  codes: fc.array(fc.constantFrom(0, 0, 0, 409, 429, 500), { maxLength: 12 }),
  jitterMs: fc.constantFrom(0, 0, 3000),
});

function execute(scene: ShadowScene, one: Step): void {
  if (one.do === 'desire') scene.desire({ [one.key]: one.value });
  else if (one.do === 'report') scene.report(one.key, one.value);
  else if (one.do === 'run') scene.run(one.ms);
  else if (one.do === 'delete') scene.deleteShadow();
  else scene[one.do]();
}

/** desired and reported agree on the keys with handlers, and the device has the same in force. */
function expectConvergence(scene: ShadowScene): void {
  expect(scene.shadow.isSettled).toBe(true);
  expect(scene.model.delta).toEqual({});
  for (const name of ['a', 'b', 'c']) {
    const inForce = scene.shadow.valueOf(name) ?? null;
    const wish = scene.desired?.[name];
    if (wish !== undefined) expect(meets(wish, inForce)).toBe(true);
    // After a reset a device does not know what nobody desires, until its program declares it.
    const isKnown = scene.shadow.valueOf(name) !== undefined;
    if (isKnown) expect(scene.reported?.[name] ?? null).toEqual(inForce);
  }
  expect(scene.savedCount).toBe(0);
}

function runChaos(plan: Chaos): void {
  const scene = new ShadowScene({ policy: (POLICIES[plan.policy] as (typeof POLICIES)[0])[1] });
  let turn = 0;
  const fate = () => plan.fates[turn++ % plan.fates.length] as 0 | 1 | 2;
  scene.fateUp = fate;
  scene.fateDown = fate;
  scene.latencyMs = plan.latencyMs;
  scene.session = plan.session;
  scene.model.restartsVersions = plan.restarts;
  scene.model.deltaOnReport = plan.deltaOnReport;
  scene.model.rejections.push(...plan.codes);
  scene.jitterMs = plan.jitterMs;
  for (const one of plan.steps) execute(scene, one);
  scene.fateUp = () => 1;
  scene.fateDown = () => 1;
  scene.jitterMs = 0;
  scene.model.rejections.splice(0);
  scene.disconnect();
  scene.connect();
  scene.run(600_000);
  expectConvergence(scene);

  // From peace on the winner is known.
  scene.desire({ a: 1000 });
  scene.run(120_000);
  expectConvergence(scene);
  scene.disconnect();
  const before = scene.shadow.counters.conflicts;
  for (const side of plan.finale.split('-')) {
    if (side === 'cloud') scene.desire({ a: 2000 });
    else scene.report('a', 30_000);
    scene.run(5000);
  }
  scene.connect();
  scene.run(120_000);
  expectConvergence(scene);
  const both = plan.finale.includes('-');
  const last = plan.finale.endsWith('cloud') ? 2000 : 30_000;
  const expected = both ? [2000, 30_000, last, 32_000][plan.policy] : last;
  expect(scene.shadow.valueOf('a')).toBe(expected);
  expect(scene.desired?.a).toBe(expected);
  expect(scene.shadow.counters.conflicts - before).toBe(both ? 1 : 0);
}

/** A shadow made anew has the versions of the deleted one, whose deltas are on their way still. */
const VERSION_TWICE: Chaos = {
  steps: [
    { do: 'connect' },
    { do: 'desire', key: 'a', value: 1 },
    { do: 'desire', key: 'a', value: 1 },
    { do: 'delete' },
    { do: 'desire', key: 'a', value: 2 },
    { do: 'connect' },
  ],
  fates: [1, 0],
  latencyMs: 10,
  session: false,
  restarts: true,
  deltaOnReport: false,
  policy: 0,
  finale: 'cloud',
  codes: [],
  jitterMs: 3000,
};

test('convergence: any edits, outages, losses and repetitions end in agreement', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  const numRuns = Number(process.env.RUNS ?? 1500);
  console.log(`SEED=${seed}`);
  fc.assert(fc.property(chaos, runChaos), { seed, numRuns, examples: [[VERSION_TWICE]] });
});
