// The life of a client's connections in virtual time, against the broker model. What numbered
// statements of the standards say is in statements*.test.ts, what the model test found in
// client-regressions.test.ts; this is the rest.

import { describe, expect, test } from 'vitest';
import { STABLE_MS } from '../../src/mqtt/client.ts';
import { ClientProfile } from '../../src/mqtt/client-profile.ts';
import { ANSWER_MS_MAX } from '../../src/mqtt/connection.ts';
import { reasonName } from '../../src/mqtt/reason-codes.ts';
import { ModelOwner } from '../support/model-owner.ts';
import { audited, expectNoViolations } from './audited-scene.ts';
import { frame, VERSIONS } from './samples.ts';
import { BROKER, HOUR_MS, Scene } from './statements-scene.ts';

const UINT32_MAX = 4294967295;

describe.each(VERSIONS)('connecting, version %i', (version) => {
  const codes = version === 4 ? [2, 3, 4, 5] : [0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x9f];

  test.each(codes)('code %i is told by its name, and tried again', (code) => {
    const scene = new Scene(version);
    scene.broker.connackCode = code;
    scene.start();
    scene.world.advance(20_000);
    const words = `connection refused: ${reasonName(code, version)}`;
    expect(scene.owner.disconnects.length).toBeGreaterThan(3);
    expect(new Set(scene.owner.disconnects)).toEqual(new Set([words]));
    scene.broker.connackCode = 0;
    scene.untilConnected(1);
  });

  test('attempts that get no answer end: connect, then CONNACK', () => {
    const scene = new Scene(version, { connectMsMax: 3000 });
    scene.platform.link.mute = true;
    scene.start();
    scene.world.advance(3000);
    expect(scene.owner.disconnects).toEqual(['connect timed out']);
    scene.platform.link.mute = false;
    scene.broker.silent = true;
    scene.world.advance(5000);
    expect(scene.owner.disconnects.slice(0, 2)).toEqual([
      'connect timed out',
      'no CONNACK in time',
    ]);
    scene.broker.silent = false;
    scene.untilConnected(1);
  });

  test('a connection that the network refuses is told in its words', () => {
    const scene = new Scene(version);
    scene.platform.link.refusal = 'host unreachable';
    scene.start();
    scene.world.advance(10);
    expect(scene.owner.disconnects).toEqual(['host unreachable']);
  });

  test('what does not speak MQTT is told apart at its first byte', () => {
    const scene = new Scene(version);
    scene.platform.link.listener = (socket) => {
      socket.onBytes = () => socket.write(new Uint8Array(Buffer.from('HTTP/1.1 400 Bad')));
    };
    scene.start();
    scene.world.advance(10);
    expect(scene.owner.disconnects).toEqual(['what answers there does not speak MQTT']);
  });

  test('stop in every state is silent for ever, and start begins anew', () => {
    for (const ms of [0, 1, 2, 3, 4, 5, 2000]) {
      const scene = new Scene(version);
      scene.platform.link.delayMs = () => 1;
      if (ms === 2000) scene.platform.link.refusal = 'connection refused';
      scene.start();
      scene.world.advance(ms === 2000 ? 2 : ms);
      const { state } = scene.owner.client;
      scene.world.turn(() => scene.owner.stop());
      expect(scene.owner.client.state, state).toBe('idle');
      expect(scene.owner.client.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY);
      const { connectCount } = scene.platform.link;
      scene.world.advance(HOUR_MS);
      expect(scene.platform.link.connectCount).toBe(connectCount);
      scene.platform.link.refusal = undefined;
      scene.start();
      scene.untilConnected(1);
    }
  });
});

describe('a server that does not speak 5', () => {
  const refusals = ['return-code-1', 'reason-0x84', 'reason-0x84-short', 'close'] as const;

  test.each(refusals)('%s: falls back, remembers over a reset, and probes every day', (refusal) => {
    const scene = new Scene(5, { protocol: 0 });
    const { broker, owner, platform } = scene;
    broker.speaks5 = false;
    broker.versionRefusal = refusal;
    scene.start();
    scene.untilConnected(1);
    expect(owner.client.version).toBe(4);
    // A close might have been an outage: that takes a second time.
    scene.reconnect();
    const asked = { ...broker.connectCount };
    scene.reconnect();
    expect(broker.connectCount).toEqual({ 4: asked[4] + 1, 5: asked[5] });

    const after = new ModelOwner(platform.restart(), new ClientProfile({ broker: BROKER }));
    scene.world.turn(() => after.start());
    scene.world.advance(5000);
    expect(after.client.version).toBe(4);
    expect(broker.connectCount[5]).toBe(asked[5]);

    scene.world.advance(24 * HOUR_MS);
    broker.speaks5 = true;
    platform.link.cut();
    scene.world.advance(5000);
    expect(after.client.version).toBe(5);
    expect(platform.settings.values.size).toBe(0);
  });
});

