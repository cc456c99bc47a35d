// Why something happened, and how often: connections that ended, messages that were dropped.

import type { Reasons } from './messages.ts';

/** Reasons told apart; more are counted as 'other'. */
const REASON_COUNT_MAX = 32;

export class ReasonCounts {
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

/** What several workers counted, together. */
export function sumReasons(all: readonly (Reasons | undefined)[]): Reasons {
  const sums: Record<string, number> = {};
  for (const reasons of all) {
    for (const [reason, count] of Object.entries(reasons ?? {})) {
      sums[reason] = (sums[reason] ?? 0) + count;
    }
  }
  return sums;
}

/** The reason that was told most often. */
export function commonest(reasons: Reasons): string {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  return sorted[0]?.[0] ?? 'no reason was given';
}
