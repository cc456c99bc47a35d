// The core against AWS's documented examples, against hostile requests and against a slow model.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DEPTH_MAX,
  type Message,
  type RequestKind,
  respond,
  type Shadow,
  STATE_SIZE_MAX,
} from '../../src/shadow/index.ts';
import { canonical, type Json, ShadowModel } from './model.ts';

const NOW_S = 1_700_000_000;

/** Asks in turn, one second apart; returns the last answer and the shadow after it. */
function ask(...requests: readonly (readonly [RequestKind, unknown?])[]) {
  let shadow: Shadow | undefined;
  let messages: readonly Message[] = [];
  for (const [index, [kind, body]] of requests.entries()) {
    ({ messages, shadow } = respond(shadow, { kind, body }, NOW_S + index));
  }
  return { shadow, messages, documents: plain(messages) };
}

function plain(messages: readonly Message[]): Record<string, Json> {
  const entries = messages.map(({ document, name }) => [name, document]);
  return JSON.parse(JSON.stringify(Object.fromEntries(entries)));
}

function codeOf(messages: readonly Message[]): unknown {
  return messages[0]!.document.code;
}

function nested(depth: number, leaf: Json = 1): Json {
  return depth === 0 ? leaf : { a: nested(depth - 1, leaf) };
}

const desired = (state: unknown, more = {}) =>
  ['update', { state: { desired: state }, ...more }] as const;
const reported = (state: unknown, more = {}) =>
  ['update', { state: { reported: state }, ...more }] as const;

