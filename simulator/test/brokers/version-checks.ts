// Which version the client asks for, over several connections to the same broker.

import { expect, test } from 'vitest';
import { until } from './scene.ts';
import type { Subject } from './subject.ts';

const RECONNECTS = 3;

/** Versions asked for: the first connection, and then one or more for each reconnect. */
const VERSIONS_ASKED = {
  'return code 1': [5, 4, 4, 4, 4],
  // A close could also be an outage: 3.1.1 is remembered when it happened twice.
  close: [5, 4, 5, 4, 4, 4],
};

export function checkNegotiation({ traits, play }: Subject): void {
  test(
    'asks for MQTT 5 first, falls back where that is refused, and remembers it',
    play(async (scene) => {
      const client = scene.client({});
      await until('connected', () => client.isConnected);
      for (let count = 1; count <= RECONNECTS; count++) {
        scene.wire.cut();
        await until('reconnected', () => client.resumed.length === 1 + count);
      }
      const { refusesVersion5 } = traits;
      const asked = scene.wire.packets('client', 'connect').map((packet) => packet.protocolVersion);
      expect(asked).toEqual(refusesVersion5 ? VERSIONS_ASKED[refusesVersion5] : [5, 5, 5, 5]);
      expect(client.version).toBe(refusesVersion5 ? 4 : 5);
      // Without a subscription some brokers have nothing that they would call a session.
      const { keepsEmptySessions } = traits;
      expect(client.resumed.slice(1)).toEqual(Array(RECONNECTS).fill(keepsEmptySessions));
    }),
  );
}
