// The ratios that a rollout is judged by. The denominator is devices with a result: confirmed,
// failed or timed out. A device that never took the offer is pending and counts nowhere.

import { DEVICE_STATUS } from './model.ts';
import { openUpTo } from './offer.ts';
import { countBetween, type RolloutState, STATUS_COUNT } from './state.ts';

const S = DEVICE_STATUS;

/**
 * Of a hardware class smaller than the sample all have to fail, and this many: a single device that
 * fails says nothing about its class.
 */
export const CLASS_FAILED_MIN = 2;

export interface Breach {
  readonly reason: 'failure-ratio' | 'class-failure-ratio';
  readonly wave: number;
  readonly deviceClasses: readonly string[];
  readonly failed: number;
  readonly resolved: number;
  readonly failureRatioMax: number;
}

/** Results of one or more waves. */
export interface Outcome {
  confirmed: number;
  failed: number;
  /** Devices that can have a result: those that had the release before are left out. */
  size: number;
}

/** The first failure ratio that is too high: by wave, then by class; undefined = none. */
export function findBreach(state: RolloutState): Breach | undefined {
  const { head } = state;
  for (let wave = 0; wave < head.openCount; wave += 1) {
    const { failureRatioMax, sampleMin } = head.options.waves[wave]!;
    const outcome = outcomeOf(state, wave, wave + 1);
    const resolved = outcome.confirmed + outcome.failed;
    if (outcome.failed === 0 || resolved < Math.min(sampleMin, outcome.size)) continue;
    if (outcome.failed <= failureRatioMax * resolved) continue;
    return {
      reason: 'failure-ratio',
      wave,
      deviceClasses: failingClasses(state, wave, failureRatioMax),
      failed: outcome.failed,
      resolved,
      failureRatioMax,
    };
  }
  return findClassBreach(state);
}

/** Whether the wave that is open last may soak: enough results, enough of them good. */
export function isCriterionMet(state: RolloutState, nowMs: number): boolean {
  const { ends, head } = state;
  const wave = head.openCount - 1;
  if (openUpTo(state, nowMs) < ends[wave]!) return false;
  const { sampleMin, successRatioMin } = head.options.waves[wave]!;
  const { confirmed, failed, size } = outcomeOf(state, wave, wave + 1);
  const resolved = confirmed + failed;
  return resolved >= Math.min(sampleMin, size) && confirmed >= successRatioMin * resolved;
}

/** Devices that took an offer and have no result yet. */
export function inProgressCount(state: RolloutState): number {
  return countBetween(state, 0, state.ends.length, S.offered, S.trial);
}

/** Devices that run the release, or are about to, or are on their way back. */
export function onReleaseCount(state: RolloutState): number {
  const waves = state.ends.length;
  return (
    countBetween(state, 0, waves, S.downloading, S.trial) +
    countBetween(state, 0, waves, S.confirmed, S.unstable) +
    countBetween(state, 0, waves, S.already, S.rollbackStarted)
  );
}

/** Results of waves [from, to). */
export function outcomeOf(state: RolloutState, from: number, to: number): Outcome {
  const sum = { confirmed: 0, failed: 0, size: 0 };
  for (let index = 0; index < state.tallies.length; index += 1)
    addClass(state, index, from, to, sum);
  return sum;
}

/**
 * Classes over all open waves together: a class with a few devices in each would never make a sample
 * in any of them.
 */
function findClassBreach(state: RolloutState): Breach | undefined {
  const { head } = state;
  if (head.openCount === 0 || state.tallies.length < 2) return undefined;
  const { failureRatioMax, sampleMin } = head.options.waves[head.openCount - 1]!;
  for (let index = 0; index < state.tallies.length; index += 1) {
    const outcome = { confirmed: 0, failed: 0, size: 0 };
    addClass(state, index, 0, head.openCount, outcome);
    const resolved = outcome.confirmed + outcome.failed;
    const isBad =
      resolved >= sampleMin
        ? outcome.failed > failureRatioMax * resolved
        : outcome.failed === outcome.size && outcome.failed >= CLASS_FAILED_MIN;
    if (!isBad) continue;
    return {
      reason: 'class-failure-ratio',
      wave: head.openCount - 1,
      deviceClasses: [state.tallies[index]!.name],
      failed: outcome.failed,
      resolved,
      failureRatioMax,
    };
  }
  return undefined;
}

/** Names of the classes whose ratio in open waves is above the limit, worst first, then by name. */
function failingClasses(state: RolloutState, wave: number, failureRatioMax: number): string[] {
  const failing: { name: string; ratio: number }[] = [];
  for (const tally of state.tallies) {
    const failed = tally.failed[wave]!;
    const resolved = failed + tally.confirmed[wave]!;
    if (failed > failureRatioMax * resolved) {
      failing.push({ name: tally.name, ratio: failed / resolved });
    }
  }
  failing.sort((a, b) => b.ratio - a.ratio || (a.name < b.name ? -1 : 1));
  return failing.map(({ name }) => name);
}

function addClass(
  state: RolloutState,
  index: number,
  from: number,
  to: number,
  sum: Outcome,
): void {
  const tally = state.tallies[index]!;
  for (let wave = from; wave < to; wave += 1) {
    sum.confirmed += tally.confirmed[wave]!;
    sum.failed += tally.failed[wave]!;
    const base = wave * STATUS_COUNT;
    for (let status = 0; status < STATUS_COUNT; status += 1) {
      if (status !== S.already) sum.size += tally.byStatus[base + status]!;
    }
  }
}
