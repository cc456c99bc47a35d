// What a run that did not come to its end leaves at its broker, and how it is removed.

import type { ProtocolVersion } from '@flotilla/sdk';
import { DevicePlaces } from '../fleet/device-places.ts';
import type { Scenario } from '../scenario/schema.ts';
import { Cleaner } from './cleaner.ts';
import type { Target } from './messages.ts';
import { CLAIM } from './run-claim.ts';
import { needsShadow, shadowClientId } from './shadow-part.ts';
import type { Spoken } from './workers-part.ts';

/** However large the fleet, whoever ended the run gets an answer. */
const CLEAN_MS_MAX = 60_000;

/** Who was at which broker. */
export interface Presence {
  readonly scenario: Scenario;
  readonly run: string;
  readonly target: Target;
}

/** Client ids of a run's devices. */
export function deviceIdsOf(scenario: Scenario, run: string): string[] {
  const places = new DevicePlaces(scenario.fleets);
  return Array.from({ length: places.total }, (_, device) => places.idOf(device, run));
}

/** Removes what the clients of a run leave, when they are not connected any more. */
export class Leftovers {
  /** Clients that may still have something at the broker. */
  count = 0;
  private readonly presence: Presence;

  constructor(presence: Presence) {
    this.presence = presence;
  }

  /** What a person is told where something is left; `command` removes it. */
  hints(command: string | undefined): string[] {
    if (this.count === 0) return [];
    return [`${this.count} clients left state at the broker: ${command}`];
  }

  /** Of a run that came to its end: of the devices `ids`, which could not do so themselves. */
  async removeOf(ids: readonly string[], spoken: Spoken): Promise<void> {
    if (ids.length === 0) return;
    const protocol = protocolOf(spoken);
    const observer = protocol === 5 ? [] : [`${this.presence.run}-observer`];
    const cleaner = this.cleaner(protocol, Number.POSITIVE_INFINITY);
    this.count = (await cleaner?.clean([...ids, ...observer])) ?? 0;
  }

  /** Of a run that did not: of whoever may have been there; no devices before it began. */
  async removeAll(hasBegun: boolean, spoken: Spoken): Promise<void> {
    const { run, scenario } = this.presence;
    const devices = hasBegun ? deviceIdsOf(scenario, run) : [];
    const shadow = needsShadow(scenario) ? [shadowClientId(run)] : [];
    const cleaner = this.cleaner(protocolOf(spoken), CLEAN_MS_MAX);
    if (cleaner === undefined) return;
    this.count =
      (await cleaner.clean([...devices, ...shadow])) +
      (await cleaner.clean([`${run}-observer`], ['status', CLAIM]));
  }

  /** None for an embedded broker, which is gone with the run. */
  private cleaner(protocol: ProtocolVersion | 0, msMax: number): Cleaner | undefined {
    const { scenario, target } = this.presence;
    if (scenario.broker === undefined) return undefined;
    return new Cleaner(target, scenario.topics, protocol, msMax);
  }
}

/** The version that all spoke; 0 = find out. */
function protocolOf(spoken: Spoken): ProtocolVersion | 0 {
  if (spoken[4] > 0 && spoken[5] > 0) return 0;
  return spoken[4] > 0 ? 4 : spoken[5] > 0 ? 5 : 0;
}
