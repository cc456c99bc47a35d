// Operators' events: what the table allows in this state is done, anything else refused.

import { grant, renewOffers } from './devices.ts';
import type { Effect, OperatorEvent, RefusedEffect } from './model.ts';
import { beginRollback, halt, move, notify, notifyOpened, openWave } from './moves.ts';
import type { RolloutState } from './state.ts';
import { nextStatus } from './transitions.ts';

/** Applies an operator's event, or answers with one `refused`. */
export function operate(
  state: RolloutState,
  event: OperatorEvent,
  nowMs: number,
): readonly Effect[] {
  const { head } = state;
  const effects: Effect[] = [];
  if (event.type === 'retry') return retry(state, event.device);
  const gated = event.type === 'start' && head.options.waves[0]!.approval === true;
  const cause = gated ? 'wave-gated' : event.type;
  // A first wave that waits for approval has reached nobody: there is nothing to take back.
  const isEmpty = event.type === 'rollback' && head.openCount === 0;
  if (isEmpty || nextStatus(head.status, cause, head.before) === undefined) {
    return [refused(state, event.type, 'not-in-this-state')];
  }
  switch (event.type) {
    case 'start':
    case 'approve':
      move(state, cause, nowMs, effects);
      if (!gated) openWave(state, nowMs);
      notifyOpened(state, nowMs, effects);
      break;
    case 'pause':
      halt(state, cause, nowMs, effects);
      break;
    case 'resume':
      resume(state, nowMs, effects);
      break;
    case 'abort':
      move(state, cause, nowMs, effects);
      effects.push(notify('not-started'));
      break;
    case 'rollback':
      if (event.rollbackRelease !== undefined) head.rollbackRelease = event.rollbackRelease;
      if (head.rollbackRelease === undefined) {
        return [refused(state, event.type, 'no-rollback-release')];
      }
      move(state, cause, nowMs, effects);
      beginRollback(state, effects);
      break;
  }
  return effects;
}

function resume(state: RolloutState, nowMs: number, effects: Effect[]): void {
  const { head } = state;
  head.openedMs += nowMs - head.pausedAtMs;
  head.pausedAtMs = 0;
  if (head.status === 'stopped') renewOffers(state, nowMs);
  move(state, 'resume', nowMs, effects);
  // Everybody again: those told during the pause got nothing.
  if (head.notifiedUpTo > 0) effects.push(notify('pending', 0, head.notifiedUpTo));
}

function retry(state: RolloutState, device: number | undefined): readonly Effect[] {
  let granted = 0;
  if (device !== undefined) granted = grant(state, device) ? 1 : 0;
  else {
    for (let index = 0; index < state.head.deviceCount; index += 1) {
      if (grant(state, index)) granted += 1;
    }
  }
  return granted === 0 ? [refused(state, 'retry', 'nothing-to-retry')] : [notify('granted')];
}

function refused(
  state: RolloutState,
  event: OperatorEvent['type'],
  reason: RefusedEffect['reason'],
): RefusedEffect {
  return { type: 'refused', event, reason, status: state.head.status };
}
