// Numbered statements of MQTT 3.1.1 and 5 about messages: what a client sends, sends again and
// acknowledges. docs/mqtt-statements.md says which test shows which statement.

import { describe, expect, test } from 'vitest';
import { VERSIONS } from './samples.ts';
import { ack, HOUR_MS, PUBACK, PUBCOMP, PUBREC, PUBREL, Scene } from './statements-scene.ts';

describe.each(VERSIONS)('sending, version %i', (version) => {
  test('QoS 0 has neither packet id nor DUP; QoS 1 and 2 begin without DUP', () => {
    const scene = Scene.connected(version);
    for (const qos of [0, 1, 2, 0, 1, 2] as const) scene.publish(qos);
    const packets = scene.sent('publish');
    expect(packets.map(({ qos }) => qos)).toEqual([0, 1, 2, 0, 1, 2]);
    for (const { dup, messageId, qos } of packets) {
      expect(dup).toBe(false);
      expect(messageId === undefined).toBe(qos === 0);
      expect(messageId).not.toBe(0);
    }
  });

  test('a PUBLISH says nothing beyond topic, flags, packet id and alias', () => {
    const scene = new Scene(version);
    scene.broker.limits.topicAliasMaximum = 8;
    scene.start();
    scene.untilConnected(1);
    for (const topic of ['telemetry', 'telemetry', 'data']) {
      for (const qos of [0, 1, 2] as const) scene.publish(qos, 8, topic);
    }
    const said = scene.sent('publish').flatMap(({ properties: all }) => Object.keys(all ?? {}));
    expect([...new Set(said)]).toEqual(version === 5 ? ['topicAlias'] : []);
    expect(scene.broker.violations).toEqual([]);
  });

  test('what is not acknowledged is sent again after a resume only: same ids, DUP, in order', () => {
    const scene = Scene.connected(version);
    scene.ignored.add('publish').add('pubrel');
    for (const qos of [1, 2, 1, 2] as const) scene.publish(qos);
    const first = scene.ids('publish');
    scene.world.advance(HOUR_MS);
    expect(scene.ids('publish')).toEqual(first);
    scene.receive(ack(PUBREC, first[1] as number));
    expect(scene.ids('pubrel')).toEqual([first[1]]);

    scene.reconnect();
    const again = scene.sent('publish');
    expect(again.map(({ messageId }) => messageId)).toEqual([first[0], first[2], first[3]]);
    expect(again.map(({ dup }) => dup)).toEqual([true, true, true]);
    expect(again.map(({ qos }) => qos)).toEqual([1, 1, 2]);
    expect(scene.ids('pubrel')).toEqual([first[1]]);
    scene.world.advance(HOUR_MS);
    expect(scene.sent('publish').length + scene.sent('pubrel').length).toBe(4);

    const [one, two, three, four] = first as number[];
    scene.receive(ack(PUBACK, one), ack(PUBCOMP, two), ack(PUBACK, three), ack(PUBREC, four));
    scene.receive(ack(PUBCOMP, four));
    scene.reconnect();
    expect([...scene.sent('publish'), ...scene.sent('pubrel')]).toEqual([]);
    expect(scene.owner.messages.map(({ state }) => state)).toEqual(Array(4).fill('settled'));
  });

  test('PUBRELs go out in the order of the PUBRECs, also again', () => {
    const scene = Scene.connected(version);
    scene.ignored.add('publish').add('pubrel');
    for (let count = 0; count < 3; count += 1) scene.publish(2);
    const [one, two, three] = scene.ids('publish') as number[];
    scene.receive(ack(PUBREC, three), ack(PUBREC, one), ack(PUBREC, two));
    expect(scene.ids('pubrel')).toEqual([three, one, two]);
    scene.reconnect();
    expect(scene.ids('pubrel')).toEqual([three, one, two]);
    expect(scene.sent('publish')).toEqual([]);
  });

  test('after DISCONNECT nothing more is sent and the stream is closed', () => {
    const scene = Scene.connected(version, { keepAliveMs: 1000 });
    scene.ignored.add('publish').add('disconnect');
    for (let count = 0; count < 20; count += 1) scene.publish(1);
    const { connection } = scene;
    scene.world.turn(() => {
      scene.owner.stop();
      scene.owner.send('data', 0, 8, false);
    });
    scene.world.advance(HOUR_MS);
    expect(connection.open).toBe(false);
    const last = connection.packets[connection.packets.length - 1];
    expect(last).toMatchObject({ cmd: 'disconnect' });
    expect(last?.properties).toBe(undefined);
    expect(scene.sent('disconnect').length).toBe(1);
    expect(scene.broker.history.length).toBe(1);
  });
});

