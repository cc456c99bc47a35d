// Which changes count as reported, and from when their latency counts.

import { respond, type Shadow, type Tree } from '@flotilla/ota-server/shadow';
import { expect, test } from 'vitest';
import { ShadowTracker } from '../../src/live/shadow-tracker.ts';
import { Registry } from '../../src/metrics/registry.ts';

class Scene {
  readonly registry = new Registry(['a', 'b']);
  readonly tracker = new ShadowTracker(this.registry);
  private shadow: Shadow | undefined;

  constructor() {
    this.tracker.add('d', 1);
  }

  change(patch: object, nowMs: number): void {
    this.tracker.change('d', patch as Tree, nowMs);
    this.update({ desired: patch }, nowMs);
  }

  report(patch: object, nowMs: number): void {
    this.update({ reported: patch }, nowMs);
  }

  counts() {
    const trend = this.registry.snapshot()['shadow_latency_ms{fleet:b}'];
    return [
      this.registry.counter('shadow_updates', 1).value,
      this.registry.counter('shadow_converged', 1).value,
      trend?.kind === 'trend' ? trend.max : -1,
    ];
  }

  private update(state: object, nowMs: number): void {
    this.shadow = respond(this.shadow, { kind: 'update', body: { state } }, 0).shadow;
    this.tracker.take('d', this.shadow, nowMs);
  }
}

test('a change is reported when all of its leaves are', () => {
  const scene = new Scene();
  scene.change({ a: 1, b: { c: 2 } }, 1000);
  scene.report({ a: 1 }, 1100);
  scene.report({ b: { c: 3 } }, 1200);
  expect(scene.counts()).toEqual([1, 0, 0]);
  scene.report({ b: { c: 2, d: 4 }, e: 5 }, 1300);
  scene.report({ a: 9 }, 1400);
  expect(scene.counts()).toEqual([1, 1, 300]);
});

test('a device that was away has its time from when it is back', () => {
  const scene = new Scene();
  scene.tracker.online('d', 10, 1);
  scene.change({ a: 1 }, 1000);
  scene.tracker.online('d', 6000, 6);
  // The birth again, as after a will of the connection before.
  scene.tracker.online('d', 6150, 6);
  scene.tracker.online('nobody', 6500, 7);
  scene.report({ a: 1 }, 6200);
  expect(scene.counts()).toEqual([1, 1, 200]);
});

test('a birth that does not say since when is a new one', () => {
  const scene = new Scene();
  scene.change({ a: 1 }, 1000);
  scene.tracker.online('d', 2000, undefined);
  scene.tracker.online('d', 3000, undefined);
  scene.report({ a: 1 }, 3100);
  expect(scene.counts()).toEqual([1, 1, 100]);
});

test('what was reported before is reported at once', () => {
  const scene = new Scene();
  scene.report({ a: 1 }, 0);
  scene.change({ a: 1 }, 1000);
  expect(scene.counts()).toEqual([1, 1, 0]);
});

test('two changes count twice; one that the next overtook was never reported', () => {
  const scene = new Scene();
  scene.change({ a: 1 }, 1000);
  scene.change({ a: 2 }, 2000);
  scene.report({ a: 2 }, 2100);
  expect(scene.counts()).toEqual([2, 1, 100]);
});

test('a removal, an empty change and a stranger are not counted', () => {
  const scene = new Scene();
  scene.change({ a: null }, 1000);
  scene.change({ b: {} }, 1000);
  scene.tracker.change('nobody', { a: 1 } as unknown as Tree, 1000);
  scene.report({ a: 1 }, 2000);
  expect(scene.counts()).toEqual([0, 0, 0]);
});
