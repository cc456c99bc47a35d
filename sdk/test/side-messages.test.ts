// A broker that ends the connection over birth, diagnostics or requests to the shadow: the device
// finds out which, goes on without it with what it is for, and tries again a day later.

import { describe, expect, test } from 'vitest';
import type { DeviceOptions } from '../src/device-profile.ts';
import {
  EARLY_COUNT_MAX,
  LEFT_OUT_MS,
  SIDE_NAMES,
  SUSPECT_COUNT_MAX,
} from '../src/side-messages.ts';
import type { AnyPacket, BrokerConnection } from './support/broker-connection.ts';
import { DeviceScene } from './support/device-scene.ts';
import { Random, seedOf } from './support/random.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const HOUR_MS = 3_600_000;

/** What a broker does over a message that it does not allow. */
type Denial = (connection: BrokerConnection, packet: AnyPacket) => void;

const acknowledge = (connection: BrokerConnection, packet: AnyPacket, reasonCode: number) => {
  if (packet.qos === 1) connection.sendAck('puback', packet.messageId ?? 0, reasonCode);
};
const close: Denial = (connection) => connection.crash();

const DENIALS: readonly [name: string, protocol: 4 | 5, denial: Denial][] = [
  ['closes', 4, close],
  ['closes', 5, close],
  [
    // mosquitto 2.0.11 with `max_queued_messages 0`.
    'acknowledges and closes',
    4,
    (connection, packet) => {
      acknowledge(connection, packet, 0);
      connection.disconnect(0);
    },
  ],
  [
    'refuses with 0x87 and closes',
    5,
    (connection, packet) => {
      acknowledge(connection, packet, 0x87);
      connection.crash();
    },
  ],
  ['says DISCONNECT 0x87', 5, (connection) => connection.disconnect(0x87)],
  [
    // Whoever checks rights elsewhere closes later.
    'acknowledges, and closes 300 ms later',
    5,
    (connection, packet) => {
      acknowledge(connection, packet, 0);
      connection.broker.world.after(300, () => connection.crash());
    },
  ],
];

class Denied {
  readonly leftOut: string[] = [];
  readonly produced: number[] = [];
  readonly scene: DeviceScene;
  /** Topics that the broker does not allow. */
  readonly topics = new Set<string>();
  /** When the first telemetry was acknowledged that was produced after the last loss. */
  connectCount = 0;

  constructor(protocol: 4 | 5, denial: Denial, options: Partial<DeviceOptions> = {}) {
    this.scene = new DeviceScene({
      protocol,
      retryMsMax: 60_000,
      shadow: { handlers: { key: () => undefined } },
      events: {
        onConnected: () => {
          this.connectCount += 1;
        },
        onLeftOut: (_, topic) => this.leftOut.push(topic),
        onProduced: (_, sequence) => this.produced.push(sequence),
      },
      ...options,
    });
    this.scene.broker.filter = (connection, packet: AnyPacket) => {
      const [, , topic = ''] = (packet.topic ?? '').split('/');
      if (packet.cmd !== 'publish' || !this.topics.has(topic)) return true;
      denial(connection, packet);
      return false;
    };
  }

  /** Messages of a topic that the broker took. */
  taken(topic: string): number {
    return this.scene.broker.taken.filter(({ topic: full }) => full.split('/')[2] === topic).length;
  }
}

/** Every choice of them but none. */
const SUBSETS = [1, 2, 3, 4, 5, 6, 7].map((bits) => SIDE_NAMES.filter((_, at) => (bits >> at) & 1));

describe.each(DENIALS)('a broker that %s, version %i', (_name, protocol, denial) => {
  test.each(SUBSETS.map((topics) => [topics]))('over %j', (topics) => {
    const denied = new Denied(protocol, denial);
    const { scene } = denied;
    for (const topic of topics) denied.topics.add(topic);
    scene.start();
    scene.world.advance(2 * HOUR_MS);
    expect([...new Set(denied.leftOut)].sort()).toEqual([...topics].sort());
    // Ends before it is careful, and ends over each of them.
    const endCount = EARLY_COUNT_MAX + SUSPECT_COUNT_MAX * topics.length;
    expect(denied.connectCount).toBeLessThanOrEqual(endCount + 1);
    expect(scene.device.isConnected).toBe(true);
    expect(scene.device.counters.leftOut).toBe(denied.leftOut.length);
    for (const topic of SIDE_NAMES) {
      if (topics.includes(topic)) expect(denied.taken(topic)).toBe(0);
      else expect(denied.taken(topic)).toBeGreaterThan(0);
    }
    // What it is for goes out meanwhile.
    expect(scene.device.pendingCount).toBeLessThan(3);
    expect(new Set(scene.sequences()).size).toBeGreaterThan(denied.produced.length - 3);
  });

  test('is asked again a day later, and once it allows it all is as before', () => {
    const denied = new Denied(protocol, denial, { intervalMs: 60_000 });
    const { scene } = denied;
    denied.topics.add('diagnostics').add('status');
    scene.start();
    scene.world.advance(LEFT_OUT_MS);
    const before = denied.connectCount;
    scene.world.advance(LEFT_OUT_MS);
    expect(denied.connectCount).toBeGreaterThan(before);
    expect(denied.connectCount).toBeLessThan(before + 12);
    denied.topics.clear();
    scene.world.advance(LEFT_OUT_MS + HOUR_MS);
    expect(denied.taken('status')).toBeGreaterThan(0);
    expect(denied.taken('diagnostics')).toBeGreaterThan(0);
    const { connectCount } = denied;
    scene.world.advance(2 * LEFT_OUT_MS);
    expect(denied.connectCount).toBe(connectCount);
    // And it waits for nothing on the next connection.
    const count = denied.taken('diagnostics');
    scene.reconnect();
    expect(denied.taken('diagnostics')).toBe(count + 1);
  });
});

