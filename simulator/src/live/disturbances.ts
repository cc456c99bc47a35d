// What a scenario does to the connections of a worker's devices: outages, and churn.

import type { Device } from '@flotilla/sdk';
import { ProgramPlatform } from '../fleet/program-platform.ts';
import { CHURN_STREAM, randomUnit } from '../fleet/random.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { Outage, Scenario } from '../scenario/schema.ts';
import { Links } from '../world/link.ts';
import type { RunClock } from './run-clock.ts';

const CHURN_INTERVAL_MS = 100;

export class Disturbances {
  readonly links: Links;
  private readonly scenario: Scenario;
  private readonly clock: RunClock;
  private readonly platforms: readonly SimulatedPlatform[];
  private readonly devices: readonly (Device | undefined)[];
  private readonly timers: NodeJS.Timeout[] = [];
  private churnTimer: NodeJS.Timeout | undefined;
  private churnCount = 0;

  /** `platforms` and `devices` are by local index, and may grow. */
  constructor(
    scenario: Scenario,
    clock: RunClock,
    platforms: readonly SimulatedPlatform[],
    devices: readonly (Device | undefined)[],
  ) {
    this.scenario = scenario;
    this.clock = clock;
    this.platforms = platforms;
    this.devices = devices;
    this.links = new Links(scenario.fleets.map(({ name }) => name));
  }

  begin(beginMs: number): void {
    const { fleets, timeline } = this.scenario;
    for (const event of timeline) if (event.kind === 'outage') this.schedule(event, beginMs);
    if (fleets.some(({ churnMs }) => churnMs > 0)) {
      this.churnTimer = setInterval(() => this.churn(), CHURN_INTERVAL_MS);
    }
  }

  /** Sampling has ended: nobody leaves any more. */
  stopChurn(): void {
    clearInterval(this.churnTimer);
  }

  stop(): void {
    this.stopChurn();
    for (const timer of this.timers) clearTimeout(timer);
  }

  private schedule(event: Outage, beginMs: number): void {
    const at = (ms: number, act: () => void) => {
      const delayMs = beginMs + ms - this.clock.monotonicMs();
      this.timers.push(setTimeout(act, delayMs));
    };
    at(event.atMs, () => {
      this.links.begin(event);
      const fleets = new Set(this.links.affected(event));
      for (const platform of this.platforms) {
        if (fleets.has(platform.fleet)) this.cutLinks(platform);
      }
    });
    at(event.atMs + event.forMs, () => this.links.end(event));
  }

  /** Cuts what the outages in force leave no way for. */
  private cutLinks(platform: SimulatedPlatform): void {
    const { fleet, stream } = platform;
    if (stream !== undefined && this.links.isDown(fleet)) this.links.cut(stream);
    if (platform instanceof ProgramPlatform && this.links.isServerDown(fleet)) platform.http.cut();
  }

  /** Lets clients go and come back: each with the same chance in every turn (a Poisson process). */
  private churn(): void {
    const { fleets, seed } = this.scenario;
    this.churnCount += 1;
    for (const { deviceIndex, fleet, localIndex } of this.platforms) {
      const { churnMs } = fleets[fleet]!;
      if (churnMs === 0) continue;
      const chance = -Math.expm1(-CHURN_INTERVAL_MS / churnMs);
      const drawn = randomUnit(seed, deviceIndex, CHURN_STREAM, this.churnCount);
      if (drawn < chance) this.devices[localIndex]?.reconnect();
    }
  }
}
