// What the model test found in the client, each as the shortest scene that shows it.

import { describe, expect, test } from 'vitest';
import { ClientProfile } from '../../src/mqtt/client-profile.ts';
import type { ProtocolVersion } from '../../src/mqtt/packet.ts';
import { ModelOwner } from '../support/model-owner.ts';
import { audited, expectNoViolations } from './audited-scene.ts';
import { frame, VERSIONS } from './samples.ts';
import { BROKER, Scene } from './statements-scene.ts';

describe('found by the model test', () => {
  test.each(VERSIONS)(
    'acknowledgements find their room beside publishes, version %i',
    (version) => {
      for (let roomMax = 78; roomMax < 100; roomMax += 1) {
        const { audit, scene } = audited(version, { inflightMax: 1 }, roomMax);
        scene.ignored.add('publish');
        scene.publish(1);
        scene.publish(1, 55);
        const packetId = scene.sent('publish')[0]?.messageId ?? 0;
        // The answer to what is in flight lets go the next, which takes what room there is.
        scene.receive(frame(0x40, packetId >> 8, packetId & 255), scene.message(0, 1, 7));
        scene.world.advance(100);
        expect(scene.received).toEqual([0]);
        expect(scene.ids('puback')).toEqual([7]);
        expect(scene.sent('publish')).toHaveLength(2);
        expectNoViolations(scene, audit);
      }
    },
  );

  test('a handler that publishes leaves room for its acknowledgement', () => {
    for (let roomMax = 50; roomMax < 70; roomMax += 1) {
      const { audit, scene } = audited(5, {}, roomMax);
      scene.owner.onReceived = () => {
        for (let count = 0; count < 3; count += 1) scene.owner.send('data', 0, 30, false);
      };
      scene.receive(scene.message(0, 1, 7), scene.message(1, 2, 8));
      scene.world.advance(100);
      expect(scene.ids('puback')).toEqual([7]);
      expect(scene.ids('pubrec')).toEqual([8]);
      expect(scene.owner.pendingCount).toBe(0);
      expectNoViolations(scene, audit);
    }
  });

  test('SUBSCRIBE waits for room instead of giving up', () => {
    const scene = new Scene(5);
    scene.owner.filters = ['a', 'b', 'c'].map((name) => ({ filter: name.repeat(20), qos: 1 }));
    const { link } = scene.platform;
    link.roomMax = 90;
    // CONNACK comes before the word that CONNECT has left.
    link.announceMs = () => 20;
    scene.start();
    scene.untilConnected(1);
    scene.world.advance(100);
    expect(scene.owner.disconnects).toEqual([]);
    expect(scene.owner.subscribedCount).toBe(1);
  });

  test('a keep-alive shorter than the answer time is kept', () => {
    for (const keepAliveS of [1, 2, 5, 9, 13]) {
      const scene = Scene.connected(5, { keepAliveMs: keepAliveS * 1000 });
      scene.world.advance(keepAliveS * 10_000);
      expect(scene.owner.disconnects).toEqual([]);
      expect(scene.sent('pingreq').length).toBeGreaterThanOrEqual(10);
      // PINGRESP does not come: another packet would be due by then.
      scene.ignored.add('pingreq');
      scene.world.advance(keepAliveS * 2000);
      expect(scene.owner.disconnects[0]).toBe('no PINGRESP in time');
    }
  });

  test('0x84 in a CONNACK of 3.1.1 refuses the version', () => {
    const scene = new Scene(5, { protocol: 0 });
    scene.broker.speaks5 = false;
    scene.broker.versionRefusal = 'reason-0x84-short';
    scene.start();
    scene.untilConnected(1);
    expect(scene.owner.client.version).toBe(4);
  });

  test('an outage that closes connections leaves no one on 3.1.1', () => {
    const scene = new Scene(5, { protocol: 0 });
    scene.broker.speaks5 = false;
    scene.broker.speaks4 = false;
    scene.broker.versionRefusal = 'close';
    scene.start();
    for (let count = 0; count < 20; count += 1) scene.world.advance(777);
    scene.broker.speaks5 = true;
    scene.broker.speaks4 = true;
    scene.untilConnected(1);
    expect(scene.owner.client.version).toBe(5);
    expect(scene.platform.settings.values.size).toBe(0);
  });

  test('after a resume no more is sent at once than the Receive Maximum of now', () => {
    const { audit, scene } = audited(5);
    scene.ignored.add('publish');
    for (let count = 0; count < 6; count += 1) scene.publish(count % 2 === 0 ? 1 : 2);
    scene.ignored.clear();
    scene.broker.limits.receiveMaximum = 2;
    scene.broker.ackDelayMs = () => 10;
    scene.reconnect();
    scene.world.advance(500);
    expect(scene.owner.pendingCount).toBe(0);
    expectNoViolations(scene, audit);
  });

  test('after a resume nothing is sent above the Maximum QoS of now', () => {
    const { audit, scene } = audited(5);
    scene.ignored.add('publish');
    for (const qos of [2, 1, 2] as const) scene.publish(qos);
    scene.ignored.clear();
    scene.broker.limits.maximumQos = 1;
    scene.reconnect();
    scene.world.advance(5000);
    expect(scene.owner.pendingCount).toBe(0);
    expect(scene.owner.session.inflightCount).toBe(0);
    expectNoViolations(scene, audit);
  });

  test('a handler that connects anew acknowledges nothing on the new connection', () => {
    for (const qos of [1, 2] as const) {
      const { audit, scene } = audited(5);
      let again = true;
      scene.owner.onReceived = () => {
        if (!again) return;
        again = false;
        scene.owner.stop();
        scene.owner.start();
      };
      scene.broker.publish({
        topic: 'devices/d1/in/a',
        payload: scene.message(0, 0, 0).subarray(20),
        qos,
        retain: false,
      });
      scene.world.advance(1000);
      expect(scene.owner.client.state).toBe('connected');
      expect(audit.violations).toEqual([]);
      expect(scene.broker.violations).toEqual([]);
      expect(scene.broker.sessions.get('d1')?.pendingCount).toBe(0);
    }
  });

  test('a session from before a reset does not swallow new QoS 2 messages (3.1.1)', () => {
    const scene = Scene.connected(4);
    // PUBREL is lost: the broker waits for it with this packet id.
    scene.ignored.add('pubrel');
    scene.publish(2);
    expect(scene.broker.sessions.get('d1')?.incoming.size).toBe(1);
    scene.ignored.clear();
    const platform = scene.platform.restart();
    const profile = new ClientProfile({ broker: BROKER, protocol: 4 });
    const owner = new ModelOwner(platform, profile);
    scene.world.turn(() => owner.start());
    scene.world.advance(5000);
    const before = scene.broker.taken.length;
    scene.world.turn(() => owner.send('data', 2, 8, false));
    scene.world.advance(1000);
    expect(scene.broker.taken.length).toBe(before + 1);
    expect(owner.client.state).toBe('connected');
    expect(scene.broker.sessions.get('d1')?.subscriptions.size).toBe(1);
    expect(scene.connection.connect?.clean).toBe(false);
  });

  test('a broker that calls every session present is not asked for ever (3.1.1)', () => {
    const scene = new Scene(4);
    scene.broker.filter = (connection, packet) => {
      if (packet.cmd === 'connect') connection.write(frame(0x20, 1, 0));
      return packet.cmd !== 'connect';
    };
    scene.start();
    scene.world.advance(10_000);
    // As often as backoff allows, and not in a loop without it.
    expect(scene.broker.history.length).toBeLessThan(40);
  });

  /** The server lost the session, and its CONNACK that says so does not arrive. */
  function newSessionUnnoticed(version: ProtocolVersion, before: (scene: Scene) => void): Scene {
    const scene = Scene.connected(version);
    before(scene);
    const { link } = scene.platform;
    link.cut();
    scene.broker.forget('d1');
    link.cutAfter.down = 0;
    scene.untilConnected(2);
    expect(scene.broker.history.length).toBe(3);
    return scene;
  }

  test('subscriptions are restored when a CONNACK was lost that may have begun a session', () => {
    for (const version of VERSIONS) {
      const scene = newSessionUnnoticed(version, () => undefined);
      expect(scene.broker.sessions.get('d1')?.subscriptions.size).toBe(1);
    }
  });

  test('a new session that went unnoticed may use an old packet id for a new message', () => {
    for (const version of VERSIONS) {
      const scene = newSessionUnnoticed(version, (before) => {
        before.receive(before.message(7, 2, 1));
        expect(before.received).toEqual([7]);
      });
      scene.receive(scene.message(8, 2, 1));
      expect(scene.received).toEqual([7, 8]);
      expect(scene.ids('pubrec')).toEqual([1]);
    }
  });

  test('packet ids of a session that is gone do not use up our Receive Maximum', () => {
    const scene = new Scene(5, { receiveMax: 1 });
    scene.start();
    scene.untilConnected(1);
    scene.receive(scene.message(7, 2, 9));
    scene.platform.link.cut();
    scene.broker.forget('d1');
    scene.platform.link.cutAfter.down = 0;
    scene.untilConnected(2);
    scene.receive(scene.message(8, 2, 1));
    expect(scene.received).toEqual([7, 8]);
    expect(scene.owner.client.state).toBe('connected');
  });

  test('whoever was taken over by an old CONNECT of its own subscribes again', () => {
    const scene = Scene.connected(5);
    scene.broker.openSession('d1', true);
    scene.untilConnected(2);
    expect(scene.owner.disconnects).toEqual(['server: Session taken over']);
    expect(scene.broker.sessions.get('d1')?.subscriptions.size).toBe(1);
  });

  test('more QoS 2 messages than we hold come all the same, in order (3.1.1)', () => {
    const scene = Scene.connected(4, { receiveMax: 2 });
    // Slow enough for a new CONNECT to overtake the acknowledgements of the last connection.
    scene.ignored.add('publish');
    for (let count = 0; count < 4; count += 1) scene.publish(1, 110);
    const { link } = scene.platform;
    link.chunk = (direction, waiting) => (direction === 'up' ? 2 : waiting);
    link.delayMs = () => 10;
    for (let number = 0; number < 9; number += 1) {
      const payload = scene.message(number, 2, 1).subarray(-8);
      scene.broker.publish({ topic: 'devices/d1/in/a', payload, qos: 2, retain: false });
    }
    scene.world.advance(100_000);
    expect(scene.received).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(scene.broker.sessions.get('d1')?.pendingCount).toBe(0);
    expectNoViolations(scene);
  });
});
