// What checks, reports and deadlines make of one device. Of two reports of one attempt the one with
// the higher status holds, so their order and number do not matter.

import {
  ATTEMPT_MAX,
  type CheckEvent,
  DEVICE_STATUS,
  type Offer,
  type ReportEvent,
  type RolloutStatus,
  type Stage,
} from './model.ts';
import { waveAt } from './order.ts';
import { isInProgress, isTarget, moveDevice, type RolloutState, setDue } from './state.ts';

const S = DEVICE_STATUS;

const STATUS_OF_STAGE: Readonly<Record<Stage, number>> = {
  downloading: S.downloading,
  downloaded: S.downloaded,
  verified: S.verified,
  staged: S.staged,
  rebooting: S.rebooting,
  trial: S.trial,
  confirmed: S.confirmed,
  failed: S.failed,
  reverted: S.reverted,
};

/** An answered check: a sign of life, what the device runs, and possibly an offer that it took. */
export function applyCheck(state: RolloutState, event: CheckEvent, nowMs: number): void {
  const { device } = event;
  if (!isTarget(state, device)) return;
  if (event.running === 'release') runsRelease(state, device, nowMs);
  if (isBackward(state.head.status)) runsAfterRollback(state, event);
  signOfLife(state, device, nowMs);
  if (isUnstable(state, event, nowMs)) {
    moveDevice(state, device, S.unstable);
    setDue(state, device, 0);
  }
  if (event.offered !== undefined) takeOffer(state, device, event.offered, nowMs);
}

/** False when it changed nothing: repeated, of an older attempt, or of one never offered. */
export function applyReport(state: RolloutState, event: ReportEvent, nowMs: number): boolean {
  const { device } = event;
  if (!isTarget(state, device)) return false;
  if (event.attempt === 0 || event.attempt !== state.columns.attempt[device]) return false;
  const status = state.columns.status[device]!;
  const reported = STATUS_OF_STAGE[event.stage];
  if (status >= S.rollbackOffered) return applyRollbackReport(state, device, reported, nowMs);
  if (status === S.pending || status > S.reverted || reported <= status) return false;
  if (reported === S.confirmed) confirm(state, device, nowMs);
  else if (reported > S.confirmed) fail(state, device, reported, nowMs);
  else {
    moveDevice(state, device, reported);
    // Its deadline counts again where the offer had been withdrawn before it began.
    setDue(state, device, state.columns.dueMs[device]!);
  }
  return true;
}

/** All that is due by now: offers time out, confirmed devices count as silent. */
export function expire(state: RolloutState, nowMs: number): void {
  if (state.nextDueMs > nowMs) return;
  const { columns, head } = state;
  const withdrawn = isWithdrawn(head.status);
  let nextDueMs = Number.POSITIVE_INFINITY;
  for (let device = 0; device < head.deviceCount; device += 1) {
    const dueMs = columns.dueMs[device]!;
    if (dueMs === 0) continue;
    const status = columns.status[device]!;
    // Its next check finds no offer: it will never report, and has not failed.
    if (withdrawn && status === S.offered) continue;
    const expired = expiredStatus(status);
    if (expired === undefined) continue;
    if (dueMs > nowMs) {
      if (dueMs < nextDueMs) nextDueMs = dueMs;
    } else if (expired === S.silent) {
      moveDevice(state, device, expired);
      setDue(state, device, 0);
    } else {
      fail(state, device, expired, nowMs);
    }
  }
  state.nextDueMs = nextDueMs;
}

/** Whether offers of the release are withdrawn in this state, also from devices that took one. */
export function isWithdrawn(status: RolloutStatus): boolean {
  return status === 'stopped' || status === 'aborted' || isBackward(status);
}

/** Whether the rollback release is what is offered. */
export function isBackward(status: RolloutStatus): boolean {
  return status === 'rolling-back' || status === 'rolled-back';
}

/** The operator lets a device be offered the release again; false where that changes nothing. */
export function grant(state: RolloutState, device: number): boolean {
  if (!isTarget(state, device)) return false;
  const status = state.columns.status[device]!;
  const failed =
    status === S.failed || status === S.reverted || status === S.timedOut || status === S.silent;
  if (!failed) return false;
  moveDevice(state, device, S.granted, 0);
  setDue(state, device, 0);
  return true;
}

/** Withdrawn offers that nobody began to follow get their whole time again. */
export function renewOffers(state: RolloutState, nowMs: number): void {
  const { columns, head } = state;
  for (let device = 0; device < head.deviceCount; device += 1) {
    if (columns.status[device] !== S.offered) continue;
    setDue(state, device, nowMs + head.options.offerTimeoutMs);
  }
}

