// Is the generator itself the limit? Each worker watches its event loop: latencies that it
// measures late, or devices that it cannot serve, are not the broker's.

import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** What a worker says of itself, or the worst of several. */
export interface Health {
  /** 99th percentile of how late the event loop came to a timer, ms. */
  readonly loopDelayP99Ms: number;
  /** Share of the time in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number;
}

/** From here on the generator is taken for the limit. */
export const LOOP_DELAY_MS_MAX = 50;
export const LOOP_UTILIZATION_MAX = 0.9;

/** Each look wakes the thread. */
const RESOLUTION_MS = 50;

export class HealthMonitor {
  private readonly delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly begin: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.delays.enable();
  }

  health(): Health {
    const p99Ms = this.delays.percentile(99) / 1e6 - RESOLUTION_MS;
    return {
      loopDelayP99Ms: Math.max(0, Math.round(p99Ms * 10) / 10),
      loopUtilization: performance.eventLoopUtilization(this.begin).utilization,
    };
  }
}

/** The worst of all workers. */
export function worstHealth(all: readonly Health[]): Health {
  return {
    loopDelayP99Ms: Math.max(0, ...all.map(({ loopDelayP99Ms }) => loopDelayP99Ms)),
    loopUtilization: Math.max(0, ...all.map(({ loopUtilization }) => loopUtilization)),
  };
}

/** What a reader of the summary must know before they blame the broker. */
export function healthWarnings(health: Health, missedSamples: number): string[] {
  const { loopDelayP99Ms, loopUtilization } = health;
  const warnings: string[] = [];
  if (loopDelayP99Ms > LOOP_DELAY_MS_MAX || loopUtilization > LOOP_UTILIZATION_MAX) {
    warnings.push(
      `the generator was the limit, not the broker: a worker was busy ` +
        `${Math.round(loopUtilization * 100)}% of the time and up to ${loopDelayP99Ms} ms late ` +
        '(p99); run fewer devices, longer intervals or more workers on more cores',
    );
  }
  if (missedSamples > 0) {
    warnings.push(`${missedSamples.toLocaleString('en')} samples were not made in time`);
  }
  return warnings;
}
