// Power cuts at every operation of an update, on flash, settings and boot record: it always ends
// with the right image confirmed, never stages another, and hardly downloads twice.

import { describe, expect, test } from 'vitest';
import { image, NEXT, similar, UpdateScene } from '../support/update-scene.ts';
import type { TestImage } from '../support/virtual-firmware.ts';
import { deflateChunks } from './deflated-delta.ts';
import { simpleDelta } from './delta-file.ts';

const OLD = image('1.0.0', 60_000, 3);
const SIMILAR = similar(OLD, '2.1.0');
const DELTA = simpleDelta(OLD, SIMILAR, deflateChunks);

function sceneFor(target: TestImage, delta: Uint8Array | undefined): UpdateScene {
  const scene = new UpdateScene(
    delta === undefined ? { sectorSize: 1024, sectorCount: 32 } : { running: OLD },
  );
  scene.release(target);
  if (delta !== undefined) scene.server.offerDelta(delta, OLD);
  return scene;
}

describe.each([
  ['the whole image', NEXT, undefined],
  ['a delta', SIMILAR, DELTA],
] as const)('%s', (_, target, delta) => {
  test('one cut at any operation', () => {
    const size = delta === undefined ? target.bytes.length : delta.length;
    const whole = sceneFor(target, delta);
    whole.start();
    expect(whole.untilConfirmed(target)).toBe(true);
    whole.advance(1000);
    const operations = whole.boot.power.count;
    expect(operations).toBeGreaterThan(target.bytes.length / 256);
    expect(whole.http.readCount).toBe(size);
    let bytesMax = 0;
    for (let cutAt = 1; cutAt <= operations; cutAt += 1) {
      const scene = sceneFor(target, delta);
      scene.boot.power.cutAt = cutAt;
      scene.start();
      const isDone = scene.untilConfirmed(target);
      if (!isDone) throw new Error(`cut at ${cutAt}: ${scene.server.stages().join(', ')}`);
      scene.advance(60_000);
      expect(scene.boot.violations, `cut at ${cutAt}`).toEqual([]);
      expect(scene.updater.record.sequence, `cut at ${cutAt}`).toBe(2);
      expect(scene.memory.outstandingCount, `cut at ${cutAt}`).toBe(0);
      expect(scene.boot.stageCount).toBeLessThanOrEqual(2);
      bytesMax = Math.max(bytesMax, scene.http.readCount);
    }
    expect(bytesMax).toBeGreaterThan(size);
    expect(bytesMax / size).toBeLessThanOrEqual(1.2);
  });
});
