// A whole device in virtual time: sensors, buffer, status, diagnostics and commands over the
// broker model.

import { describe, expect, test } from 'vitest';
import { DIAGNOSTICS_INTERVAL_MS } from '../src/announcements.ts';
import { PRIORITY_HIGH } from '../src/buffer/outbox.ts';
import type { DeviceOptions } from '../src/device-profile.ts';
import { reasonName } from '../src/mqtt/reason-codes.ts';
import { offlineStatus } from '../src/status.ts';
import { DeviceScene } from './support/device-scene.ts';
import { WireAudit } from './support/wire-audit.ts';

const VERSIONS = [4, 5] as const;
const HOUR_MS = 3_600_000;

function connected(options: Partial<DeviceOptions> = {}): DeviceScene {
  const scene = new DeviceScene(options);
  scene.connect();
  return scene;
}

/** Whole numbers from 0 on. */
function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function expectPeace(scene: DeviceScene): void {
  expect(scene.broker.violations).toEqual([]);
}

describe.each(VERSIONS)('telemetry, version %i', (protocol) => {
  test('every sample arrives once and in order, on an absolute schedule', () => {
    const scene = connected({ protocol });
    scene.world.advance(60_000);
    expect(scene.sequences()).toEqual(upTo(scene.device.sampler.packCount));
    const times = scene.taken('telemetry').map((one) => Math.floor(one.atMs));
    for (let index = 2; index < times.length; index += 1) {
      expect((times[index] as number) - (times[index - 1] as number)).toBe(1000);
    }
    expectPeace(scene);
  });

  test.each([0, 1, 2] as const)('at QoS %i nothing of a steady state is lost or kept', (qos) => {
    const scene = connected({ protocol, qos });
    scene.world.advance(20_000);
    scene.turn((device) => device.stopSampling());
    scene.world.advance(1000);
    expect(scene.sequences()).toEqual(upTo(scene.device.sampler.packCount));
    expect(scene.taken('telemetry').every((one) => one.qos === qos)).toBe(true);
    expect(scene.device.pendingCount).toBe(0);
    expect(scene.device.counters.unconfirmed).toBe(0);
    expectPeace(scene);
  });

  test('what was sampled offline arrives afterwards, oldest first', () => {
    const scene = new DeviceScene({ protocol });
    scene.link.refusal = 'no network';
    scene.start();
    scene.world.advance(20_000);
    expect(scene.device.pendingCount).toBeGreaterThan(15);
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.world.advance(3000);
    expect(scene.sequences()).toEqual(upTo(scene.device.sampler.packCount));
    expectPeace(scene);
  });

  test('survives cuts, with the session and without', () => {
    const scene = new DeviceScene({ protocol, qos: 1 });
    const audit = new WireAudit(scene.world, {
      inflightMax: 8,
      keepAliveS: 60,
      sameContent: false,
    });
    scene.link.taps.push(audit);
    scene.connect();
    for (let count = 0; count < 40; count += 1) {
      scene.link.cutAfter[count % 2 === 0 ? 'up' : 'down'] = 40 + count * 7;
      scene.world.advance(3000);
      if (count % 5 === 0) {
        scene.link.cut();
        scene.broker.forget('d1');
      }
    }
    scene.link.heal(true);
    scene.untilConnected();
    scene.turn((device) => device.stopSampling());
    scene.world.advance(10_000);
    const taken = [...new Set(scene.sequences())];
    expect(taken.sort((a, b) => a - b)).toEqual(upTo(scene.device.sampler.packCount));
    expect(scene.device.pendingCount).toBe(0);
    expect(audit.violations).toEqual([]);
    expectPeace(scene);
  });
});