describe('sending to a server of 5', () => {
  test.each([PUBACK, PUBREC])('what it refused with 0x%s is not sent again', (type) => {
    const scene = Scene.connected(5);
    scene.ignored.add('publish');
    scene.publish(type === PUBACK ? 1 : 2);
    const [packetId] = scene.ids('publish') as number[];
    // Not authorized: the owner gives it up.
    scene.receive(ack(type, packetId as number, 0x87));
    scene.reconnect();
    expect([...scene.sent('publish'), ...scene.sent('pubrel')]).toEqual([]);
  });

  test('Maximum QoS and Retain Available bound every PUBLISH', () => {
    for (const maximumQos of [0, 1] as const) {
      const scene = new Scene(5);
      scene.broker.limits.maximumQos = maximumQos;
      scene.broker.limits.retainAvailable = false;
      scene.start();
      scene.untilConnected(1);
      for (const qos of [0, 1, 2] as const) scene.publish(qos, 8, 'data', true);
      const packets = scene.sent('publish');
      expect(packets.map(({ qos }) => qos)).toEqual([0, maximumQos, maximumQos]);
      expect(packets.map(({ retain }) => retain)).toEqual([false, false, false]);
      expect(scene.broker.violations).toEqual([]);
    }
  });

  test('Maximum Packet Size bounds PUBLISH and SUBSCRIBE', () => {
    const scene = new Scene(5);
    scene.broker.limits.maximumPacketSize = 64;
    scene.start();
    scene.untilConnected(1);
    // Header 2, topic 2 + 15, packet id 2, property length 1.
    scene.publish(1, 64 - 22);
    scene.publish(1, 65 - 22);
    scene.publish(0, 900);
    expect(scene.owner.messages.map(({ state }) => state)).toEqual([
      'settled',
      'dropped',
      'dropped',
    ]);
    scene.owner.filters = [{ filter: 'x'.repeat(64), qos: 0 }];
    scene.broker.forget('d1');
    scene.platform.link.cut();
    scene.world.advance(5000);
    expect(scene.sent('subscribe')).toEqual([]);
    expect(scene.broker.violations).toEqual([]);
  });

  test.each([1, 2, 3, 4, 5, 9])(
    'Maximum Packet Size %i bounds every packet',
    (maximumPacketSize) => {
      const scene = new Scene(5, { packetSizeMax: 100, keepAliveMs: 1000 });
      scene.broker.limits.maximumPacketSize = maximumPacketSize;
      scene.owner.filters = [];
      scene.start();
      scene.untilConnected(1);
      scene.world.turn(() => scene.owner.send('data', 1, 8, false));
      scene.receive(scene.message(1, 1, 5), scene.message(2, 2, 6, false, 500), ack(PUBREL, 7));
      scene.world.advance(5000);
      const { connection } = scene;
      scene.reconnect();
      scene.world.turn(() => scene.owner.client.stop(0));
      scene.world.advance(5000);
      expect(scene.broker.violations).toEqual([]);
      const isAnswered = connection.packets.some(({ cmd }) => cmd === 'puback');
      expect(isAnswered).toBe(maximumPacketSize >= 4);
      expect(scene.sent('disconnect').length).toBe(maximumPacketSize >= 9 ? 1 : 0);
    },
  );

  test('Receive Maximum holds back PUBLISH, and nothing else', () => {
    const scene = new Scene(5, { keepAliveMs: 1000 });
    scene.broker.limits.receiveMaximum = 2;
    scene.start();
    scene.untilConnected(1);
    scene.ignored.add('publish');
    for (const qos of [1, 2, 1, 2, 1] as const) scene.publish(qos);
    scene.publish(0);
    const [one, two] = scene.ids('publish') as number[];
    expect(scene.sent('publish').length).toBe(2);
    scene.receive(scene.message(1, 1, 77), scene.message(2, 2, 78), ack(PUBREL, 78));
    expect([scene.ids('puback'), scene.ids('pubrec'), scene.ids('pubcomp')]).toEqual([
      [77],
      [78],
      [78],
    ]);
    scene.world.advance(10_000);
    expect(scene.sent('pingreq').length).toBeGreaterThan(9);
    // PUBREC of success frees nothing, PUBACK and PUBCOMP do (MQTT 5 §4.9).
    scene.ignored.add('pubrel');
    scene.receive(ack(PUBREC, two as number));
    expect(scene.sent('publish').length).toBe(2);
    expect(scene.ids('pubrel')).toEqual([two]);
    scene.receive(ack(PUBACK, one as number));
    expect(scene.sent('publish').length).toBe(3);
    scene.receive(ack(PUBCOMP, two as number));
    expect(scene.sent('publish').length).toBe(4);
  });

  test('limits that shrank bound what is sent again', () => {
    const scene = Scene.connected(5);
    scene.ignored.add('publish');
    for (const qos of [1, 1, 2] as const) scene.publish(qos);
    scene.broker.limits.receiveMaximum = 1;
    scene.broker.limits.maximumQos = 1;
    scene.reconnect();
    for (let count = 1; count <= 3; count += 1) {
      const packets = scene.sent('publish');
      expect(packets.map(({ qos }) => qos)).toEqual(Array(count).fill(1));
      scene.receive(ack(PUBACK, packets[count - 1]?.messageId as number));
    }
    // What was QoS 2 goes out anew.
    expect(scene.sent('publish').map(({ dup }) => dup)).toEqual([true, true, false]);
    expect(scene.broker.violations).toEqual([]);
  });

  test('a topic alias is within the maximum, and is introduced on every connection', () => {
    const scene = new Scene(5);
    scene.start();
    scene.untilConnected(1);
    scene.publish(0, 8, 'telemetry');
    expect(scene.sent('publish')[0]?.properties?.topicAlias).toBe(undefined);
    scene.broker.limits.topicAliasMaximum = 1;
    for (let count = 0; count < 2; count += 1) {
      scene.reconnect();
      scene.publish(0, 8, 'telemetry');
      scene.publish(0, 8, 'telemetry');
      const packets = scene.sent('publish');
      expect(packets.map(({ topic }) => topic)).toEqual(['devices/d1/telemetry', '']);
      expect(packets.map(({ properties: all }) => all?.topicAlias)).toEqual([1, 1]);
    }
    expect(scene.broker.violations).toEqual([]);
  });
});

