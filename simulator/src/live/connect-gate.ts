// Paces connects: at most so many under way at once, and so many started per second. A broker's
// listen backlog is short (mosquitto: 100), and a SYN that overflows it waits a second.

import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';

export interface ConnectLimits {
  readonly inFlight: number;
  /** Connects started per second; undefined = no limit. */
  readonly rate: number | undefined;
}

/** Token bucket over 100 ms: a rate of 5 per second still starts one at a time. */
const BURST_MS = 100;

export class ConnectGate {
  private readonly limits: ConnectLimits;
  private readonly open: (platform: SimulatedPlatform) => void;
  private readonly underway = new Set<SimulatedPlatform>();
  /** Oldest first; a device that gave up in the meantime does nothing when it is opened. */
  private readonly waiting = new Set<SimulatedPlatform>();
  private tokens = 1;
  private refilledMs = 0;

  /** `open` opens the stream that a platform holds. */
  constructor(limits: ConnectLimits, open: (platform: SimulatedPlatform) => void) {
    this.limits = limits;
    this.open = open;
  }

  /** A device wants to connect. */
  request(platform: SimulatedPlatform, nowMs: number): void {
    this.waiting.add(platform);
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
    for (const platform of this.waiting) {
      if (this.underway.size >= this.limits.inFlight) return;
      if (this.limits.rate !== undefined) {
        if (this.tokens < 1) return;
        this.tokens -= 1;
      }
      this.waiting.delete(platform);
      this.underway.add(platform);
      this.open(platform);
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
