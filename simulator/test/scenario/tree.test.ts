import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDocument, stringify } from 'yaml';
import { formatPath } from '../../src/scenario/mistakes.ts';
import {
  copyTree,
  offsetOf,
  PathError,
  parsePath,
  setAt,
  type Value,
} from '../../src/scenario/tree.ts';

describe('paths', () => {
  const name = fc.stringMatching(/^[a-z][A-Za-z0-9_{:}-]{0,8}$/);
  const part = fc.oneof(name, fc.nat(20));
  const path = fc
    .tuple(name, fc.array(part, { maxLength: 5 }))
    .map(([head, rest]) => [head, ...rest]);

  it('parses every path as it is formatted', () => {
    fc.assert(
      fc.property(path, (parts) => {
        expect(parsePath(formatPath(parts))).toEqual(parts);
      }),
    );
  });

  it.each(['', '.', 'a.', '.a', 'a..b', 'a[', 'a[x]', 'a[-1]', '[0]', 'a[0]b', 'a]'])(
    'refuses %j',
    (text) => {
      expect(parsePath(text)).toBeUndefined();
    },
  );
});

describe('setAt', () => {
  const tree = (): Value => ({
    name: 't',
    fleets: [{ name: 'a', count: 1 }, { name: 'b' }],
    x: null,
  });

  it('sets by index and by name, and creates maps on the way', () => {
    const root = tree();
    expect(setAt(root, ['fleets', 0, 'count'], 5)).toEqual(['fleets', 0, 'count']);
    expect(setAt(root, ['fleets', 'b', 'count'], 6)).toEqual(['fleets', 1, 'count']);
    expect(setAt(root, ['broker', 'tls', 'ca'], 'x')).toEqual(['broker']);
    expect(setAt(root, ['x', 'y'], true)).toEqual(['x']);
    expect(root).toEqual({
      name: 't',
      fleets: [
        { name: 'a', count: 5 },
        { name: 'b', count: 6 },
      ],
      broker: { tls: { ca: 'x' } },
      x: { y: true },
    });
  });

  it.each([
    [['fleets', 2, 'count'], 'no entry [2]: fleets has 2 entries'],
    [['fleets', 'flat', 'count'], 'no entry of fleets is named "flat"; known are a, b'],
    [['name', 'x'], 'name is "t", not a map'],
    [['fleets', 0, 'count', 'x'], 'fleets[0].count is 1, not a map'],
    [['broker', 0], 'broker is a map, not a list'],
  ] as const)('refuses %j', (path, message) => {
    expect(() => setAt(tree(), path, 1)).toThrow(new PathError(message));
  });

  it('sets a member named __proto__ as any other', () => {
    const root: Value = {};
    setAt(root, ['__proto__', 'polluted'], true);
    expect(Object.keys(root)).toEqual(['__proto__']);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('copyTree', () => {
  it('shares nothing with its source or between its parts', () => {
    const shared = { count: 1 };
    const copy = copyTree([shared, shared]) as { count: number }[];
    copy[0]!.count = 2;
    expect([copy[1]!.count, shared.count]).toEqual([1, 1]);
  });

  it('ends on a tree that contains itself', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    expect(() => copyTree(cycle)).toThrow(new PathError('is nested deeper than 32 levels'));
  });

  it('gives each text with its path', () => {
    const seen: string[] = [];
    copyTree({ a: ['x', { b: 'y' }] }, (text, path) => {
      seen.push(`${formatPath(path)}=${text}`);
      return text;
    });
    expect(seen).toEqual(['a[0]=x', 'a[1].b=y']);
  });
});

describe('offsetOf', () => {
  const leaf = fc.stringMatching(/^v[a-z0-9]{3,12}$/);
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
      fc.dictionary(fc.stringMatching(/^k[a-z]{1,6}$/), tie('tree'), { minKeys: 1, maxKeys: 4 }),
    ),
  }));

  it('points at each value and each name, in block and in flow style', () => {
    fc.assert(
      fc.property(tree, fc.boolean(), (value, flow) => {
        const text = stringify(value, flow ? { collectionStyle: 'flow' } : {});
        const document = parseDocument(text);
        copyTree(value, (content, path) => {
          expect(text.slice(offsetOf(document, path)).startsWith(content)).toBe(true);
          const name = path.at(-1);
          if (typeof name === 'string') {
            expect(text.slice(offsetOf(document, path, true)).startsWith(name)).toBe(true);
          }
          return content;
        });
      }),
    );
  });

  it('points at the parent of what is missing, and through aliases', () => {
    const text = 'a: &x\n  b: 1\nc: *x\n';
    const document = parseDocument(text);
    expect(offsetOf(document, ['a', 'z'])).toBe(text.indexOf('b: 1'));
    expect(offsetOf(document, ['z', 'y'])).toBe(0);
    expect(offsetOf(document, ['c'])).toBe(text.indexOf('*x'));
    expect(offsetOf(document, ['c', 'b'])).toBe(text.indexOf('1'));
  });
});
