// Numbered statements of MQTT 3.1.1 and 5 that bind a client, about connections, violations and
// what a profile may say. docs/mqtt-statements.md says which test shows which statement.

import { describe, expect, test } from 'vitest';
import { Outbox, PRIORITY_NORMAL } from '../../src/buffer/outbox.ts';
import { Device } from '../../src/device.ts';
import { type DeviceOptions, DeviceProfile } from '../../src/device-profile.ts';
import { frameSize } from '../../src/mqtt/read.ts';
import { Session } from '../../src/mqtt/session.ts';
import { BrokerModel } from '../support/broker-model.ts';
import type { LinkTap } from '../support/virtual-link.ts';
import { VirtualPlatform } from '../support/virtual-platform.ts';
import { field, frame, properties, VERSIONS } from './samples.ts';
import { ack, BROKER, HOUR_MS, PUBREL, Scene } from './statements-scene.ts';
import { connect, ID, NONE, T, VIOLATIONS } from './violations.ts';

describe.each(VERSIONS)('connecting, version %i', (version) => {
  test('CONNECT comes first and once, and nothing more before CONNACK', () => {
    const scene = new Scene(version, { keepAliveMs: 1000 });
    scene.broker.connackDelayMs = 5000;
    scene.start();
    scene.world.advance(100);
    for (const qos of [0, 1, 2] as const) scene.publish(qos);
    scene.world.advance(4000);
    expect(scene.connection.packets.map(({ cmd }) => cmd)).toEqual(['connect']);
    scene.broker.connackDelayMs = 0;
    scene.untilConnected(1);
    scene.reconnect();
    for (const { packets } of scene.broker.history) {
      expect(packets.map(({ cmd }) => cmd === 'connect')).toEqual(packets.map((_, at) => at === 0));
    }
    expect(scene.broker.violations).toEqual([]);
  });

  test('a session that was lost leaves nothing behind', () => {
    for (const sessionExpiryS of [0, 3600]) {
      const scene = Scene.connected(version, { sessionExpiryS });
      scene.ignored.add('publish');
      scene.publish(1);
      scene.publish(2);
      scene.receive(scene.message(1, 2, 9));
      expect(scene.received).toEqual([1]);
      scene.broker.forget('d1');
      scene.reconnect();
      expect(scene.sent('connect')[0]?.clean).toBe(version === 4 && sessionExpiryS === 0);
      // The owner publishes anew; the client has nothing to send again.
      expect(scene.sent('publish').map(({ dup, qos }) => [dup, qos])).toEqual([
        [false, 1],
        [false, 2],
      ]);
      expect(scene.sent('pubrel')).toEqual([]);
      expect(scene.owner.session.inflightCount).toBe(2);
      scene.receive(scene.message(2, 2, 9));
      expect(scene.received).toEqual([1, 2]);
    }
  });

  test('a refusal ends the connection, and so does DISCONNECT', () => {
    const codes = version === 4 ? [1, 2, 3, 4, 5, 6, 255] : [0x80, 0x87, 0x89, 0x97, 0x9f, 0xff];
    for (const code of codes) {
      const scene = new Scene(version);
      scene.ignored.add('connect');
      scene.start();
      scene.world.advance(10);
      const connack = version === 5 ? frame(0x20, 0, code, NONE) : frame(0x20, 0, code);
      scene.connection.write(connack);
      scene.world.advance(10);
      expect(scene.broker.history[0]?.open, `code ${code}`).toBe(false);
      expect(scene.owner.connectCount).toBe(0);
    }
    for (const farewell of version === 5 ? [[], [0x8b], [0x8e, ...NONE]] : [[]]) {
      const scene = Scene.connected(version);
      const { connection } = scene;
      connection.write(frame(0xe0, farewell));
      scene.world.advance(10);
      expect(connection.open).toBe(false);
      expect(scene.owner.disconnects.length).toBe(1);
    }
  });

  test('enhanced authentication is not begun, and AUTH is answered by the end', () => {
    const auth = frame(0xf0, 0x18, properties(0x15, T));
    const scene = new Scene(version);
    scene.ignored.add('connect');
    scene.start();
    scene.world.advance(10);
    const [first] = scene.broker.history;
    const connected = Scene.connected(version);
    for (const connection of [first, connected.connection]) {
      expect(Object.keys(connection?.packets[0]?.properties ?? {})).not.toContain(
        'authenticationMethod',
      );
      connection?.write(auth);
    }
    scene.world.advance(10);
    connected.world.advance(10);
    for (const connection of [first, connected.connection]) {
      expect(connection?.open).toBe(false);
      expect(connection?.packets.map(({ cmd }) => cmd)).not.toContain('auth');
    }
  });
});

