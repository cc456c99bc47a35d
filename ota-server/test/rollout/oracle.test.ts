import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  deviceStatusOf,
  load,
  offerFor,
  type RolloutEvent,
  type RolloutOptions,
  save,
  step,
  viewOf,
} from '../../src/rollout/index.ts';
import { commands, create, Driver, fleet, options, wave } from './fleet.ts';
import { Reference } from './reference.ts';

const DEVICE_COUNT = 14;
/** A campaign: ROLLOUT_RUNS=5000 ROLLOUT_SEED=7 npx vitest run ota-server/test/rollout/oracle.test.ts */
const RUNS = Number(process.env.ROLLOUT_RUNS ?? 45);
/** Fixed, so that the states the streams get to are the same each time. */
const SEED = Number(process.env.ROLLOUT_SEED ?? 1);

/** Small waves, small samples: random streams get through all states. */
const plans: fc.Arbitrary<RolloutOptions> = fc
  .record({
    salt: fc.constantFrom('a', 'b', 'c', 'd'),
    sampleMin: fc.constantFrom(1, 2, 4),
    failureRatioMax: fc.constantFrom(0, 0.3, 0.5, 1),
    successRatioMin: fc.constantFrom(0, 0.5, 1),
    soakMs: fc.constantFrom(0, 60_000, 600_000),
    approvals: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
    spreadMs: fc.constantFrom(0, 600_000),
    onFailure: fc.constantFrom('stop' as const, 'roll-back' as const),
    hasRollback: fc.boolean(),
    attemptsMax: fc.constantFrom(1, 2, 3),
  })
  .map(({ approvals, hasRollback, salt, onFailure, attemptsMax, spreadMs, ...numbers }) => {
    const waves = [20, 60, 100].map((percent, index) =>
      wave(percent, {
        ...numbers,
        approval: approvals[index]!,
        ...(percent === 100 ? { spreadMs } : {}),
      }),
    );
    const rollback = hasRollback ? { rollbackRelease: '1.0.1' } : {};
    return options(waves, { salt, onFailure, attemptsMax, ...rollback });
  });

describe('the engine', () => {
  test('agrees with the reference, recomputed from scratch, after every event', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(plans, commands(DEVICE_COUNT), (plan, list) => {
        const devices = fleet(DEVICE_COUNT, ['meter', 'meter', 'gate']);
        const state = create(plan, devices);
        const reference = new Reference(plan, devices);
        const driver = new Driver();
        const run = (event: RolloutEvent) => {
          step(state, event, driver.nowMs);
          reference.step(event, driver.nowMs);
          compare(state, reference);
          seen.add(state.head.status);
        };
        run({ type: 'start' });
        for (const command of list) {
          for (const event of driver.events(command, state)) run(event);
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
    // A generator that never gets anywhere would agree about nothing.
    expect(seen.size).toBeGreaterThanOrEqual(6);
  });

  test('comes back from a restart at any moment as if there had been none', () => {
    fc.assert(
      fc.property(
        plans,
        commands(DEVICE_COUNT),
        fc.infiniteStream(fc.nat(4)),
        (plan, list, dice) => {
          const devices = fleet(DEVICE_COUNT, ['meter', 'gate']);
          const straight = create(plan, devices);
          let restarted = create(plan, devices);
          const driver = new Driver();
          for (const command of [
            { kind: 'operator', event: { type: 'start' } } as const,
            ...list,
          ]) {
            if (dice.next().value === 0) restarted = load(save(restarted));
            for (const event of driver.events(command, straight)) {
              const effects = step(straight, event, driver.nowMs);
              expect(step(restarted, event, driver.nowMs)).toEqual(effects);
            }
          }
          expect(viewOf(restarted)).toEqual(viewOf(straight));
          expect(save(restarted)).toEqual(save(straight));
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('answers the same until something happens', () => {
    fc.assert(
      fc.property(plans, commands(DEVICE_COUNT), (plan, list) => {
        const state = create(plan, fleet(DEVICE_COUNT));
        const driver = new Driver();
        step(state, { type: 'start' }, driver.nowMs);
        for (const command of list) {
          for (const event of driver.events(command, state)) step(state, event, driver.nowMs);
        }
        const before = save(state);
        for (let device = 0; device < DEVICE_COUNT; device += 1) {
          const first = offerFor(state, device, 'other', driver.nowMs);
          if (first.offer === undefined) continue;
          // Taking the offer and asking again, as after a power cut, is the same offer again.
          const { offer } = first;
          expect(offerFor(state, device, 'other', driver.nowMs)).toEqual(first);
          const copy = load(before);
          const event = { type: 'check', device, running: 'other', uptimeS: 1 } as const;
          step(copy, { ...event, abnormalResets: 0, offered: offer }, driver.nowMs);
          expect(offerFor(copy, device, 'other', driver.nowMs + 1)).toEqual(first);
        }
        expect(save(state)).toEqual(before);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });
});

function compare(state: ReturnType<typeof create>, reference: Reference): void {
  const view = viewOf(state);
  const statuses = reference.devices.map((device) => {
    const { attempt, status } = reference.replay(device);
    return device.isGone
      ? { status: 'excluded' }
      : { status, attempt, wave: reference.waveOf(device) };
  });
  expect(view.status).toBe(reference.status);
  expect(
    statuses.map(({ status }, device) =>
      status === 'excluded'
        ? { status: deviceStatusOf(state, device).status }
        : deviceStatusOf(state, device),
    ),
  ).toEqual(statuses);
  view.waves.forEach(({ byStatus, confirmed, failed, open, size }, index) => {
    const members = reference.members(index);
    expect(size).toBe(members.length);
    expect(open).toBe(index < reference.opened);
    expect(confirmed).toBe(members.filter(({ status }) => status === 'confirmed').length);
    expect(failed).toBe(members.filter(Reference.isFailed).length);
    for (const [name, count] of Object.entries(byStatus)) {
      expect(count).toBe(members.filter(({ status }) => status === name).length);
    }
  });
}
