// The rollout engine's vocabulary: options, events, effects, device and rollout states.
// Behaviour and the state diagram: docs/ota-rollouts.md.

import type { RolloutState } from './state.ts';

export type { RolloutState };

/** Most waves of one rollout. */
export const WAVES_MAX = 64;
/** Most hardware classes told apart; devices of further ones count as class `other`. */
export const CLASSES_MAX = 256;
/** Highest attempt number; a device that used it is offered nothing more by this rollout. */
export const ATTEMPT_MAX = 255;
/** Positions are integers in [0, POSITION_END): a device's place in the order of the rollout. */
export const POSITION_END = 4294967296;

/** One wave: who is in it, and what has to hold before the next one opens. */
export interface WaveOptions {
  /** Cumulative: devices below this percentage are in this wave or an earlier one. > 0, rising; the last is 100. */
  readonly percent: number;
  /**
   * Time from the success criterion first holding to the next wave, ms, >= 0; also how long each
   * device is watched after its own confirmation. Longer than the devices' trial deadline, because
   * failures report later than successes.
   */
  readonly soakMs: number;
  /** Failed / resolved above this stops the rollout; 0-1. Checked before the success criterion. */
  readonly failureRatioMax: number;
  /** Confirmed / resolved at or above this lets the wave soak; 0-1. */
  readonly successRatioMin: number;
  /** Resolved devices below which no ratio is judged, >= 1; taken as the wave's size where that is less. */
  readonly sampleMin: number;
  /** True: the wave opens only after `approve`. */
  readonly approval?: boolean;
  /** The last wave only: it opens evenly over this time, ms; 0 = at once. */
  readonly spreadMs?: number;
}

/** What the operator asks for; `checkOptions` lists every mistake. All times in ms. */
export interface RolloutOptions {
  /** Id, as in offers and reports. */
  readonly rollout: string;
  /** Decides the order of devices; one per rollout, or the same devices are always the canaries. */
  readonly salt: string;
  /** Id of the release. */
  readonly release: string;
  /** Id of the signed rollback release beside it, where there is one. */
  readonly rollbackRelease?: string;
  /** 1 to WAVES_MAX. */
  readonly waves: readonly WaveOptions[];
  /** From taking an offer to counting a silent device as failed, > 0. Longer than the devices' update window. */
  readonly offerTimeoutMs: number;
  /** Offers of the release per device before the operator says `retry`, 1 to ATTEMPT_MAX. */
  readonly attemptsMax: number;
  /** Wait after the first failed attempt, >= 0; doubles with each further one. */
  readonly retryDelayMs: number;
  /** Longest such wait, >= retryDelayMs. */
  readonly retryDelayMsMax: number;
  /** More abnormal resets than this since confirmation count as a late failure, >= 0. */
  readonly abnormalResetsMax: number;
  /** Longer silence than this after confirmation, within the soak, counts as a late failure, > 0. */
  readonly silenceMsMax: number;
  /** What crossing a failure ratio does; `roll-back` stops where no rollback release exists. */
  readonly onFailure: 'stop' | 'roll-back';
}

/** States of a rollout; every transition is in transitions.ts. */
export type RolloutStatus =
  | 'draft'
  | 'waiting-approval'
  | 'running'
  | 'soaking'
  | 'paused'
  | 'stopped'
  | 'aborted'
  | 'rolling-back'
  | 'rolled-back'
  | 'completed';

/**
 * The status byte of a device. Values are stored: never renumber. From OFFERED to TRIAL in the
 * order of an update; of two reports of one attempt the higher one holds, so order does not matter.
 */
