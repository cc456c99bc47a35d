// What the latest reports of all workers come to.

import type { WorkerReport } from './messages.ts';

type Reports = readonly (WorkerReport | undefined)[];

/** Connections accepted, by MQTT version. */
export type Spoken = Readonly<Record<4 | 5, number>>;

/** Messages in outboxes. */
export function pendingIn(reports: Reports): number {
  return reports.reduce((sum, report) => sum + (report?.pending ?? 0), 0);
}

export function spokenIn(reports: Reports): Spoken {
  const counts = { 4: 0, 5: 0 };
  for (const report of reports) {
    counts[4] += report?.versions[4] ?? 0;
    counts[5] += report?.versions[5] ?? 0;
  }
  return counts;
}

/** What was spoken, for people. */
export function protocolName(spoken: Spoken): string {
  const names = [spoken[5] > 0 ? '5' : '', spoken[4] > 0 ? '3.1.1' : ''].filter(Boolean);
  return names.length === 0 ? 'MQTT' : `MQTT ${names.join(' and ')}`;
}
