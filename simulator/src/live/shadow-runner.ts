// The shadow service of a run: answers the devices, makes the timeline's changes, and measures
// when they are reported. In a process of its own, as the observer is.

import {
  AWS_FAMILY,
  OWN_FAMILY,
  ShadowService,
  type TopicFamily,
  type Tree,
} from '@flotilla/ota-server/shadow';
import { CborReader, readValue } from '@flotilla/sdk/codec/cbor';
import { Registry } from '../metrics/registry.ts';
import { deviceId, type ShadowChange } from '../scenario/schema.ts';
import type { ShadowReport, ShadowTask } from './messages.ts';
import { RunClock } from './run-clock.ts';
import { shadowClientId } from './shadow-part.ts';
import { ShadowTracker } from './shadow-tracker.ts';

/** Unacknowledged answers at which further changes wait. */
const PACE_COUNT = 1000;
const PACE_MS = 5;
const STATUS_LIMITS = { depthMax: 2, countMax: 16, sizeMax: 256 };

interface BirthMembers {
  readonly state?: unknown;
  readonly since?: unknown;
}

export class ShadowRunner {
  private readonly task: ShadowTask;
  private readonly clock: RunClock;
  private readonly registry: Registry;
  private readonly tracker: ShadowTracker;
  private readonly service: ShadowService;
  private readonly timers: NodeJS.Timeout[] = [];
  private stopped = false;

  constructor(task: ShadowTask) {
    this.task = task;
    const { run, scenario, start, target } = task;
    this.clock = new RunClock(start);
    this.registry = new Registry(scenario.fleets.map(({ name }) => name));
    this.tracker = new ShadowTracker(this.registry);
    for (const [index, fleet] of scenario.fleets.entries()) {
      for (const id of this.idsOf(fleet.name)) this.tracker.add(id, index);
    }
    this.service = new ShadowService({
      broker: { ...brokerOf(target), connectMsMax: scenario.connect.timeoutMs },
      clientId: shadowClientId(run),
      families: [familyOf(scenario.topics)],
      nowMs: () => this.clock.epochMs(),
      onChange: (id, shadow) => this.tracker.take(id, shadow, this.clock.monotonicMs()),
      onStatus: (id, payload) => this.takeStatus(id, payload),
    });
  }

  /** Resolves when requests are answered; rejects with the reason why they cannot be. */
  start(): Promise<void> {
    return this.service.start();
  }

  /** The scenario has begun: its timeline counts from `beginMs`. */
  begin(beginMs: number): void {
    for (const event of this.task.scenario.timeline) {
      if (event.kind !== 'shadow') continue;
      const delayMs = beginMs + event.atMs - this.clock.monotonicMs();
      this.timers.push(setTimeout(() => void this.apply(event), delayMs));
    }
  }

  report(withTrends: boolean): ShadowReport {
    return { kind: 'report', registry: this.registry.toWire(withTrends) };
  }

  /** Leaves the broker as if it had never been there. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    await this.service.stop();
  }

  private async apply({ desired, fleets }: ShadowChange): Promise<void> {
    for (const fleet of fleets) {
      for (const id of this.idsOf(fleet)) {
        while (this.service.pendingCount >= PACE_COUNT && !this.stopped) {
          await new Promise((resolve) => setTimeout(resolve, PACE_MS));
        }
        if (this.stopped) return;
        this.tracker.change(id, desired as Tree, this.clock.monotonicMs());
        this.service.request(id, 'update', { state: { desired } });
      }
    }
  }

  private idsOf(name: string): string[] {
    const { run, scenario } = this.task;
    const fleet = scenario.fleets.find((each) => each.name === name)!;
    return Array.from({ length: fleet.count }, (_, index) => {
      return deviceId(fleet.id, run, name, index);
    });
  }

  private takeStatus(id: string, payload: Buffer): void {
    const reader = new CborReader();
    reader.reset(payload, 0, payload.length);
    const status = readValue(reader, STATUS_LIMITS) as BirthMembers | undefined | null;
    if (status?.state !== 'online') return;
    this.tracker.online(id, this.clock.monotonicMs(), status.since);
  }
}

/** AWS's topics have JSON, all others CBOR. */
function familyOf(topics: string): TopicFamily {
  return topics === AWS_FAMILY.topics ? AWS_FAMILY : { ...OWN_FAMILY, topics };
}

function brokerOf({ host, password, port, tls, username }: ShadowTask['target']) {
  return {
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
}
