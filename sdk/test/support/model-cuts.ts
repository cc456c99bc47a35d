// Cuts one sequence after every byte of either direction, on every version.

import type { ProtocolVersion } from '../../src/mqtt/packet.ts';
import { cutPlan, type Notice, type Plan } from './model-plan.ts';
import { runPlan } from './model-run.ts';

export interface CutResult {
  readonly count: number;
  /** Of the first plan that failed. */
  readonly plan: Plan | undefined;
  readonly failures: readonly string[];
}

/** Runs the sequence once for every byte, direction, version and `notices`. */
export function cutEverywhere(notices: readonly Notice[]): CutResult {
  let count = 0;
  for (const protocol of [4, 5, 0] as const) {
    const sizes = uncutSizes(protocol);
    for (const direction of ['up', 'down'] as const) {
      for (let after = 0; after < sizes[direction]; after += 1) {
        for (const notice of notices) {
          const plan = cutPlan(protocol, direction, after, notice);
          const { failures } = runPlan(plan);
          count += 1;
          if (failures.length > 0) return { count, plan, failures };
        }
      }
    }
  }
  return { count, plan: undefined, failures: [] };
}

/** Bytes of each direction without a cut. */
function uncutSizes(protocol: ProtocolVersion | 0): { up: number; down: number } {
  const run = runPlan(cutPlan(protocol, 'up', -1, 'both'));
  if (run.failures.length > 0) throw new Error(run.failures.join('; '));
  return { ...run.platform.link.movedCount };
}
