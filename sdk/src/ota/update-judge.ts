// Whether an offer is one for this device: by its manifest, and by what failed before.

import type { Firmware, Platform } from '../platform.ts';
import { isSameDigest } from './image-fetch.ts';
import { type ManifestFields, readManifest } from './manifest.ts';
import type { Offer } from './offer.ts';
import { inactiveSlot } from './update-boot.ts';
import { lowestTimeS } from './update-conditions.ts';
import type { UpdateProfile } from './update-profile.ts';
import { PHASE_FAILED, type UpdateRecord } from './update-state.ts';

/** Reads the envelope of `offer` in `answer`; the codes are those of `readManifest`. */
export function readEnvelope(
  platform: Platform,
  profile: UpdateProfile<never>,
  record: UpdateRecord,
  answer: Uint8Array,
  offer: Offer,
  into: ManifestFields,
): string | undefined {
  const firmware = platform.firmware as Firmware;
  const target = {
    vendorId: profile.vendorId,
    classId: profile.classId,
    slot: inactiveSlot(firmware),
    slotSize: firmware.slot.size,
    sequence: record.sequence,
    version: firmware.version,
    timeS: Math.max(record.floorS, lowestTimeS(platform)),
  };
  const { envelopeEnd, envelopeStart } = offer;
  const { crypto } = platform;
  return readManifest(answer, envelopeStart, envelopeEnd, profile.keys, target, crypto, into);
}

/**
 * True for what failed before, while the server has not said to try it again by a higher attempt.
 * `code` is what `readEnvelope` said.
 */
export function isKnownFailure(
  record: UpdateRecord,
  offer: Offer,
  fields: ManifestFields,
  code: string | undefined,
): boolean {
  if (record.phase !== PHASE_FAILED) return false;
  if (offer.rollout === record.rollout) return offer.attempt <= record.attempt;
  if (code !== undefined || !isSameDigest(fields.digest, record.digest)) return false;
  return fields.sequence <= record.newSequence;
}
