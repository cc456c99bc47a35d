// What a device takes from its platform and from its program, what it refuses, and what these
// tests found.

import { describe, expect, test } from 'vitest';
import { Device } from '../src/device.ts';
import { type DeviceOptions, DeviceProfile, SENSOR_COUNT_MAX } from '../src/device-profile.ts';
import { DeviceScene } from './support/device-scene.ts';
import { VirtualPlatform } from './support/virtual-platform.ts';

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

describe('what a device takes from its platform', () => {
  test('one allocation at birth, and none in the steady state', () => {
    for (const protocol of VERSIONS) {
      const scene = connected({ protocol, qos: 2 });
      const { memory } = scene.platform;
      expect(memory.outstandingCount).toBe(1);
      const { allocateCount } = memory;
      scene.world.advance(HOUR_MS);
      expect(memory.allocateCount).toBe(allocateCount);
      expect(scene.taken('telemetry').length).toBeGreaterThan(3500);
      expectPeace(scene);
    }
  });

  test('the watchdog is fed, and time is waited for, not spun through', () => {
    const scene = connected();
    const events = scene.world.eventCount;
    const turns = scene.platform.watchdogCount;
    scene.world.advance(600_000);
    expect(scene.platform.watchdogCount - turns).toBeGreaterThan(500);
    expect(scene.platform.watchdogCount - turns).toBeLessThan(1300);
    expect(scene.world.eventCount - events).toBeLessThan(7000);
  });

  test('a clock that passes 2^32 ms changes nothing', () => {
    const scene = new DeviceScene({}, { originMs: 2 ** 32 - 5000 });
    scene.connect();
    scene.world.advance(20_000);
    scene.reconnect();
    scene.world.advance(20_000);
    expect(scene.sequences()).toEqual(upTo(scene.device.sampler.packCount));
    expectPeace(scene);
  });

  test('a reset begins a new stream of sequences from 0', () => {
    const scene = connected();
    scene.world.advance(3000);
    scene.reset();
    scene.connect();
    scene.world.advance(3000);
    const names = scene.packs().map((pack) => pack[0]?.['-2']);
    expect(new Set(names).size).toBe(2);
    expect(scene.sequences().filter((sequence) => sequence === 0)).toHaveLength(2);
    expectPeace(scene);
  });
});

describe('configuration', () => {
  const wrongIds = ['', 'a/b', 'a+b', '#', '-a', 'a b', 'ü', 'a'.repeat(65), '_a'];
  test.each(wrongIds)('the id %j is refused', (id) => {
    const profile = new DeviceProfile(new DeviceScene().options);
    const platform = new VirtualPlatform();
    expect(() => new Device({ platform, id, profile })).toThrow(RangeError);
    expect(platform.memory.outstandingCount).toBe(0);
  });

  const sensor = { name: 's', read: () => 1 };
  const WRONG: readonly (readonly [string, Partial<DeviceOptions>])[] = [
    ['sensors', { sensors: new Array(SENSOR_COUNT_MAX + 1).fill(sensor) }],
    ['intervalMs', { intervalMs: 0 }],
    ['intervalMs', { intervalMs: Number.NaN }],
    ['bufferSize', { bufferSize: 100 }],
    ['bufferSize', { bufferSize: Number.NaN }],
    ['topic template', { topics: 'devices' }],
  ];
  test.each(WRONG)('%s out of range is refused by its name', (name, options) => {
    expect(() => new DeviceScene(options)).toThrow(RangeError);
    expect(() => new DeviceScene(options)).toThrow(name);
  });

  test('as many sensors as are allowed fit one pack', () => {
    const sensors = upTo(SENSOR_COUNT_MAX).map((index) => ({
      name: `s${index}`,
      read: () => index,
    }));
    const scene = connected({ sensors });
    scene.world.advance(2000);
    expect(scene.packs()[0]).toHaveLength(SENSOR_COUNT_MAX + 1);
  });
});

describe('found by these tests', () => {
  test('a pause that ends while offline does not spin', () => {
    const scene = connected();
    scene.broker.reasonOf = (topic) => (topic.endsWith('telemetry') ? 0x97 : 0);
    scene.world.advance(3000);
    scene.link.refusal = 'no network';
    scene.cut();
    const turns = scene.platform.watchdogCount;
    scene.world.advance(30_000);
    expect(scene.platform.watchdogCount - turns).toBeLessThan(200);
  });

  test('diagnostics that find no room do not spin', () => {
    const scene = new DeviceScene({ intervalMs: 600_000 }, { transmitSize: 512 });
    // CONNECT goes through; what follows stays in the stream, which is full then.
    scene.link.roomMax = 200;
    scene.link.chunk = (direction, waiting) => {
      if (direction === 'up' && scene.device.isConnected) {
        scene.link.stalledUntilMs = scene.world.nowMs + 30_000;
      }
      return waiting;
    };
    scene.start();
    scene.world.advance(30_000);
    expect(scene.platform.watchdogCount).toBeLessThan(100);
  });

  test('a program may report from within what it is told', () => {
    for (const qos of [0, 1] as const) {
      let left = 3;
      const scene: DeviceScene = new DeviceScene({
        qos,
        intervalMs: Number.POSITIVE_INFINITY,
        events: {
          onAcknowledged: (device) => {
            left -= 1;
            if (left >= 0) device.report('echo', undefined, left, 1);
          },
        },
      });
      scene.connect();
      scene.turn((device) => device.report('t', undefined, 'x'.repeat(50), 1));
      scene.world.advance(5000);
      expect(scene.sequences()).toEqual([0, 1, 2, 3]);
      expect(scene.device.pendingCount).toBe(0);
    }
  });

  test('a value that is larger than a packet is dropped and counted', () => {
    const scene = connected({ intervalMs: Number.POSITIVE_INFINITY, bufferSize: 4096 });
    scene.turn((device) => device.report('t', undefined, 'x'.repeat(3000), 1));
    scene.turn((device) => device.report('t', undefined, 1, 1));
    scene.world.advance(1000);
    expect(scene.sequences()).toEqual([1]);
    expect(scene.device.counters.dropped).toBe(1);
    expect(scene.device.pendingCount).toBe(0);
  });

  test('a birth that the server cannot take now goes out later', () => {
    const scene = new DeviceScene();
    scene.platform.random = () => 2 ** 31;
    scene.broker.reasonOf = (topic) => (topic.endsWith('status') ? 0x97 : 0);
    scene.connect();
    scene.world.advance(4000);
    expect(scene.retained('status')).toBeUndefined();
    scene.broker.reasonOf = () => 0;
    scene.world.advance(10_000);
    expect(scene.retained('status')).toEqual({ state: 'online' });
    expect(scene.taken('status')).toHaveLength(1);
    const { packets } = scene.broker.connection;
    const births = packets.filter(({ topic }) => topic?.endsWith('status'));
    expect(births.length).toBeGreaterThan(2);
    expect(births.length).toBeLessThan(13);
    // No message of the buffer was dropped for it.
    expect(scene.device.counters.refused).toBe(0);
  });
});
