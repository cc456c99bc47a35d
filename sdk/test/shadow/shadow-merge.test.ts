// Edits of both sides: who changed what, near or apart, under every policy.

import { describe, expect, test } from 'vitest';
import type { JsonMap } from '../support/shadow-model.ts';
import { POLICIES, type SceneOptions, ShadowScene, sum } from '../support/shadow-scene.ts';

/** A device and a cloud that agree on a = 1 and b = 1. */
function agreed(options: SceneOptions): ShadowScene {
  const scene = ShadowScene.online(options);
  scene.desire({ a: 1, b: 1 });
  scene.run(10_000);
  expect(scene.shadow.isSettled).toBe(true);
  return scene;
}

function expectAgreement(scene: ShadowScene, value: unknown): void {
  expect(scene.shadow.isSettled).toBe(true);
  expect(scene.shadow.valueOf('a') ?? null).toEqual(value);
  expect(scene.reported?.a ?? null).toEqual(value);
  expect(scene.desired?.a ?? null).toEqual(value);
  expect(scene.model.delta).toEqual({});
  // The other key is nobody's business here.
  expect(scene.desired?.b).toBe(1);
  // Nothing is dirty, so nothing is kept.
  expect(scene.savedCount).toBe(0);
}

/**
 * Cloud sets 20 at last, device 300 at last. What stands, by policy; for the last writer the
 * side that wrote later is tried both ways round.
 */
const MATRIX: readonly {
  readonly changed: 'cloud' | 'device' | 'both';
  readonly later: 'cloud' | 'device';
  readonly expected: readonly [cloud: number, device: number, last: number, merged: number];
}[] = [
  { changed: 'cloud', later: 'cloud', expected: [20, 20, 20, 20] },
  { changed: 'device', later: 'device', expected: [300, 300, 300, 300] },
  { changed: 'both', later: 'cloud', expected: [20, 300, 20, 320] },
  { changed: 'both', later: 'device', expected: [20, 300, 300, 320] },
];

describe('the matrix', () => {
  for (const { changed, later, expected } of MATRIX) {
    POLICIES.forEach(([name, policy], index) => {
      test(`${changed} changed while offline for 10 updates, ${later} later: ${name}`, () => {
        const scene = agreed({ policy });
        scene.disconnect();
        for (let update = 1; update <= 10; update += 1) {
          const cloud = () => changed !== 'device' && scene.desire({ a: update * 2 });
          const device = () => changed !== 'cloud' && scene.report('a', update * 30);
          if (later === 'device') cloud();
          else device();
          scene.run(5000);
          if (later === 'device') device();
          else cloud();
          scene.run(5000);
        }
        scene.connect();
        scene.run(60_000);
        expectAgreement(scene, expected[index]);
        expect(scene.shadow.counters.conflicts).toBe(changed === 'both' ? 1 : 0);
      });

      test(`${changed} changed while online, ${later} later: ${name}`, () => {
        const scene = agreed({ policy });
        // Both before either message has arrived: the update meets a version conflict.
        scene.latencyMs = 3000;
        if (changed !== 'device' && later === 'device') scene.desire({ a: 20 });
        scene.run(1500);
        if (changed !== 'cloud') scene.report('a', 300);
        scene.run(1500);
        if (changed !== 'device' && later === 'cloud') scene.desire({ a: 20 });
        scene.run(120_000);
        expectAgreement(scene, expected[index]);
        expect(scene.shadow.counters.conflicts).toBe(changed === 'both' ? 1 : 0);
      });

      test(`${changed} changed, and then a reset: ${name}, ${later} later`, () => {
        const scene = agreed({ policy });
        scene.disconnect();
        if (changed !== 'cloud' && later === 'cloud') scene.report('a', 300);
        scene.run(5000);
        if (changed !== 'device') scene.desire({ a: 20 });
        scene.run(5000);
        if (changed !== 'cloud' && later === 'device') scene.report('a', 300);
        scene.reset();
        scene.connect();
        scene.run(60_000);
        expectAgreement(scene, expected[index]);
      });
    });
  }
});