describe('backoff', () => {
  /** Ms from each loss to the attempt that follows it, with `random` for all jitter. */
  function pauses(random: number, count: number): number[] {
    const scene = new Scene(5, { retryMsMin: 1000, retryMsMax: 60_000 });
    scene.platform.random = () => random;
    scene.platform.link.refusal = 'connection refused';
    const lostMs: number[] = [];
    const found: number[] = [];
    const { onDisconnected } = scene.owner;
    scene.owner.onDisconnected = (reason) => {
      lostMs.push(scene.world.nowMs);
      onDisconnected.call(scene.owner, reason);
    };
    const { link } = scene.platform;
    const connect = link.connect.bind(link);
    link.connect = (handlers, target) => {
      const last = lostMs[lostMs.length - 1];
      if (last !== undefined) found.push(scene.world.nowMs - last);
      return connect(handlers, target);
    };
    scene.start();
    while (found.length < count) scene.world.advance(1000);
    return found.slice(0, count);
  }

  test('is uniform over a window that doubles up to its largest', () => {
    expect(pauses(0, 5)).toEqual([0, 0, 0, 0, 0]);
    const largest = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((s) => s * 1000 - 1);
    expect(pauses(UINT32_MAX, 9)).toEqual(largest);
    const half = [1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 500);
    expect(pauses(2 ** 31, 8)).toEqual(half);
    // After weeks of outage too.
    expect(pauses(UINT32_MAX, 60)[59]).toBe(59_999);
  });

  test('a connection that does not last does not end the series; a stable one does', () => {
    const scene = Scene.connected(5, { retryMsMin: 1000, retryMsMax: 60_000 });
    const { client } = scene.owner;
    for (let count = 1; count <= 4; count += 1) {
      scene.world.advance(STABLE_MS - 2000);
      scene.reconnect();
      expect(client.failureCount).toBe(count);
    }
    scene.world.advance(STABLE_MS);
    expect(client.failureCount).toBe(4);
    scene.reconnect();
    expect(client.failureCount).toBe(1);
  });

  test('comes back although the server accepts and closes at once, ever slower', () => {
    const scene = new Scene(5, { retryMsMin: 1000, retryMsMax: 60_000 });
    scene.broker.filter = (connection, packet) => {
      if (packet.cmd === 'subscribe') connection.disconnect(0x97);
      return packet.cmd !== 'subscribe';
    };
    scene.start();
    scene.world.advance(HOUR_MS);
    // Windows of 1, 2, 4 … 60 s: an hour has 120 means of 30 s and a few more.
    expect(scene.broker.connectCount[5]).toBeLessThan(180);
    expect(scene.owner.disconnects).toContain('server: Quota exceeded');
  });
});

describe.each(VERSIONS)('keep-alive, version %i', (version) => {
  test('PINGREQ goes out at three quarters of silence, either side’s', () => {
    const scene = Scene.connected(version);
    scene.world.advance(44_000);
    expect(scene.sent('pingreq')).toHaveLength(0);
    scene.world.advance(2000);
    expect(scene.sent('pingreq')).toHaveLength(1);
    // What it sends itself is no sign of life of the server.
    for (let count = 0; count < 50; count += 1) {
      scene.publish(0);
      scene.world.advance(1000);
    }
    expect(scene.sent('pingreq')).toHaveLength(2);
  });

  test('no PINGRESP ends the connection', () => {
    const scene = Scene.connected(version);
    scene.ignored.add('pingreq');
    scene.world.advance(45_000 + ANSWER_MS_MAX - 100);
    expect(scene.owner.client.state).toBe('connected');
    scene.world.advance(200);
    expect(scene.owner.disconnects).toEqual(['no PINGRESP in time']);
  });

  test('a link that died without a word is noticed, full or not', () => {
    for (const messages of [0, 40]) {
      const scene = Scene.connected(version);
      const { link } = scene.platform;
      link.deviceNoticesMs = undefined;
      link.cut();
      for (let count = 0; count < messages; count += 1) scene.publish(1, 200);
      scene.world.advance(60_000);
      expect(scene.owner.disconnects).toEqual(['no PINGRESP in time']);
      scene.untilConnected(2);
      scene.world.advance(1000);
      expect(scene.owner.pendingCount).toBe(0);
    }
  });
});

