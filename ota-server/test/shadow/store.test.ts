// The store in memory: bounded, and nothing is lost to the bound.

import { expect, test } from 'vitest';
import { MemoryStore, respond, type Shadow } from '../../src/shadow/index.ts';

function shadowOf(text: string): Shadow {
  const body = { state: { desired: { text } } };
  return respond(undefined, { kind: 'update', body }, 0).shadow!;
}

test('beyond the count new shadows are refused, the others live on', () => {
  const store = new MemoryStore({ countMax: 2 });
  expect([store.write('a', shadowOf('1')), store.write('b', shadowOf('2'))]).toEqual([true, true]);
  expect(store.write('c', shadowOf('3'))).toBe(false);
  expect(store.write('a', shadowOf('4'))).toBe(true);
  expect(store.read('a')!.state.desired).toEqual({ text: '4' });
  store.remove('b');
  expect(store.write('c', shadowOf('3'))).toBe(true);
  expect([store.read('b'), store.count]).toEqual([undefined, 2]);
});

test('beyond the size a shadow may shrink, but not grow', () => {
  const small = shadowOf('');
  const store = new MemoryStore({ sizeMax: 3 * small.size });
  for (const key of ['a', 'b', 'c']) expect(store.write(key, small)).toBe(true);
  expect(store.write('c', shadowOf('x'))).toBe(false);
  expect(store.read('c')).toBe(small);
  expect(store.write('d', small)).toBe(false);
  store.remove('a');
  store.remove('a');
  expect(store.write('c', shadowOf('x'))).toBe(true);
  expect(store.write('c', small)).toBe(true);
});
