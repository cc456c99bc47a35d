// Every message is in exactly one account, whatever devices and observer say.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DeviceAccount,
  type FleetAccount,
  settleCounted,
  settleDevice,
} from '../../src/ledger/account.ts';
import { SequenceSet } from '../../src/ledger/sequence-set.ts';

const PRODUCED_MAX = 30;
const CAUSE = 'buffer full';

function emptyAccount(): FleetAccount {
  const terms = { lost: 0, unseen: 0, unobservable: 0, dropped: 0, volatile: 0, pending: 0 };
  return { ...terms, droppedBy: {} };
}

function setOf(sequences: readonly number[]): SequenceSet {
  const set = new SequenceSet();
  for (const sequence of sequences) set.add(sequence);
  return set;
}

interface Claims {
  readonly produced: number;
  readonly seen?: readonly number[];
  readonly acknowledged?: readonly number[];
  readonly dropped?: readonly number[];
  /** For another cause. */
  readonly droppedToo?: readonly number[];
  readonly pending?: readonly number[];
  readonly unwatched?: readonly number[];
}

function settle(claims: Claims, confirmed = true, fleet = emptyAccount()): FleetAccount {
  const ranges = (sequences: readonly number[] = []) => setOf(sequences).toRanges();
  const account: DeviceAccount = {
    device: 0,
    produced: claims.produced,
    acknowledged: ranges(claims.acknowledged),
    dropped: { [CAUSE]: ranges(claims.dropped), other: ranges(claims.droppedToo) },
    pending: ranges(claims.pending),
    unwatched: ranges(claims.unwatched),
  };
  settleDevice(fleet, account, setOf(claims.seen ?? []), confirmed);
  return fleet;
}

function sum({ droppedBy, ...terms }: FleetAccount): number {
  const total = (counts: Record<string, number>) =>
    Object.values(counts).reduce((left, right) => left + right, 0);
  expect(total(droppedBy)).toBe(terms.dropped);
  return total(terms);
}

