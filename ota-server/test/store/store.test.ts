import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Journal } from '../../src/store/journal.ts';
import { type Changes, noChanges, Store } from '../../src/store/store.ts';

const report = (device: string, at_ms: number) => ({ at_ms, device, report: '{}', counted: 1 });
const device = (position: number) => ({
  position,
  id: `d${position}`,
  token_hash: new Uint8Array(32).fill(position),
  properties: '{}',
  seen: null,
});

test('all that was committed is there again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'));
  const changes = noChanges();
  changes.settings.set('key', Uint8Array.of(1, 2));
  changes.releases.set('a', { id: 'a', envelope: Uint8Array.of(3), created_ms: 4, ready: 1 });
  changes.deltas.push({ release: 'a', base: Uint8Array.of(5), name: 'b.delta', size: 6 });
  for (const position of [1, 0]) changes.devices.set(position, device(position));
  const rollout = { id: 'r', created_ms: 7, definition: '{}', state: Uint8Array.of(8) };
  changes.rollouts.set('r', { ...rollout, last_event: 1 });
  for (const sequence of [1, 2, 3]) {
    changes.events.push({ rollout: 'r', sequence, at_ms: 9, event: `{"n":${sequence}}` });
  }
  const store = await Store.open(folder);
  await store.commit(changes);
  await store.close();
  const again = await Store.open(folder);
  const state = await again.load();
  expect([...state.settings.get('key')!]).toEqual([1, 2]);
  expect(state.releases).toMatchObject([{ id: 'a', created_ms: 4, ready: 1 }]);
  expect(state.deltas).toMatchObject([{ release: 'a', name: 'b.delta', size: 6 }]);
  expect(state.devices.map(({ id }) => id)).toEqual(['d0', 'd1']);
  expect([...state.devices[1]!.token_hash]).toEqual(Array(32).fill(1));
  expect(state.rollouts).toMatchObject([{ id: 'r', last_event: 1 }]);
  // The state holds what the first event did.
  expect(state.events.map(({ sequence }) => sequence)).toEqual([2, 3]);
  await expect(Store.open(folder)).rejects.toThrow('another flotilla-ota is using it');
  await again.close();
  await rm(folder, { recursive: true });
});

test('of the reports the newest are kept', async () => {
  const store = await Store.open(':memory:', 5);
  for (let at = 0; at < 4; at += 1) {
    const reports = [0, 1, 2, 3].map((index) => report('d', at * 4 + index));
    await store.commit({ ...noChanges(), reports });
  }
  const kept = (await store.reports(100)).map(({ at_ms }) => at_ms);
  expect(kept[0]).toBe(15);
  expect(kept.length).toBeLessThanOrEqual(5 + 4);
  expect(await store.reports(100, 'x')).toEqual([]);
  await store.close();
});

test('a commit that fails is tried again with what came later, and waiters are told', async () => {
  const written: Changes[] = [];
  let isFull = true;
  const store = {
    commit: async (changes: Changes) => {
      if (isFull) throw new Error('disk full');
      written.push(changes);
    },
  } as unknown as Store;
  const journal = new Journal(
    store,
    () => undefined,
    () => undefined,
  );
  journal.pending.reports.push(report('a', 1));
  const waiters = [journal.flushed(), journal.flushed()];
  for (const waiter of waiters) await expect(waiter).rejects.toThrow('disk full');
  isFull = false;
  journal.pending.reports.push(report('b', 2));
  await journal.flushed();
  await journal.flushed();
  expect(written.map(({ reports }) => reports.map(({ device: id }) => id))).toEqual([['a', 'b']]);
});