export const DEVICE_STATUS = {
  pending: 0,
  offered: 1,
  downloading: 2,
  downloaded: 3,
  verified: 4,
  staged: 5,
  rebooting: 6,
  trial: 7,
  /** Took the offer, then nothing final within offerTimeoutMs. A late `confirmed` still counts. */
  timedOut: 8,
  confirmed: 9,
  /** Confirmed, then nothing for silenceMsMax within the soak; a sign of life takes it back. */
  silent: 10,
  /** Confirmed, then too many abnormal resets. */
  unstable: 11,
  failed: 12,
  reverted: 13,
  /** Failed, and the operator allowed it again. */
  granted: 14,
  /** Ran the release before it was offered; counts neither as success nor as failure. */
  already: 15,
  rollbackOffered: 16,
  rollbackStarted: 17,
  rollbackFailed: 18,
  rolledBack: 19,
  /** Not a target of this rollout. */
  excluded: 20,
} as const;

export type DeviceStatusName = keyof typeof DEVICE_STATUS;

/** Stages of the device's reports (POST /v1/devices/{id}/report). */
export type Stage =
  | 'downloading'
  | 'downloaded'
  | 'verified'
  | 'staged'
  | 'rebooting'
  | 'trial'
  | 'confirmed'
  | 'failed'
  | 'reverted';

/**
 * What a check says the device runs. The edge decides it by digest and stored sequence:
 * `release` = the release's digest and stored sequence >= the release's (so it is confirmed);
 * `trial` = the release's digest, sequence still lower; `rollback` = the same as `release` for the
 * rollback release; `other` = anything else.
 */
export type Running = 'other' | 'trial' | 'release' | 'rollback';

/** An offer: which of the two releases, and the number that the device's reports repeat. */
export interface Offer {
  readonly image: 'release' | 'rollback';
  readonly attempt: number;
}

/** Why a check gets nothing. */
export type NoOfferReason =
  | 'not-targeted'
  | 'not-started'
  | 'wave-not-open'
  | 'paused'
  | 'stopped'
  | 'aborted'
  | 'up-to-date'
  | 'in-trial'
  | 'backing-off'
  | 'attempts-used-up'
  | 'not-affected'
  | 'rolled-back';

/** What a check of a device gets: exactly one of the two is there. */
export interface Decision {
  readonly offer?: Offer;
  readonly why?: NoOfferReason;
}

/** Devices by index: dense small integers that the caller assigns for good (a registry's row number). */
export interface RosterEntry {
  /** Device id: what the order of the waves is computed from. */
  readonly id: string;
  /** Name of the hardware class, for alerts. */
  readonly deviceClass: string;
}

/** The fleet when a rollout is created; read once, in order. */
export interface Roster {
  /** Indices run from 0 to count - 1. */
  readonly count: number;
  /** undefined = not a target of this rollout. */
  entry(index: number): RosterEntry | undefined;
}

/**
 * A check was answered. `offered` is what the answer carried (from `offerFor`, or from an older
 * snapshot of it); taking the offer starts `offerTimeoutMs`.
 */
export interface CheckEvent {
  readonly type: 'check';
  readonly device: number;
  readonly running: Running;
  /** Since the last reset, s. */
  readonly uptimeS: number;
  /** Abnormal resets since the running image was confirmed. */
  readonly abnormalResets: number;
  readonly offered?: Offer;
}

/** A device reported. Repeated, stale (older attempt) and forged (never offered) ones change nothing. */
export interface ReportEvent {
  readonly type: 'report';
  readonly device: number;
  readonly attempt: number;
  readonly stage: Stage;
}

/** Time passed: expires, evaluates, opens waves. All decisions are made here: one a control interval (1 s). */
export interface TickEvent {
  readonly type: 'tick';
}

/** A device joined the fleet; index == the state's count, or one that is not a target so far. */
export interface EnrolEvent extends RosterEntry {
  readonly type: 'enrol';
  readonly device: number;
}

/** A device left the fleet: it counts nowhere any more. */
export interface RemoveEvent {
  readonly type: 'remove';
  readonly device: number;
}

/**
 * An operator's decision. `approve` lets the waiting wave open. `retry` lets failed, timed-out and
 * silent devices (or the one named) be offered the release again and forgets their failure.
 * `rollback` may name a rollback release that was added after the start.
 */
