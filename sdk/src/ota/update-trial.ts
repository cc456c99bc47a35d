// The trial of a new image: all checks have to be good within a deadline. Where only network or
// broker are missing it goes on for longer, since an outage must not revert good firmware.

import { PowerLoss } from '../platform.ts';
import type { UpdateProfile } from './update-profile.ts';

/** Between two rounds of checks, ms. */
export const HEALTH_INTERVAL_MS = 1000;

/** What the client's own checks ask. */
export interface TrialOwner {
  /** The broker has accepted the connection. */
  readonly isConnected: boolean;
  /** All sensors can be read: true, false or not known yet; absent = there are none. */
  checkSensors?(): boolean | undefined;
}

export class Trial<Owner extends TrialOwner> {
  /** The update server has answered since the boot. */
  hasNetwork = false;
  private readonly owner: Owner;
  private readonly profile: UpdateProfile<Owner>;
  private readonly startMs: number;
  private hasBroker = false;
  private hasSensors: boolean;
  /** Good ones of the profile's checks, by their index. */
  private readonly good: boolean[] = [];
  /** When `step` is wanted next. */
  dueMs: number;

  constructor(owner: Owner, profile: UpdateProfile<Owner>, nowMs: number) {
    this.owner = owner;
    this.profile = profile;
    this.startMs = nowMs;
    this.dueMs = nowMs + HEALTH_INTERVAL_MS;
    this.hasSensors = owner.checkSensors === undefined;
  }

  /** 'confirm', 'wait', or why the image is given up. */
  step(nowMs: number): string {
    this.dueMs = nowMs + HEALTH_INTERVAL_MS;
    if (this.owner.isConnected) this.hasBroker = true;
    let missing = this.missingCheck();
    if (missing.charAt(0) === '!') return `health: ${missing.substring(1)}`;
    const { healthMsMax, trialOfflineMsMax } = this.profile;
    const passedMs = nowMs - this.startMs;
    if (missing !== '') return passedMs >= healthMsMax ? `health: no ${missing}` : 'wait';
    if (!this.hasNetwork) missing = 'network';
    else if (!this.hasBroker) missing = 'broker';
    if (missing === '') return 'confirm';
    return passedMs >= trialOfflineMsMax ? `health: no ${missing}` : 'wait';
  }

  /** The first of the checks that is not good: its name, after '!' when it is bad; '' = none. */
  private missingCheck(): string {
    const { checkNames, healthChecks } = this.profile;
    if (!this.hasSensors && this.owner.checkSensors !== undefined) {
      const result = this.owner.checkSensors();
      if (result === false) return '!sensors';
      this.hasSensors = result === true;
    }
    let missing = this.hasSensors ? '' : 'sensors';
    for (let index = 0; index < checkNames.length; index += 1) {
      if (this.good[index] === true) continue;
      const name = checkNames[index] as string;
      const result = this.ask(healthChecks[name] as (owner: Owner) => boolean | undefined);
      if (result === false) return `!${name}`;
      if (result === true) this.good[index] = true;
      else if (missing === '') missing = name;
    }
    return missing;
  }

  private ask(check: (owner: Owner) => boolean | undefined): boolean | undefined {
    try {
      return check(this.owner);
    } catch (error) {
      if (error instanceof PowerLoss) throw error;
      return false;
    }
  }
}
