// Makes a failing sequence smaller: fewer steps, then a plainer setup, as long as it fails alike.

import type { Plan, Setup, Step } from './model-plan.ts';
import { runPlan } from './model-run.ts';

/** Runs that a shrink may take. */
const RUNS_MAX = 600;

/** The plainest value of each setting. */
const PLAIN: Partial<Setup> = {
  refusal: 'none',
  protocol: 5,
  inflightMax: 8,
  receiveMax: 16,
  packetSizeMax: 2048,
  keepAliveS: 60,
  sessionExpiryS: 3600,
  transmitSize: 512,
  receiveSize: 512,
  roomMax: 4096,
  chunkUpMax: 0,
  chunkDownMax: 0,
  delayMsMax: 0,
  announceMsMax: 0,
  ackDelayMsMax: 0,
  acksInOrder: true,
  passOnAt: 'publish',
  sendMax: 20,
  hasWill: false,
};

/** A failure without its numbers: two runs with the same one fail alike. */
export function kindOf(failures: readonly string[]): string {
  const first = (failures[0] ?? '').split('\n')[0] ?? '';
  return first.replace(/^\d+ ms, connection \d+: /, '').replaceAll(/\d+/g, 'N');
}

/** A plan that fails like `plan`, from which nothing can be left out. */
export function shrink(plan: Plan, failures: readonly string[]): Plan {
  const kind = kindOf(failures);
  let runs = 0;
  const fails = (candidate: Plan): boolean => {
    runs += 1;
    return runs <= RUNS_MAX && kindOf(runPlan(candidate).failures) === kind;
  };
  let best = plan;
  for (let before = -1; before !== size(best) && runs < RUNS_MAX; ) {
    before = size(best);
    best = fewerSteps(best, fails);
    best = plainerSetup(best, fails);
  }
  return best;
}

function size(plan: Plan): number {
  const odd = Object.entries(PLAIN).filter(([key, value]) => {
    return plan.setup[key as keyof Setup] !== value;
  });
  return plan.steps.length * 100 + odd.length;
}

function fewerSteps(plan: Plan, fails: (plan: Plan) => boolean): Plan {
  let steps: readonly Step[] = plan.steps;
  for (let count = Math.ceil(steps.length / 2); count >= 1; count = Math.floor(count / 2)) {
    for (let at = 0; at < steps.length; ) {
      const rest = [...steps.slice(0, at), ...steps.slice(at + count)];
      if (fails({ ...plan, steps: rest })) steps = rest;
      else at += count;
    }
  }
  return { ...plan, steps };
}

function plainerSetup(plan: Plan, fails: (plan: Plan) => boolean): Plan {
  let best = plan;
  for (const [key, value] of Object.entries(PLAIN)) {
    if (best.setup[key as keyof Setup] === value) continue;
    // A fixed version and a broker that refuses it would fail for another reason.
    if (key === 'protocol' && best.setup.refusal !== 'none') continue;
    const candidate: Plan = { ...best, setup: { ...best.setup, [key]: value } };
    if (fails(candidate)) best = candidate;
  }
  return best;
}