describe('a session', () => {
  test('that the server kept and we did not ends the connection (5)', () => {
    const scene = new Scene(5);
    scene.ignored.add('connect');
    scene.start();
    scene.world.advance(10);
    scene.connection.write(frame(0x20, 1, 0, NONE));
    scene.world.advance(10);
    expect(scene.broker.history[0]?.open).toBe(false);
    expect(scene.owner.connectCount).toBe(0);
  });

  test('has packet ids that are not 0 and not in use', () => {
    const session = new Session(new Uint8Array(Session.size(4, 1)), 0, 4, 1);
    const used = [session.nextPacketId(0), session.nextPacketId(0)];
    for (const packetId of used) session.add(packetId, 1, 7);
    const busy = session.nextPacketId(0);
    const seen = new Set<number>();
    for (let count = 0; count < 65532; count += 1) seen.add(session.nextPacketId(busy));
    expect(seen.size).toBe(65532);
    expect(Math.min(...seen)).toBe(4);
    expect(Math.max(...seen)).toBe(65535);
    expect([...used, busy]).toEqual([1, 2, 3]);
    expect(session.nextPacketId(busy)).toBe(4);
  });
});

/** When the client wrote, and when each connection began and ended. */
class Clockwork implements LinkTap {
  readonly gapsMs: number[] = [];
  private readonly scene: Scene;
  private lastMs = 0;

  constructor(scene: Scene) {
    this.scene = scene;
    scene.platform.link.taps.push(this);
  }

  opened(): void {
    this.lastMs = this.scene.world.nowMs;
  }

  wrote(): void {
    this.note();
  }

  read(): void {
    // Only what is sent counts.
  }

  closed(): void {
    this.note();
  }

  private note(): void {
    this.gapsMs.push(this.scene.world.nowMs - this.lastMs);
    this.lastMs = this.scene.world.nowMs;
  }
}

describe.each(VERSIONS)('keep-alive, version %i', (version) => {
  test.each([1, 2, 7, 60])(
    'of %i s: no longer gap between packets, answered or not',
    (keepAliveS) => {
      for (const isAnswered of [true, false]) {
        const scene = Scene.connected(version, { keepAliveMs: keepAliveS * 1000 });
        if (!isAnswered) scene.ignored.add('pingreq');
        const { gapsMs } = new Clockwork(scene);
        const { connection } = scene;
        scene.world.advance(keepAliveS * 10_000);
        expect(connection.packets.some(({ cmd }) => cmd === 'pingreq')).toBe(true);
        expect(connection.open).toBe(isAnswered);
        // The first gap began before the tap was there.
        expect(Math.max(...gapsMs.slice(1))).toBeLessThanOrEqual(keepAliveS * 1000);
        expect(scene.broker.violations).toEqual([]);
      }
    },
  );

  test('off: no PINGREQ at all', () => {
    const scene = Scene.connected(version, { keepAliveMs: 0 });
    scene.world.advance(HOUR_MS * 24);
    expect(scene.sent('connect')[0]?.keepalive).toBe(0);
    expect(scene.sent('pingreq')).toEqual([]);
    expect(scene.connection.open).toBe(true);
  });
});

test.each([
  [2, 60],
  [100, 4],
  [0, 4],
])('Server Keep Alive %i s replaces our %i s (5)', (serverS, ownS) => {
  const scene = new Scene(5, { keepAliveMs: ownS * 1000 });
  scene.broker.limits.serverKeepAliveS = serverS;
  scene.start();
  scene.untilConnected(1);
  scene.world.advance(1_000_000);
  expect(scene.connection.open).toBe(true);
  const count = scene.sent('pingreq').length;
  if (serverS === 0) expect(count).toBe(0);
  else expect(count).toBeGreaterThanOrEqual(1000 / serverS);
  if (serverS > ownS) expect(count).toBeLessThan(1000 / ownS / 2);
});