function expiredStatus(status: number): number | undefined {
  if (isInProgress(status)) return S.timedOut;
  if (status === S.confirmed) return S.silent;
  if (status === S.rollbackOffered || status === S.rollbackStarted) return S.rollbackFailed;
  return undefined;
}

function runsRelease(state: RolloutState, device: number, nowMs: number): void {
  const status = state.columns.status[device]!;
  if (status === S.pending) moveDevice(state, device, S.already);
  // The stored sequence rises at confirm, so this tells what a lost report would have.
  else if (status <= S.timedOut || status === S.granted) confirm(state, device, nowMs);
}

/** While the fleet goes back, what a device runs decides whether it still has to. */
function runsAfterRollback(state: RolloutState, event: CheckEvent): void {
  const { device, running } = event;
  const status = state.columns.status[device]!;
  const isOn =
    status === S.confirmed || status === S.silent || status === S.unstable || status === S.already;
  const isGoing = status >= S.rollbackOffered && status <= S.rollbackFailed;
  if (running === 'release' && status === S.rolledBack) {
    moveDevice(state, device, S.already);
  } else if ((running === 'rollback' && (isOn || isGoing)) || (running === 'other' && isOn)) {
    moveDevice(state, device, S.rolledBack);
    setDue(state, device, 0);
  }
}

function signOfLife(state: RolloutState, device: number, nowMs: number): void {
  const status = state.columns.status[device]!;
  if (status === S.silent) moveDevice(state, device, S.confirmed);
  if (status === S.silent || status === S.confirmed) watch(state, device, nowMs);
}

/** Silence is judged within the soak only: after it, being switched off is no failure. */
function watch(state: RolloutState, device: number, nowMs: number): void {
  const dueMs = nowMs + state.head.options.silenceMsMax;
  setDue(state, device, dueMs <= watchedUntilMs(state, device) ? dueMs : 0);
}

function watchedUntilMs(state: RolloutState, device: number): number {
  const wave = waveAt(state.ends, state.columns.position[device]!);
  return state.columns.confirmedMs[device]! + state.head.options.waves[wave]!.soakMs;
}

function isUnstable(state: RolloutState, event: CheckEvent, nowMs: number): boolean {
  return (
    state.columns.status[event.device] === S.confirmed &&
    event.running === 'release' &&
    event.abnormalResets > state.head.options.abnormalResetsMax &&
    nowMs <= watchedUntilMs(state, event.device)
  );
}

function takeOffer(state: RolloutState, device: number, offer: Offer, nowMs: number): void {
  const { columns } = state;
  const status = columns.status[device]!;
  // The same offer again, as to every check of a device that is at it.
  if (offer.attempt !== columns.attempt[device]! + 1 || offer.attempt > ATTEMPT_MAX) return;
  let used = columns.used[device]! + 1;
  if (offer.image === 'release') {
    if (status >= S.rollbackOffered || !mayTake(status)) return;
    moveDevice(state, device, S.offered, used);
  } else {
    if (status < S.rollbackOffered) used = 1;
    moveDevice(state, device, S.rollbackOffered, used);
  }
  columns.attempt[device] = offer.attempt;
  setDue(state, device, nowMs + state.head.options.offerTimeoutMs);
}

function mayTake(status: number): boolean {
  return (
    status === S.pending ||
    status === S.timedOut ||
    status === S.failed ||
    status === S.reverted ||
    status === S.granted
  );
}

function confirm(state: RolloutState, device: number, nowMs: number): void {
  moveDevice(state, device, S.confirmed);
  state.columns.confirmedMs[device] = nowMs;
  watch(state, device, nowMs);
}

/** `dueMs` becomes the time before which the device gets no further offer. */
function fail(state: RolloutState, device: number, status: number, nowMs: number): void {
  const { retryDelayMs, retryDelayMsMax } = state.head.options;
  const used = Math.max(1, state.columns.used[device]!);
  moveDevice(state, device, status);
  state.columns.confirmedMs[device] = 0;
  setDue(state, device, nowMs + Math.min(retryDelayMsMax, retryDelayMs * 2 ** (used - 1)));
}

function applyRollbackReport(
  state: RolloutState,
  device: number,
  reported: number,
  nowMs: number,
): boolean {
  const status = state.columns.status[device]!;
  if (reported === S.confirmed && status !== S.rolledBack) {
    moveDevice(state, device, S.rolledBack);
    setDue(state, device, 0);
    return true;
  }
  if (reported > S.confirmed && status < S.rollbackFailed) {
    fail(state, device, S.rollbackFailed, nowMs);
    return true;
  }
  if (reported < S.confirmed && status === S.rollbackOffered) {
    moveDevice(state, device, S.rollbackStarted);
    return true;
  }
  return false;
}
