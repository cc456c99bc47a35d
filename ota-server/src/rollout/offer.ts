// What a check of a device gets. It reads the state and changes nothing, so the answer is the same
// until something happened or a time came; `step` learns of the answer by the check event.

import { isBackward, isWithdrawn } from './devices.ts';
import {
  ATTEMPT_MAX,
  DEVICE_STATUS,
  type Decision,
  type NoOfferReason,
  type NotifyEffect,
  type Offer,
  type Running,
} from './model.ts';
import { isInProgress, isTarget, type RolloutState } from './state.ts';

const S = DEVICE_STATUS;

/** An offer, or why there is none. A device at an update gets its offer again, with the same attempt. */
export function offerFor(
  state: RolloutState,
  device: number,
  running: Running,
  nowMs: number,
): Decision {
  if (!isTarget(state, device)) return none('not-targeted');
  const { status } = state.head;
  if (isBackward(status)) return rollbackFor(state, device, running, nowMs);
  if (running === 'trial') return none('in-trial');
  if (running === 'release') return none('up-to-date');
  if (status === 'draft') return none('not-started');
  if (isWithdrawn(status)) return none(status === 'stopped' ? 'stopped' : 'aborted');
  const is = state.columns.status[device]!;
  // A pause stops new offers only: a device that is at it needs fresh download URLs.
  if (isInProgress(is)) return again(state, device, 'release');
  if (is === S.confirmed || is === S.silent || is === S.unstable || is === S.already) {
    return none('up-to-date');
  }
  if (status === 'paused') return none('paused');
  if (state.columns.position[device]! >= openUpTo(state, nowMs)) return none('wave-not-open');
  if (is === S.pending || is === S.granted) return next(state, device, 'release');
  return retry(state, device, 'release', nowMs);
}

/** Devices at lower positions are in an open wave; the last one may open by and by. */
export function openUpTo(state: RolloutState, nowMs: number): number {
  const { ends, head } = state;
  if (head.openCount === 0) return 0;
  const end = ends[head.openCount - 1]!;
  const spreadMs = head.options.waves[head.openCount - 1]!.spreadMs ?? 0;
  if (spreadMs === 0) return end;
  const begin = head.openCount === 1 ? 0 : ends[head.openCount - 2]!;
  // While paused it stands still: nobody wants a burst at the end of a pause.
  const elapsedMs = Math.max(0, (head.pausedAtMs || nowMs) - head.openedMs);
  return begin + Math.floor((end - begin) * Math.min(1, elapsedMs / spreadMs));
}

/** Whether a `notify` is for this device, as the state is now. */
export function isNotified(state: RolloutState, effect: NotifyEffect, device: number): boolean {
  if (!isTarget(state, device)) return false;
  const position = state.columns.position[device]!;
  if (position < effect.from || position >= effect.to) return false;
  const status = state.columns.status[device]!;
  switch (effect.audience) {
    case 'pending':
      return status === S.pending || status === S.granted;
    case 'granted':
      return status === S.granted;
    case 'not-started':
      return status === S.offered;
    case 'on-release':
      return status !== S.pending && status !== S.rolledBack;
  }
}

function rollbackFor(
  state: RolloutState,
  device: number,
  running: Running,
  nowMs: number,
): Decision {
  const is = state.columns.status[device]!;
  if (running === 'rollback') return none('rolled-back');
  // Its bootloader is judging it: it goes back by itself, or confirms and is offered the way back.
  if (running === 'trial') return none('in-trial');
  if (is === S.rollbackOffered || is === S.rollbackStarted) return again(state, device, 'rollback');
  if (running === 'other') return none('not-affected');
  if (is === S.rollbackFailed) return retry(state, device, 'rollback', nowMs);
  return next(state, device, 'rollback');
}

function retry(
  state: RolloutState,
  device: number,
  image: Offer['image'],
  nowMs: number,
): Decision {
  if (state.columns.used[device]! >= state.head.options.attemptsMax)
    return none('attempts-used-up');
  if (nowMs < state.columns.dueMs[device]!) return none('backing-off');
  return next(state, device, image);
}

function next(state: RolloutState, device: number, image: Offer['image']): Decision {
  const attempt = state.columns.attempt[device]! + 1;
  return attempt > ATTEMPT_MAX ? none('attempts-used-up') : { offer: { image, attempt } };
}

function again(state: RolloutState, device: number, image: Offer['image']): Decision {
  return { offer: { image, attempt: state.columns.attempt[device]! } };
}

function none(why: NoOfferReason): Decision {
  return { why };
}