describe.each(VERSIONS)('violations by the server, version %i', (version) => {
  // MQTT 5 Table 3-13, what a client may send.
  const FAREWELLS = [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
  const none = version === 5 ? NONE : [];
  const MISDIRECTED: [rule: string, packet: Uint8Array][] = [
    ['CONNECT', connect(version, 2, none, ID)],
    ['a second CONNACK', version === 5 ? frame(0x20, 0, 0, NONE) : frame(0x20, 0, 0)],
    ['SUBSCRIBE', frame(0x82, [0, 1], none, T, 0)],
    ['UNSUBSCRIBE', frame(0xa2, [0, 1], none, T)],
    ['PINGREQ', frame(0xc0)],
    ['a Remaining Length of five bytes', Uint8Array.of(0x30, 255, 255, 255, 255, 1)],
    ['a SUBACK larger than we take', frame(0x90, [0, 1], none, Array(9000).fill(0))],
  ];

  test('a violation ends the connection, with a code of the table in 5', () => {
    // Those that are whole: a receiver waits for the rest of the others.
    const rows = VIOLATIONS.filter((row) => row[1] === version)
      .map((row): [string, Uint8Array] => [row[0], row[3]])
      .filter(([, packet]) => {
        const size = frameSize(packet, 0, packet.length);
        return size < 0 || size === packet.length;
      });
    expect(rows.length).toBeGreaterThan(40);
    for (const [rule, packet] of [...rows, ...MISDIRECTED]) {
      const scene = Scene.connected(version);
      const { connection } = scene;
      scene.connection.write(packet);
      scene.world.advance(20);
      expect(connection.open, rule).toBe(false);
      expect(scene.owner.disconnects.length, rule).toBe(1);
      expect(scene.broker.violations, rule).toEqual([]);
      const farewells = connection.packets.filter(({ cmd }) => cmd === 'disconnect');
      expect(farewells.length, rule).toBe(version === 5 ? 1 : 0);
      if (version === 4) continue;
      expect(FAREWELLS, rule).toContain(farewells[0]?.reasonCode);
      expect(farewells[0]?.reasonCode, rule).toBeGreaterThanOrEqual(0x80);
      expect(farewells[0]?.properties, rule).toBe(undefined);
      expect(connection.packets[connection.packets.length - 1], rule).toBe(farewells[0]);
    }
  });

  test('more QoS 2 messages than we can hold end the connection, and come again', () => {
    const scene = Scene.connected(version, { receiveMax: 2 });
    const { connection } = scene;
    scene.receive(...[1, 2, 3].map((packetId) => scene.message(packetId, 2, packetId)));
    expect(scene.received).toEqual([1, 2]);
    expect(scene.ids('pubrec')).toEqual([1, 2]);
    // 3.1.1 has no Receive Maximum: the exchanges that we hold end first.
    if (version === 4) scene.receive(ack(PUBREL, 1), ack(PUBREL, 2));
    expect(connection.open).toBe(false);
    const [farewell] = connection.packets.filter(({ cmd }) => cmd === 'disconnect');
    expect(farewell?.reasonCode).toBe(version === 5 ? 0x93 : undefined);
    scene.untilConnected(2);
    const left = version === 5 ? [ack(PUBREL, 1), ack(PUBREL, 2)] : [];
    scene.receive(...left, scene.message(3, 2, 3, true));
    expect(scene.received).toEqual([1, 2, 3]);
  });
});

test('we take no topic alias: one of the server’s ends the connection with 0x94 (5)', () => {
  for (const topic of ['', 'devices/d1/in/a']) {
    const scene = Scene.connected(5);
    const { connection } = scene;
    expect(connection.connect?.properties?.topicAliasMaximum).toBe(undefined);
    connection.write(frame(0x30, field(topic), properties(0x23, [0, 1]), [0, 0, 0, 1, 0]));
    scene.world.advance(20);
    expect(connection.open).toBe(false);
    expect(connection.packets[connection.packets.length - 1]?.reasonCode).toBe(0x94);
    expect(scene.received).toEqual([]);
  }
});

describe('a profile refuses', () => {
  const OPTIONS = { broker: BROKER, sensors: [], intervalMs: 1000 };
  const filter = (text: string, noLocal?: boolean) => ({
    subscriptions: [{ filter: text, qos: 0 as const, ...(noLocal ? { noLocal } : {}) }],
  });
  const REFUSED: [what: string, options: Partial<DeviceOptions>][] = [
    ['username: U+0000', { username: 'a\0b' }],
    ['topics: U+0000', { topics: 'a\0/{id}/{topic}' }],
    ['topics: a wildcard', { topics: 'a/+/{id}/{topic}' }],
    ['topics: a wildcard', { topics: '{id}/{topic}/#' }],
    ['an empty filter', filter('')],
    ['U+0000 in a filter', filter('a\0')],
    ['a filter of 65,536 bytes', filter('é'.repeat(32768))],
    ['# before the end', filter('a/#/b')],
    ['# within a level', filter('a#')],
    ['+ within a level', filter('a/b+')],
    ['a share without a name', filter('$share//a')],
    ['a share without a filter', filter('$share/a')],
    ['a share with an empty filter', filter('$share/a/')],
    ['a share with + in its name', filter('$share/a+/b')],
    ['a share with # in its name', filter('$share/#/b')],
    ['a share of a bad filter', filter('$share/a/b#')],
    ['No Local on a share', filter('$share/a/b', true)],
    ['inflightMax 0', { inflightMax: 0 }],
    ['inflightMax 65,535', { inflightMax: 65535 }],
    ['receiveMax 0', { receiveMax: 0 }],
    ['receiveMax 65,536', { receiveMax: 65536 }],
    ['keepAliveMs beyond 65,535 s', { keepAliveMs: 65_535_001 }],
    ['keepAliveMs NaN', { keepAliveMs: Number.NaN }],
    ['sessionExpiryS beyond 32 bits', { sessionExpiryS: 4294967296 }],
  ];

  test.each(REFUSED)('%s', (_, options) => {
    expect(() => new DeviceProfile({ ...OPTIONS, ...options })).toThrow(RangeError);
  });

  test('and takes what is right', () => {
    const filters = ['a', '#', '+', 'a/+/#', '$SYS/#', '$share/a/#', '$share/a//', '$shared/a'];
    for (const text of filters) new DeviceProfile({ ...OPTIONS, ...filter(text) });
    new DeviceProfile({ ...OPTIONS, ...filter('a/#', true) });
    new DeviceProfile({ ...OPTIONS, keepAliveMs: 65_535_000, inflightMax: 1, receiveMax: 65535 });
    expect(new DeviceProfile({ ...OPTIONS, sessionExpiryS: 0, username: 'ä' }).qos).toBe(1);
  });
});

describe('a device', () => {
  const profile = new DeviceProfile({ broker: BROKER, sensors: [], intervalMs: 1000 });

  test('connects under its own id, which is not empty', () => {
    for (const id of ['', 'a/b', '+', 'x'.repeat(65), 'é']) {
      const platform = new VirtualPlatform();
      expect(() => new Device({ platform, id, profile })).toThrow(RangeError);
    }
    const platform = new VirtualPlatform();
    const broker = new BrokerModel(platform.world);
    platform.link.listener = (socket) => broker.accept(socket);
    const device = new Device({ platform, id: 'd-1.a:b_c', profile });
    platform.world.turn(() => device.start());
    platform.world.advance(100);
    expect(broker.connection.connect?.clientId).toBe('d-1.a:b_c');
    platform.link.cut();
    platform.world.advance(5000);
    expect(broker.history.map((one) => one.connect?.clientId)).toEqual(['d-1.a:b_c', 'd-1.a:b_c']);
  });

  test('answers no command whose id cannot stand in a topic', () => {
    const platform = new VirtualPlatform();
    const broker = new BrokerModel(platform.world);
    platform.link.listener = (socket) => broker.accept(socket);
    const device = new Device({ platform, id: 'd1', profile });
    platform.world.turn(() => device.start());
    platform.world.advance(100);
    for (const cid of ['a', '+', '#', 'a/b', '', '\0', 'ä', '\ud800']) {
      const text = Buffer.from(cid);
      // CBOR: {"cid": cid, "command": "ping"}.
      const head = [0xa2, 0x63, ...Buffer.from('cid'), 0x60 | text.length, ...text];
      const payload = [...head, 0x67, ...Buffer.from('command'), 0x64, ...Buffer.from('ping')];
      broker.connection.write(frame(0x30, field('devices/d1/commands'), NONE, payload));
      platform.world.advance(100);
    }
    expect(device.counters.commandsRefused).toBe(7);
    expect(broker.texts('devices/d1/commands/a/result').length).toBe(1);
    expect(broker.taken.filter(({ topic }) => topic.endsWith('/result')).length).toBe(1);
  });

  test('does not give up a message that is in flight', () => {
    for (const policy of ['drop-oldest', 'drop-newest', 'drop-lowest-priority'] as const) {
      const dropped: number[] = [];
      const outbox = new Outbox(new Uint8Array(256), 256, policy, {
        onRecordDropped: (_, sequence) => dropped.push(sequence),
      });
      const body = new Uint8Array(32);
      outbox.append(0, PRIORITY_NORMAL, 1, 0, body, body.length);
      const id = outbox.idAt(outbox.next());
      outbox.setInflight(outbox.next());
      for (let sequence = 2; sequence < 20; sequence += 1) {
        outbox.append(0, PRIORITY_NORMAL, sequence, 0, body, body.length);
      }
      expect(dropped.length).toBeGreaterThan(0);
      expect(dropped).not.toContain(1);
      expect(outbox.sequenceAt(outbox.find(id))).toBe(1);
    }
  });
});
