// What a scenario does to the links of a worker's devices: outages that begin and end, and clients
// that go and come back.

import type { Device } from '@flotilla/sdk';
import { ProgramPlatform } from '../fleet/program-platform.ts';
import { CHURN_STREAM, randomUnit } from '../fleet/random.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { Outage, Scenario } from '../scenario/schema.ts';
import type { Links } from '../world/link.ts';
import type { RunClock } from './run-clock.ts';

const CHURN_INTERVAL_MS = 100;

export interface DisturbedWorld {
  readonly scenario: Scenario;
  readonly clock: RunClock;
  readonly links: Links;
  readonly platforms: readonly SimulatedPlatform[];
  /** By local index. */
  readonly devices: readonly (Device | undefined)[];
}

export class Disturbances {
  private readonly world: DisturbedWorld;
  private readonly timers: NodeJS.Timeout[] = [];
  private churnTimer: NodeJS.Timeout | undefined;
  private churnCount = 0;

  constructor(world: DisturbedWorld) {
    this.world = world;
  }

  /** The scenario begins at `beginMs`. */
  begin(beginMs: number): void {
    const { fleets, timeline } = this.world.scenario;
    for (const event of timeline) if (event.kind === 'outage') this.schedule(event, beginMs);
    if (fleets.some(({ churnMs }) => churnMs > 0)) {
      this.churnTimer = setInterval(() => this.churn(), CHURN_INTERVAL_MS);
    }
  }

  /** Sampling is over: clients stay. */
  stopChurn(): void {
    clearInterval(this.churnTimer);
  }

  stop(): void {
    this.stopChurn();
    for (const timer of this.timers) clearTimeout(timer);
  }

  /** Lets clients go and come back: each with the same chance in every turn (a Poisson process). */
  private churn(): void {
    const { devices, platforms, scenario } = this.world;
    this.churnCount += 1;
    for (const { deviceIndex, fleet, localIndex } of platforms) {
      const { churnMs } = scenario.fleets[fleet]!;
      if (churnMs === 0) continue;
      const chance = -Math.expm1(-CHURN_INTERVAL_MS / churnMs);
      const drawn = randomUnit(scenario.seed, deviceIndex, CHURN_STREAM, this.churnCount);
      if (drawn < chance) devices[localIndex]?.reconnect();
    }
  }

  private schedule(event: Outage, beginMs: number): void {
    const { clock, links, platforms } = this.world;
    const at = (ms: number, act: () => void) => {
      const delayMs = beginMs + ms - clock.monotonicMs();
      this.timers.push(setTimeout(act, delayMs));
    };
    at(event.atMs, () => {
      links.begin(event);
      const fleets = new Set(links.affected(event));
      for (const platform of platforms) if (fleets.has(platform.fleet)) this.cutLinks(platform);
    });
    at(event.atMs + event.forMs, () => links.end(event));
  }

  /** Cuts what the outages in force leave no way for. */
  private cutLinks(platform: SimulatedPlatform): void {
    const { links } = this.world;
    const { fleet, stream } = platform;
    if (stream !== undefined && links.isDown(fleet)) links.cut(stream);
    if (platform instanceof ProgramPlatform && links.isServerDown(fleet)) platform.http.cut();
  }
}
