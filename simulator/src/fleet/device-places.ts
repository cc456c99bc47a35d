// Which device of the run belongs to which fleet, and what its id is.

import { deviceId, type Fleet } from '../scenario/schema.ts';

/** True for a fleet whose clients hear of others. */
export function isSubscriber({ subscribe }: Pick<Fleet, 'subscribe'>): boolean {
  return subscribe.length > 0;
}

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

  /** Devices that subscribe. */
  get subscriberCount(): number {
    return this.fleets.reduce((sum, fleet) => sum + (isSubscriber(fleet) ? fleet.count : 0), 0);
  }

  /** The index in the run of a fleet's first device. */
  firstOf(fleet: number): number {
    return this.starts[fleet]!;
  }

  /**
   * Where a device is in the order of first connects: those that subscribe come before all others,
   * since they hear only what is published after that.
   */
  rampPlaceOf(device: number): number {
    const fleet = this.fleetOf(device);
    const subscribes = isSubscriber(this.fleets[fleet]!);
    let before = 0;
    for (const [other, { count, ...rest }] of this.fleets.entries()) {
      const isEarlier = isSubscriber(rest) === subscribes && other < fleet;
      if (isEarlier || (!subscribes && isSubscriber(rest))) before += count;
    }
    return before + device - this.starts[fleet]!;
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
