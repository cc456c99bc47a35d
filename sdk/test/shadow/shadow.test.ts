// The protocol: baselines, deltas, answers and what is done without them.

import { describe, expect, test } from 'vitest';
import { ANSWER_MS_MIN, REST_MS, RETRY_COUNT_MAX } from '../../src/shadow/shadow.ts';
import { ShadowScene } from '../support/shadow-scene.ts';

describe('a baseline', () => {
  test('get on connect; 404 means create by reporting', () => {
    const scene = new ShadowScene();
    scene.shadow.declare('a', 1);
    scene.connect();
    scene.run(5000);
    expect(scene.requests.map(({ name }) => name)).toEqual(['get', 'update']);
    expect(scene.reported).toEqual({ a: 1 });
    expect(scene.desired).toEqual({});
    expect(scene.shadow.version).toBe(1);
    expect(scene.shadow.isSettled).toBe(true);
    expect(scene.shadow.counters.rejected).toBe(0);
  });

  test('a desired value is applied and then reported', () => {
    const scene = new ShadowScene();
    scene.desire({ a: 5 });
    scene.connect();
    scene.run(5000);
    expect(scene.applied).toEqual(['a=5']);
    expect(scene.reported).toEqual({ a: 5 });
    expect(scene.model.delta).toEqual({});
  });

  test('nothing goes out while nothing changes', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 5 });
    scene.run(5000);
    const count = scene.requests.length;
    scene.run(3_600_000);
    expect(scene.requests).toHaveLength(count);
    expect(scene.shadow.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('an answer to another token changes nothing', () => {
    const scene = new ShadowScene();
    scene.fateDown = () => 0;
    scene.connect();
    const answer = { state: { desired: { a: 9 } }, metadata: {}, version: 3, timestamp: 1 };
    scene.inject('get/accepted', scene.encode(answer));
    scene.inject('get/accepted', scene.encode({ ...answer, clientToken: 'other' }));
    scene.inject('get/rejected', scene.encode({ code: 404, message: '', clientToken: 'other' }));
    expect(scene.applied).toEqual([]);
    expect(scene.shadow.state).toBe('getting');
  });

  test('the token of a request is never longer than 64 bytes, and not twice the same', () => {
    const scene = ShadowScene.online();
    for (let index = 0; index < 50; index += 1) {
      scene.report('x', index);
      scene.run(1000);
    }
    const tokens = scene.requests.map(({ document }) => document.clientToken as string);
    expect(new Set(tokens).size).toBe(tokens.length);
    for (const token of tokens) expect(token.length).toBeLessThanOrEqual(7);
  });
});

describe('deltas', () => {
  test('apply at once and are reported', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1, b: 'x', unknown: true });
    scene.run(1000);
    expect(scene.applied).toEqual(['a=1', 'b="x"']);
    expect(scene.reported).toEqual({ a: 1, b: 'x' });
    expect(scene.model.counts.get).toBe(1);
  });

  test('an older one is stale, counted, and only makes the device ask', () => {
    const scene = ShadowScene.online();
    for (let value = 1; value <= 5; value += 1) {
      scene.desire({ a: value });
      scene.run(1000);
    }
    const { length } = scene.applied;
    const delta = { state: { a: 1 }, metadata: { a: { timestamp: 1 } }, version: 2, timestamp: 1 };
    for (let count = 0; count < 20; count += 1) scene.inject('update/delta', scene.encode(delta));
    scene.run(5000);
    expect(scene.applied).toHaveLength(length);
    expect(scene.shadow.counters.stale).toBe(1);
    expect(scene.model.counts.get).toBe(2);
    expect(scene.shadow.valueOf('a')).toBe(5);
  });

  test('old ones without end make the device ask once a second', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1 });
    scene.run(1000);
    scene.desire({ a: 2 });
    scene.run(1000);
    const delta = { state: { a: 1 }, metadata: {}, version: 1, timestamp: 1 };
    const before = scene.model.counts.get ?? 0;
    for (let count = 0; count < 200; count += 1) {
      scene.inject('update/delta', scene.encode(delta));
      scene.run(100);
    }
    expect(scene.model.counts.get).toBeGreaterThan(before + 10);
    expect(scene.model.counts.get).toBeLessThan(before + 21);
    expect(scene.shadow.valueOf('a')).toBe(2);
  });

  test('one that overtakes the document asks for it again', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1 });
    scene.run(1000);
    scene.disconnect();
    scene.connect();
    // The document is made, then changed, and the change arrives first.
    const get = scene.requests.at(-1);
    const [old] = scene.model.handle('get', get?.document ?? {});
    scene.fateUp = () => 0;
    const [, delta] = scene.model.desire({ a: 2 });
    scene.inject('update/delta', scene.encode(delta?.document));
    scene.inject('get/accepted', scene.encode(old?.document));
    scene.fateUp = () => 1;
    scene.run(60_000);
    expect(scene.shadow.valueOf('a')).toBe(2);
    expect(scene.model.delta).toEqual({});
  });

  test('of an object only what differs comes, so the whole is asked for', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: { x: 1, y: { z: 2 } } });
    scene.run(5000);
    scene.desire({ a: { y: { z: 3 } } });
    scene.run(5000);
    expect(scene.applied).toEqual(['a={"x":1,"y":{"z":2}}', 'a={"x":1,"y":{"z":3}}']);
    expect(scene.reported).toEqual({ a: { x: 1, y: { z: 3 } } });
    expect(scene.model.delta).toEqual({});
  });

  test('one that misses what was reported makes the device report it again', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 5 });
    scene.run(1000);
    const [, delta] = scene.model.handle('update', { state: { reported: { a: null } } });
    scene.inject('update/delta', scene.encode(delta?.document));
    scene.run(1000);
    expect(scene.reported).toEqual({ a: 5 });
    expect(scene.applied).toEqual(['a=5']);
  });

  test('a lost one is found at the next update', () => {
    const scene = ShadowScene.online();
    scene.report('x', 0);
    scene.run(1000);
    scene.fateDown = () => 0;
    scene.desire({ a: 7 });
    scene.run(1000);
    scene.fateDown = () => 1;
    scene.model.deltaOnReport = false;
    scene.report('x', 1);
    scene.run(5000);
    expect(scene.reported).toEqual({ a: 7, x: 1 });
  });
});

