// One message lost, repeated or late, at every point of a session; and a reset at every point.

import { describe, expect, test } from 'vitest';
import { PowerLoss } from '../../src/platform.ts';
import { loadEdits, saveEdits } from '../../src/shadow/saved-edits.ts';
import { DIRTY, DUE, SENT, ShadowKey } from '../../src/shadow/shadow-key.ts';
import { KEY_COUNT_MAX, KEY_SIZE_MAX } from '../../src/shadow/shadow-profile.ts';
import type { ShadowValue } from '../../src/shadow/shadow-value.ts';
import { type Fate, type SceneOptions, ShadowScene } from '../support/shadow-scene.ts';
import { MemorySettings } from '../support/virtual-platform.ts';

/** What happens, 4 s apart: edits of both sides, an outage with more of them, a deletion. */
const SESSION: readonly ((scene: ShadowScene) => void)[] = [
  (scene) => scene.connect(),
  (scene) => scene.desire({ a: 1 }),
  (scene) => scene.report('b', 2),
  (scene) => scene.desire({ a: 3, b: 4 }),
  (scene) => scene.report('a', 5),
  (scene) => scene.disconnect(),
  (scene) => scene.report('a', 6),
  (scene) => scene.desire({ a: 7 }),
  (scene) => scene.report('c', { x: 1 }),
  (scene) => scene.connect(),
  (scene) => scene.deleteShadow(),
  (scene) => scene.desire({ a: 8, c: { x: 2, y: 3 } }),
  (scene) => scene.report('b', 9),
];

const POLICIES = ['cloud-wins', 'device-wins', 'last-writer-wins'] as const;

interface Fault {
  readonly direction: 'up' | 'down';
  readonly index: number;
  readonly fate: Fate;
}

/** Plays the session with one fault; returns how many messages there were each way. */
function play(options: SceneOptions, fault: Fault, resetAfter = -1): [up: number, down: number] {
  const scene = new ShadowScene(options);
  let up = 0;
  let down = 0;
  const fateOf = (direction: string, index: number): Fate =>
    direction === fault.direction && index === fault.index ? fault.fate : 1;
  scene.fateUp = () => fateOf('up', up++);
  scene.fateDown = () => fateOf('down', down++);
  SESSION.forEach((step, index) => {
    step(scene);
    scene.run(4000);
    if (index !== resetAfter) return;
    scene.reset();
    if (index < 5 || index > 8) scene.connect();
  });
  scene.run(200_000);
  // A delta that was lost for good is told by nothing but the next document.
  if (fault.direction === 'down' && fault.fate === 0) {
    scene.disconnect();
    scene.connect();
    scene.run(200_000);
  }
  expect(scene.shadow.isSettled).toBe(true);
  expect(scene.model.delta).toEqual({});
  expect(scene.savedCount).toBe(0);
  for (const [key, wish] of Object.entries(scene.desired ?? {})) {
    expect(scene.shadow.valueOf(key)).toEqual(wish);
    expect(scene.reported?.[key]).toEqual(wish);
  }
  expect(scene.shadow.counters.rests).toBe(0);
  return [up, down];
}

describe.each(POLICIES)('%s', (policy) => {
  const none: Fault = { direction: 'up', index: -1, fate: 1 };

  test('every message lost or repeated', () => {
    const [up, down] = play({ policy }, none);
    expect(up).toBeGreaterThan(8);
    expect(down).toBeGreaterThan(12);
    for (const fate of [0, 2] as const) {
      for (let index = 0; index < up; index += 1)
        play({ policy }, { direction: 'up', index, fate });
      for (let index = 0; index < down; index += 1) {
        play({ policy }, { direction: 'down', index, fate });
      }
    }
  });

  test('a reset after every step', () => {
    for (let step = 0; step < SESSION.length; step += 1) play({ policy }, none, step);
  });
});

