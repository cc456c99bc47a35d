// Our MQTT client and device against real brokers, within what each of them does
// (support/brokers.ts, docs/brokers.md). The other side is MQTT.js throughout.

import { afterAll, beforeAll, describe, vi } from 'vitest';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';
import { checkDevice } from './device-checks.ts';
import { checkMessages } from './message-checks.ts';
import { checkRuns } from './run-checks.ts';
import { Scene } from './scene.ts';
import { checkSessions } from './session-checks.ts';
import { checkNegotiation } from './version-checks.ts';

// Tests of one broker run side by side, and so do the brokers: nearly all of it is waiting.
vi.setConfig({ maxConcurrency: 16 });

for (const kind of BROKERS) {
  const found = hasBroker(kind, `conformance to ${kind.name}`);
  describe.skipIf(!found).concurrent(kind.name, () => {
    let broker: Broker;

    beforeAll(async () => {
      broker = await kind.start();
    });

    afterAll(async () => {
      await broker?.stop();
    });

    const play = (act: (scene: Scene) => Promise<void>) => async (): Promise<void> => {
      const scene = await Scene.open(broker);
      try {
        await act(scene);
      } finally {
        scene.close();
      }
    };

    const { name, traits } = kind;
    checkNegotiation({ name, traits, version: 4, play });
    checkRuns({ name, traits, version: 4, play });
    const versions = traits.refusesVersion5 === undefined ? ([5, 4] as const) : ([4] as const);
    for (const version of versions) {
      describe.concurrent(version === 5 ? 'MQTT 5' : 'MQTT 3.1.1', () => {
        const subject = { name, traits, version, play };
        checkMessages(subject);
        checkSessions(subject);
        checkDevice(subject);
      });
    }
  });
}
