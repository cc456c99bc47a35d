// When a device that sleeps is awake: on schedule, for an alarm, or when its buffer fills. It then
// connects, sends what waits, takes what waits for it, and goes back to sleep.

import { sleepDeeply } from './deep-sleep.ts';
import type { Device } from './device.ts';

/** From the end of a connection to deep sleep: the last bytes go out meanwhile. */
const FAREWELL_MS = 500;

/** How a device sleeps. Shared by all devices of a profile. */
export interface WakeOptions {
  /** Between two wake-ups on schedule, ms. */
  readonly intervalMs: number;
  /** Share of the buffer, 0 to 1, from which on it does not wait for the schedule; default 0.75. */
  readonly highWater?: number;
  /** Bound on a time awake, ms: what is not sent by then waits for the next; default 30,000. */
  readonly awakeMsMax?: number;
  /** After everything was sent, for what the server has for the device, ms; default 500. */
  readonly lingerMs?: number;
  /**
   * Shortest deep sleep, ms, default 10,000: for less it is not worth to start anew. Only where the
   * platform can, the buffer has flash behind it, and no sensor keeps a state between samples.
   */
  readonly deepSleepMsMin?: number;
}

export class WakeProfile {
  readonly intervalMs: number;
  readonly highWater: number;
  readonly awakeMsMax: number;
  readonly lingerMs: number;
  readonly deepSleepMsMin: number;

  /** Throws a RangeError that names the option for values out of range. */
  constructor(options: WakeOptions) {
    this.intervalMs = options.intervalMs;
    this.highWater = options.highWater === undefined ? 0.75 : options.highWater;
    this.awakeMsMax = options.awakeMsMax === undefined ? 30000 : options.awakeMsMax;
    this.lingerMs = options.lingerMs === undefined ? 500 : options.lingerMs;
    const { deepSleepMsMin } = options;
    this.deepSleepMsMin = deepSleepMsMin === undefined ? 10000 : deepSleepMsMin;
    if (!(this.deepSleepMsMin >= FAREWELL_MS)) {
      throw new RangeError(`wake.deepSleepMsMin: expected at least ${FAREWELL_MS}`);
    }
    if (!(this.awakeMsMax >= 1)) throw new RangeError('wake.awakeMsMax: expected at least 1');
    if (!(this.lingerMs >= 0)) throw new RangeError('wake.lingerMs: expected at least 0');
    if (!(this.intervalMs >= this.awakeMsMax)) {
      throw new RangeError('wake.intervalMs: expected at least awakeMsMax');
    }
    if (!(this.highWater > 0 && this.highWater <= 1)) {
      throw new RangeError('wake.highWater: expected more than 0 and at most 1');
    }
  }
}

export class Wake {
  isAwake = false;
  /** Times awake so far. */
  count = 0;
  /** Times awake that ended by their bound. */
  cutShortCount = 0;
  private readonly device: Device;
  private readonly profile: WakeProfile;
  /** When the next scheduled wake-up is due; Infinity = stopped. */
  private dueMs = Number.POSITIVE_INFINITY;
  private sinceMs = 0;
  /** Sum of the times awake that are over, ms. */
  pastMs = 0;
  /** Since when nothing was left to send; Infinity = something is. */
  private restingMs = Number.POSITIVE_INFINITY;
  /** Asleep: from when on its sleep may be a deep one. */
  private deepMs = Number.POSITIVE_INFINITY;

  constructor(device: Device, profile: WakeProfile) {
    this.device = device;
    this.profile = profile;
  }

  /** Time awake so far, ms. */
  get awakeMs(): number {
    if (!this.isAwake) return this.pastMs;
    return this.pastMs + this.device.platform.clock.monotonicMs() - this.sinceMs;
  }

  /**
   * Wakes at once, and then on an absolute schedule of a random phase. After deep sleep, `dueMs` is
   * when the schedule of before goes on.
   */
  start(nowMs: number, dueMs: number | undefined): void {
    const { platform } = this.device;
    if (dueMs !== undefined) {
      this.dueMs = dueMs;
      this.deepMs = nowMs;
      return;
    }
    const phase = platform.random() / 4294967296;
    this.dueMs = nowMs + Math.floor(phase * this.profile.intervalMs);
    this.wake(nowMs);
  }

  /** No more wake-ups. */
  stop(): void {
    this.dueMs = Number.POSITIVE_INFINITY;
    this.deepMs = Number.POSITIVE_INFINITY;
    this.pastMs = this.awakeMs;
    this.isAwake = false;
  }

  /** The monotonic ms at which `tick` is wanted next; Infinity = never. */
  nextDeadlineMs(): number {
    if (!this.isAwake) return Math.min(this.dueMs, this.deepMs);
    const { awakeMsMax, lingerMs } = this.profile;
    return Math.min(this.sinceMs + awakeMsMax, this.restingMs + lingerMs);
  }

  tick(nowMs: number): void {
    if (!this.isAwake) {
      if (this.dueMs <= nowMs) this.wake(nowMs);
      else if (this.deepMs <= nowMs) this.sleepDeeply(nowMs);
      return;
    }
    const { awakeMsMax, lingerMs } = this.profile;
    const isBound = this.sinceMs + awakeMsMax <= nowMs;
    if (!isBound && this.restingMs + lingerMs > nowMs) return;
    if (isBound) this.cutShortCount += 1;
    this.sleep(nowMs);
  }

  /** A record came into the buffer, of which this share is taken now, 0 to 1. */
  added(isAlarm: boolean, usedShare: number): void {
    if (this.isAwake || this.dueMs === Number.POSITIVE_INFINITY) return;
    if (isAlarm || usedShare >= this.profile.highWater) {
      this.wake(this.device.platform.clock.monotonicMs());
    }
  }

  /** Wakes now, if it is asleep. */
  wakeUp(): void {
    if (!this.isAwake) this.wake(this.device.platform.clock.monotonicMs());
  }

  /** The device is connected, and has sent all or not. */
  rested(isAtRest: boolean): void {
    if (!isAtRest) this.restingMs = Number.POSITIVE_INFINITY;
    else if (this.restingMs === Number.POSITIVE_INFINITY) {
      this.restingMs = this.device.platform.clock.monotonicMs();
    }
  }

  private wake(nowMs: number): void {
    const { intervalMs } = this.profile;
    if (this.dueMs <= nowMs) {
      this.dueMs += intervalMs * (1 + Math.floor((nowMs - this.dueMs) / intervalMs));
    }
    this.isAwake = true;
    this.count += 1;
    this.sinceMs = nowMs;
    this.restingMs = Number.POSITIVE_INFINITY;
    this.device.client.start();
  }

  private sleep(nowMs: number): void {
    this.isAwake = false;
    this.pastMs += nowMs - this.sinceMs;
    if (this.device.platform.sleep !== undefined) this.deepMs = nowMs + FAREWELL_MS;
    this.device.goToSleep(this.dueMs);
  }

  private sleepDeeply(nowMs: number): void {
    sleepDeeply(this.device, nowMs, this.dueMs);
    // It was not possible: the next sample may change that.
    this.deepMs = this.device.sampler.dueMs;
  }
}
