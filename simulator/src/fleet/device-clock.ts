// The clock of one simulated device, which is wrong: by its skew, by its drift, or by knowing no
// time at all. What it says of its uncertainty is true.

import type { Clock } from '@flotilla/sdk';
import type { FleetClock } from '../scenario/schema.ts';
import { CLOCK_STREAM, randomUnit } from './random.ts';

/** A crystal that nobody asked for is good for this. */
const DRIFT_PPM_MIN = 20;

export class DeviceClock implements Clock {
  private readonly world: Clock;
  /** Beyond true time, ms per ms. */
  private readonly drift: number;
  private readonly driftMax: number;
  /** Of epoch time at `setMs`, from true time; NaN = unknown. */
  private offsetMs: number;
  private uncertaintyMs: number;
  private setMs: number;

  constructor(world: Clock, form: FleetClock, seed: number, deviceIndex: number) {
    const symmetric = (count: number) => {
      return 2 * randomUnit(seed, deviceIndex, CLOCK_STREAM, count) - 1;
    };
    this.world = world;
    this.drift = (form.driftPpm / 1e6) * symmetric(1);
    this.driftMax = Math.max(form.driftPpm, DRIFT_PPM_MIN) / 1e6;
    this.offsetMs = form.known ? form.skewMs * symmetric(0) : Number.NaN;
    this.uncertaintyMs = form.known ? form.skewMs : Number.POSITIVE_INFINITY;
    this.setMs = world.monotonicMs();
  }

  monotonicMs(): number {
    return this.world.monotonicMs();
  }

  epochMs(): number {
    const elapsedMs = this.world.monotonicMs() - this.setMs;
    return this.world.epochMs() + this.offsetMs + this.drift * elapsedMs;
  }

  epochUncertaintyMs(): number {
    const elapsedMs = this.world.monotonicMs() - this.setMs;
    return this.uncertaintyMs + this.world.epochUncertaintyMs() + this.driftMax * elapsedMs;
  }

  adjust(epochMs: number, uncertaintyMs: number): void {
    if (uncertaintyMs >= this.epochUncertaintyMs()) return;
    this.offsetMs = epochMs - this.world.epochMs();
    this.uncertaintyMs = uncertaintyMs;
    this.setMs = this.world.monotonicMs();
  }
}
