// The answer to a device's check, from what the server knows at that moment. Pure: HTTP, MQTT
// and virtual mode all serve from it.

import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import type { CheckRequest, CheckResponse, UpdateSource } from './messages.ts';

/** A stored download: the whole image, or a delta from another. */
export interface OfferedBlob {
  /** `<hex sha256>.bin` or `<hex sha256>.delta`. */
  readonly name: string;
  readonly size: number;
}

export interface OfferedDelta extends OfferedBlob {
  /** SHA-256 of the image that it applies to. */
  readonly base: Uint8Array;
}

/** What a check needs of a release. */
export interface OfferedRelease {
  readonly version: string;
  readonly envelope: Uint8Array;
  /** One, or one for each slot. */
  readonly images: readonly OfferedBlob[];
  readonly deltas: readonly OfferedDelta[];
}

/** What the rollout engine decided for this device. */
export interface Offer {
  readonly rollout: string;
  readonly attempt: number;
  readonly release: OfferedRelease;
}

export interface CheckSnapshot {
  /** Ms since 1970. */
  readonly nowMs: number;
  readonly pollS: number;
  /** Absent when there is nothing for this device. */
  readonly offer?: Offer;
  /** A signed URL of the blob for the device that asks. */
  url(name: string): string;
}

/** Answers a check: with the deltas that apply to what the device runs, and the whole image. */
export function answerCheck(request: CheckRequest, snapshot: CheckSnapshot): CheckResponse {
  const { nowMs, offer, pollS } = snapshot;
  if (offer === undefined) return { nowMs, pollS };
  const { attempt, release, rollout } = offer;
  const imageSize = Math.min(...release.images.map(({ size }) => size));
  const deltas = release.deltas
    // A delta that is no smaller saves nothing, and costs the device more work.
    .filter(({ base, size }) => isSameBytes(base, request.digest) && size < imageSize)
    .sort((a, b) => a.size - b.size);
  const sources: UpdateSource[] = [
    ...deltas.map(({ base, name, size }) => ({ url: snapshot.url(name), size, base })),
    ...release.images.map(({ name, size }) => ({ url: snapshot.url(name), size })),
  ];
  const { envelope, version } = release;
  return { nowMs, pollS, update: { rollout, attempt, version, envelope, sources } };
}
