// Whose messages go to whom: which devices' telemetry the filters of each fleet ask for. Every
// subscriber of a fleet gets each message once, however many of its filters match; of a shared
// subscription (MQTT 5 §4.8.2) one member gets it. Plain clients whose messages say nothing of
// themselves have no part in it: it cannot be told which of them came.

import { isShared, topicMatches } from '@flotilla/sdk/mqtt/topic';
import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import { DevicePlaces } from '../fleet/device-places.ts';
import { PLAIN_HEAD_SIZE } from '../fleet/plain-payload.ts';
import type { Scenario } from '../scenario/schema.ts';

/** Pairs of subscriber and publisher that are kept apart at most; each takes four bytes. */
export const PAIR_COUNT_MAX = 8_388_608;

/** Who hears of some publishers: each subscriber of a fleet, or a group of them together. */
export interface Audience {
  readonly fleet: number;
  /** The shared subscription, `$share/name/filter`; absent = every subscriber of its own. */
  readonly share?: string;
  /** Device indexes, ascending. */
  readonly publishers: readonly number[];
  /** By device: its place in `publishers`, -1 = not among them. */
  readonly columns: Int32Array;
}

export class FanOutPlan {
  readonly audiences: readonly Audience[];
  /** Names of fleets with more pairs than are kept apart, which have no account. */
  readonly tooLarge: readonly string[];
  /** Names of fleets whose messages are asked for and cannot be told apart. */
  readonly anonymous: readonly string[];
  /** By fleet: places in `audiences` of those that its members belong to. */
  readonly byFleet: readonly (readonly number[])[];

  constructor(scenario: Scenario, run: string) {
    const { fleets } = scenario;
    const audiences: Audience[] = [];
    const tooLarge: string[] = [];
    const topics = hasSubscribers(scenario) ? topicsOf(scenario, run) : [];
    const places = new DevicePlaces(fleets);
    const anonymous = new Set<string>();
    const audienceOf = (fleet: number, filters: readonly string[]): Audience => {
      const columns = new Int32Array(topics.length).fill(-1);
      const publishers: number[] = [];
      for (const [device, topic] of topics.entries()) {
        if (!filters.some((filter) => topicMatches(filter, topic))) continue;
        const { kind, name, payloadSize } = fleets[places.fleetOf(device)]!;
        if (kind === 'plain' && payloadSize < PLAIN_HEAD_SIZE) {
          anonymous.add(name);
          continue;
        }
        columns[device] = publishers.length;
        publishers.push(device);
      }
      return { fleet, publishers, columns };
    };
    let pairs = 0;
    this.byFleet = fleets.map(({ count, name, subscribe }, fleet) => {
      const filters = subscribe.map((filter) => filter.replaceAll('{run}', run));
      const mine: number[] = [];
      const own = filters.filter((filter) => !isShared(filter));
      const audience = audienceOf(fleet, own);
      const isLarge = pairs + count * audience.publishers.length > PAIR_COUNT_MAX;
      if (isLarge) {
        tooLarge.push(name);
      } else if (audience.publishers.length > 0) {
        pairs += count * audience.publishers.length;
        mine.push(audiences.push(audience) - 1);
      }
      for (const share of new Set(filters.filter(isShared))) {
        // The same share in another fleet is the same group.
        const known = audiences.findIndex((other) => other.share === share);
        const group = { ...audienceOf(fleet, [filterOf(share)]), share };
        if (known >= 0) mine.push(known);
        else if (group.publishers.length > 0) mine.push(audiences.push(group) - 1);
      }
      return mine;
    });
    this.audiences = audiences;
    this.tooLarge = tooLarge;
    this.anonymous = [...anonymous];
  }
}

/** What has no account, and why, for people. */
export function planWarnings({ anonymous, tooLarge }: FanOutPlan): string[] {
  return [
    ...tooLarge.map(
      (fleet) => `${fleet}: too many subscribers and publishers to account for their fan-out`,
    ),
    ...anonymous.map(
      (fleet) =>
        `${fleet}: messages of less than ${PLAIN_HEAD_SIZE} B cannot be told apart, so what ` +
        'subscribers receive of them is not accounted for',
    ),
  ];
}

/** True when fleets subscribe to anything. */
export function hasSubscribers({ fleets }: Scenario): boolean {
  return fleets.some(({ subscribe }) => subscribe.length > 0);
}

/** Of `$share/name/filter`. */
function filterOf(share: string): string {
  return share.split('/').slice(2).join('/');
}

function topicsOf({ fleets, topics }: Scenario, run: string): string[] {
  const places = new DevicePlaces(fleets);
  const template = new TopicTemplate(topics);
  return Array.from({ length: places.total }, (_, device) => {
    return template.format(places.idOf(device, run), 'telemetry');
  });
}
