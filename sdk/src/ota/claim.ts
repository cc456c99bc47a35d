// Work memory of an update: where there is no room for it now, the update waits.

import { type Platform, PowerLoss } from '../platform.ts';

/** A view to be released, or undefined where the platform has no room for it. */
export function claim(platform: Platform, size: number): Uint8Array | undefined {
  try {
    return platform.memory.allocate(size);
  } catch (error) {
    if (error instanceof PowerLoss) throw error;
    return undefined;
  }
}
