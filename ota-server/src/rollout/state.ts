// The state of one rollout: what it decides by, counts per wave and class, and columns of a few
// bytes per device, of which the status byte says where the device is.

import { CLASSES_MAX, DEVICE_STATUS, type RolloutOptions, type RolloutStatus } from './model.ts';
import { waveAt, waveEnds } from './order.ts';

/** Values of the status byte. */
export const STATUS_COUNT = 21;
const CAPACITY_MIN = 256;
/** Devices of classes beyond CLASSES_MAX count together. */
const CLASS_OTHER = 'other';

/** Counts of one hardware class. */
export interface ClassTally {
  readonly name: string;
  /** By wave * STATUS_COUNT + status. */
  readonly byStatus: Int32Array;
  /** By wave. */
  readonly confirmed: Int32Array;
  readonly failed: Int32Array;
}

/** What of the state is not per device; JSON. Times in ms; Infinity never occurs. */
export interface RolloutHead {
  options: RolloutOptions;
  rollbackRelease: string | undefined;
  status: RolloutStatus;
  /** While paused or stopped: the state to come back to. */
  before: RolloutStatus;
  /** The wave that is open last or, before the first one is, 0. */
  wave: number;
  /** Waves that are open. */
  openCount: number;
  /** When the wave opened; moves on by the length of each pause. */
  openedMs: number;
  /** 0 = it does not soak. */
  soakEndsMs: number;
  /** 0 = neither paused nor stopped. */
  pausedAtMs: number;
  /** Positions below this were told to check. */
  notifiedUpTo: number;
  /** Reports that changed nothing: repeated, stale or never offered. */
  ignoredReportCount: number;
  classNames: string[];
  deviceCount: number;
}

/** Columns, each indexed by device. */
export interface Columns {
  status: Uint8Array;
  /** Number of the last offer; 0 = none. */
  attempt: Uint8Array;
  /** Offers since the operator's last `retry`, or of the rollback. */
  used: Uint8Array;
  deviceClass: Uint8Array;
  position: Uint32Array;
  /** Timed out or silent at, or offered again at; 0 = nothing is due. */
  dueMs: Float64Array;
  confirmedMs: Float64Array;
}

/** Owned by the caller, changed in place by `step` only. */
export interface RolloutState {
  readonly head: RolloutHead;
  readonly columns: Columns;
  readonly tallies: ClassTally[];
  readonly ends: readonly number[];
  /** No `dueMs` that a tick has to act on is earlier. */
  nextDueMs: number;
}

export function createState(head: RolloutHead): RolloutState {
  const state: RolloutState = {
    head,
    columns: createColumns(Math.max(CAPACITY_MIN, head.deviceCount)),
    tallies: [],
    ends: waveEnds(head.options.waves),
    nextDueMs: Number.POSITIVE_INFINITY,
  };
  for (const name of head.classNames) state.tallies.push(createTally(name, state.ends.length));
  return state;
}

/** Appends a device slot, `excluded` and counted nowhere. */
export function appendDevice(state: RolloutState): void {
  const { columns, head } = state;
  const capacity = columns.status.length;
  if (head.deviceCount === capacity) {
    const grown = createColumns(capacity * 2);
    for (const name of Object.keys(grown) as (keyof Columns)[]) grown[name].set(columns[name]);
    Object.assign(columns, grown);
  }
  columns.status[head.deviceCount] = DEVICE_STATUS.excluded;
  head.deviceCount += 1;
}

/** Makes an excluded device a pending target; one that comes back does not use its attempts again. */
export function targetDevice(
  state: RolloutState,
  device: number,
  position: number,
  className: string,
): void {
  const { columns } = state;
  columns.position[device] = position;
  columns.deviceClass[device] = classIndex(state, className);
  columns.dueMs[device] = 0;
  columns.confirmedMs[device] = 0;
  moveDevice(state, device, DEVICE_STATUS.pending, 0);
}

/** The only way a status byte changes: the counts go with it. */
export function moveDevice(
  state: RolloutState,
  device: number,
  status: number,
  used: number = state.columns.used[device]!,
): void {
  const { columns } = state;
  count(state, device, -1);
  columns.status[device] = status;
  columns.used[device] = used;
  count(state, device, 1);
}

/** Adds a device to the counts, or with -1 takes it out; excluded ones count nowhere. */
export function count(state: RolloutState, device: number, by: 1 | -1): void {
  const { columns } = state;
  const status = columns.status[device]!;
  if (status === DEVICE_STATUS.excluded) return;
  const tally = state.tallies[columns.deviceClass[device]!]!;
  const wave = waveAt(state.ends, columns.position[device]!);
  tally.byStatus[wave * STATUS_COUNT + status]! += by;
  if (status === DEVICE_STATUS.confirmed) tally.confirmed[wave]! += by;
  else if (isFailure(status, columns.used[device]!)) tally.failed[wave]! += by;
}

/** Sets when something is due for a device; 0 = nothing is. */
export function setDue(state: RolloutState, device: number, dueMs: number): void {
  state.columns.dueMs[device] = dueMs;
  if (dueMs > 0 && dueMs < state.nextDueMs) state.nextDueMs = dueMs;
}

/** Whether the index names a target of this rollout. */
export function isTarget(state: RolloutState, device: number): boolean {
  // Written so that NaN, a fraction and what is no number at all are no targets either.
  return (
    device >= 0 &&
    device < state.head.deviceCount &&
    state.columns.status[device] !== DEVICE_STATUS.excluded &&
    Number.isInteger(device)
  );
}

/** Sum over the classes of devices of waves [from, to) in one of statuses [first, last]. */
export function countBetween(
  state: RolloutState,
  from: number,
  to: number,
  first: number,
  last: number,
): number {
  let sum = 0;
  for (const tally of state.tallies) {
    for (let wave = from; wave < to; wave += 1) {
      for (let status = first; status <= last; status += 1) {
        sum += tally.byStatus[wave * STATUS_COUNT + status]!;
      }
    }
  }
  return sum;
}

export function isInProgress(status: number): boolean {
  return status >= DEVICE_STATUS.offered && status <= DEVICE_STATUS.trial;
}

/**
 * Whether a device counts as failed. One that tries again does until it confirms: a retry must not
 * hide the failure that it follows.
 */
function isFailure(status: number, used: number): boolean {
  if (isInProgress(status)) return used > 1;
  return (
    status === DEVICE_STATUS.timedOut ||
    (status >= DEVICE_STATUS.silent && status <= DEVICE_STATUS.reverted)
  );
}

function classIndex(state: RolloutState, name: string): number {
  const known = state.head.classNames.indexOf(name);
  if (known >= 0) return known;
  const full = state.tallies.length >= CLASSES_MAX - 1;
  if (full && name !== CLASS_OTHER) return classIndex(state, CLASS_OTHER);
  state.head.classNames.push(name);
  state.tallies.push(createTally(name, state.ends.length));
  return state.tallies.length - 1;
}

function createTally(name: string, waveCount: number): ClassTally {
  return {
    name,
    byStatus: new Int32Array(waveCount * STATUS_COUNT),
    confirmed: new Int32Array(waveCount),
    failed: new Int32Array(waveCount),
  };
}

function createColumns(capacity: number): Columns {
  return {
    status: new Uint8Array(capacity),
    attempt: new Uint8Array(capacity),
    used: new Uint8Array(capacity),
    deviceClass: new Uint8Array(capacity),
    position: new Uint32Array(capacity),
    dueMs: new Float64Array(capacity),
    confirmedMs: new Float64Array(capacity),
  };
}
