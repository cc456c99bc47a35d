// Time as a device learns it: samples taken before the first estimate get their time with it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceScene } from './support/device-scene.ts';

const BASE_TIME = '-3';
const EPOCH_MS = 1_767_225_600_000;

function offlineScene(): DeviceScene {
  const scene = new DeviceScene();
  scene.link.refusal = 'no network';
  scene.start();
  return scene;
}

/** Base times taken, s, by sequence. */
function baseTimes(scene: DeviceScene): number[] {
  return scene.packs().map(([first]) => first?.[BASE_TIME] as number);
}

describe('samples from before the first estimate of the time', () => {
  test('are of the time at which they were taken, as soon as that can be told', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 0, max: 5 }),
        (before, after) => {
          const scene = offlineScene();
          scene.world.advance(before * 1000);
          const { clock } = scene.platform;
          const knownMs = clock.monotonicMs();
          clock.adjust(EPOCH_MS + knownMs, 50);
          scene.world.advance(after * 1000);
          scene.link.refusal = undefined;
          scene.untilConnected();
          scene.world.advance(2000);
          const times = baseTimes(scene);
          expect(times.length).toBeGreaterThan(before + after);
          for (const [index, timeS] of times.entries()) {
            const expectedMs = EPOCH_MS + Math.floor(scheduledMs(scene, index));
            expect(Math.abs(timeS * 1000 - expectedMs)).toBeLessThan(1.5);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  test('are told as so long ago where there is none', () => {
    const scene = offlineScene();
    scene.world.advance(10_000);
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.world.advance(2000);
    for (const [index, { atMs }] of scene.taken('telemetry').entries()) {
      const ageMs = -1000 * (baseTimes(scene)[index] as number);
      // Sent and taken within the link's delay.
      expect(Math.abs(atMs - ageMs - scheduledMs(scene, index))).toBeLessThan(50);
    }
    expect(Math.min(...baseTimes(scene))).toBeLessThan(-5);
  });
});

/** When sample `index` was due: one a second, from the first on. */
function scheduledMs(scene: DeviceScene, index: number): number {
  const { dueMs, packCount } = scene.device.sampler;
  return dueMs - (packCount - index) * 1000;
}
