// Sampling in a whole device: through buffer and broker, and what a profile refuses.

import { describe, expect, test } from 'vitest';
import { DeviceProfile } from '../../src/device-profile.ts';
import { DeviceScene } from '../support/device-scene.ts';

const ADAPTIVE = {
  intervalMsMin: 1000,
  intervalMsMax: 60_000,
  deadband: 0.5,
  sampleMsMin: 1000,
  sampleMsMax: 4000,
};
const ANOMALY = { zScoreMax: 5, weight: 0.1, warmupCount: 10, intervalMsMin: 10_000 };

describe('a device with an adaptive sensor', () => {
  test('sends what its deadband asks for, also without an interval for the others', () => {
    let value = 20;
    const scene = new DeviceScene({
      intervalMs: Number.POSITIVE_INFINITY,
      sensors: [{ name: 't', unit: 'Cel', read: () => value, adaptive: ADAPTIVE }],
    });
    scene.connect();
    scene.world.advance(30_000);
    value = 25;
    scene.world.advance(5000);
    const values = scene.packs().map((pack) => pack[1]?.['2']);
    expect(values).toEqual([20, 25]);
    scene.world.advance(60_000);
    expect(scene.packs()).toHaveLength(3);
    scene.stop();
    const turns = scene.platform.watchdogCount;
    scene.world.advance(600_000);
    expect(scene.platform.watchdogCount).toBe(turns);
  });

  test('keeps what it samples offline, and sends an alarm before it', () => {
    let value = 20;
    const read = () => {
      value = value === 20 ? 21 : 20;
      return scene.world.nowMs > 100_000 && scene.world.nowMs <= 101_000 ? 90 : value;
    };
    const scene: DeviceScene = new DeviceScene({
      sensors: [{ name: 't', read, anomaly: ANOMALY }],
    });
    scene.connect();
    scene.world.advance(90_000 - scene.world.nowMs);
    scene.link.refusal = 'no network';
    scene.cut();
    const before = scene.packs().length;
    scene.world.advance(110_000 - scene.world.nowMs);
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.world.advance(5000);
    const after = scene.packs().slice(before);
    expect(after.map((pack) => pack[1]?.['2']).indexOf(90)).toBe(0);
    expect(scene.device.sampler.anomalyCount).toBe(1);
    const sequences = scene.sequences().sort((a, b) => a - b);
    expect(sequences).toEqual([...sequences.keys()]);
    expect(scene.broker.violations).toEqual([]);
  });
});

describe('a profile', () => {
  const options = new DeviceScene().options;
  const sensor = { name: 't', read: () => 1 };

  test.each([
    ['sensors[1].every', { every: 0 }],
    ['sensors[1].adaptive.deadband', { adaptive: { ...ADAPTIVE, deadband: -1 } }],
    ['sensors[1].window.intervalMs', { window: { intervalMs: 1, sampleMs: 2 } }],
    ['sensors[1].anomaly.weight', { anomaly: { ...ANOMALY, weight: 1 } }],
    ['sensors[1]: expected one of', { adaptive: ADAPTIVE, every: 1 }],
  ])('refuses a wrong %s by its name', (name, members) => {
    const make = () => {
      return new DeviceProfile({ ...options, sensors: [sensor, { ...sensor, ...members }] });
    };
    expect(make).toThrow(RangeError);
    expect(make).toThrow(name);
  });
});
