// The platform of a simulated device whose program can end: by an exception of the user's
// application, by a reset of its machine, by a power cut. The program is dropped then, as on a
// real chip, and started anew; what it had under way does not reach the one after it.

import {
  type BootReason,
  type ConnectOptions,
  PowerLoss,
  type Stream,
  type StreamHandlers,
  type Timer,
  type TimerTarget,
} from '@flotilla/sdk';
import { DeviceMemory } from './fleet-memory.ts';
import { HttpLink, type HttpLinkOwner } from './http-link.ts';
import { type DeviceWorld, SimulatedPlatform } from './simulated-platform.ts';

/** What a thread provides to programs that can end, beside what it provides to all. */
export interface ProgramWorld extends DeviceWorld {
  /** Ends the program at the end of this turn, and starts the device after `reason`. */
  reset(platform: ProgramPlatform, reason: BootReason): void;
  /** Runs `act`, which is the program's; the watch over the thread knows whose it is. */
  enter(platform: ProgramPlatform, act: () => void): void;
  /** The program threw. False: it is not the user's, so it is a bug of ours. */
  failed(platform: ProgramPlatform, error: unknown): boolean;
  /** The program says that it is alive, within a call that takes long. */
  feedWatchdog(): void;
  /** False in an outage. */
  isLinkUp(fleet: number): boolean;
}

/** Where a device stands in its run. */
export interface Place {
  readonly deviceIndex: number;
  readonly localIndex: number;
  readonly fleet: number;
}

export class ProgramPlatform extends SimulatedPlatform {
  /** Why the next boot happens. */
  resetReason: BootReason = 'power-on';
  /** Set from the reset to the end of the turn in which it happened. */
  isResetting = false;
  private readonly programWorld: ProgramWorld;
  private readonly extraTimers: Timer[] = [];
  private readonly ownMemory: DeviceMemory;
  private ownLink: HttpLink | undefined = undefined;

  constructor(world: ProgramWorld, place: Place) {
    super(world, place.deviceIndex, place.localIndex, place.fleet);
    this.programWorld = world;
    this.ownMemory = new DeviceMemory(world.memory);
  }

  override get memory(): DeviceMemory {
    return this.ownMemory;
  }

  override get http(): HttpLink {
    this.ownLink ??= new HttpLink(this.linkOwner());
    return this.ownLink;
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

  override feedWatchdog(): void {
    this.programWorld.feedWatchdog();
  }

  /** Runs the program's code; a power cut in it, or an exception of the user's, resets the device. */
  guard(act: () => void): void {
    if (this.isResetting) return;
    try {
      this.programWorld.enter(this, act);
    } catch (error) {
      if (error instanceof PowerLoss) this.programWorld.reset(this, 'power-on');
      else if (this.programWorld.failed(this, error)) this.programWorld.reset(this, 'crash');
      else throw error;
    }
  }

  /** The run is over: nothing begins any more. */
  retire(): void {
    this.ownLink?.reset();
  }

  /** The program is gone: nothing of it runs any more. */
  drop(): void {
    for (const timer of this.extraTimers) timer.stop();
    this.extraTimers.length = 0;
    this.ownLink?.reset();
    // The other side sees the connection end without a DISCONNECT.
    this.stream?.close();
    this.stream = undefined;
    this.connectStartMs = Number.NaN;
    this.ownMemory.releaseAll();
    this.releaseTimer();
    this.isResetting = false;
  }

  /** What the device's HTTP goes through. */
  protected linkOwner(): HttpLinkOwner {
    return {
      guard: (act) => this.guard(act),
      isUp: () => this.programWorld.isLinkUp(this.fleet),
      onDownloaded: () => undefined,
      route: (url) => url,
      nextDropSize: () => Number.POSITIVE_INFINITY,
    };
  }
}

function guardedHandlers(platform: ProgramPlatform, handlers: StreamHandlers): StreamHandlers {
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