describe('handlers', () => {
  test('report what they return, and a wish that is not met is not tried again', () => {
    let count = 0;
    const clamp = (value: unknown) => {
      count += 1;
      return Math.min(50, value as number);
    };
    const scene = ShadowScene.online({ handlers: { a: clamp } });
    scene.desire({ a: 100 });
    scene.run(60_000);
    expect(scene.reported).toEqual({ a: 50 });
    expect(scene.model.delta).toEqual({ a: 100 });
    expect(count).toBe(1);
    expect(scene.shadow.counters.applied).toBe(1);
    // The delta that comes with the answer has its version, and is not taken for an old one.
    expect(scene.requests.map(({ name }) => name)).toEqual(['get', 'update']);
    expect(scene.shadow.counters.stale).toBe(0);
    scene.desire({ a: 100 });
    scene.run(60_000);
    expect(count).toBe(2);
  });

  test('that return another value every time do not loop', () => {
    let next = 0;
    const scene = ShadowScene.online({ handlers: { a: () => (next += 1) } });
    scene.desire({ a: -1 });
    scene.run(600_000);
    expect(next).toBe(1);
    expect(scene.requests.length).toBeLessThan(8);
  });

  test.each([
    ['throw', () => JSON.parse('{')],
    ['return a function', () => () => 1],
    ['return NaN', () => Number.NaN],
    ['return bytes', () => new Uint8Array(2)],
    ['return too much', () => 'x'.repeat(300)],
    ['return __proto__', () => JSON.parse('{"__proto__":1}')],
  ])('that %s are counted, and the value before stays reported', (_, fault) => {
    let faulty = false;
    const scene = ShadowScene.online({ handlers: { a: (value) => (faulty ? fault() : value) } });
    scene.desire({ a: 1 });
    scene.run(5000);
    faulty = true;
    const { length } = scene.requests;
    scene.desire({ a: 2 });
    scene.run(60_000);
    expect(scene.shadow.counters.faults).toBe(1);
    expect(scene.requests.slice(length).map(({ document }) => document.state)).toEqual([
      { reported: { a: 1 } },
    ]);
    expect(scene.model.delta).toEqual({ a: 2 });
    faulty = false;
    scene.desire({ a: 3 });
    scene.run(5000);
    expect(scene.reported).toEqual({ a: 3 });
  });

  test('are not called with what could not be reported', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 'x'.repeat(300) });
    scene.run(5000);
    expect(scene.applied).toEqual([]);
    expect(scene.shadow.counters.faults).toBe(1);
  });

  test('whose program reports the value itself make no edit of it', () => {
    const scene = ShadowScene.online({
      handlers: {
        a: (value, owner) => {
          owner.shadow.report('a', value);
          return undefined;
        },
      },
    });
    scene.desire({ a: 4 });
    scene.run(5000);
    expect(scene.requests.at(-1)?.document.state).toEqual({ reported: { a: 4 } });
    expect(scene.savedCount).toBe(0);
  });

  test('that pump send nothing before all keys are merged', () => {
    const scene = ShadowScene.online({
      handlers: {
        a: (_value, owner) => void owner.report('x', 1),
        b: (_value, owner) => void owner.report('y', 2),
      },
    });
    scene.desire({ a: 4, b: 5 });
    scene.run(5000);
    scene.disconnect();
    scene.desire({ a: 6, b: 7 });
    scene.shadow.declare('z', 3);
    scene.connect();
    scene.run(5000);
    const updates = scene.requests.filter(({ name }) => name === 'update');
    expect(updates.map(({ document }) => document.state)).toEqual([
      { reported: { a: 4, b: 5, x: 1, y: 2 } },
      { reported: { a: 6, b: 7, z: 3 } },
    ]);
  });

  test('may end the connection', () => {
    for (const how of ['delta', 'get'] as const) {
      const scene = new ShadowScene({
        handlers: { a: (_value, owner) => owner.disconnect() as undefined },
      });
      if (how === 'get') scene.desire({ a: 1 });
      scene.connect();
      scene.run(5000);
      if (how === 'delta') scene.desire({ a: 1 });
      scene.run(5000);
      expect(scene.shadow.state).toBe('offline');
      scene.connect();
      scene.run(5000);
      expect(scene.reported).toEqual({ a: 1 });
    }
  });

  test('may report other keys, and are called with the owner', () => {
    const scene = ShadowScene.online({
      handlers: {
        a: (value, owner) => {
          owner.shadow.report('mirror', value);
          return undefined;
        },
      },
    });
    scene.desire({ a: 4 });
    scene.run(5000);
    expect(scene.reported).toEqual({ a: 4, mirror: 4 });
  });
});

