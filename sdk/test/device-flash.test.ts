// A device whose buffer has flash behind it, through resets: what was durable arrives, and no
// sequence of a stream stands for two messages.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PRIORITY_HIGH } from '../src/buffer/outbox.ts';
import { Nor } from './buffer/nor.ts';
import { DeviceScene } from './support/device-scene.ts';

const BASE_NAME = '-2';
const SEQUENCE = '2';

function flashScene(): DeviceScene {
  let reading = 0;
  // No two readings are the same, through all resets: so messages can be told apart.
  const counter = { name: 'counter', unit: '/', read: () => reading++ };
  return new DeviceScene({ bufferSize: 1024, sensors: [counter] }, { buffer: new Nor(8, 4096, 4) });
}

function offline(scene: DeviceScene): void {
  scene.link.refusal = 'no network';
  scene.start();
}

function online(scene: DeviceScene): void {
  scene.link.refusal = undefined;
  scene.untilConnected();
}

/** 'stream sequence' of every pack taken. */
function names(scene: DeviceScene): string[] {
  return scene.packs().map(([first]) => `${first?.[BASE_NAME]} ${first?.[SEQUENCE]}`);
}

describe('a device with flash behind its buffer', () => {
  test('keeps hours of samples in a kilobyte of RAM', () => {
    const scene = flashScene();
    offline(scene);
    scene.world.advance(200_000);
    expect(scene.device.pendingCount).toBeGreaterThan(195);
    online(scene);
    scene.world.advance(30_000);
    expect(new Set(names(scene)).size).toBe(scene.device.sampler.packCount);
    expect(scene.device.counters.dropped).toBe(0);
    expect(scene.broker.violations).toEqual([]);
  });

  test('sends after a reset what it had in flash, and alarms at once', () => {
    const scene = flashScene();
    offline(scene);
    scene.world.advance(100_000);
    scene.turn((device) => device.report('smoke', undefined, true, PRIORITY_HIGH));
    const before = scene.device.pendingCount;
    scene.reset();
    expect(scene.device.pendingCount).toBeGreaterThan(before - 10);
    scene.start();
    online(scene);
    scene.world.advance(20_000);
    const alarms = scene.packs().filter((pack) => pack[1]?.['0'] === 'smoke');
    expect(alarms).toHaveLength(1);
    // The newest alarm goes before everything else.
    expect(scene.packs()[0]?.[1]?.['0']).toBe('smoke');
    expect(scene.device.pendingCount).toBeLessThan(2);
  });

  test('uses no sequence of a stream twice, whenever it is reset', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ onS: fc.integer({ min: 1, max: 90 }), isOnline: fc.boolean() }), {
          minLength: 2,
          maxLength: 8,
        }),
        (boots) => {
          const scene = flashScene();
          const contents = new Map<string, string>();
          for (const { isOnline, onS } of boots) {
            offline(scene);
            if (isOnline) scene.link.refusal = undefined;
            scene.world.advance(onS * 1000);
            scene.reset();
          }
          scene.link.refusal = undefined;
          scene.start();
          scene.untilConnected();
          scene.world.advance(30_000);
          for (const pack of scene.packs()) {
            const [first] = pack;
            const name = `${first?.[BASE_NAME]} ${first?.[SEQUENCE]}`;
            const content = JSON.stringify(pack.slice(1));
            expect(contents.get(name) ?? content).toBe(content);
            contents.set(name, content);
          }
          expect(new Set(scene.packs().map(([first]) => first?.[BASE_NAME])).size).toBe(1);
          expect(scene.broker.violations).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  });
});
