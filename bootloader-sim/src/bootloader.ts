// From reset to a running image: the ROM checks stage 2 against the fuses, stage 2 is the profile.

import { toHex } from '@flotilla/sdk/codec/bytes';
import type { BootLogEntry, BootReason } from '@flotilla/sdk/platform';
import { type BootDecision, type Machine, verifyRegion } from './machine.ts';
import type { Profile } from './profiles/profile.ts';

/** Boots that the log holds; the oldest go first. */
export const BOOT_LOG_COUNT_MAX = 8;

export class Bootloader {
  readonly machine: Machine;
  readonly profile: Profile;
  /** The last boots, oldest first. Kept in RAM that a reset leaves alone; a power cut clears it. */
  readonly log: BootDecision[] = [];

  constructor(machine: Machine, profile: Profile) {
    this.machine = machine;
    this.profile = profile;
  }

  /**
   * Boots after `reset`. Throws PowerLoss when power is cut in the middle; the flash must have
   * been powered on.
   */
  boot(reset: BootReason): BootDecision {
    if (reset === 'power-on' || reset === 'brownout') this.log.length = 0;
    const decision = this.isStage2Trusted()
      ? this.profile.decide(this.machine, reset)
      : this.halt(reset);
    if (this.log.length === BOOT_LOG_COUNT_MAX) this.log.shift();
    this.log.push(decision);
    return decision;
  }

  /** The log in the words of the SDK. */
  entries(): BootLogEntry[] {
    return this.log.map(({ outcome, reason, reverted, slot, trial, version }) => ({
      slot,
      version,
      decision: outcome !== 'slot' ? outcome : reverted ? 'reverted' : trial ? 'trial' : 'selected',
      reason,
    }));
  }

  private isStage2Trusted(): boolean {
    const { fuses, layout } = this.machine;
    if (!fuses.secureBoot) return true;
    const verdict = verifyRegion(this.machine, layout.stage2, (bytes) => ({
      ok: true,
      version: '',
      securityVersion: 0,
      digest: this.machine.crypto.sha256(bytes),
      keyDigest: '',
      size: bytes.length,
    }));
    return verdict.ok && toHex(verdict.digest) === fuses.stage2Digest;
  }

  private halt(reset: BootReason): BootDecision {
    return {
      outcome: 'halt',
      slot: -1,
      version: '',
      securityVersion: 0,
      digest: new Uint8Array(0),
      trial: false,
      reset,
      reverted: false,
      reason: 'stage 2 is not the one that the fuses name',
      haltCode: 'stage2-not-trusted',
    };
  }
}
