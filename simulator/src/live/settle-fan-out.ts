// The end of the subscribers' accounts: what the broker took of the publishers against what each
// subscriber, or group of them, received of it.

import { DevicePlaces } from '../fleet/device-places.ts';
import type { Audience, FanOutPlan } from '../ledger/fan-out-plan.ts';
import { SequenceBits } from '../ledger/sequence-bits.ts';
import { unionCount } from '../ledger/sequence-set.ts';
import type { Registry } from '../metrics/registry.ts';
import type { FanOutSummary, SubscriberSummary } from '../report/fan-out.ts';
import type { Scenario } from '../scenario/schema.ts';
import type { SubscriberResult, WorkerResult } from './messages.ts';

/** Subscribers that the summary names, of those that lost something. */
const WORST_COUNT_MAX = 5;

interface Account {
  expected: number;
  received: number;
}

export class FanOutSettlement {
  private readonly scenario: Scenario;
  private readonly run: string;
  private readonly plan: FanOutPlan;
  private readonly results: readonly WorkerResult[];
  private readonly places: DevicePlaces;
  /** Messages of each device that the broker took. */
  private readonly taken: Float64Array;

  /** `seen` has ranges of observed sequences by device. */
  constructor(
    scenario: Scenario,
    run: string,
    plan: FanOutPlan,
    results: readonly WorkerResult[],
    seen: readonly (readonly number[])[],
  ) {
    this.scenario = scenario;
    this.run = run;
    this.plan = plan;
    this.results = results;
    this.places = new DevicePlaces(scenario.fleets);
    this.taken = new Float64Array(this.places.total);
    for (const { accounts } of results) {
      for (const { acknowledged, device } of accounts) {
        const { qos } = scenario.fleets[this.places.fleetOf(device)]!;
        // At QoS 0 to have been written is no proof that it arrived.
        this.taken[device] = unionCount(qos > 0 ? acknowledged : [], seen[device] ?? []);
      }
    }
  }

  /** Adds the metrics to `registry`; one summary for each fleet or group. */
  settle(registry: Registry): FanOutSummary[] {
    const received = this.results.flatMap(({ fanOut }) => fanOut.subscribers);
    return this.plan.audiences.map((audience, place) => {
      const members = received.filter((result) => result.audience === place);
      const summary =
        audience.share === undefined
          ? this.settleEach(audience, members)
          : this.settleGroup(audience, place, members);
      registry.counter('fanout_expected', audience.fleet).add(summary.expected);
      registry.counter('fanout_lost', audience.fleet).add(summary.lost);
      return summary;
    });
  }

  private settleEach(audience: Audience, members: readonly SubscriberResult[]): FanOutSummary {
    const { count, name } = this.scenario.fleets[audience.fleet]!;
    const byDevice = new Map(members.map((result) => [result.device, result]));
    const first = this.places.firstOf(audience.fleet);
    const all = Array.from({ length: count }, (_, index) => {
      return this.subscriber(audience, first + index, byDevice.get(first + index));
    });
    const lossy = all.filter(({ lost }) => lost > 0).sort((a, b) => b.lost - a.lost);
    const total: Account = { expected: 0, received: 0 };
    for (const { expected, received } of all) {
      total.expected += expected;
      total.received += received;
    }
    const worst = lossy.slice(0, WORST_COUNT_MAX);
    return { ...summaryOf(name, total, members), subscribers: count, worst };
  }

  private subscriber(
    audience: Audience,
    device: number,
    result: SubscriberResult | undefined,
  ): SubscriberSummary {
    const account: Account = { expected: 0, received: 0 };
    for (const [column, publisher] of audience.publishers.entries()) {
      add(account, this.taken[publisher]!, result?.counts?.[column] ?? 0);
    }
    const { fleet: _, ...summary } = summaryOf('', account, result === undefined ? [] : [result]);
    return { id: this.places.idOf(device, this.run), ...summary };
  }

  private settleGroup(
    audience: Audience,
    place: number,
    members: readonly SubscriberResult[],
  ): FanOutSummary {
    const { fleets } = this.scenario;
    const account: Account = { expected: 0, received: 0 };
    const groups = this.results.flatMap(({ fanOut }) => {
      return fanOut.groups.filter((group) => group.audience === place);
    });
    for (const [column, publisher] of audience.publishers.entries()) {
      const united = new SequenceBits();
      for (const { bits } of groups) {
        const bytes = bits[column];
        if (bytes !== undefined) united.unite(bytes);
      }
      add(account, this.taken[publisher]!, united.count);
    }
    let subscribers = 0;
    for (const [fleet, places] of this.plan.byFleet.entries()) {
      if (places.includes(place)) subscribers += fleets[fleet]!.count;
    }
    const { name } = fleets[audience.fleet]!;
    const share = { share: audience.share! };
    return { ...summaryOf(name, account, members), ...share, subscribers, worst: [] };
  }
}

/** A subscriber may have received what was neither acknowledged nor observed: the broker took it. */
function add(account: Account, taken: number, received: number): void {
  account.expected += Math.max(taken, received);
  account.received += received;
}

function summaryOf(
  fleet: string,
  { expected, received }: Account,
  members: readonly SubscriberResult[],
): Omit<FanOutSummary, 'subscribers' | 'worst'> {
  let count = 0;
  let sumMs = 0;
  let latencyMaxMs = 0;
  for (const member of members) {
    count += member.latencyCount;
    sumMs += member.latencySumMs;
    latencyMaxMs = Math.max(latencyMaxMs, member.latencyMaxMs);
  }
  const latencyAvgMs = count === 0 ? 0 : sumMs / count;
  return { fleet, expected, received, lost: expected - received, latencyAvgMs, latencyMaxMs };
}