test('PUBACK 0x87 alone leaves the birth out at once, and ends no connection', () => {
  const denied = new Denied(5, (connection, packet) => acknowledge(connection, packet, 0x87));
  denied.topics.add('status');
  denied.scene.start();
  denied.scene.world.advance(HOUR_MS);
  denied.scene.reconnect();
  denied.scene.world.advance(HOUR_MS);
  expect(denied).toMatchObject({ leftOut: ['status'], connectCount: 2 });
  expect(denied.taken('diagnostics')).toBe(2);
});

describe('what is no refusal leaves nothing out', () => {
  test.each([4, 5] as const)('a broker that takes nobody for an hour, version %i', (protocol) => {
    const denied = new Denied(protocol, close);
    const { scene } = denied;
    const { accept } = scene.broker;
    // It crashes over whatever it is told.
    scene.broker.accept = (socket) => {
      accept.call(scene.broker, socket);
      const { connection } = scene.broker;
      scene.world.after(50, () => connection.crash());
    };
    scene.start();
    scene.world.advance(HOUR_MS);
    expect(denied.connectCount).toBeGreaterThan(20);
    scene.broker.accept = accept;
    scene.untilConnected();
    const beginMs = scene.world.nowMs;
    scene.world.until(() => denied.taken('shadow') > 0, HOUR_MS);
    expect(scene.world.nowMs - beginMs).toBeLessThan(30_000);
    expect(scene.retained('status')).toBeDefined();
    scene.world.advance(HOUR_MS);
    scene.reconnect();
    expect(scene.device.isClear).toBe(true);
    expect(denied.leftOut).toEqual([]);
  });

  test('a network that breaks at random', () => {
    console.log(`SEED=${SEED} sdk/test/side-messages.test.ts`);
    const counts = { leftOut: 0, connects: 0 };
    for (let index = 0; index < 40; index += 1) {
      const random = new Random(seedOf(SEED, index));
      const denied = new Denied(random.pick([4, 5] as const), close, { retryMsMax: 2000 });
      const { scene } = denied;
      scene.start();
      const longest = random.pick([2000, 20_000, 60_000]);
      for (let count = 0; count < 60; count += 1) {
        scene.world.advance(random.below(longest));
        scene.link.cut();
      }
      counts.leftOut += denied.leftOut.length;
      counts.connects += denied.connectCount;
    }
    expect(counts.connects).toBeGreaterThan(1000);
    // Three times in a row just after the same of them: that can be chance, but it is rare.
    expect(counts.leftOut).toBeLessThan(counts.connects / 100);
  });

  test('ends of the device’s own', () => {
    const denied = new Denied(5, close);
    const { scene } = denied;
    scene.connect();
    for (let count = 0; count < 20; count += 1) {
      scene.world.advance(500);
      scene.turn((device) => device.reconnect());
    }
    scene.world.advance(5000);
    expect(scene.device.side).toBeUndefined();
    expect(denied.taken('diagnostics')).toBe(21);
  });
});

describe('a device that sleeps', () => {
  test('finds out too, and does not stay awake for what is left out', () => {
    const wake = { intervalMs: 300_000, awakeMsMax: 30_000 };
    const denied = new Denied(5, close, { wake, intervalMs: 10_000 });
    const { scene } = denied;
    denied.topics.add('diagnostics').add('shadow');
    scene.start();
    scene.world.advance(HOUR_MS);
    expect(denied.leftOut.sort()).toEqual(['diagnostics', 'shadow']);
    const { awakeMs } = scene.device.wake as { awakeMs: number };
    const { connectCount } = denied;
    scene.world.advance(HOUR_MS);
    expect((scene.device.wake as { awakeMs: number }).awakeMs - awakeMs).toBeLessThan(12 * 2000);
    expect(denied.connectCount - connectCount).toBe(12);
  });
});