test("the server's keep-alive replaces ours, and 0 turns it off", () => {
  const scene = new Scene(5, { keepAliveMs: 60_000 });
  scene.broker.limits.serverKeepAliveS = 20;
  scene.start();
  scene.world.advance(100_000);
  expect(scene.sent('pingreq')).toHaveLength(6);
  scene.broker.limits.serverKeepAliveS = 0;
  scene.reconnect();
  scene.world.advance(HOUR_MS);
  expect(scene.sent('pingreq')).toHaveLength(0);
  scene.broker.limits.serverKeepAliveS = -1;
  scene.reconnect();
  scene.world.advance(100_000);
  expect(scene.sent('pingreq')).toHaveLength(2);
});

describe.each(VERSIONS)('subscriptions, version %i', (version) => {
  test('are restored when the session is gone, and only then', () => {
    const scene = Scene.connected(version);
    const counts = () =>
      scene.broker.history.map((one) => {
        return one.packets.filter((packet) => packet.cmd === 'subscribe').length;
      });
    scene.reconnect();
    scene.reconnect();
    expect(counts()).toEqual([1, 0, 0]);
    scene.platform.link.cut();
    scene.broker.forget('d1');
    scene.untilConnected(4);
    expect(counts()).toEqual([1, 0, 0, 1]);
    scene.reconnect();
    expect(counts()).toEqual([1, 0, 0, 1, 0]);
  });

  test('no SUBACK ends the connection; the next one subscribes again', () => {
    const scene = new Scene(version);
    scene.ignored.add('subscribe');
    scene.start();
    scene.world.advance(ANSWER_MS_MAX + 10);
    expect(scene.owner.disconnects).toEqual(['no SUBACK in time']);
    scene.ignored.clear();
    scene.untilConnected(2);
    expect(scene.sent('subscribe')).toHaveLength(1);
    expect(scene.owner.subscribedCount).toBe(1);
  });

  test('a refused one is counted, and the others hold', () => {
    const scene = new Scene(version);
    scene.owner.filters = [
      { filter: 'devices/d1/in/#', qos: 1 },
      { filter: 'secret', qos: 1 },
    ];
    scene.broker.grant = (filter, qos) => (filter === 'secret' ? 0x80 : qos);
    scene.start();
    scene.untilConnected(1);
    expect(scene.owner.client.subscribeRefusedCount).toBe(1);
    expect(scene.owner.subscribedCount).toBe(1);
    scene.world.advance(HOUR_MS);
    expect(scene.owner.client.state).toBe('connected');
  });

  test('none at all is fine', () => {
    const scene = new Scene(version);
    scene.owner.filters = [];
    scene.start();
    scene.untilConnected(1);
    scene.world.advance(HOUR_MS);
    expect(scene.owner.disconnects).toEqual([]);
    expect(scene.sent('subscribe')).toEqual([]);
  });
});

