// How long to wait after a failure: full jitter, so that a fleet does not come back at once
// (Brooker 2015, "Exponential backoff and jitter").

import type { Platform } from './platform.ts';

/** More doublings than any window takes. */
const DOUBLINGS_MAX = 20;

/**
 * A pause in whole ms, uniform over a window that is `msMin` after no earlier failure, doubles with
 * each of `failureCount`, and is `msMax` at most.
 */
export function pauseMs(
  platform: Platform,
  msMin: number,
  msMax: number,
  failureCount: number,
): number {
  const windowMs = Math.min(msMax, msMin * (1 << Math.min(failureCount, DOUBLINGS_MAX)));
  return Math.floor((platform.random() / 4294967296) * windowMs);
}
