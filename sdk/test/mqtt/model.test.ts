// Session and client against a broker model through random sequences of faults: QoS 1 at least
// once, QoS 2 exactly once, order kept, in flight bounded, no packet id in use twice, nothing
// leaked, everything delivered once the faults stop.
//
// SEED=… repeats a run; model-campaign.ts is the long one.

import { describe, expect, test } from 'vitest';
import { cutEverywhere } from '../support/model-cuts.ts';
import { type Plan, planOf } from '../support/model-plan.ts';
import { runPlan } from '../support/model-run.ts';
import { shrink } from '../support/model-shrink.ts';
import { MUTANTS } from '../support/mutants.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const SEQUENCES = Number(process.env.SEQUENCES ?? 1500);
/** Sequences within which a mutant must be found; with SEED_OF_MUTANTS it always is. */
const MUTANT_SEQUENCES = 3000;
const SEED_OF_MUTANTS = 20;

/** What fails, how to see it again, and the least that fails alike. */
function explain(plan: Plan, failures: readonly string[], command: string): string {
  const small = shrink(plan, failures);
  const steps = small.steps.map((step) => `\n  ${JSON.stringify(step)}`).join('');
  return `${failures.slice(0, 3).join('\n')}\nreproduce: ${command}\nshrunk: ${JSON.stringify(
    small.setup,
  )}${steps}`;
}

describe('client and session', () => {
  test(`${SEQUENCES} random sequences`, () => {
    console.log(`SEED=${SEED} sdk/test/mqtt/model.test.ts`);
    for (let index = 0; index < SEQUENCES; index += 1) {
      const plan = planOf(SEED, index);
      const { failures } = runPlan(plan);
      if (failures.length === 0) continue;
      const command = `node sdk/test/mqtt/model-campaign.ts --seed ${SEED} --sequence ${index}`;
      expect.fail(explain(plan, failures, command));
    }
  });

  test('one sequence, cut after every byte of each direction, on every version', () => {
    const { count, failures, plan } = cutEverywhere(['both', 'server-never']);
    if (plan !== undefined) expect.fail(explain(plan, failures, 'this test'));
    expect(count).toBeGreaterThan(2000);
  });

  test('a plan gives the same run each time', () => {
    for (let index = 0; index < 20; index += 1) {
      const [first, second] = [runPlan(planOf(SEED, index)), runPlan(planOf(SEED, index))];
      expect(first.counts).toEqual(second.counts);
      expect(first.platform.world.eventCount).toBe(second.platform.world.eventCount);
    }
  });
});

describe('the model test finds', () => {
  test.each(MUTANTS)('$name', ({ apply }) => {
    const mend = apply();
    let found = false;
    try {
      for (let index = 0; index < MUTANT_SEQUENCES && !found; index += 1) {
        found = runPlan(planOf(SEED_OF_MUTANTS, index)).failures.length > 0;
      }
    } finally {
      mend();
    }
    expect(found).toBe(true);
  });
});
