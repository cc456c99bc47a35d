// A look at every device of a worker, which takes milliseconds: what waits in their outboxes, and
// the samples that they could not take in time.

import type { Device } from '@flotilla/sdk';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { Registry } from '../metrics/registry.ts';

export class Census {
  /** As of the last look. */
  pending = 0;
  missedSamples = 0;
  private readonly platforms: readonly SimulatedPlatform[];
  private readonly devices: readonly (Device | undefined)[];
  private readonly registry: Registry;

  /** `platforms` and `devices` are by local index, and may grow. */
  constructor(
    platforms: readonly SimulatedPlatform[],
    devices: readonly (Device | undefined)[],
    registry: Registry,
  ) {
    this.platforms = platforms;
    this.devices = devices;
    this.registry = registry;
  }

  /** At the end, when nothing waits for the schedule any more, `wakes` those that have something. */
  look(wakes: boolean): void {
    this.pending = 0;
    const missedByFleet = this.registry.fleets.map(() => 0);
    for (const { fleet, localIndex } of this.platforms) {
      const device = this.devices[localIndex];
      if (device === undefined) continue;
      this.pending += device.pendingCount;
      if (wakes && device.pendingCount > 0) device.wakeUp();
      missedByFleet[fleet]! += device.sampler.missedCount;
    }
    this.missedSamples = 0;
    for (const [fleet, missed] of missedByFleet.entries()) {
      this.missedSamples += missed;
      const counter = this.registry.counter('samples_missed', fleet);
      counter.add(missed - counter.value);
    }
  }
}
