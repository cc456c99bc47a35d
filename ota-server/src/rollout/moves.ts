// The steps that operators and conditions share: each changes the head by one transition of the table.

import { type Cause, type Effect, type NotifyEffect, POSITION_END } from './model.ts';
import { openUpTo } from './offer.ts';
import type { RolloutState } from './state.ts';
import { nextStatus } from './transitions.ts';

/** One transition, recorded. */
export function move(state: RolloutState, cause: Cause, nowMs: number, effects: Effect[]): void {
  const { head } = state;
  const from = head.status;
  const to = nextStatus(from, cause, head.before);
  // A condition that the table does not know here is a bug of this file.
  if (to === undefined) throw new Error(`no transition from ${from} by ${cause}`);
  head.status = to;
  effects.push({ type: 'record', atMs: nowMs, from, to, cause, wave: head.wave });
}

/** A notify of these positions; all by default. */
export function notify(
  audience: NotifyEffect['audience'],
  from: number = 0,
  to: number = POSITION_END,
): NotifyEffect {
  return { type: 'notify', audience, from, to };
}

/** Opens the wave that the head names. */
export function openWave(state: RolloutState, nowMs: number): void {
  state.head.openCount = state.head.wave + 1;
  state.head.openedMs = nowMs;
}

/** Tells devices that are newly inside an open wave; one that spreads grows at each tick. */
export function notifyOpened(state: RolloutState, nowMs: number, effects: Effect[]): void {
  const from = state.head.notifiedUpTo;
  const to = openUpTo(state, nowMs);
  if (to <= from) return;
  state.head.notifiedUpTo = to;
  effects.push(notify('pending', from, to));
}

/** To `paused` or `stopped`, remembering where it was. */
export function halt(state: RolloutState, cause: Cause, nowMs: number, effects: Effect[]): void {
  const { head } = state;
  if (head.status !== 'paused') head.before = head.status;
  if (head.pausedAtMs === 0) head.pausedAtMs = nowMs;
  move(state, cause, nowMs, effects);
}

/** After the transition to `rolling-back`. */
export function beginRollback(state: RolloutState, effects: Effect[]): void {
  state.head.soakEndsMs = 0;
  state.head.pausedAtMs = 0;
  effects.push(notify('on-release'));
}
