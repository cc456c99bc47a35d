// What an update client and its device know of each other.

import type { Platform } from '../platform.ts';
import type { UpdateStage } from './update-state.ts';
import type { TrialOwner } from './update-trial.ts';

/** The device behind an update client. */
export interface UpdateOwner extends TrialOwner {
  readonly id: string;
  readonly platform: Platform;
  /** `nextDeadlineMs` may have become earlier: the owner starts its timer again. */
  onUpdateDue(): void;
  /** What is reported to the server, as it happens. */
  onUpdateStage?(stage: UpdateStage, reason: string): void;
}

export type UpdateState =
  | 'idle'
  | 'checking'
  | 'downloading'
  | 'downloaded'
  | 'verified'
  | 'staged'
  | 'rebooting'
  | 'trial';

/** Counters of everything bounded; each only grows. */
export class UpdateCounters {
  /** Offers whose manifest was refused. */
  refused = 0;
  /** Times that window or battery did not allow an update. */
  deferred = 0;
  /** Reports that were replaced by those of another update before the server took them. */
  reportsReplaced = 0;
}
