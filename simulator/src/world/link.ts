// The links between devices and broker, and devices and OTA server. An outage cuts the streams and
// requests of its fleets and refuses new ones: it happens on the device's side, so it works against
// any broker.

import type { NodeStream } from '@flotilla/sdk/node';
import type { Outage } from '../scenario/schema.ts';

const REASON = 'link down';

export class Links {
  /** Outages in force, per fleet: to the broker, and to the OTA server. */
  private readonly downCounts: Int32Array;
  private readonly serverDownCounts: Int32Array;
  private readonly fleets: readonly string[];

  constructor(fleets: readonly string[]) {
    this.fleets = fleets;
    this.downCounts = new Int32Array(fleets.length);
    this.serverDownCounts = new Int32Array(fleets.length);
  }

  isDown(fleet: number): boolean {
    return this.downCounts[fleet]! > 0;
  }

  isServerDown(fleet: number): boolean {
    return this.serverDownCounts[fleet]! > 0;
  }

  /** Ends a stream as this link does. */
  cut(stream: NodeStream): void {
    stream.cut(REASON);
  }

  /** The indices of the fleets that an event is about. */
  affected(event: Outage): number[] {
    return event.fleets.map((name) => this.fleets.indexOf(name));
  }

  begin(event: Outage): void {
    this.count(event, 1);
  }

  end(event: Outage): void {
    this.count(event, -1);
  }

  private count(event: Outage, change: 1 | -1): void {
    for (const fleet of this.affected(event)) {
      if (event.to !== 'server') this.downCounts[fleet]! += change;
      if (event.to !== 'broker') this.serverDownCounts[fleet]! += change;
    }
  }
}
