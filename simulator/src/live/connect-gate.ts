// Paces connects: at most so many under way at once, and so many started per second. A broker's
// listen backlog is short (mosquitto: 100), and a SYN that overflows it waits a second.

import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';

export interface ConnectLimits {
  readonly inFlight: number;
  /** Connects started per second; undefined = no limit. */
  readonly rate: number | undefined;
  /** From the opening of the socket to CONNACK. Waiting for its turn is no fault of a broker. */
  readonly timeoutMs: number;
}

/** Token bucket over 100 ms: a rate of 5 per second still starts one at a time. */
const BURST_MS = 100;

export class ConnectGate {
  private readonly limits: ConnectLimits;
  private readonly open: (platform: SimulatedPlatform) => void;
  /** Since when; oldest first. */
  private readonly underway = new Map<SimulatedPlatform, number>();
  /** By number; a device that gave up in the meantime does nothing when it is opened. */
  private readonly waiting = new Map<SimulatedPlatform, number>();
  /**
   * Who has number `firstNumber` and those that follow, of whom some wait no more. A map has an
   * order too, but to find its first element takes as long as many were deleted before it.
   */
  private queue: SimulatedPlatform[] = [];
  private firstNumber = 0;
  private nextNumber = 0;
  private tokens = 1;
  private refilledMs = 0;

  /** `open` opens the stream that a platform holds. */
  constructor(limits: ConnectLimits, open: (platform: SimulatedPlatform) => void) {
    this.limits = limits;
    this.open = open;
  }

  /** True while connects are under way or wait. */
  get isBusy(): boolean {
    return this.underway.size > 0 || this.waiting.size > 0;
  }

  /** A device wants to connect. */
  request(platform: SimulatedPlatform, nowMs: number): void {
    if (!this.waiting.has(platform)) {
      this.waiting.set(platform, this.firstNumber + this.queue.length);
      this.queue.push(platform);
    }
    this.admit(nowMs);
  }

  /** The connect of this device succeeded, failed or was given up. */
  release(platform: SimulatedPlatform, nowMs: number): void {
    this.waiting.delete(platform);
    if (this.underway.delete(platform)) this.admit(nowMs);
  }

  /** Opens what may open now; to be called now and then where a rate is set. */
  admit(nowMs: number): void {
    this.refill(nowMs);
    while (this.waiting.size > 0 && this.underway.size < this.limits.inFlight) {
      if (this.limits.rate !== undefined) {
        if (this.tokens < 1) return;
        this.tokens -= 1;
      }
      const platform = this.takeFirst();
      this.underway.set(platform, nowMs);
      this.open(platform);
    }
  }

  /** The device that has waited longest. */
  private takeFirst(): SimulatedPlatform {
    const { waiting } = this;
    let platform: SimulatedPlatform;
    do {
      platform = this.queue[this.nextNumber - this.firstNumber]!;
      this.nextNumber += 1;
    } while (waiting.get(platform) !== this.nextNumber - 1);
    waiting.delete(platform);
    if (2 * (this.nextNumber - this.firstNumber) > this.queue.length) {
      this.queue = this.queue.slice(this.nextNumber - this.firstNumber);
      this.firstNumber = this.nextNumber;
    }
    return platform;
  }

  /** Calls `late` for each connect that takes too long, and counts it as over. */
  expire(nowMs: number, late: (platform: SimulatedPlatform) => void): void {
    for (const [platform, startMs] of this.underway) {
      if (nowMs - startMs < this.limits.timeoutMs) return;
      this.underway.delete(platform);
      late(platform);
    }
  }

  private refill(nowMs: number): void {
    const { rate } = this.limits;
    if (rate === undefined) return;
    const tokensMax = Math.max(1, (rate * BURST_MS) / 1000);
    this.tokens = Math.min(tokensMax, this.tokens + ((nowMs - this.refilledMs) * rate) / 1000);
    this.refilledMs = nowMs;
  }
}