describe('edits', () => {
  test.each(POLICIES)('that both sides made alike are no conflict: %s', (_, policy) => {
    const scene = agreed({ policy });
    scene.disconnect();
    scene.report('a', 7);
    scene.desire({ a: 7 });
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, 7);
    expect(scene.shadow.counters.conflicts).toBe(0);
    for (const { document } of scene.requests) {
      expect(document.state ?? {}).not.toHaveProperty('desired');
    }
  });

  test.each(POLICIES)('one after another are no conflict: %s', (_, policy) => {
    const scene = agreed({ policy });
    for (let value = 2; value < 6; value += 1) {
      scene.report('a', value);
      scene.run(10_000);
      expectAgreement(scene, value);
      scene.disconnect();
      scene.report('a', value * 10);
      scene.run(10_000);
      scene.connect();
      scene.run(10_000);
      expectAgreement(scene, value * 10);
    }
    expect(scene.shadow.counters.conflicts).toBe(0);
  });

  test('are merged once, whatever is lost and reset afterwards', () => {
    const scene = agreed({ policy: sum });
    scene.disconnect();
    scene.report('a', 300);
    scene.desire({ a: 20 });
    let turn = 0;
    scene.fateUp = () => (turn++ === 1 ? 0 : 1);
    scene.connect();
    scene.run(1000);
    expect(scene.shadow.valueOf('a')).toBe(320);
    expect(scene.desired?.a).toBe(20);
    scene.reset();
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, 320);
    // It was decided before the reset, and saved.
    expect(scene.shadow.counters.conflicts).toBe(0);
  });

  test('that wait are not written again at every connection', () => {
    const scene = agreed({});
    scene.disconnect();
    scene.report('c', 2);
    const { setCount } = scene.platform.settings;
    scene.model.rejections.push(...[0, 403, 0, 403, 0, 403]);
    for (let count = 0; count < 3; count += 1) {
      scene.connect();
      scene.run(5000);
      scene.disconnect();
    }
    expect(scene.savedCount).toBe(1);
    expect(scene.platform.settings.setCount).toBe(setCount);
  });

  test('do not go before a value that is known when a default is declared', () => {
    const scene = agreed({});
    expect(scene.shadow.declare('a', 9)).toBe(true);
    expect(scene.shadow.valueOf('a')).toBe(1);
  });

  test('of one key stand when the cloud changed another', () => {
    const scene = agreed({});
    scene.disconnect();
    scene.report('a', 7);
    scene.desire({ b: 2 });
    scene.connect();
    scene.run(60_000);
    expect(scene.desired).toEqual({ a: 7, b: 2 });
    expect(scene.reported).toEqual({ a: 7, b: 2 });
  });

  test('removing a key writes null on both sides', () => {
    const scene = agreed({ policy: 'device-wins' });
    scene.disconnect();
    scene.report('a', null);
    scene.desire({ a: 9 });
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, null);
    expect('a' in (scene.desired as JsonMap)).toBe(false);
  });

  test('of a key that nobody desires are only reported', () => {
    const scene = agreed({});
    scene.report('c', 3);
    scene.run(5000);
    expect(scene.reported).toEqual({ a: 1, b: 1, c: 3 });
    expect(scene.desired).toEqual({ a: 1, b: 1 });
    expect(scene.savedCount).toBe(0);
  });

  test('stand when the cloud dropped its wish', () => {
    const scene = agreed({});
    scene.disconnect();
    scene.report('a', 7);
    scene.desire({ a: null });
    scene.connect();
    scene.run(60_000);
    expect(scene.reported).toEqual({ a: 7, b: 1 });
    expect(scene.desired).toEqual({ b: 1 });
    expect(scene.savedCount).toBe(0);
  });

  test('a wish that was set to the same value anew counts as newer', () => {
    const scene = agreed({ policy: 'last-writer-wins' });
    scene.disconnect();
    scene.report('a', 7);
    scene.run(10_000);
    scene.desire({ a: 1 });
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, 1);
  });

  test.each([
    [0, 1],
    [1000, 300],
  ])('the last writer: %d ms after the cloud', (afterMs, winner) => {
    const scene = agreed({ policy: 'last-writer-wins' });
    scene.disconnect();
    scene.run(1000 - (scene.platform.world.nowMs % 1000));
    scene.desire({ a: 1.5 });
    scene.run(afterMs === 0 ? 999 : afterMs);
    scene.report('a', 300);
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, winner === 1 ? 1.5 : winner);
  });

  test('the last writer: an edit before the time was known is dated by its age', () => {
    for (const [learns, later, winner] of [
      [true, 'device', 300],
      [true, 'cloud', 20],
      [false, 'device', 20],
    ] as const) {
      const scene = agreed({ policy: 'last-writer-wins', epochMs: Number.NaN });
      scene.disconnect();
      if (later === 'device') scene.desire({ a: 20 });
      else scene.report('a', 300);
      scene.run(10_000);
      if (later === 'cloud') scene.desire({ a: 20 });
      else scene.report('a', 300);
      scene.run(10_000);
      const epochMs = scene.model.nowS() * 1000;
      if (learns) scene.platform.clock.adjust(epochMs, 1000);
      scene.connect();
      scene.run(60_000);
      expectAgreement(scene, winner);
    }
  });

  test('a default that is declared goes behind what the cloud desires', () => {
    for (const [, policy] of POLICIES) {
      const scene = new ShadowScene({ policy });
      scene.desire({ a: 20, b: 1 });
      scene.shadow.declare('a', 300);
      scene.connect();
      scene.run(10_000);
      expectAgreement(scene, 20);
      expect(scene.shadow.counters.conflicts).toBe(0);
    }
  });

  test.each([
    ['throws', () => JSON.parse('{')],
    ['returns no data', () => undefined as never],
  ])('a merge that %s is counted, and the cloud wins', (_, policy) => {
    const scene = agreed({ policy });
    scene.disconnect();
    scene.report('a', 300);
    scene.desire({ a: 20 });
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, 20);
    expect(scene.shadow.counters.faults).toBe(1);
  });

  test('nested members conflict as their top-level key', () => {
    const scene = ShadowScene.online({ policy: 'device-wins' });
    scene.desire({ a: { x: 1, y: 1 } });
    scene.run(10_000);
    scene.disconnect();
    scene.report('a', { x: 2, y: 1 });
    scene.desire({ a: { y: 2 } });
    scene.connect();
    scene.run(60_000);
    expect(scene.shadow.counters.conflicts).toBe(1);
    expect(scene.desired).toEqual({ a: { x: 2, y: 1 } });
    expect(scene.reported).toEqual({ a: { x: 2, y: 1 } });
  });

  test('a member that an edit leaves out goes on both sides', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: { x: 1, y: { z: 1, w: 1 } } });
    scene.run(10_000);
    scene.report('a', { y: { w: 1 } });
    scene.run(10_000);
    expect(scene.desired).toEqual({ a: { y: { w: 1 } } });
    expect(scene.reported).toEqual({ a: { y: { w: 1 } } });
    expect(scene.shadow.valueOf('a')).toEqual({ y: { w: 1 } });
    scene.report('a', { y: { w: 2 } });
    scene.run(10_000);
    expect(scene.requests.at(-1)?.document.state).toEqual({
      desired: { a: { y: { w: 2 } } },
      reported: { a: { y: { w: 2 } } },
    });
  });

  test('a member that the cloud dropped goes from what an earlier life reported', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: { x: 1, y: 1 } });
    scene.run(10_000);
    scene.reset();
    scene.desire({ a: { y: null } });
    scene.connect();
    scene.run(10_000);
    expect(scene.shadow.valueOf('a')).toEqual({ x: 1 });
    expect(scene.reported).toEqual({ a: { x: 1 } });
  });

  test('where the cloud wins, the device writes nothing into desired', () => {
    const scene = agreed({ handlers: { a: (value) => Math.min(50, value as number) } });
    scene.disconnect();
    scene.report('a', 7);
    scene.desire({ a: 100 });
    scene.connect();
    scene.run(60_000);
    expect(scene.desired?.a).toBe(100);
    expect(scene.reported?.a).toBe(50);
    for (const { document } of scene.requests) {
      expect(document.state ?? {}).not.toHaveProperty('desired');
    }
  });

  test('the last writer: a wish without a time is as good as newest', () => {
    const scene = agreed({ policy: 'last-writer-wins' });
    scene.disconnect();
    scene.report('a', 7);
    scene.fateUp = () => 0;
    scene.connect();
    const clientToken = scene.requests.at(-1)?.document.clientToken;
    const answer = { state: { desired: { a: 20 } }, version: 9, clientToken };
    scene.inject('get/accepted', scene.encode(answer));
    expect(scene.shadow.valueOf('a')).toBe(20);
  });

  test('the same wish anew, before the edit and without a delta, is no conflict', () => {
    const scene = agreed({});
    scene.desire({ a: 1 });
    scene.run(10_000);
    scene.disconnect();
    scene.report('a', 7);
    scene.connect();
    scene.run(60_000);
    expectAgreement(scene, 7);
    expect(scene.shadow.counters.conflicts).toBe(0);
  });

  test('an edit that says nothing new is none', () => {
    const scene = agreed({});
    const { length } = scene.requests;
    expect(scene.report('a', 1)).toBe(true);
    scene.run(10_000);
    expect(scene.requests).toHaveLength(length);
    expect(scene.platform.settings.setCount).toBe(0);
  });
});