describe.each(VERSIONS)('what is in flight, version %i', (version) => {
  test('goes out again after a resume: same ids, same order, DUP', () => {
    const { audit, scene } = audited(version);
    for (const cmd of ['publish']) scene.ignored.add(cmd);
    for (const qos of [1, 2, 1, 2] as const) scene.publish(qos);
    const first = scene.sent('publish').map(({ messageId, qos }) => [messageId, qos]);
    scene.ignored.clear();
    scene.reconnect();
    const again = scene.sent('publish');
    expect(again.map(({ messageId, qos }) => [messageId, qos])).toEqual(first);
    expect(again.every((packet) => packet.dup)).toBe(true);
    expect(scene.owner.pendingCount).toBe(0);
    expectNoViolations(scene, audit);
  });

  test('is published anew, without DUP, when the session is gone', () => {
    const { audit, scene } = audited(version);
    scene.ignored.add('publish');
    for (const qos of [1, 2, 1] as const) scene.publish(qos);
    scene.ignored.clear();
    scene.platform.link.cut();
    scene.broker.forget('d1');
    scene.untilConnected(2);
    expect(scene.sent('publish').map(({ dup, qos }) => [dup, qos])).toEqual([
      [false, 1],
      [false, 2],
      [false, 1],
    ]);
    expect(scene.owner.pendingCount).toBe(0);
    expectNoViolations(scene, audit);
  });

  test('fits through a stream with room for one packet only', () => {
    for (const chunk of [0, 1, 3]) {
      const { audit, scene } = audited(version, {}, 60);
      const { link } = scene.platform;
      link.chunk = (_, waiting) => (chunk === 0 ? waiting : Math.min(chunk, waiting));
      for (let count = 0; count < 12; count += 1) {
        scene.world.turn(() => scene.owner.send('data', (count % 3) as 0, 20, false));
        scene.broker.publish({
          topic: 'devices/d1/in/a',
          payload: scene.owner.messages[count]?.payload as Uint8Array,
          qos: (count % 3) as 0,
          retain: false,
        });
      }
      scene.world.advance(30_000);
      expect(scene.owner.messages.map((one) => one.state)).toEqual(new Array(12).fill('settled'));
      expect(scene.received).toHaveLength(12);
      expectNoViolations(scene, audit);
    }
  });

  test('garbage ends the connection with nothing lost', () => {
    const { audit, scene } = audited(version);
    scene.ignored.add('publish');
    scene.publish(1);
    scene.ignored.clear();
    scene.receive(frame(0x00));
    scene.untilConnected(2);
    expect(scene.owner.disconnects).toContain('server violated MQTT: Malformed Packet');
    scene.world.advance(100);
    expect(scene.owner.pendingCount).toBe(0);
    expectNoViolations(scene, audit);
  });

  test('an oversize message is skipped and counted, at every QoS, and nothing else suffers', () => {
    for (const chunk of [0, 1, 7]) {
      const scene = Scene.connected(version, { packetSizeMax: 64 });
      scene.broker.ignoresPacketSize = true;
      const { link } = scene.platform;
      link.chunk = (_, waiting) => (chunk === 0 ? waiting : Math.min(chunk, waiting));
      for (const qos of [0, 1, 2] as const) {
        const payload = new Uint8Array(300);
        scene.broker.publish({ topic: 'devices/d1/in/a', payload, qos, retain: false });
        scene.receive(scene.message(qos, 1, 50 + qos));
        scene.world.advance(2000);
      }
      expect(scene.owner.client.oversizeCount).toBe(3);
      expect(scene.received).toEqual([0, 1, 2]);
      expect(scene.owner.disconnects).toEqual([]);
      expect(scene.broker.sessions.get('d1')?.pendingCount).toBe(0);
      expectNoViolations(scene);
    }
  });
});

describe.each(VERSIONS)('will, version %i', (version) => {
  function withWill(): Scene {
    const scene = new Scene(version);
    const payload = Uint8Array.of(1);
    scene.owner.willMessage = { topic: 'gone', payload, qos: 1, retain: false, delayS: 0 };
    scene.start();
    scene.untilConnected(1);
    return scene;
  }

  test('is published after a cut', () => {
    const scene = withWill();
    scene.reconnect();
    expect(scene.broker.willCount).toBe(1);
  });

  test('is not published after stop', () => {
    const scene = withWill();
    scene.world.turn(() => scene.owner.stop());
    scene.world.advance(HOUR_MS);
    expect(scene.sent('disconnect')).toHaveLength(1);
    expect(scene.broker.willCount).toBe(0);
  });
});

test('steady state allocates nothing', () => {
  for (const version of VERSIONS) {
    const scene = Scene.connected(version);
    const { memory } = scene.platform;
    const { allocateCount } = memory;
    for (let count = 0; count < 300; count += 1) {
      scene.publish((count % 3) as 0);
      scene.receive(scene.message(count, (count % 3) as 0, 1 + (count % 60_000)));
      if (count % 3 === 2) scene.receive(frame(0x62, 0, 1 + count));
    }
    expect(scene.received).toHaveLength(300);
    expect(memory.allocateCount).toBe(allocateCount);
  }
});
