// What a bootloader works on: flash, fuses, where things lie, and the crypto of the chip.

import type { BootReason } from '@flotilla/sdk/platform';
import type { BootCrypto } from './crypto.ts';
import type { Flash } from './flash/flash.ts';
import type { Fuses } from './fuses.ts';

/** A range of the flash: whole sectors, bytes. */
export interface Region {
  readonly start: number;
  readonly size: number;
}

export interface FlashLayout {
  /** The second-stage bootloader, which the ROM checks. */
  readonly stage2: Region;
  /** Two sectors: the boot record, or ESP-IDF's otadata. */
  readonly record: Region;
  readonly slots: readonly [Region, Region];
  /** Absent on chips without a recovery image. */
  readonly recovery?: Region;
}

/** What a check of the image in a region found. */
export type ImageVerdict =
  | {
      readonly ok: true;
      /** `major.minor.patch+build`, or what the image calls it. */
      readonly version: string;
      readonly securityVersion: number;
      /** SHA-256 or SHA-512 of the image, as its format defines it. */
      readonly digest: Uint8Array;
      /** Hex SHA-256 of the public key that signed it; '' where the format has no signature. */
      readonly keyDigest: string;
      /** Bytes that the image takes; what follows in its region does not matter. */
      readonly size: number;
    }
  | { readonly ok: false; readonly reason: string };

export interface Machine {
  readonly flash: Flash;
  readonly fuses: Fuses;
  readonly layout: FlashLayout;
  readonly crypto: BootCrypto;
  /** Public keys that stage 2 carries, raw; the fuses say which of them are trusted. */
  readonly keys: readonly Uint8Array[];
  /** Verdicts by content, shared by all machines of a run: checks are pure functions of bytes. */
  readonly verdicts: Map<string, ImageVerdict>;
}

export type HaltCode =
  /** Stage 2 is not the one that the fuses name. */
  | 'stage2-not-trusted'
  /** Neither a slot nor a recovery image may run. */
  | 'no-bootable-image';

/** One boot, as the log tells it. */
export interface BootDecision {
  readonly outcome: 'slot' | 'recovery' | 'halt';
  /** The slot that runs; -1 for recovery and halt. */
  readonly slot: number;
  readonly version: string;
  readonly securityVersion: number;
  /** Digest of the image that runs; empty on a halt. */
  readonly digest: Uint8Array;
  /** True while the image has to confirm itself. */
  readonly trial: boolean;
  readonly reset: BootReason;
  /** True when this boot gave up an image and went back. */
  readonly reverted: boolean;
  /** Why this slot, in words. */
  readonly reason: string;
  readonly haltCode?: HaltCode;
}

/** The image in a region, checked, or remembered for the same bytes. */
export function verifyRegion(
  machine: Machine,
  region: Region,
  check: (bytes: Uint8Array) => ImageVerdict,
): ImageVerdict {
  const { flash, verdicts } = machine;
  // How far an image reaches is in its first sector; a verdict of one that was good before holds
  // for the same bytes, whatever an older image left behind them.
  const first = `extent ${flash.contentKey(region.start, 1)}`;
  const extent = verdicts.get(first);
  if (extent?.ok) {
    const known = verdicts.get(keyOf(machine, region, extent.size));
    if (known !== undefined) return known;
  }
  const whole = keyOf(machine, region, region.size);
  const known = verdicts.get(whole);
  if (known !== undefined) return known;
  const bytes = new Uint8Array(region.size);
  flash.read(region.start, bytes);
  const verdict = check(bytes);
  // What reads differently on the next boot must be checked again then.
  if (whole.includes('w')) return verdict;
  if (verdict.ok) verdicts.set(first, verdict);
  verdicts.set(verdict.ok ? keyOf(machine, region, verdict.size) : whole, verdict);
  return verdict;
}

function keyOf({ flash }: Machine, region: Region, size: number): string {
  return `${size} of ${region.size}: ${flash.contentKey(region.start, size)}`;
}