export type OperatorEvent =
  | { readonly type: 'start' }
  | { readonly type: 'approve' }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  | { readonly type: 'abort' }
  | { readonly type: 'rollback'; readonly rollbackRelease?: string }
  | { readonly type: 'retry'; readonly device?: number };

export type RolloutEvent =
  | CheckEvent
  | ReportEvent
  | TickEvent
  | EnrolEvent
  | RemoveEvent
  | OperatorEvent;

/** Tell these devices to check: `isNotified(state, effect, device)` says which, one by one. */
export interface NotifyEffect {
  readonly type: 'notify';
  /**
   * pending: not offered yet, positions in [from, to); not-started: took an offer, reported nothing
   * (abort: their next check withdraws it); on-release: run the release or may come to (rollback);
   * granted: allowed again by `retry`.
   */
  readonly audience: 'pending' | 'not-started' | 'on-release' | 'granted';
  readonly from: number;
  readonly to: number;
}

/** Somebody has to look. `wave` counts from 0. */
export interface AlertEffect {
  readonly type: 'alert';
  readonly reason:
    | 'failure-ratio'
    | 'class-failure-ratio'
    | 'no-rollback-release'
    | 'rollback-failed';
  readonly wave: number;
  /** The hardware classes that fail: the one that crossed, or all above the limit, worst first. */
  readonly deviceClasses: readonly string[];
  readonly failed: number;
  /** Failed + confirmed. */
  readonly resolved: number;
  readonly failureRatioMax: number;
}

/** A transition, for the log: `cause` is the event or condition of transitions.ts. */
export interface RecordEffect {
  readonly type: 'record';
  readonly atMs: number;
  readonly from: RolloutStatus;
  readonly to: RolloutStatus;
  readonly cause: Cause;
  readonly wave: number;
}

/** An operator's event that the state does not allow; nothing changed. */
export interface RefusedEffect {
  readonly type: 'refused';
  readonly event: OperatorEvent['type'];
  /** `no-rollback-release`: sign one with `flotilla-ota sign --rollback-to`. */
  readonly reason: 'not-in-this-state' | 'no-rollback-release' | 'nothing-to-retry';
  readonly status: RolloutStatus;
}

export type Effect = NotifyEffect | AlertEffect | RecordEffect | RefusedEffect;

/** What moves a rollout: operators' events, and conditions found at a tick. */
export type Cause =
  | 'start'
  | 'approve'
  | 'pause'
  | 'resume'
  | 'abort'
  | 'rollback'
  | 'criterion-met'
  | 'criterion-lost'
  | 'wave-opened'
  | 'wave-gated'
  | 'waves-done'
  | 'breach'
  | 'breach-roll-back'
  | 'all-back';

/** Counts of one wave, each device once. size = pending + active + confirmed + failed + already + the rollback's four. */
export interface WaveView {
  readonly percent: number;
  readonly open: boolean;
  readonly size: number;
  /** Devices by status, names of DEVICE_STATUS. */
  readonly byStatus: Readonly<Record<DeviceStatusName, number>>;
  /** Succeeded: confirmed and healthy so far. */
  readonly confirmed: number;
  /** Failed, reverted, timed out, silent or unstable; a retry counts here until it confirms. */
  readonly failed: number;
  /** Hardware classes with a resolved device. */
  readonly classes: readonly ClassView[];
}

export interface ClassView {
  readonly deviceClass: string;
  readonly confirmed: number;
  readonly failed: number;
}

/** For people and the API. */
export interface RolloutView {
  readonly rollout: string;
  readonly release: string;
  readonly rollbackRelease?: string;
  readonly status: RolloutStatus;
  /** The wave that is open or, when waiting for approval, the one that waits. */
  readonly wave: number;
  readonly waves: readonly WaveView[];
  /** When the soak ends, if soaking. */
  readonly soakEndsMs?: number;
}