describe('what the server says', () => {
  /** Publishes one sample that the server answers with `code`, and then success. */
  function refusedOnce(code: number): DeviceScene {
    const scene = connected({ intervalMs: Number.POSITIVE_INFINITY });
    scene.platform.random = () => 2 ** 31;
    let left = 1;
    scene.broker.reasonOf = (topic) => {
      if (!topic.endsWith('telemetry') || left === 0) return 0;
      left -= 1;
      return code;
    };
    scene.turn((device) => device.report('t', undefined, 1, 1));
    scene.world.advance(10);
    return scene;
  }

  test.each([0x80, 0x83, 0x97, 0x91])('0x%s keeps the message and sends it later', (code) => {
    const scene = refusedOnce(code);
    expect(scene.device.counters.refused).toBe(0);
    expect(scene.device.counters.dropped).toBe(0);
    expect(scene.device.pendingCount).toBe(1);
    scene.world.advance(2000);
    expect(scene.sequences()).toEqual([0]);
    expect(scene.device.pendingCount).toBe(0);
  });

  test.each([0x87, 0x90, 0x99])('0x%s drops the message and counts it', (code) => {
    const scene = refusedOnce(code);
    expect(scene.device.counters.refused).toBe(1);
    expect(scene.device.counters.dropped).toBe(1);
    expect(scene.events).toContain(`dropped 0: ${reasonName(code, 5)}`);
    scene.world.advance(5000);
    expect(scene.sequences()).toEqual([]);
    expect(scene.device.pendingCount).toBe(0);
  });

  test('whoever is asked for less, again and again, asks ever less often', () => {
    const scene = connected({ intervalMs: Number.POSITIVE_INFINITY });
    let asked: number[] = [];
    scene.broker.reasonOf = (topic) => {
      if (topic.endsWith('telemetry')) asked.push(scene.world.nowMs);
      return topic.endsWith('telemetry') ? 0x97 : 0;
    };
    scene.platform.random = () => 2 ** 31;
    scene.turn((device) => device.report('t', undefined, 1, 1));
    scene.world.advance(300_000);
    const pauses = asked.slice(1).map((ms, index) => Math.round((ms - asked[index]!) / 500));
    expect(pauses.slice(0, 7)).toEqual([1, 2, 4, 8, 16, 32, 60]);
    asked = [];
    scene.world.advance(300_000);
    expect(asked.length).toBeGreaterThan(8);
    scene.broker.reasonOf = () => 0;
    scene.world.advance(60_000);
    expect(scene.device.pendingCount).toBe(0);
  });

  test('Maximum QoS 0: released on write, and counted', () => {
    const scene = new DeviceScene({ qos: 1 });
    scene.broker.limits.maximumQos = 0;
    scene.connect();
    scene.world.advance(5000);
    expect(scene.taken('telemetry').every((one) => one.qos === 0)).toBe(true);
    expect(scene.device.pendingCount).toBe(0);
    expect(scene.device.counters.unconfirmed).toBe(scene.device.sampler.packCount);
    expectPeace(scene);
  });

  test('no retained messages: the birth goes out without the flag', () => {
    const scene = new DeviceScene();
    scene.broker.limits.retainAvailable = false;
    scene.connect();
    expect(scene.documents('status')).toEqual([{ state: 'online' }]);
    expect(scene.retained('status')).toBeUndefined();
    expectPeace(scene);
  });

  test('a message larger than it takes is dropped and counted, also one that was in flight', () => {
    const scene = connected({ intervalMs: Number.POSITIVE_INFINITY });
    scene.broker.filter = (_, packet) => packet.cmd !== 'publish';
    scene.turn((device) => {
      device.report('a', undefined, 'x'.repeat(200), 1);
      device.report('b', undefined, 1, 1);
    });
    scene.world.advance(10);
    scene.broker.filter = () => true;
    scene.broker.limits.maximumPacketSize = 150;
    scene.reconnect();
    scene.turn((device) => device.report('c', undefined, 'x'.repeat(200), 1));
    scene.world.advance(5000);
    expect(scene.sequences()).toEqual([1]);
    expect(scene.device.counters.dropped).toBe(2);
    expect(scene.device.pendingCount).toBe(0);
    expectPeace(scene);
  });
});

