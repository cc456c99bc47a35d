// Connection mode `wake` in virtual time: when the device connects, what it does then, and that
// nothing is lost for its sleep.

import { encode as encodeValue } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PRIORITY_HIGH } from '../src/buffer/outbox.ts';
import { DeviceProfile } from '../src/device-profile.ts';
import { DeviceScene } from './support/device-scene.ts';

const MINUTE_MS = 60_000;
const WAKE = { intervalMs: 10 * MINUTE_MS };

function asleepScene(options: ConstructorParameters<typeof DeviceScene>[0] = {}): DeviceScene {
  const scene = new DeviceScene({ intervalMs: MINUTE_MS, wake: WAKE, ...options });
  scene.start();
  scene.world.advance(5000);
  return scene;
}

function connectTimes(scene: DeviceScene): number[] {
  return scene.taken('status').flatMap(({ atMs }, index) => (index % 2 === 0 ? [atMs] : []));
}

describe('a device that sleeps', () => {
  test('connects at its start, then on schedule, and is gone in between', () => {
    const scene = asleepScene();
    expect(scene.device.isConnected).toBe(false);
    expect(scene.device.wake?.count).toBe(1);
    scene.world.advance(3 * 3_600_000);
    const times = connectTimes(scene);
    expect(times.length).toBeGreaterThanOrEqual(18);
    for (let index = 2; index < times.length; index += 1) {
      const gapMs = (times[index] as number) - (times[index - 1] as number);
      expect(Math.abs(gapMs - WAKE.intervalMs)).toBeLessThan(100);
    }
    const { awakeMs = 0, count = 0 } = scene.device.wake ?? {};
    expect(awakeMs / count).toBeLessThan(1000);
    expect(scene.broker.violations).toEqual([]);
  });

  test('sends all that it sampled, in order, a few seconds after it wakes', () => {
    const scene = asleepScene();
    scene.world.advance(3 * 3_600_000);
    const sequences = scene.sequences();
    expect(sequences).toEqual(sequences.map((_, index) => index));
    expect(scene.device.sampler.packCount - sequences.length).toBeLessThan(11);
    expect(scene.device.counters.dropped).toBe(0);
  });

  test('says that it sleeps, and until when', () => {
    const scene = new DeviceScene({ wake: WAKE }, { epochMs: 1_767_225_600_000 });
    scene.start();
    scene.world.advance(5000);
    const asleep = scene.retained('status');
    expect(asleep?.state).toBe('asleep');
    const dueMs = scene.device.wake?.nextDeadlineMs() ?? 0;
    expect(asleep?.until as number).toBeCloseTo(1_767_225_600 + dueMs / 1000, 1);
  });

  test('wakes for an alarm', () => {
    const scene = asleepScene();
    scene.turn((device) => device.report('smoke', undefined, true, PRIORITY_HIGH));
    scene.world.advance(500);
    const alarms = scene.packs().filter((pack) => pack.some((record) => record['0'] === 'smoke'));
    expect(alarms).toHaveLength(1);
    scene.world.advance(5000);
    expect(scene.device.isConnected).toBe(false);
  });

  test('wakes before its buffer is full', () => {
    const scene = asleepScene({ intervalMs: 1000, bufferSize: 1024 });
    scene.world.advance(30 * MINUTE_MS);
    expect(scene.device.counters.dropped).toBe(0);
    expect(scene.device.wake?.count).toBeGreaterThan(30);
    expect(scene.sequences().length).toBeGreaterThan(1700);
  });

  test('takes a command that waited for it', () => {
    const scene = asleepScene();
    scene.command(Uint8Array.from(encodeValue({ cid: 'c', command: 'ping' })));
    scene.world.advance(2000);
    expect(scene.documents('commands/c/result')).toEqual([]);
    scene.world.advance(WAKE.intervalMs);
    expect(scene.documents('commands/c/result')).toEqual([{ ok: true, value: 'pong' }]);
  });

  test('does not stay awake for a server that does not answer', () => {
    const scene = asleepScene();
    scene.broker.silent = true;
    scene.world.advance(2 * WAKE.intervalMs);
    const { awakeMs = 0, count = 0, cutShortCount } = scene.device.wake ?? {};
    expect(count).toBe(3);
    expect(cutShortCount).toBe(2);
    expect(awakeMs).toBeLessThan(3 * 31_000);
    scene.broker.silent = false;
    scene.world.advance(2 * WAKE.intervalMs);
    expect(scene.sequences()).toEqual(scene.sequences().map((_, index) => index));
    expect(scene.sequences().length).toBeGreaterThan(35);
  });

  test('connects at once when its program says so, and not after it was stopped', () => {
    const scene = asleepScene();
    scene.turn((device) => device.wakeUp());
    scene.world.advance(100);
    expect(scene.device.isConnected).toBe(true);
    scene.stop();
    const count = scene.device.wake?.count;
    scene.world.advance(3 * WAKE.intervalMs);
    expect(scene.device.wake?.count).toBe(count);
    expect(scene.device.isConnected).toBe(false);
  });
});

test('nothing is lost whatever goes away when', () => {
  const anyEvent = fc.record({
    afterS: fc.integer({ min: 1, max: 900 }),
    kind: fc.constantFrom('cut', 'refuse', 'allow', 'alarm'),
  });
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 12 }), (events) => {
      const scene = asleepScene({ bufferSize: 16_384 });
      for (const { afterS, kind } of events) {
        scene.world.advance(afterS * 1000);
        if (kind === 'cut') scene.link.cut();
        else if (kind === 'alarm') {
          scene.turn((device) => device.report('a', undefined, 1, PRIORITY_HIGH));
        } else scene.link.refusal = kind === 'refuse' ? 'no network' : undefined;
      }
      scene.link.refusal = undefined;
      scene.turn((device) => device.stopSampling());
      scene.world.advance(2 * WAKE.intervalMs + MINUTE_MS);
      expect(scene.device.pendingCount).toBe(0);
      const { packCount } = scene.device.sampler;
      expect([...new Set(scene.sequences())].sort((a, b) => a - b)).toEqual(
        Array.from({ length: packCount }, (_, index) => index),
      );
      expect(scene.broker.violations).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

describe('mistakes in the options', () => {
  const base = { broker: { host: 'b', port: 1 }, sensors: [], intervalMs: 1000 };

  test.each([
    [{ intervalMs: 1000 }, 'wake.intervalMs'],
    [{ intervalMs: 60_000, awakeMsMax: 0 }, 'wake.awakeMsMax'],
    [{ intervalMs: 60_000, lingerMs: -1 }, 'wake.lingerMs'],
    [{ intervalMs: 60_000, highWater: 2 }, 'wake.highWater'],
    [{ intervalMs: 3_600_000 }, 'sessionExpiryS'],
  ])('%j names %s', (wake, name) => {
    expect(() => new DeviceProfile({ ...base, wake })).toThrow(name);
  });
});
