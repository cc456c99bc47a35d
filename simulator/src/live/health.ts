// Is the generator itself the limit? Each worker compares when its messages were made with when
// they were due: what left late because the worker was late is not the broker's. How busy it was
// is told too, but proves nothing: a worker may be busy and in time.

import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** What a worker says of itself, or the worst of several. */
export interface Health {
  /** 99th percentile of how late the event loop came to a timer, ms. */
  readonly loopDelayP99Ms: number;
  /** Share of the time in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number;
  /** Share of the scheduled messages that left too late, start-up and one stall aside, 0 to 1. */
  readonly lateShare: number;
}

/** From here on the generator is taken for the limit. */
export const LATE_SHARE_MAX = 0.01;
/** A message may leave this share of its interval late, but that is within these bounds, ms. */
export const LATE_INTERVAL_SHARE = 0.1;
export const LATE_MS_MIN = 50;
export const LATE_MS_MAX = 250;
/** After the ramp, the first messages of all devices find a program that is not warm yet. */
export const START_UP_MS = 1000;
/** A stall is counted in windows of this size; the two in which it falls are forgiven. */
export const STALL_WINDOW_MS = 1000;

/** Each look wakes the thread. */
const RESOLUTION_MS = 50;

/** How late a message with this interval may leave, ms; Infinity = it has no fixed one. */
export function latenessMax(intervalMs: number): number {
  if (!Number.isFinite(intervalMs)) return LATE_MS_MIN;
  return Math.min(LATE_MS_MAX, Math.max(LATE_MS_MIN, LATE_INTERVAL_SHARE * intervalMs));
}

/** How many messages left late. Of constant size, however long the run. */
export class Punctuality {
  private readonly fromMs: number;
  private count = 0;
  private lateCount = 0;
  /** Late ones of the present window and the one before it, and the most of any such two. */
  private window = 0;
  private inWindow = 0;
  private inWindowBefore = 0;
  private worst = 0;

  /** Counts what is due from `fromMs` + START_UP_MS on. */
  constructor(fromMs: number) {
    this.fromMs = fromMs + START_UP_MS;
  }

  /** A message that was due at `scheduledMs` leaves at `nowMs`; it may be `maxMs` late. */
  add(scheduledMs: number, nowMs: number, maxMs: number): void {
    if (scheduledMs < this.fromMs) return;
    this.count += 1;
    if (nowMs - scheduledMs <= maxMs) return;
    this.lateCount += 1;
    const window = Math.floor(nowMs / STALL_WINDOW_MS);
    if (window !== this.window) {
      this.inWindowBefore = window === this.window + 1 ? this.inWindow : 0;
      this.inWindow = 0;
      this.window = window;
    }
    this.inWindow += 1;
    this.worst = Math.max(this.worst, this.inWindow + this.inWindowBefore);
  }

  /** Share of the messages that left late, the worst two neighbouring windows aside. */
  get lateShare(): number {
    return this.count === 0 ? 0 : (this.lateCount - this.worst) / this.count;
  }
}

export class HealthMonitor {
  private readonly delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly begin: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.delays.enable();
  }

  health(lateShare: number): Health {
    const p99Ms = this.delays.percentile(99) / 1e6 - RESOLUTION_MS;
    return {
      loopDelayP99Ms: Math.max(0, Math.round(p99Ms * 10) / 10),
      loopUtilization: performance.eventLoopUtilization(this.begin).utilization,
      lateShare,
    };
  }
}

/** The worst of all workers. */
export function worstHealth(all: readonly Health[]): Health {
  return {
    loopDelayP99Ms: Math.max(0, ...all.map(({ loopDelayP99Ms }) => loopDelayP99Ms)),
    loopUtilization: Math.max(0, ...all.map(({ loopUtilization }) => loopUtilization)),
    lateShare: Math.max(0, ...all.map(({ lateShare }) => lateShare)),
  };
}

/** What a reader of the summary must know before they blame the broker. */
export function healthWarnings(health: Health, missedSamples: number): string[] {
  const { lateShare, loopUtilization } = health;
  const warnings: string[] = [];
  if (lateShare > LATE_SHARE_MAX) {
    warnings.push(
      `the generator was the limit, not the broker: a worker sent ${percent(lateShare)} of its ` +
        `messages too late and was busy ${percent(loopUtilization)} of the time; run fewer ` +
        'devices, longer intervals or more workers on more cores',
    );
  }
  if (missedSamples > 0) {
    warnings.push(`${missedSamples.toLocaleString('en')} samples were not made in time`);
  }
  return warnings;
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}