describe('the buffer', () => {
  test('gives up the oldest when it is full, and says so', () => {
    const scene = new DeviceScene({ bufferSize: 1024 });
    scene.link.refusal = 'no network';
    scene.start();
    scene.world.advance(60_000);
    const { counters, pendingCount, sampler } = scene.device;
    expect(counters.dropped).toBe(sampler.packCount - pendingCount);
    expect(scene.count('dropped')).toBe(counters.dropped);
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.world.advance(3000);
    const last = scene.device.sampler.packCount;
    const first = counters.dropped;
    expect(scene.sequences()).toEqual(upTo(last).filter((sequence) => sequence >= first));
  });

  test('an alarm overtakes what waits', () => {
    const scene = new DeviceScene();
    scene.link.refusal = 'no network';
    scene.start();
    scene.world.advance(5500);
    scene.turn((device) => device.report('alarm', undefined, true, PRIORITY_HIGH));
    const alarm = scene.device.sampler.packCount - 1;
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.world.advance(20);
    expect(scene.sequences()[0]).toBe(alarm);
  });

  test('tells what is pending', () => {
    const scene = new DeviceScene();
    scene.link.refusal = 'no network';
    scene.start();
    scene.world.advance(3500);
    const pending: number[] = [];
    scene.device.forEachPending((sequence) => pending.push(sequence));
    expect(pending).toEqual(upTo(scene.device.sampler.packCount));
  });
});

describe('sampling', () => {
  test('a sensor that throws, or has no value, costs its own sample only', () => {
    const values: (number | string | boolean | undefined)[] = [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      undefined,
      -0,
      'text',
      true,
    ];
    const sensors = values.map((value, index) => ({ name: `s${index}`, read: () => value }));
    const broken = () => {
      throw new Error('broken');
    };
    const scene = connected({ sensors: [{ name: 'broken', read: broken }, ...sensors] });
    scene.world.advance(3000);
    const { faultCount, packCount } = scene.device.sampler;
    expect(faultCount).toBe(4 * packCount);
    for (const pack of scene.packs()) {
      expect(pack.slice(1)).toEqual([
        { '0': 's3', '2': -0 },
        { '0': 's4', '3': 'text' },
        { '0': 's5', '4': true },
      ]);
    }
  });

  test('no value at all is no message, and takes no sequence', () => {
    let value: number | undefined;
    const scene = connected({ sensors: [{ name: 's', read: () => value }] });
    scene.world.advance(5000);
    expect(scene.device.sampler.packCount).toBe(0);
    value = 1;
    scene.world.advance(2000);
    expect(scene.sequences()).toEqual(upTo(scene.device.sampler.packCount));
  });

  test('a stalled program takes its last samples late, each with its time, and counts the rest', () => {
    const epochMs = 1_767_225_600_000;
    const scene = new DeviceScene({}, { epochMs });
    scene.connect();
    scene.world.advance(2500);
    const before = scene.device.sampler.packCount;
    const schedule = scene.device.sampler.dueMs;
    // Nothing runs for 40 s, and then all of it in one turn.
    const { clock } = scene.platform;
    const { epochMs: epoch, monotonicMs } = clock;
    clock.monotonicMs = () => monotonicMs.call(clock) + 40_000;
    clock.epochMs = () => epoch.call(clock) + 40_000;
    scene.world.advance(1500);
    const { missedCount, packCount } = scene.device.sampler;
    const due = Math.floor((clock.monotonicMs() - schedule) / 1000) + 1;
    expect(packCount - before + missedCount).toBe(due);
    expect(missedCount).toBeGreaterThan(20);
    expect(scene.sequences()).toEqual(upTo(packCount));
    const times = scene.packs().map((pack) => pack[0]?.['-3'] as number);
    const last = times.slice(-10);
    for (let index = 1; index < last.length; index += 1) {
      expect(last[index]! - last[index - 1]!).toBeCloseTo(1, 6);
    }
    expectPeace(scene);
  });

  test('tells how uncertain its clock is, when it is', () => {
    const scene = new DeviceScene({}, { epochMs: 1_767_225_600_000, uncertaintyMs: 2500 });
    scene.connect();
    scene.world.advance(2000);
    expect(scene.packs()[0]?.[1]).toEqual({ '0': 'uncertainty', '1': 's', '2': 2.5 });
  });
});

