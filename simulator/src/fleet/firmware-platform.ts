// The platform of a simulated device with firmware: beside what every device has, a machine that
// boots and an HTTP link that can break. A reset drops the program, as on a real chip, and leaves
// flash, fuses and settings.

import {
  type BootReason,
  type ConnectOptions,
  type Firmware,
  PowerLoss,
  type Stream,
  type StreamHandlers,
  type Timer,
  type TimerTarget,
} from '@flotilla/sdk';
import type { SimulatedMachine } from '../firmware/machine.ts';
import { DeviceMemory } from './fleet-memory.ts';
import type { HttpLink } from './http-link.ts';
import { type DeviceWorld, SimulatedPlatform } from './simulated-platform.ts';

/** What a thread provides to devices with firmware, beside what it provides to all. */
export interface FirmwareWorld extends DeviceWorld {
  /** Ends the program at the end of this turn, and starts the machine after `reset`. */
  reset(platform: FirmwarePlatform, reset: BootReason): void;
}

export class FirmwarePlatform extends SimulatedPlatform {
  readonly machine: SimulatedMachine;
  readonly link: HttpLink;
  /** Why the next boot happens. */
  resetReason: BootReason = 'power-on';
  /** Set from the reset to the end of the turn in which it happened. */
  isResetting = false;
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
  private readonly firmwareWorld: FirmwareWorld;
  private readonly extraTimers: Timer[] = [];
  private readonly ownMemory: DeviceMemory;

  constructor(
    world: FirmwareWorld,
    place: { deviceIndex: number; localIndex: number; fleet: number },
    machine: SimulatedMachine,
    createLink: (platform: FirmwarePlatform) => HttpLink,
  ) {
    super(world, place.deviceIndex, place.localIndex, place.fleet);
    this.firmwareWorld = world;
    this.machine = machine;
    this.link = createLink(this);
    this.ownMemory = new DeviceMemory(world.memory);
  }

  override get memory(): DeviceMemory {
    return this.ownMemory;
  }

  get firmware(): Firmware | undefined {
    return this.machine.firmware;
  }

  override get http(): HttpLink {
    return this.link;
  }

  override fire(): void {
    this.guard(() => super.fire());
  }

  override createTimer(target: TimerTarget): Timer {
    const timer = super.createTimer({ onTimer: () => this.guard(() => target.onTimer()) });
    if (timer !== this) this.extraTimers.push(timer);
    return timer;
  }

  override connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    return super.connect(options, guardedHandlers(this, handlers), target);
  }

  /** Runs the program's code; a power cut in it resets the machine. */
  guard(act: () => void): void {
    if (this.isResetting) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof PowerLoss)) throw error;
      this.firmwareWorld.reset(this, 'power-on');
    }
  }

  /** The run is over: nothing begins any more. */
  retire(): void {
    clearTimeout(this.crashTimer);
    this.link.reset();
  }

  /** The program is gone: nothing of it runs any more. */
  drop(): void {
    clearTimeout(this.crashTimer);
    for (const timer of this.extraTimers) timer.stop();
    this.extraTimers.length = 0;
    this.link.reset();
    // The other side sees the connection end without a DISCONNECT.
    this.stream?.close();
    this.stream = undefined;
    this.connectStartMs = Number.NaN;
    this.ownMemory.releaseAll();
    this.releaseTimer();
    this.isResetting = false;
  }
}

function guardedHandlers(platform: FirmwarePlatform, handlers: StreamHandlers): StreamHandlers {
  return {
    onWritable(room) {
      platform.guard(() => handlers.onWritable.call(this, room));
    },
    onReadable(count) {
      platform.guard(() => handlers.onReadable.call(this, count));
    },
    onError(reason) {
      platform.guard(() => handlers.onError.call(this, reason));
    },
  };
}
