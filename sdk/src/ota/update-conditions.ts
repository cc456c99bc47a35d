// Whether an update may go on now: charge of the battery, hours of the day; and the time.

import type { Platform } from '../platform.ts';
import type { UpdateProfile } from './update-profile.ts';

/** How long to wait on a low battery, ms. */
export const BATTERY_PAUSE_MS = 30 * 60 * 1000;
const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;

/**
 * Ms until it is worth to ask again; 0 = an update may go on now. A window that begins is entered
 * at a random time in its first half, so that a fleet does not come at once. While the time is not
 * known any hour will do.
 */
export function deferMs(platform: Platform, profile: UpdateProfile<never>): number {
  const charge = platform.battery();
  if (charge !== undefined && charge < profile.batteryMin) return BATTERY_PAUSE_MS;
  const { window } = profile;
  const epochMs = platform.clock.epochMs();
  if (window === undefined || !isFinite(epochMs)) return 0;
  const ofDayMs = epochMs - Math.floor(epochMs / DAY_MS) * DAY_MS;
  const startMs = window.startHour * HOUR_MS;
  const sizeMs = since(startMs, window.endHour * HOUR_MS);
  if (since(startMs, ofDayMs) < sizeMs) return 0;
  const jitterMs = (platform.random() / 4294967296) * (sizeMs / 2);
  return Math.ceil(since(ofDayMs, startMs) + jitterMs);
}

/** Ms of the day from `from` on to `to`. */
function since(from: number, to: number): number {
  return to >= from ? to - from : to - from + DAY_MS;
}

/** Epoch seconds that have passed for certain by the clock; 0 = it does not know. */
export function lowestTimeS(platform: Platform): number {
  const lowestMs = platform.clock.epochMs() - platform.clock.epochUncertaintyMs();
  return lowestMs > 0 && isFinite(lowestMs) ? Math.floor(lowestMs / 1000) : 0;
}
