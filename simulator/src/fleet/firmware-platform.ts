// The platform of a simulated device with firmware: beside what every program has, a machine that
// boots and an HTTP link that can break. A reset leaves flash, fuses and settings.

import type { Firmware } from '@flotilla/sdk';
import type { SimulatedMachine } from '../firmware/machine.ts';
import type { HttpLinkOwner } from './http-link.ts';
import { type Place, ProgramPlatform, type ProgramWorld } from './program-platform.ts';

export class FirmwarePlatform extends ProgramPlatform {
  readonly machine: SimulatedMachine;
  /** Since the first boot of the image that is on trial; ms of the run, NaN = there is none. */
  trialStartMs = Number.NaN;
  /** Highest security counter of an image that this device confirmed. */
  securityCounter = 0;
  isBricked = false;
  /** An attacker has changed its flash. */
  isTampered = false;
  /** The running image has another version than the one at the beginning. */
  isUpdated = false;
  /** From the first byte of a download to the end of its update. */
  isUpdating = false;
  /** When the running image crashes, if it does. */
  crashTimer: NodeJS.Timeout | undefined = undefined;
  private readonly ownerOfLink: (platform: FirmwarePlatform) => HttpLinkOwner;

  constructor(
    world: ProgramWorld,
    place: Place,
    machine: SimulatedMachine,
    ownerOfLink: (platform: FirmwarePlatform) => HttpLinkOwner,
  ) {
    super(world, place);
    this.machine = machine;
    this.ownerOfLink = ownerOfLink;
  }

  get firmware(): Firmware | undefined {
    return this.machine.firmware;
  }

  override retire(): void {
    clearTimeout(this.crashTimer);
    super.retire();
  }

  override drop(): void {
    clearTimeout(this.crashTimer);
    super.drop();
  }

  protected override linkOwner(): HttpLinkOwner {
    return this.ownerOfLink(this);
  }
}
