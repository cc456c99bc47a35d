// The rollout engine: (state, event, now) → effects, the state changed in place. Checks and reports
// only count; conditions are looked at on ticks. So what arrives between two ticks may arrive in any
// order. Time, randomness and I/O are the caller's.

import {
  type Breach,
  findBreach,
  inProgressCount,
  isCriterionMet,
  onReleaseCount,
} from './criteria.ts';
import { applyCheck, applyReport, expire } from './devices.ts';
import {
  DEVICE_STATUS,
  type Effect,
  type EnrolEvent,
  type RolloutEvent,
  type RolloutOptions,
  type Roster,
} from './model.ts';
import { beginRollback, halt, move, notify, notifyOpened, openWave } from './moves.ts';
import { operate } from './operator.ts';
import { positionOf } from './order.ts';
import {
  appendDevice,
  countBetween,
  createState,
  isTarget,
  moveDevice,
  type RolloutState,
  setDue,
  targetDevice,
} from './state.ts';

const S = DEVICE_STATUS;

/** Most events carry no effect: nothing is allocated for them. */
const NO_EFFECTS: readonly Effect[] = Object.freeze([]);

/** A rollout in `draft`. `options` are ones that `checkOptions` found no mistake in. */
export function createRollout(options: RolloutOptions, roster: Roster): RolloutState {
  const state = createState({
    options,
    rollbackRelease: options.rollbackRelease,
    status: 'draft',
    before: 'running',
    wave: 0,
    openCount: 0,
    openedMs: 0,
    soakEndsMs: 0,
    pausedAtMs: 0,
    notifiedUpTo: 0,
    ignoredReportCount: 0,
    classNames: [],
    deviceCount: 0,
  });
  for (let device = 0; device < roster.count; device += 1) {
    appendDevice(state);
    const entry = roster.entry(device);
    if (entry === undefined) continue;
    targetDevice(state, device, positionOf(options.salt, entry.id), entry.deviceClass);
  }
  return state;
}

/** Applies one event. `nowMs` (epoch or virtual, > 0) is never less than that of the last tick. */
export function step(state: RolloutState, event: RolloutEvent, nowMs: number): readonly Effect[] {
  switch (event.type) {
    case 'check':
      applyCheck(state, event, nowMs);
      return NO_EFFECTS;
    case 'report':
      if (!applyReport(state, event, nowMs)) state.head.ignoredReportCount += 1;
      return NO_EFFECTS;
    case 'tick':
      return tick(state, nowMs);
    case 'enrol':
      enrol(state, event);
      return NO_EFFECTS;
    case 'remove':
      if (isTarget(state, event.device)) {
        moveDevice(state, event.device, S.excluded);
        setDue(state, event.device, 0);
      }
      return NO_EFFECTS;
    default:
      return operate(state, event, nowMs);
  }
}

function tick(state: RolloutState, nowMs: number): readonly Effect[] {
  const { head } = state;
  expire(state, nowMs);
  const effects: Effect[] = [];
  switch (head.status) {
    case 'waiting-approval':
    case 'running':
    case 'soaking':
    case 'paused':
    case 'completed': {
      // The error check comes first, and comes while paused too.
      const breach = findBreach(state);
      if (breach !== undefined) failRollout(state, breach, nowMs, effects);
      else if (head.status === 'running' || head.status === 'soaking') {
        advance(state, nowMs, effects);
      }
      break;
    }
    case 'rolling-back':
      if (onReleaseCount(state) === 0) finishRollback(state, nowMs, effects);
      break;
    case 'draft':
    case 'stopped':
    case 'aborted':
    case 'rolled-back':
      break;
  }
  return effects.length === 0 ? NO_EFFECTS : effects;
}

function advance(state: RolloutState, nowMs: number, effects: Effect[]): void {
  const { head } = state;
  // Ends: every turn opens a wave, or leaves.
  for (;;) {
    const isMet = isCriterionMet(state, nowMs);
    if (head.status === 'running' && isMet) {
      move(state, 'criterion-met', nowMs, effects);
      head.soakEndsMs = nowMs + head.options.waves[head.wave]!.soakMs;
    } else if (head.status === 'soaking' && !isMet) {
      head.soakEndsMs = 0;
      move(state, 'criterion-lost', nowMs, effects);
    }
    if (head.status !== 'soaking' || nowMs < head.soakEndsMs) break;
    if (head.wave === state.ends.length - 1) {
      if (inProgressCount(state) > 0) break;
      head.soakEndsMs = 0;
      move(state, 'waves-done', nowMs, effects);
      break;
    }
    head.soakEndsMs = 0;
    head.wave += 1;
    if (head.options.waves[head.wave]!.approval === true) {
      move(state, 'wave-gated', nowMs, effects);
      break;
    }
    move(state, 'wave-opened', nowMs, effects);
    openWave(state, nowMs);
  }
  notifyOpened(state, nowMs, effects);
}

function failRollout(state: RolloutState, breach: Breach, nowMs: number, effects: Effect[]): void {
  const { head } = state;
  const isBack = head.options.onFailure === 'roll-back';
  effects.push({ type: 'alert', ...breach });
  if (isBack && head.rollbackRelease !== undefined) {
    move(state, 'breach-roll-back', nowMs, effects);
    beginRollback(state, effects);
    return;
  }
  if (isBack) effects.push({ type: 'alert', ...breach, reason: 'no-rollback-release' });
  halt(state, 'breach', nowMs, effects);
  effects.push(notify('not-started'));
}

function finishRollback(state: RolloutState, nowMs: number, effects: Effect[]): void {
  const failed = countBetween(state, 0, state.ends.length, S.rollbackFailed, S.rollbackFailed);
  const back = countBetween(state, 0, state.ends.length, S.rolledBack, S.rolledBack);
  if (failed > 0) {
    effects.push({
      type: 'alert',
      reason: 'rollback-failed',
      wave: state.head.wave,
      deviceClasses: [],
      failed,
      resolved: failed + back,
      failureRatioMax: 0,
    });
  }
  move(state, 'all-back', nowMs, effects);
}

function enrol(state: RolloutState, event: EnrolEvent): void {
  const { device } = event;
  if (device === state.head.deviceCount) appendDevice(state);
  if (!(device < state.head.deviceCount) || isTarget(state, device)) return;
  targetDevice(state, device, positionOf(state.head.options.salt, event.id), event.deviceClass);
}
