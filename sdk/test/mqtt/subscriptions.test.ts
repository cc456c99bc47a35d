// Subscriptions: as many SUBSCRIBEs as the server's Maximum Packet Size and the transmit buffer ask
// for, and one that cannot be is refused by name while the others hold (MQTT 5 §3.2.2.3, §3.8, §3.9).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Subscription } from '../../src/mqtt/packet.ts';
import { VERSIONS } from './samples.ts';
import { HOUR_MS, Scene } from './statements-scene.ts';

/** Fixed header of 2 or 3 bytes, packet id, property length of 5, length of the filter, options. */
function subscribeSize(version: number, filterSize: number): number {
  const rest = 2 + (version === 5 ? 1 : 0) + 2 + filterSize + 1;
  return rest + (rest > 127 ? 3 : 2);
}

/** Filters that differ, of these sizes. */
function filtersOf(sizes: readonly number[]): Subscription[] {
  return sizes.map((size, index) => ({ filter: `${index}/`.padEnd(size, 'x'), qos: 1 }));
}

/** The packets that the client sent, each as the sizes of its filters. */
function sentSizes(scene: Scene): number[][] {
  return scene
    .sent('subscribe')
    .map(({ subscriptions = [] }) => subscriptions.map(({ topic }) => topic.length));
}

function connected(scene: Scene): void {
  scene.start();
  scene.untilConnected(1);
  scene.world.advance(1000);
}

describe.each(VERSIONS)('subscriptions, version %i', (version) => {
  test('every one that a packet can hold is made, and only the others are refused', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 4, max: 200 }), { maxLength: 30 }),
        fc.integer({ min: 20, max: 300 }),
        (sizes, limit) => {
          const scene = new Scene(version);
          // 3.1.1 has no such limit of the server's; the transmit buffer holds 1,024 bytes.
          scene.broker.limits.maximumPacketSize = version === 5 ? limit : 0;
          scene.owner.filters = filtersOf(sizes);
          connected(scene);
          const { owner } = scene;
          const fits = (size: number) => version === 4 || subscribeSize(5, size) <= limit;
          expect(sentSizes(scene).flat()).toEqual(sizes.filter(fits));
          expect(owner.refusals.map(([filter]) => filter.length)).toEqual(
            sizes.filter((size) => !fits(size)),
          );
          expect(new Set(owner.refusals.map(([, code]) => code)).size).toBeLessThan(2);
          expect(owner.client.subscribeRefusedCount).toBe(owner.refusals.length);
          expect(owner.subscribedCount).toBe(1);
          expect(scene.broker.violations).toEqual([]);
          expect(owner.disconnects).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('one packet where they fit one, and never more than 8 in one', () => {
    const scene = new Scene(version);
    scene.owner.filters = filtersOf([10, 10, 10]);
    connected(scene);
    expect(sentSizes(scene)).toEqual([[10, 10, 10]]);
    const many = new Scene(version);
    many.owner.filters = filtersOf(new Array<number>(17).fill(10));
    connected(many);
    expect(sentSizes(many).map(({ length }) => length)).toEqual([8, 8, 1]);
  });

  test('a filter larger than the transmit buffer is refused by name', () => {
    const scene = new Scene(version);
    scene.owner.filters = filtersOf([10, 1100, 12]);
    connected(scene);
    expect(scene.owner.refusals).toEqual([[scene.owner.filters[1]?.filter, 0x95]]);
    expect(sentSizes(scene)).toEqual([[10], [12]]);
  });

  test('what SUBACK refuses is told by its filter, in whichever packet it was', () => {
    const scene = new Scene(version);
    scene.owner.filters = filtersOf(new Array<number>(12).fill(10));
    const failure = version === 5 ? 0x87 : 0x80;
    scene.broker.grant = (filter, qos) => (/^(2|9|11)\//.test(filter) ? failure : qos);
    connected(scene);
    const refused = [2, 9, 11].map((index) => [scene.owner.filters[index]?.filter, failure]);
    expect(scene.owner.refusals).toEqual(refused);
    expect(scene.owner.subscribedCount).toBe(1);
  });

  test('a lost connection between two of them begins them anew', () => {
    const scene = new Scene(version);
    scene.owner.filters = filtersOf(new Array<number>(12).fill(10));
    const { filter } = scene.broker;
    scene.broker.filter = (connection, packet) => {
      const isSecond = packet.cmd === 'subscribe' && scene.sent('subscribe').length === 2;
      if (isSecond && scene.broker.history.length === 1) connection.crash();
      return filter(connection, packet);
    };
    scene.start();
    scene.untilConnected(2);
    scene.world.advance(HOUR_MS);
    expect(sentSizes(scene).map(({ length }) => length)).toEqual([8, 4]);
    expect(scene.owner.subscribedCount).toBe(1);
  });

  test('a SUBSCRIBE of many that is never answered ends the connection', () => {
    const scene = new Scene(version);
    scene.owner.filters = filtersOf(new Array<number>(12).fill(10));
    const { filter } = scene.broker;
    scene.broker.filter = (connection, packet) => {
      const isSecond = packet.cmd === 'subscribe' && scene.sent('subscribe').length === 2;
      return !isSecond && filter(connection, packet);
    };
    scene.start();
    scene.world.advance(15_000);
    expect(scene.owner.disconnects[0]).toBe('no SUBACK in time');
  });
});

describe('subscriptions that the server rules out (5)', () => {
  test('are refused by name, and the others are made', () => {
    const scene = new Scene(5);
    scene.broker.limits.wildcardAvailable = false;
    scene.broker.limits.sharedAvailable = false;
    scene.owner.filters = ['a/#', 'b', '$share/s/c', 'd/+/e', 'f'].map((filter) => {
      return { filter, qos: 1 };
    });
    connected(scene);
    expect(scene.owner.refusals).toEqual([
      ['a/#', 0xa2],
      ['$share/s/c', 0x9e],
      ['d/+/e', 0xa2],
    ]);
    expect(
      scene.sent('subscribe').map(({ subscriptions = [] }) => subscriptions[0]?.topic),
    ).toEqual(['b', 'f']);
    expect(scene.owner.subscribedCount).toBe(1);
  });
});
