// What subscribers of the fleet received of its telemetry: for the summary, and for people.

import { formatInteger, formatMs } from './format.ts';

/** One subscriber, or what one member of a group received. */
export interface SubscriberSummary {
  readonly id: string;
  readonly expected: number;
  readonly received: number;
  readonly lost: number;
  /** Of what did not wait for a connection; 0 = nothing was measured. */
  readonly latencyAvgMs: number;
  readonly latencyMaxMs: number;
}

/** The subscribers of a fleet, each with an account of its own, or a group that shares one. */
export interface FanOutSummary {
  readonly fleet: string;
  /** The shared subscription; absent = every subscriber gets everything. */
  readonly share?: string;
  readonly subscribers: number;
  /** Messages that the broker took, times who was to get each. */
  readonly expected: number;
  /** Each counted once per subscriber, or once per group. */
  readonly received: number;
  readonly lost: number;
  readonly latencyAvgMs: number;
  readonly latencyMaxMs: number;
  /** Those that lost most; none for a group, in which nobody has to get anything. */
  readonly worst: readonly SubscriberSummary[];
}

/** A table: its head, a row for each fleet or group, and the worst subscribers of each. */
export function describeFanOut(all: readonly FanOutSummary[]): string[][] {
  const head = ['FAN-OUT', 'subscribers', 'expected', 'received', 'lost', 'avg', 'max'];
  return [head, ...all.flatMap(describeOne)];
}

function describeOne({ fleet, share, subscribers, worst, ...account }: FanOutSummary): string[][] {
  const name = share === undefined ? fleet : `${fleet} ${share}`;
  const rows = [[`  ${name}`, formatInteger(subscribers), ...numbersOf(account)]];
  for (const { id, ...own } of worst) rows.push([`    ${id}`, '', ...numbersOf(own)]);
  return rows;
}

function numbersOf(account: Omit<SubscriberSummary, 'id'>): string[] {
  const { expected, received, lost, latencyAvgMs, latencyMaxMs } = account;
  const latencies = latencyMaxMs > 0 ? [latencyAvgMs, latencyMaxMs].map(formatMs) : ['-', '-'];
  return [formatInteger(expected), formatInteger(received), formatInteger(lost), ...latencies];
}