describe('rejections', () => {
  test.each([
    [429, 3],
    [500, 3],
    [503, 3],
    [409, 3],
  ])('%d to an update is tried again after a pause', (code, times) => {
    const scene = ShadowScene.online();
    for (let count = 0; count < times; count += 1) scene.model.rejections.push(code, 0);
    if (code !== 409) scene.model.rejections.splice(0, 6, code, code, code);
    scene.report('x', 1);
    scene.run(200_000);
    expect(scene.reported).toEqual({ x: 1 });
    expect(scene.shadow.counters.rejected).toBe(times);
  });

  test.each([400, 401, 403, 404, 405, 413, 415])('%d to an update is final', (code) => {
    const scene = ShadowScene.online();
    scene.model.rejections.push(code);
    scene.report('x', 1);
    scene.run(3_600_000);
    expect(scene.shadow.counters.rejected).toBe(1);
    expect(scene.model.counts.update).toBe(1);
    scene.disconnect();
    scene.connect();
    scene.run(5000);
    expect(scene.reported).toEqual({ x: 1 });
  });

  test('of a get that may not be leave updates alone', () => {
    const scene = new ShadowScene();
    scene.model.rejections.push(403);
    scene.connect();
    scene.report('x', 1);
    scene.run(5000);
    expect(scene.reported).toEqual({ x: 1 });
  });

  test('conflicts without end lead to a rest', () => {
    const scene = ShadowScene.online();
    scene.desire({ b: 1 });
    scene.run(5000);
    scene.model.rejections.push(
      ...Array.from({ length: 1000 }, (_, index) => [409, 0][index % 2]!),
    );
    scene.report('x', 1);
    scene.run(REST_MS - 60_000);
    expect(scene.shadow.counters.rests).toBe(1);
    expect(scene.shadow.counters.rejected).toBe(RETRY_COUNT_MAX);
  });

  test('without end lead to a rest, and a new connection ends it', () => {
    const scene = ShadowScene.online();
    scene.model.rejections.push(...Array.from({ length: 1000 }, () => 500));
    scene.report('x', 1);
    scene.run(REST_MS - 60_000);
    expect(scene.shadow.counters.rests).toBe(1);
    expect(scene.shadow.counters.rejected).toBe(RETRY_COUNT_MAX);
    scene.run(3_600_000);
    expect(scene.shadow.counters.rejected).toBeLessThan(6 * RETRY_COUNT_MAX);
    scene.model.rejections.splice(0);
    scene.disconnect();
    scene.connect();
    scene.run(2000);
    expect(scene.reported).toEqual({ x: 1 });
  });
});

