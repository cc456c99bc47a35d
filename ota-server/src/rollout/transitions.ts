// Every transition of a rollout, in one table; docs/ota-rollouts.md draws it. What is not here
// does not happen: an operator's event is refused, a condition is not looked for.

import type { Cause, RolloutStatus } from './model.ts';

/** `as-before`: the state in which the rollout was paused or stopped. */
export type Target = RolloutStatus | 'as-before';

export const TRANSITIONS: Readonly<
  Record<RolloutStatus, Readonly<Partial<Record<Cause, Target>>>>
> = {
  draft: {
    start: 'running',
    'wave-gated': 'waiting-approval',
    abort: 'aborted',
  },
  'waiting-approval': {
    approve: 'running',
    pause: 'paused',
    abort: 'aborted',
    rollback: 'rolling-back',
    breach: 'stopped',
    'breach-roll-back': 'rolling-back',
  },
  running: {
    'criterion-met': 'soaking',
    pause: 'paused',
    abort: 'aborted',
    rollback: 'rolling-back',
    breach: 'stopped',
    'breach-roll-back': 'rolling-back',
  },
  soaking: {
    'criterion-lost': 'running',
    'wave-opened': 'running',
    'wave-gated': 'waiting-approval',
    'waves-done': 'completed',
    pause: 'paused',
    abort: 'aborted',
    rollback: 'rolling-back',
    breach: 'stopped',
    'breach-roll-back': 'rolling-back',
  },
  paused: {
    resume: 'as-before',
    abort: 'aborted',
    rollback: 'rolling-back',
    breach: 'stopped',
    'breach-roll-back': 'rolling-back',
  },
  stopped: {
    resume: 'as-before',
    abort: 'aborted',
    rollback: 'rolling-back',
  },
  // Devices that were offline come back for weeks: they are offered the release, and judged.
  completed: {
    pause: 'paused',
    abort: 'aborted',
    rollback: 'rolling-back',
    breach: 'stopped',
    'breach-roll-back': 'rolling-back',
  },
  aborted: { rollback: 'rolling-back' },
  'rolling-back': { 'all-back': 'rolled-back' },
  'rolled-back': {},
};

/** The state that `cause` leads to; undefined where the table has no such transition. */
export function nextStatus(
  from: RolloutStatus,
  cause: Cause,
  before: RolloutStatus,
): RolloutStatus | undefined {
  const target = TRANSITIONS[from][cause];
  return target === 'as-before' ? before : target;
}
