// Which device of the run belongs to which fleet, and what its id is.

import { deviceId, type Fleet } from '../scenario/schema.ts';

export class DevicePlaces {
  /** Devices of the run. */
  readonly total: number;
  private readonly fleets: readonly Fleet[];
  /** Where the devices of each fleet begin in the run. */
  private readonly starts: readonly number[];

  constructor(fleets: readonly Fleet[]) {
    let total = 0;
    this.fleets = fleets;
    this.starts = fleets.map(({ count }) => {
      total += count;
      return total - count;
    });
    this.total = total;
  }

  /** The index of a device's fleet. */
  fleetOf(device: number): number {
    return this.starts.findLastIndex((first) => first <= device);
  }

  /** The index of a device within its fleet. */
  indexOf(device: number): number {
    return device - this.starts[this.fleetOf(device)]!;
  }

  /** The client id of a device in the run `run`. */
  idOf(device: number, run: string): string {
    const fleet = this.fleetOf(device);
    const { id, name } = this.fleets[fleet]!;
    return deviceId(id, run, name, device - this.starts[fleet]!);
  }
}
