// Values: which wish is met, which are the same, and what an update must say.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fingerprint,
  meets,
  newestTimestamp,
  type ShadowValue,
  withoutRemovals,
  withRemovals,
} from '../../src/shadow/shadow-value.ts';
import { type Json, ShadowModel } from '../support/shadow-model.ts';

const leaf = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.boolean(), fc.constantFrom('', 'x', '1'));
const value: fc.Arbitrary<ShadowValue> = fc.letrec<{ node: ShadowValue }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('node'), { minKeys: 1, maxKeys: 3 }),
  ),
})).node;

describe('meets', () => {
  test.each<[unknown, unknown, boolean]>([
    [1, 1, true],
    [1, '1', false],
    [null, undefined, true],
    [null, 0, false],
    [{ a: 1 }, { a: 1, b: 2 }, true],
    [{ a: 1, b: 2 }, { a: 1 }, false],
    [{ a: null }, {}, true],
    [{ a: null }, { a: 1 }, false],
    [{}, undefined, true],
    [{}, 1, false],
    [{ a: { b: 1 } }, { a: { b: 1, c: 1 } }, true],
    [[1, 2], [1, 2], true],
    [[1], [1, 2], false],
    [[1, 2], [1], false],
    [[{ a: 1 }], [{ a: 1, b: 2 }], false],
    [[{ a: 1, b: 2 }], [{ a: 1 }], false],
    [[], {}, false],
    [{}, [], false],
    [{ toString: 1 }, {}, false],
  ])('%j by %j: %j', (wish, have, expected) => {
    expect(meets(wish, have)).toBe(expected);
  });

  test('is what the service calls an empty delta', () => {
    fc.assert(
      fc.property(value, value, (wish, have) => {
        const model = new ShadowModel();
        const state = { desired: { k: wish as Json }, reported: { k: have as Json } };
        model.handle('update', { state });
        expect(meets(wish, have)).toBe(Object.keys(model.delta).length === 0);
      }),
      { numRuns: 2000 },
    );
  });
});

test('withRemovals makes an update that leaves exactly the new value', () => {
  fc.assert(
    fc.property(value, value, (next, old) => {
      const model = new ShadowModel();
      model.handle('update', { state: { reported: { k: old as Json } } });
      const whole = withRemovals(next, old) as Json;
      model.handle('update', { state: { reported: { k: whole } } });
      expect(model.document?.reported).toEqual({ k: next });
      expect(withoutRemovals(whole as ShadowValue)).toEqual(next);
    }),
    { numRuns: 2000 },
  );
});

test('fingerprints are the same for the same value only, in whatever order', () => {
  fc.assert(
    fc.property(value, value, (one, other) => {
      const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
      expect(fingerprint(one) === fingerprint(other)).toBe(same);
      expect(fingerprint(sorted(one))).toBe(fingerprint(one));
      expect(fingerprint(one)).toBeGreaterThan(0);
      expect(fingerprint(one)).toBeLessThan(2 ** 31);
    }),
    { numRuns: 5000 },
  );
  expect(fingerprint(undefined)).toBe(0);
  expect(fingerprint(null)).toBe(0);
});

test('no two of 100,000 numbers and texts share a fingerprint oftener than chance has it', () => {
  const prints = new Set<number>();
  for (let index = 0; index < 50_000; index += 1) {
    prints.add(fingerprint(index));
    prints.add(fingerprint(`k${index}`));
  }
  // Of 2^30 there are 4.7 pairs to be expected.
  expect(100_000 - prints.size).toBeLessThan(20);
});

test('the newest of nested timestamps', () => {
  expect(newestTimestamp({ timestamp: 5 })).toBe(5);
  expect(newestTimestamp({ a: { timestamp: 3 }, b: [{ timestamp: 9 }, { timestamp: 4 }] })).toBe(9);
  expect(newestTimestamp({ timestamp: { timestamp: 7 } })).toBe(7);
  for (const odd of [undefined, null, 'x', {}, []]) expect(newestTimestamp(odd)).toBe(0);
});

/** With the members of every object in order. */
function sorted(value: ShadowValue): ShadowValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as { [member: string]: ShadowValue });
  entries.sort(([one], [other]) => (one < other ? 1 : -1));
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]));
}