describe('status', () => {
  test.each(VERSIONS)('birth, will after a cut, and birth again, version %i', (protocol) => {
    const scene = connected({ protocol });
    expect(scene.retained('status')).toEqual({ state: 'online' });
    scene.link.refusal = 'no network';
    scene.cut();
    scene.world.advance(6000);
    expect(scene.retained('status')).toEqual({ state: 'offline' });
    expect(scene.broker.willCount).toBe(1);
    scene.link.refusal = undefined;
    scene.untilConnected();
    expect(scene.retained('status')).toEqual({ state: 'online' });
    expectPeace(scene);
  });

  test.each(VERSIONS)('a late will of its own is answered by a birth, version %i', (protocol) => {
    const scene = connected({ protocol });
    const { link } = scene;
    // The server notices only after the device is back.
    link.serverNoticesMs = undefined;
    scene.reconnect();
    const payload = Uint8Array.from(offlineStatus());
    if (protocol === 4) {
      scene.broker.publish({ topic: 'devices/d1/status', payload, qos: 1, retain: true });
    }
    scene.world.advance(10_000);
    expect(scene.retained('status')).toEqual({ state: 'online' });
    expectPeace(scene);
  });

  test('says since when, where the time is known', () => {
    const epochMs = 1_767_225_600_000;
    const scene = new DeviceScene({}, { epochMs });
    scene.world.advance(3000);
    scene.connect();
    const { since } = scene.retained('status') as { since: number };
    expect(since).toBeCloseTo((epochMs + 3000) / 1000, 1);
  });

  test.each(VERSIONS)(
    'stop says offline and DISCONNECT; no will follows, version %i',
    (protocol) => {
      const scene = connected({ protocol });
      const { connection } = scene.broker;
      scene.stop();
      scene.world.advance(HOUR_MS);
      expect(connection.packets.slice(-2).map((packet) => packet.cmd)).toEqual([
        'publish',
        'disconnect',
      ]);
      expect(scene.retained('status')).toEqual({ state: 'offline' });
      expect(scene.broker.willCount).toBe(0);
      expect(scene.platform.memory.outstandingCount).toBe(1);
    },
  );

  test('retire leaves nothing at the broker', () => {
    const scene = connected();
    scene.turn((device) => device.retire());
    scene.world.advance(1000);
    expect(scene.broker.retained.size).toBe(0);
    expect(scene.broker.sessions.size).toBe(0);
  });

  test('can be left out, with commands and diagnostics', () => {
    const scene = connected({ status: false, takesCommands: false, diagnostics: false });
    scene.world.advance(5000);
    const topics = new Set(scene.broker.taken.map((one) => one.topic));
    expect(topics).toEqual(new Set(['devices/d1/telemetry']));
    expect(scene.broker.connection.connect?.will).toBeUndefined();
    expect(scene.broker.sessions.get('d1')?.subscriptions.size).toBe(0);
    scene.stop();
    scene.world.advance(100);
    expect(scene.broker.willCount).toBe(0);
  });
});

describe('diagnostics', () => {
  test('go out at every connect and once a day, a counter for every bound', () => {
    const scene = connected({ intervalMs: 600_000 });
    expect(scene.documents('diagnostics')).toHaveLength(1);
    scene.reconnect();
    expect(scene.documents('diagnostics')).toHaveLength(2);
    scene.world.advance(DIAGNOSTICS_INTERVAL_MS - 5000);
    expect(scene.documents('diagnostics')).toHaveLength(2);
    scene.world.advance(10_000);
    const last = scene.documents('diagnostics')[2];
    expect(last).toMatchObject({ connects: 2, dropped: 0, pending: 0, produced: 144 });
    scene.world.advance(DIAGNOSTICS_INTERVAL_MS);
    expect(scene.documents('diagnostics')).toHaveLength(4);
  });
});