describe.each(VERSIONS)('receiving, version %i', (version) => {
  test.each([0, 1])('acknowledgements follow what they answer, in chunks of %i', (chunk) => {
    const scene = Scene.connected(version, { packetSizeMax: 100 });
    if (chunk > 0) scene.platform.link.chunk = () => chunk;
    scene.receive(
      scene.message(0, 1, 5),
      scene.message(1, 2, 7),
      // Too large to be handled: acknowledged in its turn all the same.
      scene.message(2, 1, 9, false, 500),
      scene.message(3, 0, 0),
      scene.message(4, 2, 65535),
      scene.message(5, 1, 6),
    );
    scene.receive(ack(PUBREL, 65535), ack(PUBREL, 7));
    scene.world.advance(5000);
    expect(scene.received).toEqual([0, 1, 3, 4, 5]);
    expect(scene.ids('puback')).toEqual([5, 9, 6]);
    expect(scene.ids('pubrec')).toEqual([7, 65535]);
    expect(scene.ids('pubcomp')).toEqual([65535, 7]);
  });

  test('at QoS 1 an acknowledged packet id is a new message, whatever DUP says', () => {
    const scene = Scene.connected(version);
    for (const [number, dup] of [true, false, true].entries()) {
      scene.receive(scene.message(number, 1, 3, dup));
    }
    expect(scene.received).toEqual([0, 1, 2]);
    expect(scene.ids('puback')).toEqual([3, 3, 3]);
  });

  test('at QoS 2 a message comes once until PUBREL, over connections too, and then is new', () => {
    const scene = Scene.connected(version);
    scene.receive(scene.message(1, 2, 9));
    scene.receive(scene.message(1, 2, 9, true));
    expect(scene.ids('pubrec')).toEqual([9, 9]);
    scene.reconnect();
    scene.receive(scene.message(1, 2, 9, true));
    expect(scene.received).toEqual([1]);
    expect(scene.ids('pubrec')).toEqual([9]);
    // Asked twice, the second time for what is over: answered twice.
    scene.receive(ack(PUBREL, 9), ack(PUBREL, 9));
    expect(scene.ids('pubcomp')).toEqual([9, 9]);
    scene.receive(scene.message(2, 2, 9));
    expect(scene.received).toEqual([1, 2]);
  });

  test('at QoS 2 a packet id that was refused is new when it comes again', () => {
    const scene = Scene.connected(version, { packetSizeMax: 100 });
    scene.receive(scene.message(1, 2, 9, false, 500));
    if (version === 4) scene.receive(ack(PUBREL, 9));
    scene.receive(scene.message(2, 2, 9));
    expect(scene.received).toEqual([2]);
    expect(scene.ids('pubrec')).toEqual([9, 9]);
    const [refused, taken] = scene.sent('pubrec').map(({ reasonCode }) => reasonCode);
    if (version === 5) expect([refused, taken]).toEqual([0x97, 0]);
  });

  test('acknowledgements say a code of their table and no properties', () => {
    const scene = Scene.connected(version, { packetSizeMax: 100 });
    scene.ignored.add('publish');
    scene.publish(2);
    const [packetId] = scene.ids('publish') as number[];
    scene.receive(
      scene.message(0, 1, 5),
      scene.message(1, 1, 6, false, 500),
      scene.message(2, 2, 7),
      scene.message(3, 2, 8, false, 500),
      ack(PUBREL, 7),
      ack(PUBREL, 1234),
      ack(PUBREC, packetId as number),
      ack(PUBREC, 1235),
    );
    // MQTT 5 Tables 3-4, 3-5, 3-6, 3-7.
    const taking = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const tables = { puback: taking, pubrec: taking, pubrel: [0, 0x92], pubcomp: [0, 0x92] };
    for (const [cmd, codes] of Object.entries(tables)) {
      const packets = scene.sent(cmd);
      expect(packets.length, cmd).toBe(2);
      for (const { properties: all, reasonCode } of packets) {
        if (version === 5) expect(codes).toContain(reasonCode);
        else expect(reasonCode).toBe(undefined);
        expect(all).toBe(undefined);
      }
    }
  });
});