describe("AWS's documents", () => {
  test('an update is accepted with what it changed, its time, and its token', () => {
    const { documents } = ask(
      desired({ color: 'red', power: { level: 3 } }, { clientToken: 't-1' }),
    );
    const stamp = { timestamp: NOW_S };
    const sections = {
      state: { desired: { color: 'red', power: { level: 3 } } },
      metadata: { desired: { color: stamp, power: { level: stamp } } },
      version: 1,
    };
    const tail = { timestamp: NOW_S, clientToken: 't-1' };
    expect(documents).toEqual({
      'update/accepted': { ...sections, ...tail },
      'update/delta': {
        version: 1,
        state: sections.state.desired,
        metadata: sections.metadata.desired,
        ...tail,
      },
      'update/documents': {
        previous: { state: {}, metadata: {}, version: 0 },
        current: sections,
        ...tail,
      },
    });
  });

  test('the answer comes first, then the delta, then the documents', () => {
    expect(ask(desired({ a: 1 })).messages.map(({ name }) => name)).toEqual([
      'update/accepted',
      'update/delta',
      'update/documents',
    ]);
  });

  // "Delta state" and "Array values" in the developer's guide.
  test.each<[string, unknown, unknown, unknown]>([
    ['a value that differs', { color: 'RED' }, { color: 'GREEN' }, { color: 'RED' }],
    ['a value that only desired has', { color: 'RED' }, {}, { color: 'RED' }],
    ['no value that only reported has', { a: 1 }, { b: 2 }, { a: 1 }],
    ['nothing where they agree', { color: 'RED', on: true }, { on: true, color: 'RED' }, undefined],
    [
      'the path from the root, and not its neighbours',
      { lights: { color: { r: 255, g: 255, b: 255 } } },
      { lights: { color: { r: 255, g: 0, b: 255 } } },
      { lights: { color: { g: 255 } } },
    ],
    [
      'an array as a whole',
      { colors: ['RED', 'GREEN', 'BLUE'] },
      { colors: ['RED', 'GREEN'] },
      { colors: ['RED', 'GREEN', 'BLUE'] },
    ],
    ['no equal array', { a: [1, { b: [2] }] }, { a: [1, { b: [2] }] }, undefined],
    [
      'an array with more in an element',
      { a: [{ b: 1 }] },
      { a: [{ b: 1, c: 2 }] },
      { a: [{ b: 1 }] },
    ],
    ['an object where a value was reported', { a: { b: 1 } }, { a: 2 }, { a: { b: 1 } }],
    ['a value where an object was reported', { a: 2 }, { a: { b: 1 } }, { a: 2 }],
    ['no empty object', { a: {} }, {}, undefined],
    ['no 0 for false, and no 1 for "1"', { a: 0, b: '1' }, { a: false, b: 1 }, { a: 0, b: '1' }],
  ])('the delta holds %s', (_what, wanted, is, delta) => {
    const { documents, shadow } = ask(desired(wanted), reported(is), ['get']);
    const { state } = documents['get/accepted'] as { state: { delta?: Json } };
    expect(state.delta).toEqual(delta);
    const update = ask(desired(wanted), reported(is)).documents['update/delta'];
    expect((update as { state?: Json } | undefined)?.state).toEqual(delta);
    expect(shadow!.version).toBe(2);
  });

  test("the delta's metadata is that of desired", () => {
    const { documents } = ask(
      desired({ a: 1, b: { c: 2 } }),
      desired({ d: [3] }),
      reported({ a: 1 }),
    );
    expect(documents['update/delta']).toMatchObject({
      state: { b: { c: 2 }, d: [3] },
      metadata: { b: { c: { timestamp: NOW_S } }, d: [{ timestamp: NOW_S + 1 }] },
      version: 3,
      timestamp: NOW_S + 2,
    });
  });

  test('get answers with both sections, the delta and all times', () => {
    const { documents } = ask(desired({ a: 1 }), reported({ a: 0 }), ['get', { clientToken: 'x' }]);
    expect(documents).toEqual({
      'get/accepted': {
        state: { desired: { a: 1 }, reported: { a: 0 }, delta: { a: 1 } },
        metadata: {
          desired: { a: { timestamp: NOW_S } },
          reported: { a: { timestamp: NOW_S + 1 } },
        },
        version: 2,
        timestamp: NOW_S + 2,
        clientToken: 'x',
      },
    });
  });

  test('delete answers with the last version; the next shadow begins at 1 again', () => {
    const gone = ask(desired({ a: 1 }), desired({ a: 2 }), ['delete', { clientToken: 'x' }]);
    expect(gone.documents).toEqual({
      'delete/accepted': { version: 2, timestamp: NOW_S + 2, clientToken: 'x' },
    });
    expect(gone.shadow).toBeUndefined();
    const again = ask(desired({ a: 1 }), desired({ a: 2 }), ['delete'], reported({ b: 1 }));
    expect(again.shadow).toMatchObject({ version: 1, state: { reported: { b: 1 } } });
    expect(again.shadow!.state.desired).toBeUndefined();
  });

  test('null removes a member, or a whole section', () => {
    expect(
      ask(desired({ a: 1, b: { c: 2, d: 3 } }), desired({ a: null, b: { c: null } })).shadow,
    ).toMatchObject({ state: { desired: { b: { d: 3 } } } });
    const { documents, shadow } = ask(desired({ a: 1 }), reported({ a: 1 }), desired(null));
    expect(shadow!.state).toEqual({ reported: { a: 1 } });
    expect(documents['update/accepted']).toMatchObject({ state: { desired: null } });
    // "A shadow document contains a desired section only if it has a desired state."
    expect(ask(desired({ a: 1 }), desired({ a: null })).shadow!.state).toEqual({});
  });

  test('metadata forgets what was removed, and a leaf that became an object', () => {
    const { shadow } = ask(desired({ a: 1, b: 1 }), desired({ a: { c: 2 }, b: null }));
    expect(shadow!.metadata).toEqual({ desired: { a: { c: { timestamp: NOW_S + 1 } } } });
    const named = ask(desired({ a: { timestamp: 1 } }), desired({ a: { b: 2 } }));
    expect(named.shadow!.metadata).toEqual({
      desired: { a: { timestamp: { timestamp: NOW_S }, b: { timestamp: NOW_S + 1 } } },
    });
  });
});

