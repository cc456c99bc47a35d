// Why something happened, and how often: connections that ended, connects that failed.

import type { DeviceEvents } from '@flotilla/sdk';
import type { Reasons, WorkerReport } from './messages.ts';

/** Reasons told apart; more are counted as 'other'. */
const REASON_COUNT_MAX = 32;

class ReasonCounts {
  private readonly counts = new Map<string, number>();

  add(reason: string): void {
    const known = this.counts.has(reason) || this.counts.size < REASON_COUNT_MAX;
    const key = known ? reason : 'other';
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  toObject(): Reasons {
    return Object.fromEntries(this.counts);
  }
}

/** What a worker counts by reason. */
export class RunReasons {
  readonly ended = new ReasonCounts();
  readonly failed = new ReasonCounts();
  readonly found = new ReasonCounts();
  /** What the broker did not take of what devices say and ask beside telemetry. */
  readonly events: DeviceEvents = {
    onLeftOut: (_, topic, reason) => this.found.add(`${topic} left out: ${reason}`),
    onSubscriptionRefused: ({ id }, filter, reason) => {
      this.found.add(`no subscription to ${filter.replaceAll(id, '{id}')}: ${reason}`);
    },
  };

  toObject(): Pick<WorkerReport, 'reasons' | 'failures' | 'findings'> {
    return {
      reasons: this.ended.toObject(),
      failures: this.failed.toObject(),
      findings: this.found.toObject(),
    };
  }
}

/** The sum of several, reason by reason. */
export function addReasons(all: readonly (Reasons | undefined)[]): Reasons {
  const sums: Record<string, number> = {};
  for (const reasons of all) {
    for (const [reason, count] of Object.entries(reasons ?? {})) {
      sums[reason] = (sums[reason] ?? 0) + count;
    }
  }
  return sums;
}

/** Each reason as a line for people. */
export function warningsOf(reasons: Reasons): string[] {
  return Object.entries(reasons).map(
    ([reason, count]) => `${reason} (${count.toLocaleString('en')} times)`,
  );
}

/** The one that most connections ended for. */
export function commonest(reasons: Reasons): string {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  return sorted[0]?.[0] ?? 'no reason was given';
}
