// What the server never acknowledges: the oldest message in flight has a deadline, past which the
// connection is given up and the session resumed; who never acknowledges is asked ever less often.

import { describe, expect, test } from 'vitest';
import { STABLE_MS } from '../../src/mqtt/client.ts';
import type { Qos } from '../../src/mqtt/packet.ts';
import { VERSIONS } from './samples.ts';
import { HOUR_MS, Scene } from './statements-scene.ts';

const ACK_MS_MAX = 60_000;
/** The deadline is jittered by at most a quarter, and told in steps of 1/64. */
const LATEST_MS = ACK_MS_MAX * 1.25 + ACK_MS_MAX / 32;

/** Makes the broker lose its answers of a kind: the first `count`, or all. */
function lose(scene: Scene, cmd: string, count = Number.POSITIVE_INFINITY): void {
  let left = count;
  scene.platform.link.listener = (socket) => {
    scene.broker.accept(socket);
    const { connection } = scene;
    const { write } = connection;
    connection.write = (packet) => {
      if (!(packet instanceof Uint8Array) && packet.cmd === cmd && left > 0) left -= 1;
      else write.call(connection, packet);
    };
  };
}

const MISSING: readonly [cmd: string, qos: Qos, reason: string][] = [
  ['puback', 1, 'no PUBACK'],
  ['pubrec', 2, 'no PUBREC'],
  ['pubcomp', 2, 'no PUBCOMP'],
];

describe.each(VERSIONS)('an acknowledgement that never comes, version %i', (version) => {
  test.each(MISSING)('one %s of many is missed in time, and the message sent again', (...row) => {
    const [cmd, qos, reason] = row;
    const scene = new Scene(version);
    lose(scene, cmd, 1);
    scene.start();
    scene.untilConnected(1);
    const sentMs = scene.world.nowMs;
    // Others are acknowledged meanwhile, and do not hide the one that is not.
    for (let count = 0; count < 100 && scene.owner.disconnects.length === 0; count += 1) {
      scene.publish(qos);
      scene.world.advance(980);
    }
    expect(scene.owner.disconnects).toEqual([reason]);
    expect(scene.world.nowMs - sentMs).toBeGreaterThan(ACK_MS_MAX);
    expect(scene.world.nowMs - sentMs).toBeLessThan(LATEST_MS + 1000);
    scene.untilConnected(2);
    scene.world.advance(1000);
    expect(scene.owner.pendingCount).toBe(0);
    expect(scene.owner.session.inflightCount).toBe(0);
    expect(scene.sent(cmd === 'pubcomp' ? 'pubrel' : 'publish')[0]?.messageId).toBe(2);
    expect(scene.broker.violations).toEqual([]);
  });

  test('a slow server has its time: nothing is given up before it', () => {
    const scene = new Scene(version, { keepAliveMs: 0 });
    scene.broker.ackDelayMs = () => ACK_MS_MAX - 100;
    scene.start();
    scene.untilConnected(1);
    for (let count = 0; count < 300; count += 1) {
      scene.publish(count % 2 === 0 ? 1 : 2);
      scene.world.advance(7000);
    }
    expect(scene.owner.disconnects).toEqual([]);
  });

  test('ackMsMax is as it was set, jittered, so that a fleet does not come back at once', () => {
    const ends = new Set<number>();
    for (let seed = 0; seed < 40; seed += 1) {
      const scene = new Scene(version, { ackMsMax: 4000, inflightMax: 2 });
      for (let skipped = 0; skipped < seed; skipped += 1) scene.platform.random();
      lose(scene, 'puback');
      scene.start();
      scene.untilConnected(1);
      const beginMs = scene.world.nowMs;
      scene.publish(1);
      scene.world.until(() => scene.owner.disconnects.length > 0, 60_000);
      expect(scene.owner.disconnects).toEqual(['no PUBACK']);
      const tookMs = scene.world.nowMs - beginMs;
      expect(tookMs).toBeGreaterThanOrEqual(4000);
      expect(tookMs).toBeLessThanOrEqual(5200);
      ends.add(tookMs);
    }
    expect(ends.size).toBeGreaterThan(25);
  });

  test('what waits for its turn to be sent again is not overdue', () => {
    const scene = new Scene(version, { ackMsMax: 5000, inflightMax: 8 });
    scene.start();
    scene.untilConnected(1);
    scene.ignored.add('publish');
    for (let count = 0; count < 8; count += 1) scene.publish(1);
    scene.ignored.clear();
    scene.broker.limits.receiveMaximum = 1;
    scene.broker.ackDelayMs = () => 3000;
    scene.reconnect();
    scene.world.advance(60_000);
    expect(scene.owner.pendingCount).toBe(0);
    expect(scene.owner.disconnects).toEqual(['connection reset']);
  });

  test('a message of hours of silence, once acknowledged, leaves no timer behind', () => {
    const scene = Scene.connected(version, { keepAliveMs: 0 });
    scene.publish(1);
    scene.world.advance(HOUR_MS);
    expect(scene.owner.client.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY);
    scene.publish(1);
    expect(scene.owner.client.nextDeadlineMs()).toBeLessThan(Number.POSITIVE_INFINITY);
  });
});

describe.each(VERSIONS)('backoff, version %i', (version) => {
  /** Connections in an hour at a broker that takes everything and acknowledges nothing. */
  function connectsAt(cmd: string, qos: Qos): number {
    const scene = new Scene(version, { retryMsMin: 60_000, retryMsMax: HOUR_MS, ackMsMax: 20_000 });
    lose(scene, cmd);
    scene.start();
    scene.untilConnected(1);
    scene.publish(qos);
    scene.world.advance(4 * HOUR_MS);
    return scene.broker.connectCount[version];
  }

  test.each(MISSING)('a server that sends no %s is asked ever less often', (cmd, qos) => {
    // Windows of 1, 2, 4 … 60 min: a series that began anew would be of 30 s and 25 s each.
    const count = connectsAt(cmd, qos);
    expect(count).toBeGreaterThan(4);
    expect(count).toBeLessThan(30);
  });

  test('is reset by an acknowledgement on a stable connection', () => {
    const scene = new Scene(version, { ackMsMax: 30_000 });
    lose(scene, 'puback', 2);
    scene.start();
    scene.untilConnected(1);
    const { client } = scene.owner;
    scene.publish(1);
    scene.untilConnected(2);
    expect(client.failureCount).toBe(1);
    // Its second answer is lost too.
    scene.untilConnected(3);
    expect(client.failureCount).toBe(2);
    scene.world.advance(STABLE_MS);
    // What came before does not tell that it is stable.
    expect(client.failureCount).toBe(2);
    scene.publish(1);
    expect(client.failureCount).toBe(0);
  });

  test('is reset by time alone where nothing is owed', () => {
    const scene = Scene.connected(version);
    scene.reconnect();
    expect(scene.owner.client.failureCount).toBe(1);
    scene.publish(0);
    scene.world.advance(STABLE_MS);
    scene.reconnect();
    expect(scene.owner.client.failureCount).toBe(1);
  });
});