describe('the version', () => {
  test('that a request names must be the shadow’s', () => {
    const two = [desired({ a: 1 }), desired({ a: 2 })] as const;
    expect(ask(...two, desired({ a: 3 }, { version: 2 })).shadow!.version).toBe(3);
    for (const version of [0, 1, 3]) {
      const { documents, shadow } = ask(...two, desired({ a: 3 }, { version, clientToken: 'x' }));
      expect(documents).toEqual({
        'update/rejected': {
          code: 409,
          message: 'Version conflict',
          timestamp: NOW_S + 2,
          clientToken: 'x',
        },
      });
      expect(shadow!.state).toEqual({ desired: { a: 2 } });
    }
  });

  test('of a shadow that is not there is 0', () => {
    expect(ask(desired({ a: 1 }, { version: 0 })).shadow!.version).toBe(1);
    expect(codeOf(ask(desired({ a: 1 }, { version: 1 })).messages)).toBe(409);
  });
});

describe('refused', () => {
  const text = (size: number) => 'x'.repeat(size);
  // `{"desired":{"a":""}}` around the text.
  const FRAME_SIZE = 20;

  test.each<[string, RequestKind, unknown, number]>([
    ['get of nothing', 'get', undefined, 404],
    ['delete of nothing', 'delete', {}, 404],
    ['an empty update', 'update', undefined, 400],
    ['an update without state', 'update', {}, 400],
    ['null', 'update', null, 400],
    ['a number', 'get', 7, 400],
    ['a list', 'delete', [], 400],
    ['a state that is null', 'update', { state: null }, 400],
    ['a state that is a list', 'update', { state: [] }, 400],
    ['a desired that is a number', 'update', { state: { desired: 1 } }, 400],
    ['a reported that is a list', 'update', { state: { reported: [] } }, 400],
    ['another section', 'update', { state: { delta: { a: 1 } } }, 400],
    ['bytes', 'update', { state: { desired: { a: new Uint8Array(3) } } }, 400],
    ['bytes as a section', 'update', { state: { desired: new Uint8Array(3) } }, 400],
    ['bytes as a body', 'update', new Uint8Array(3), 400],
    ['undefined', 'update', { state: { desired: { a: undefined } } }, 400],
    ['NaN', 'update', { state: { desired: { a: Number.NaN } } }, 400],
    ['infinity', 'update', { state: { reported: { a: [Number.POSITIVE_INFINITY] } } }, 400],
    ['null in a list', 'update', { state: { desired: { a: [1, null] } } }, 400],
    ['null in an object in a list', 'update', { state: { desired: { a: [{ b: null }] } } }, 400],
    ['half a character', 'update', { state: { desired: { a: '\ud800' } } }, 400],
    ['half a character as a key', 'update', { state: { desired: { '\udc00': 1 } } }, 400],
    ['a constructor', 'update', { state: { desired: { constructor: { a: 1 } } } }, 400],
    ['a prototype', 'update', { state: { desired: { a: { prototype: 1 } } } }, 400],
    ['__proto__', 'update', JSON.parse('{"state":{"desired":{"__proto__":{"a":1}}}}'), 400],
    ['a version that is text', 'update', { state: {}, version: '1' }, 400],
    ['a version below zero', 'update', { state: {}, version: -1 }, 400],
    ['half a version', 'update', { state: {}, version: 0.5 }, 400],
    ['a token that is a number', 'update', { state: {}, clientToken: 1 }, 400],
    ['a token of 65 bytes', 'get', { clientToken: `${text(63)}é` }, 400],
    ['a level too deep', 'update', { state: { desired: nested(DEPTH_MAX + 1) } }, 400],
    ['a level too deep, of lists', 'update', { state: { desired: { a: [[[[[[[[1]]]]]]]] } } }, 400],
    [
      'a byte too large',
      'update',
      { state: { desired: { a: text(STATE_SIZE_MAX - FRAME_SIZE + 1) } } },
      413,
    ],
  ])('%s', (_what, kind, body, code) => {
    const { messages, shadow } = ask([kind, body]);
    expect(messages.map(({ name }) => name)).toEqual([`${kind}/rejected`]);
    expect([codeOf(messages), shadow]).toEqual([code, undefined]);
    expect(messages[0]!.document.timestamp).toBe(NOW_S);
  });

  test('but not what is just within the limits', () => {
    expect(ask(desired(nested(DEPTH_MAX))).shadow!.version).toBe(1);
    const full = ask(desired({ a: text(STATE_SIZE_MAX - FRAME_SIZE) }));
    expect(full.shadow!.size).toBe(STATE_SIZE_MAX);
    expect(ask(['update', { state: {}, clientToken: text(64) }]).shadow!.version).toBe(1);
    // What is not state, version or token is ignored.
    expect(ask(['update', { state: {}, more: [null] }]).shadow!.version).toBe(1);
  });

  test('the size is that of the state after the update, whoever wrote it', () => {
    const half = text(STATE_SIZE_MAX / 2);
    const { messages, shadow } = ask(desired({ a: half }), reported({ a: half }));
    expect(codeOf(messages)).toBe(413);
    expect(shadow!.state).toEqual({ desired: { a: half } });
    expect(
      ask(desired({ a: half }), desired({ a: null }), reported({ a: half })).shadow!.version,
    ).toBe(3);
  });

  test('a token is echoed where it was readable', () => {
    const { documents } = ask(['get', { clientToken: 'x' }]);
    expect(documents['get/rejected']).toMatchObject({ code: 404, clientToken: 'x' });
    const bad = ask(['update', { clientToken: 5, state: {} }]).documents['update/rejected'];
    expect(bad).not.toHaveProperty('clientToken');
  });
});

