// One clock for all threads and processes of a run: the system's monotonic clock, as ms since the
// start of the run, with the wall-clock time of that start. Threads differ in performance.now(),
// the system clock beneath is the same.

import { performance } from 'node:perf_hooks';
import type { Clock } from '@flotilla/sdk';

/** The start of a run, to be handed to every thread. */
export interface RunStart {
  /** System monotonic ms. */
  readonly monotonicMs: number;
  /** Ms since 1970. */
  readonly epochMs: number;
}

/** The host keeps its time to within this many ms; devices have theirs from it. */
const HOST_UNCERTAINTY_MS = 100;

function systemOffsetMs(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}

/** The present moment as the start of a run. */
export function startRun(): RunStart {
  return { monotonicMs: systemOffsetMs() + performance.now(), epochMs: Date.now() };
}

export class RunClock implements Clock {
  private readonly offsetMs: number;
  private readonly startEpochMs: number;
  /** The moment at which time stands still; below 0 = it does not. */
  private heldMs = -1;

  constructor(start: RunStart) {
    this.offsetMs = systemOffsetMs() - start.monotonicMs;
    this.startEpochMs = start.epochMs;
  }

  /** Ms since the start of the run. */
  monotonicMs(): number {
    const { heldMs } = this;
    return heldMs >= 0 ? heldMs : performance.now() + this.offsetMs;
  }

  /**
   * Time stands still until `letGo`, while a device handles one event, as it does in virtual mode:
   * a device asks for the time ten times per message.
   */
  hold(): void {
    this.heldMs = performance.now() + this.offsetMs;
  }

  letGo(): void {
    this.heldMs = -1;
  }

  /** Follows the monotonic clock, so that a step of the host's time moves no latency. */
  epochMs(): number {
    return this.startEpochMs + this.monotonicMs();
  }

  epochUncertaintyMs(): number {
    return HOST_UNCERTAINTY_MS;
  }

  adjust(): void {
    // The host's time is better than what a broker could tell.
  }
}