describe('a message', () => {
  test('that was seen is in no other account', () => {
    const all = [0];
    expect(
      settle({ produced: 1, seen: all, acknowledged: all, dropped: all, pending: all }),
    ).toEqual(emptyAccount());
  });

  test.each<[string, Partial<Claims>, boolean, Partial<FleetAccount>]>([
    ['of which nobody knows', {}, true, { lost: 1 }],
    ['acknowledged and not delivered', { acknowledged: [0] }, true, { unseen: 1 }],
    ['written at QoS 0 and not delivered', { acknowledged: [0] }, false, { lost: 1 }],
    [
      'acknowledged while nobody watched',
      { acknowledged: [0], unwatched: [0] },
      true,
      { unobservable: 1 },
    ],
    [
      'written at QoS 0 while nobody watched',
      { acknowledged: [0], unwatched: [0] },
      false,
      { unobservable: 1 },
    ],
    ['that had no room', { dropped: [0] }, true, { dropped: 1, droppedBy: { [CAUSE]: 1 } }],
    [
      'given up for another cause',
      { droppedToo: [0] },
      true,
      { dropped: 1, droppedBy: { other: 1 } },
    ],
    ['that still waits', { pending: [0] }, true, { pending: 1 }],
    ['dropped after it was taken', { acknowledged: [0], dropped: [0] }, true, { unseen: 1 }],
  ])('%s', (_name, claims, confirmed, expected) => {
    expect(settle({ produced: 1, ...claims }, confirmed)).toEqual({
      ...emptyAccount(),
      ...expected,
    });
  });

  test('is in one account, whatever is claimed of it', () => {
    const some = fc.uniqueArray(fc.nat(PRODUCED_MAX + 5));
    const claims = fc.record({
      produced: fc.nat(PRODUCED_MAX),
      seen: some,
      acknowledged: some,
      dropped: some,
      droppedToo: some,
      pending: some,
      unwatched: some,
    });
    fc.assert(
      fc.property(claims, fc.boolean(), (device, confirmed) => {
        const fleet = settle(device, confirmed);
        const observed = device.seen.filter((sequence) => sequence < device.produced).length;
        expect(observed + sum(fleet)).toBe(device.produced);
        // And each message by itself goes where it goes among the others.
        const one = emptyAccount();
        for (let sequence = 0; sequence < device.produced; sequence += 1) {
          const only = (sequences: readonly number[]) => (sequences.includes(sequence) ? [0] : []);
          const before = sum(one);
          settle(
            {
              produced: 1,
              seen: only(device.seen),
              acknowledged: only(device.acknowledged),
              dropped: only(device.dropped),
              droppedToo: only(device.droppedToo),
              pending: only(device.pending),
              unwatched: only(device.unwatched),
            },
            confirmed,
            one,
          );
          expect(sum(one) - before).toBe(device.seen.includes(sequence) ? 0 : 1);
        }
        expect(one).toEqual(fleet);
        expect(fleet.volatile).toBe(0);
        if (!confirmed) expect(fleet.unseen).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('of one device is added to those of the fleet', () => {
    const fleet = emptyAccount();
    settle({ produced: 3, pending: [2], acknowledged: [0] }, true, fleet);
    settle({ produced: 0 }, true, fleet);
    settle({ produced: 2, pending: [0] }, true, fleet);
    expect(fleet).toEqual({ ...emptyAccount(), lost: 2, unseen: 1, pending: 2 });
  });
});

describe('messages of which only the number is known', () => {
  /** What really became of each, exactly one thing. */
  const FATES = ['observed', 'lost', 'unseen', 'unobservable', 'dropped', 'volatile', 'pending'];

  test('are settled as those that tell their sequence, where each went one way', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...FATES), { maxLength: PRODUCED_MAX }), (fates) => {
        const of = (...names: string[]) =>
          setOf(fates.flatMap((fate, at) => (names.includes(fate) ? [at] : []))).toRanges();
        const account: DeviceAccount = {
          device: 0,
          produced: fates.length,
          acknowledged: of('observed', 'unseen', 'unobservable'),
          dropped: { [CAUSE]: of('dropped') },
          pending: of('pending'),
          unwatched: of('unobservable'),
          volatile: of('volatile'),
        };
        const seen = SequenceSet.fromRanges(of('observed'));
        const exact = emptyAccount();
        settleDevice(exact, account, seen, true);
        const counted = emptyAccount();
        expect(settleCounted(counted, account, seen.count, true)).toBe(0);
        expect(counted).toEqual(exact);
      }),
      { numRuns: 300 },
    );
  });

  test('add up to what was produced, whatever is claimed, and what is beyond that is a copy', () => {
    const some = fc.uniqueArray(fc.nat(PRODUCED_MAX + 5));
    const claims = fc.record({
      produced: fc.nat(PRODUCED_MAX),
      acknowledged: some,
      dropped: some,
      droppedToo: some,
      pending: some,
      unwatched: some,
    });
    fc.assert(
      fc.property(claims, fc.nat(PRODUCED_MAX + 5), fc.boolean(), (device, seen, confirmed) => {
        const ranges = (sequences: readonly number[]) => setOf(sequences).toRanges();
        const account = {
          device: 0,
          produced: device.produced,
          acknowledged: ranges(device.acknowledged),
          dropped: { [CAUSE]: ranges(device.dropped), other: ranges(device.droppedToo) },
          pending: ranges(device.pending),
          unwatched: ranges(device.unwatched),
        };
        const fleet = emptyAccount();
        const copies = settleCounted(fleet, account, seen, confirmed);
        expect(copies).toBe(Math.max(0, seen - device.produced));
        expect(seen - copies + sum(fleet)).toBe(device.produced);
        if (!confirmed) expect(fleet.unseen).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