describe('properties', () => {
  const KEYS = ['a', 'b', 'c', 'toString', 'timestamp'];
  const leaf = fc.oneof(
    fc.boolean(),
    fc.integer({ min: -2, max: 2 }),
    fc.constantFrom('', 'x', 'é'),
    fc.array(fc.oneof(fc.integer({ min: 0, max: 2 }), fc.record({ a: fc.boolean() })), {
      maxLength: 2,
    }),
  );
  const { patch } = fc.letrec<{ patch: Record<string, Json>; value: Json }>((tie) => ({
    patch: fc.dictionary(fc.constantFrom(...KEYS), tie('value'), { maxKeys: 4 }),
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      { arbitrary: leaf as fc.Arbitrary<Json>, weight: 4 },
      { arbitrary: fc.constant<Json>(null), weight: 2 },
      { arbitrary: tie('patch') as fc.Arbitrary<Json>, weight: 3 },
    ),
  }));
  const section = fc.oneof(
    { arbitrary: patch, weight: 9 },
    { arbitrary: fc.constant(null), weight: 1 },
  );
  const state = fc.record({ desired: section, reported: section }, { requiredKeys: [] });
  const request = fc.oneof(
    {
      arbitrary: fc.record({
        kind: fc.constant('update' as const),
        state,
        /** Against the shadow's own; undefined = names none. */
        versionOffset: fc.constantFrom(undefined, undefined, 0, -1, 1),
      }),
      weight: 12,
    },
    { arbitrary: fc.record({ kind: fc.constant('delete' as const) }), weight: 1 },
    { arbitrary: fc.record({ kind: fc.constant('get' as const) }), weight: 3 },
  );

  test('any requests: as the slow model says', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const model = new ShadowModel();
        let shadow: Shadow | undefined;
        for (const [index, each] of requests.entries()) {
          const before = shadow;
          const nowS = NOW_S + index;
          if (each.kind === 'update') {
            const { state: change, versionOffset } = each;
            const version = model.version + (versionOffset ?? 0);
            const body = { state: change, ...(versionOffset === undefined ? {} : { version }) };
            const answer = respond(shadow, { kind: 'update', body }, nowS);
            const documents = plain(answer.messages);
            shadow = answer.shadow;
            if (versionOffset) {
              expect(codeOf(answer.messages)).toBe(version < 0 ? 400 : 409);
              expect(shadow).toBe(before);
              continue;
            }
            model.update(change as { desired?: Json; reported?: Json });
            const delta = documents['update/delta'] as { state: Json } | undefined;
            expect(canonical(delta?.state ?? null)).toBe(canonical(model.delta() ?? null));
          } else {
            const answer = respond(shadow, { kind: each.kind, body: undefined }, nowS);
            shadow = answer.shadow;
            expect(codeOf(answer.messages)).toBe(model.exists ? undefined : 404);
            if (each.kind === 'delete') model.delete();
          }
          check(shadow, model, nowS);
        }
      }),
      { numRuns: 400 },
    );
  });

  function check(shadow: Shadow | undefined, model: ShadowModel, nowS: number): void {
    expect(shadow?.version ?? 0).toBe(model.version);
    for (const name of ['desired', 'reported'] as const) {
      const tree = (shadow?.state[name] ?? null) as Json;
      expect(canonical(tree)).toBe(canonical(model.section(name) ?? null));
      sameShape(tree, (shadow?.metadata[name] ?? null) as Json, nowS);
    }
    if (shadow !== undefined) {
      expect(shadow.size).toBe(Buffer.byteLength(JSON.stringify(shadow.state)));
    }
  }

  /** Metadata has a `{timestamp}` of the past for each leaf, and nothing else. */
  function sameShape(value: Json, metadata: Json, nowS: number): void {
    if (Array.isArray(value)) {
      expect(metadata).toHaveLength(value.length);
      for (const [index, element] of value.entries()) {
        sameShape(element, (metadata as Json[])[index]!, nowS);
      }
    } else if (typeof value === 'object' && value !== null) {
      expect(Object.keys(metadata as object).sort()).toEqual(Object.keys(value).sort());
      for (const [key, member] of Object.entries(value)) {
        sameShape(member, (metadata as Record<string, Json>)[key]!, nowS);
      }
    } else if (value !== null) {
      expect(Object.keys(metadata as object)).toEqual(['timestamp']);
      const { timestamp } = metadata as { timestamp: number };
      expect(timestamp).toBeGreaterThanOrEqual(NOW_S);
      expect(timestamp).toBeLessThanOrEqual(nowS);
    }
  }

  test('an update twice is as good as once, but for the version', () => {
    fc.assert(
      fc.property(patch, patch, (first, second) => {
        const once = ask(desired(first), desired(second)).shadow!;
        const twice = ask(desired(first), desired(second), desired(second)).shadow!;
        expect(twice.state).toEqual(once.state);
        expect([once.version, twice.version]).toEqual([2, 3]);
      }),
    );
  });

  test('reporting the delta leaves no delta', () => {
    fc.assert(
      fc.property(patch, patch, (wanted, is) => {
        const before = ask(desired(wanted), reported(is));
        const delta = (before.documents['update/delta'] as { state?: Json } | undefined)?.state;
        const after = ask(desired(wanted), reported(is), reported(delta ?? {}));
        expect(after.documents).not.toHaveProperty('update/delta');
      }),
    );
  });

  test('a shadow that was given stays as it was', () => {
    fc.assert(
      fc.property(patch, patch, (first, second) => {
        const { shadow } = ask(desired(first), reported(first));
        const copy = JSON.stringify(shadow);
        respond(shadow, { kind: 'update', body: { state: { desired: second } } }, NOW_S + 9);
        respond(shadow, { kind: 'delete', body: undefined }, NOW_S + 9);
        expect(JSON.stringify(shadow)).toBe(copy);
      }),
    );
  });

  test('whatever is asked, there is one answer', () => {
    const anything = fc.anything({ maxDepth: 4, withNullPrototype: true, withTypedArray: true });
    const body = fc.oneof(
      anything,
      fc.record({ state: anything, clientToken: anything, version: anything }),
      fc.record({ state: fc.record({ desired: anything, reported: anything }) }),
    );
    fc.assert(
      fc.property(fc.constantFrom('get', 'update', 'delete'), body, (kind, each) => {
        const { messages, shadow } = ask([kind as RequestKind, each]);
        const [first, ...rest] = messages.map(({ name }) => name);
        expect([`${kind}/accepted`, `${kind}/rejected`]).toContain(first);
        expect(rest.length > 0).toBe(shadow !== undefined);
        expect(Object.getPrototypeOf({}) as object).toEqual(Object.prototype);
      }),
      { numRuns: 500 },
    );
  });
});
