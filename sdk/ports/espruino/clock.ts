// Time over Espruino's getTime(), which is since the epoch only after somebody called setTime().

import type { Clock } from '../../src/platform.ts';

/** Seconds. */
declare function getTime(): number;

/** A clock that shows a time before 2020 was never set (2020-01-01T00:00:00Z). */
const SET_SINCE_MS = 1577836800000;
/** The engine does not say how well its clock was set; people set it to the second. */
const ENGINE_UNCERTAINTY_MS = 2000;
/** How much further a clock may be off per ms: 100 ppm, a crystal from cold to hot. */
const DRIFT = 1e-4;

export class EspruinoClock implements Clock {
  /** What is added to the engine's clock, so that a step back of it does not show. */
  private steppedMs = 0;
  private lastMs = 0;
  /** Epoch minus monotonic time of the best estimate. */
  private offsetMs = 0;
  private adjustedMs = 0;
  /** Of that estimate when it was made; Infinity = there is none. */
  private uncertaintyMs = Number.POSITIVE_INFINITY;

  monotonicMs(): number {
    const nowMs = getTime() * 1000 + this.steppedMs;
    if (nowMs < this.lastMs) {
      this.steppedMs += this.lastMs - nowMs;
      return this.lastMs;
    }
    this.lastMs = nowMs;
    return nowMs;
  }

  epochMs(): number {
    if (this.isAdjusted) return this.monotonicMs() + this.offsetMs;
    const engineMs = getTime() * 1000;
    return engineMs >= SET_SINCE_MS ? engineMs : Number.NaN;
  }

  epochUncertaintyMs(): number {
    if (this.isAdjusted) {
      return this.uncertaintyMs + (this.monotonicMs() - this.adjustedMs) * DRIFT;
    }
    return getTime() * 1000 >= SET_SINCE_MS ? ENGINE_UNCERTAINTY_MS : Number.POSITIVE_INFINITY;
  }

  adjust(epochMs: number, uncertaintyMs: number): void {
    // Written so that NaN is refused.
    const isTime = Math.abs(epochMs) < Number.POSITIVE_INFINITY;
    if (!(isTime && uncertaintyMs < this.epochUncertaintyMs())) return;
    this.adjustedMs = this.monotonicMs();
    this.offsetMs = epochMs - this.adjustedMs;
    this.uncertaintyMs = uncertaintyMs;
  }

  private get isAdjusted(): boolean {
    return this.uncertaintyMs < Number.POSITIVE_INFINITY;
  }
}
