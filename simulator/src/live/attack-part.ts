// The run's side of attacks on firmware updates: who is attacked how, the attacker's server, and
// what the summary says of it.

import type { Catalogue } from '../firmware/catalogue.ts';
import { deviceToken } from '../firmware/keys.ts';
import type { Registry } from '../metrics/registry.ts';
import type { AttackSummary } from '../report/updates.ts';
import { deviceId, type Scenario } from '../scenario/schema.ts';
import { type AttackKind, attackOf, DIRECT_ATTACKS } from '../scenario/update.ts';
import { AttackLog } from './attack-log.ts';
import { attackOffers } from './attack-offers.ts';
import { Attacker } from './attack-requests.ts';
import { AttackServer } from './attack-server.ts';

const INTERVAL_MS = 500;

interface Victim {
  readonly kind: AttackKind;
  readonly id: string;
  readonly fleet: number;
}

/** True when the scenario has attacks. */
export function needsAttacks({ fleets }: Scenario): boolean {
  return fleets.some(({ firmware }) => firmware !== undefined && firmware.attacks.length > 0);
}

export class AttackPart {
  private readonly scenario: Scenario;
  private readonly catalogue: Catalogue;
  private readonly victims: readonly Victim[];
  private readonly log: AttackLog;
  private server: AttackServer | undefined;
  private timer: NodeJS.Timeout | undefined;
  private work: Promise<void> = Promise.resolve();

  constructor(scenario: Scenario, run: string, catalogue: Catalogue) {
    this.scenario = scenario;
    this.catalogue = catalogue;
    this.victims = scenario.fleets.flatMap(({ count, firmware, id, name }, fleet) => {
      if (firmware === undefined) return [];
      return Array.from({ length: count }, (_, index) => index).flatMap((index) => {
        const kind = attackOf(firmware, index);
        return kind === undefined ? [] : [{ kind, id: deviceId(id, run, name, index), fleet }];
      });
    });
    this.log = new AttackLog(this.victims);
  }

  get isOver(): boolean {
    return this.log.isOver;
  }

  /** Resolves with the base URL of the attacker; its kind of attack follows in the path. */
  async start(): Promise<string> {
    const { catalogue, scenario } = this;
    const [fleet] = this.victims.map((victim) => scenario.fleets[victim.fleet]!);
    const firmware = fleet!.firmware!;
    const kinds = [...new Set(this.victims.map(({ kind }) => kind))];
    const offers = new Map(
      kinds
        .filter((kind) => !DIRECT_ATTACKS.includes(kind))
        .map((kind) => [kind, attackOffers(kind, catalogue, scenario.seed, firmware)] as const),
    );
    this.server = new AttackServer(offers, this.log, Math.ceil(firmware.pollMs / 1000));
    return await this.server.start();
  }

  /** Attacks the server too, as long as it takes to be offered something. */
  begin(url: string): void {
    const { catalogue, scenario } = this;
    const image = catalogue.factory.find((factory) => factory !== undefined)!;
    const tokenOf = (id: string) => deviceToken(scenario.seed, id);
    const attacker = new Attacker({ url, log: this.log, image, tokenOf });
    const direct = this.victims.filter(({ kind }) => DIRECT_ATTACKS.includes(kind));
    const turn = async () => {
      for (const [index, { id, kind }] of direct.entries()) {
        if (this.log.isEnded(kind, id)) continue;
        const other = direct[(index + 1) % direct.length]!.id;
        if (kind === 'url-abuse') await attacker.abuseUrl(id, other);
        else await attacker.forgeReport(id, other);
      }
    };
    this.timer = setInterval(() => {
      // A server that is gone ends the run by another way.
      this.work = this.work.then(turn).catch(() => undefined);
    }, INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.work;
    const { server } = this;
    this.server = undefined;
    await server?.stop();
  }

  addTo(registry: Registry): void {
    const fleet = this.victims[0]!.fleet;
    registry.counter('attacks', fleet).add(this.victims.length);
    registry.counter('attacks_stopped', fleet).add(this.log.stoppedCount);
    registry.counter('attacks_succeeded', fleet).add(this.log.succeededCount);
  }

  summaries(): AttackSummary[] {
    return this.log.summaries();
  }
}