describe('without an answer', () => {
  test('a get alone is repeated too', () => {
    const scene = new ShadowScene();
    scene.desire({ a: 1 });
    let lost = 1;
    scene.fateUp = () => (lost-- > 0 ? 0 : 1);
    scene.connect();
    scene.run(ANSWER_MS_MIN + 5000);
    expect(scene.reported).toEqual({ a: 1 });
    expect(scene.shadow.counters.timeouts).toBe(1);
  });

  test('an answer does not settle what changed since the request', () => {
    const scene = ShadowScene.online();
    scene.report('x', 1);
    scene.report('x', 2);
    scene.run(5000);
    expect(scene.reported).toEqual({ x: 2 });
    expect(scene.requests.map(({ name }) => name)).toEqual(['get', 'update', 'update']);
  });

  test('a request is repeated after its timeout', () => {
    const scene = new ShadowScene();
    let lost = 2;
    scene.fateUp = () => (lost-- > 0 ? 0 : 1);
    scene.connect();
    scene.report('x', 1);
    scene.run(ANSWER_MS_MIN - 1);
    expect(scene.requests).toHaveLength(1);
    scene.run(60_000);
    expect(scene.shadow.counters.timeouts).toBe(2);
    expect(scene.reported).toEqual({ x: 1 });
  });

  test('an update that was executed all the same is not taken for a conflict', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1 });
    scene.run(5000);
    let lost = 1;
    scene.fateDown = () => (lost-- > 0 ? 0 : 1);
    scene.report('a', 2);
    scene.run(60_000);
    expect(scene.desired).toEqual({ a: 2 });
    expect(scene.reported).toEqual({ a: 2 });
    expect(scene.shadow.counters.conflicts).toBe(0);
    expect(scene.applied).toEqual(['a=1']);
  });

  test('and without room, it goes out when there is some', () => {
    const scene = new ShadowScene();
    scene.room = false;
    scene.connect();
    scene.run(1000);
    expect(scene.shadow.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
    scene.room = true;
    scene.run(1000);
    scene.room = false;
    scene.report('x', 1);
    scene.run(1000);
    expect(scene.shadow.isSettled).toBe(false);
    scene.room = true;
    scene.run(1000);
    expect(scene.reported).toEqual({ x: 1 });
  });
});

describe('a shadow made anew', () => {
  for (const restarts of [true, false]) {
    for (const told of [true, false]) {
      test(`versions ${restarts ? 'restart' : 'go on'}, deletion ${told ? 'told' : 'lost'}`, () => {
        const scene = ShadowScene.online();
        scene.model.restartsVersions = restarts;
        for (let value = 1; value <= 5; value += 1) {
          scene.desire({ a: value });
          scene.run(1000);
        }
        scene.fateDown = () => (told ? 1 : 0);
        scene.deleteShadow();
        scene.fateDown = () => 1;
        scene.desire({ a: 77 });
        scene.run(10_000);
        expect(scene.shadow.valueOf('a')).toBe(77);
        expect(scene.reported).toEqual({ a: 77 });
        expect(scene.shadow.version).toBe(scene.model.document?.version);
      });
    }
  }

  test('deleted, it is made again by reporting', () => {
    const scene = ShadowScene.online();
    scene.desire({ a: 1 });
    scene.run(1000);
    scene.deleteShadow();
    scene.run(5000);
    expect(scene.reported).toEqual({ a: 1 });
  });

  test('what somebody else reported is put right', () => {
    const scene = ShadowScene.online();
    scene.report('x', 1);
    scene.run(1000);
    const answer = scene.model.handle('update', { state: { reported: { x: 2 } } });
    scene.inject('update/accepted', scene.encode(answer[0]?.document));
    scene.run(5000);
    expect(scene.reported).toEqual({ x: 1 });
  });
});

test('the time of the service is told with its uncertainty', () => {
  const scene = ShadowScene.online();
  scene.latencyMs = 700;
  scene.report('x', 1);
  scene.run(5000);
  for (const [epochMs, uncertaintyMs] of scene.times) {
    expect(uncertaintyMs).toBeGreaterThanOrEqual(500);
    expect(uncertaintyMs).toBeLessThan(1300);
    expect(epochMs).toBeGreaterThan(0);
  }
  expect(scene.times).toHaveLength(2);
});
