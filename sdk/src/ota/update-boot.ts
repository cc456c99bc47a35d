// What the boot says about the update that was under way when the device went down.

import type { BootLogEntry, Firmware } from '../platform.ts';
import { isSameDigest } from './image-fetch.ts';
import {
  PHASE_CONFIRMED,
  PHASE_FAILED,
  PHASE_REJECTED,
  PHASE_STAGED,
  PHASE_VERIFIED,
  type UpdateRecord,
} from './update-state.ts';

/**
 * Brings `record` up to date with the image that runs; returns the stage that is to be reported,
 * or undefined when nothing new is known.
 *
 * A record at PHASE_VERIFIED with the old image running may have been staged or not: it is then
 * verified and staged once more.
 */
export function recallBoot(record: UpdateRecord, firmware: Firmware): boolean {
  const { phase } = record;
  const isPending = phase === PHASE_VERIFIED || phase === PHASE_STAGED || phase === PHASE_REJECTED;
  if (!isPending) return false;
  if (isSameDigest(record.digest, firmware.digest)) {
    if (firmware.trial) {
      // A rejection is carried out once more.
      if (phase === PHASE_REJECTED) return false;
      record.report('trial', '');
    } else if (phase === PHASE_REJECTED) {
      record.phase = PHASE_FAILED;
      record.report('failed', record.reportReason);
    } else {
      confirmed(record);
    }
    return true;
  }
  if (phase === PHASE_VERIFIED) return false;
  const reason = phase === PHASE_REJECTED ? record.reportReason : bootReason(firmware);
  record.phase = PHASE_FAILED;
  record.report('reverted', reason);
  return true;
}

/** The image of the record is there for good. */
export function confirmed(record: UpdateRecord): void {
  record.phase = PHASE_CONFIRMED;
  record.sequence = Math.max(record.sequence, record.newSequence);
  record.abnormalResets = 0;
  record.report('confirmed', '');
}

/** Counts a reset that nobody asked for; false when it was none. */
export function countReset(record: UpdateRecord, firmware: Firmware): boolean {
  const reason = firmware.bootReason();
  if (reason !== 'watchdog' && reason !== 'crash' && reason !== 'brownout') return false;
  record.abnormalResets += 1;
  return true;
}

/**
 * Index of the inactive slot, as far as the boot log tells which one runs: from the recovery image
 * (slot -1) the first one is written, as platforms have it.
 */
export function inactiveSlot(firmware: Firmware): number {
  const newest = newestEntry(firmware);
  return newest === undefined || newest.slot === 0 ? 1 : 0;
}

function bootReason(firmware: Firmware): string {
  const newest = newestEntry(firmware);
  if (newest === undefined || newest.decision !== 'reverted') return 'not confirmed';
  return newest.reason;
}

function newestEntry(firmware: Firmware): BootLogEntry | undefined {
  const entries = firmware.bootLog();
  return entries[entries.length - 1];
}