describe('what outlives a reset', () => {
  test('an edit is in the settings before report returns, and leaves them when it is taken', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1 });
    scene.run(5000);
    const { setCount } = scene.platform.settings;
    expect(scene.shadow.report('a', 2)).toBe(true);
    expect(scene.savedCount).toBe(1);
    expect(scene.platform.settings.setCount).toBe(setCount + 1);
    scene.run(5000);
    expect(scene.savedCount).toBe(0);
    expect(scene.platform.settings.setCount).toBe(setCount + 1);
  });

  test('values without a handler are not written: the program reports them again', () => {
    const scene = ShadowScene.online();
    scene.report('uptime', 1);
    scene.shadow.declare('a', 1);
    expect(scene.savedCount).toBe(0);
    expect(scene.platform.settings.setCount).toBe(0);
  });

  test('a power cut in the midst of a report passes through, and leaves what was', () => {
    const scene = ShadowScene.online();
    scene.disconnect();
    scene.report('a', 1);
    scene.platform.settings.set = () => {
      throw new PowerLoss();
    };
    expect(() => scene.shadow.report('a', 2)).toThrow(PowerLoss);
    scene.reset();
    expect(scene.shadow.valueOf('a')).toBe(1);
  });

  test('a power cut in a handler or a merge passes through', () => {
    const cut = () => {
      throw new PowerLoss();
    };
    const document = { state: { desired: { a: 2 } }, version: 7 };
    for (const options of [{ handlers: { a: cut } }, { policy: cut }] as const) {
      const scene = new ShadowScene(options as SceneOptions);
      scene.fateUp = () => 0;
      scene.report('a', 1);
      scene.connect();
      const clientToken = scene.requests[0]?.document.clientToken;
      const bytes = scene.encode({ ...document, clientToken });
      expect(() => scene.inject('get/accepted', bytes)).toThrow(PowerLoss);
    }
  });

  /** Keys as a shadow has them. */
  class Keys {
    first: ShadowKey | undefined = undefined;
    count = 0;

    claim(name: string): ShadowKey | undefined {
      if (this.count >= KEY_COUNT_MAX) return undefined;
      this.count += 1;
      this.first = new ShadowKey(name, this.first);
      return this.first;
    }

    list(): (readonly [string, ShadowValue | undefined, number, number, number, number])[] {
      const list = [];
      for (let key = this.first; key !== undefined; key = key.next) {
        list.push([key.name, key.value, key.flags, key.seen, key.seenS, key.editedMs] as const);
      }
      return list.sort((one, other) => (one[0] < other[0] ? -1 : 1));
    }
  }

  function savedKeys(count: number, name: (index: number) => string, value: ShadowValue): Keys {
    const keys = new Keys();
    for (let index = 0; index < count; index += 1) {
      const key = keys.claim(name(index)) as ShadowKey;
      key.value = value;
      key.flags = DIRTY | DUE | SENT;
      key.seen = 0x7fffffff;
      key.seenS = 0xffffffff;
      key.editedMs = 1.8e12;
    }
    return keys;
  }

  test('as many keys as there may be, of the longest names and values, come back', () => {
    const name = (index: number) => String.fromCharCode(97 + index).repeat(KEY_SIZE_MAX);
    const keys = savedKeys(KEY_COUNT_MAX, name, 'x'.repeat(167));
    const settings = new MemorySettings();
    saveEdits(settings, 'shadow', keys, 77, 170);
    const loaded = new Keys();
    expect(loadEdits(settings, 'shadow', loaded, DIRTY | DUE | SENT)).toBe(77);
    expect(loaded.list()).toEqual(keys.list());
  });

  test('damaged settings never throw, and a damaged edit is left out', () => {
    const settings = new MemorySettings();
    const keys = savedKeys(2, (index) => `k${index}`, { x: [1, 'y'] });
    // One bit from CBOR's undefined.
    (keys.first as ShadowKey).value = false;
    saveEdits(settings, 'shadow', keys, 3, 170);
    const bytes = settings.get('shadow') as Uint8Array;
    for (let at = 0; at < bytes.length; at += 1) {
      settings.set('shadow', bytes.subarray(0, at));
      expect(loadEdits(settings, 'shadow', new Keys(), DIRTY)).toBe(0);
      for (let mask = 1; mask < 256; mask += 1) {
        const wrong = bytes.slice();
        wrong[at] = (wrong[at] as number) ^ mask;
        settings.set('shadow', wrong);
        const loaded = new Keys();
        loadEdits(settings, 'shadow', loaded, DIRTY);
        for (const [, value, , seen, seenS] of loaded.list()) {
          expect(value).not.toBeUndefined();
          expect(seen >= 0 && seenS >= 0).toBe(true);
        }
      }
    }
    expect(loadEdits(new MemorySettings(), 'shadow', new Keys(), DIRTY)).toBe(0);
  });
});
