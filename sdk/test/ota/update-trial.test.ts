// The trial of a new image: what confirms it, what reverts it, and what does neither.

import { describe, expect, test } from 'vitest';
import {
  NEXT,
  type SceneOptions,
  type UpdateDevice,
  UpdateScene,
} from '../support/update-scene.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

type Checks = NonNullable<NonNullable<SceneOptions['options']>['healthChecks']>;

/** On the first boot of the new image. */
function inTrial(
  healthChecks: Checks = {},
  prepare: (scene: UpdateScene) => void = () => undefined,
) {
  const scene = new UpdateScene({ options: { healthChecks } });
  scene.release(NEXT);
  scene.onBoot = (device: UpdateDevice) => {
    if (device.platform.firmware.version === NEXT.version) prepare(scene);
  };
  scene.start();
  expect(scene.until(() => scene.version === NEXT.version, HOUR_MS)).toBe(true);
  return scene;
}

function expectReverted(scene: UpdateScene, reason: string): void {
  scene.advance(10 * MINUTE_MS);
  expect(scene.version).toBe('1.0.0');
  expect(scene.server.stages().at(-1)).toBe(`reverted: ${reason}`);
  expect(scene.updater.record.sequence).toBe(0);
  scene.advance(2 * DAY_MS);
  expect(scene.boot.stageCount).toBe(1);
}

test('all checks have to be good, in any order', () => {
  const startMs = { first: 0 };
  const scene: UpdateScene = inTrial(
    {
      first: () => scene.world.nowMs - startMs.first > 60_000 || undefined,
      second: () => (scene.world.nowMs - startMs.first < 5000 ? true : undefined),
    },
    (at) => {
      startMs.first = at.world.nowMs;
    },
  );
  scene.advance(50_000);
  expect(scene.boot.tries).toBeGreaterThan(0);
  scene.advance(20_000);
  expect(scene.boot.tries).toBe(0);
  expect(scene.server.stages().at(-1)).toBe('confirmed');
});

test('a bad check reverts at once', () => {
  const scene = inTrial({ pump: () => false });
  scene.advance(5000);
  expectReverted(scene, 'health: pump');
});

test('a check that throws is bad', () => {
  const scene = inTrial({
    pump: () => {
      throw new Error('no pump');
    },
  });
  expectReverted(scene, 'health: pump');
});

test('a check that does not end reverts at the deadline', () => {
  const scene = inTrial({ pump: () => undefined });
  scene.advance(4 * MINUTE_MS);
  expect(scene.version).toBe(NEXT.version);
  expectReverted(scene, 'health: no pump');
});

test('sensors count where the device has some', () => {
  const scene = inTrial({}, (at) => {
    at.checkSensors = () => undefined;
  });
  expectReverted(scene, 'health: no sensors');
  const bad = inTrial({}, (at) => {
    at.checkSensors = () => false;
  });
  expectReverted(bad, 'health: sensors');
});

describe('an outage', () => {
  test('of the broker does not revert good firmware', () => {
    const scene = inTrial({}, (at) => {
      at.isConnected = false;
    });
    scene.advance(20 * HOUR_MS);
    expect(scene.version).toBe(NEXT.version);
    expect(scene.boot.tries).toBeGreaterThan(0);
    scene.onBoot = () => undefined;
    scene.isConnected = true;
    scene.advance(2000);
    expect(scene.boot.tries).toBe(0);
  });

  test('of the server neither, and what is lost in it is reported afterwards', () => {
    const scene = inTrial({}, (at) => {
      at.server.fault = () => 'refused';
    });
    scene.advance(20 * HOUR_MS);
    expect(scene.version).toBe(NEXT.version);
    expect(scene.boot.tries).toBeGreaterThan(0);
    scene.server.fault = (_, answer) => answer;
    scene.advance(2 * MINUTE_MS);
    expect(scene.boot.tries).toBe(0);
    expect(scene.server.stages().at(-1)).toBe('confirmed');
  });

  test('that lasts too long does', () => {
    const scene = inTrial({}, (at) => {
      at.isConnected = false;
    });
    scene.advance(DAY_MS);
    expectReverted(scene, 'health: no broker');
  });

  test('does not excuse a check that is not good in time', () => {
    const scene = inTrial({ pump: () => undefined }, (at) => {
      at.isConnected = false;
    });
    expectReverted(scene, 'health: no pump');
  });
});

test('a power cut anywhere in a rejection ends with the old image and the reason', () => {
  const first = inTrial({ pump: () => false });
  const before = first.boot.power.count;
  first.advance(10 * MINUTE_MS);
  const after = first.boot.power.count;
  expect(after - before).toBeGreaterThan(2);
  for (let cutAt = before + 1; cutAt <= after; cutAt += 1) {
    const scene = inTrial({ pump: () => false });
    scene.boot.power.cutAt = cutAt;
    expectReverted(scene, 'health: pump');
    expect(scene.server.stages().filter((one) => one.startsWith('reverted'))).not.toHaveLength(0);
  }
});

test('a crash in the trial is told by the boot log', () => {
  const scene = new UpdateScene();
  scene.boot.crashing.add(NEXT.version);
  scene.release(NEXT);
  scene.start();
  expectReverted(scene, 'tries used up');
});

test('an image that came by other means is tried too, without reports', () => {
  const scene = new UpdateScene();
  scene.boot.install(1, NEXT);
  scene.boot.active = 1;
  scene.boot.tries = 4;
  scene.start();
  scene.advance(10_000);
  expect(scene.version).toBe(NEXT.version);
  expect(scene.boot.tries).toBe(0);
  expect(scene.server.reports).toEqual([]);
});

test('nothing is downloaded in a trial', () => {
  const scene = inTrial({ pump: () => undefined });
  scene.release(NEXT, { rollout: 'r2', sequence: 3 });
  scene.world.turn(() => scene.updater.checkNow());
  scene.advance(3 * MINUTE_MS);
  expect(scene.http.log.filter((line) => line.startsWith('GET'))).toHaveLength(1);
});
