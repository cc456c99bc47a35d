// Scenarios with firmware, for tests of what is made from them.

import type { Fleet, Scenario } from '../../src/scenario/schema.ts';
import type { Behaviour, FleetFirmware, ReleaseEvent } from '../../src/scenario/update.ts';

const WELL: Behaviour = { crashOnBoot: 0, crashShare: 1, failHealth: 0 };

interface Options {
  readonly seed?: number;
  readonly count?: number;
  readonly firmware: Partial<FleetFirmware>;
  readonly releases?: readonly Partial<ReleaseEvent>[];
}

/** One fleet with firmware, of the class `device`. */
export function scenarioOf({ count = 1, firmware, releases = [], seed = 1 }: Options): Scenario {
  const fleet = {
    name: 'meters',
    count,
    id: '{run}-{fleet}-{index}',
    firmware: {
      version: '1.0.0',
      size: 8192,
      behaviour: WELL,
      deviceClass: 'device',
      hardware: 'meters',
      bootMs: 10,
      pollMs: 1000,
      trialMs: 1000,
      trialOfflineMs: 1000,
      linkDropSize: 0,
      powerCutOperations: 0,
      attacks: [],
      ...firmware,
    },
  } as unknown as Fleet;
  const timeline = releases.map((release, index) => ({
    kind: 'release' as const,
    atMs: index,
    version: '1.1.0',
    size: 8192,
    behaviour: WELL,
    deviceClass: 'device',
    from: [],
    ...release,
  }));
  return { seed, fleets: [fleet], timeline } as unknown as Scenario;
}
