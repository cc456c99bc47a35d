import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SequenceSet } from '../../src/ledger/sequence-set.ts';

const END = 40;

/** Few numbers, so that ranges meet and close; sometimes in order, as devices count. */
const sequences = fc.oneof(
  fc.array(fc.nat(END - 1), { maxLength: 60 }),
  fc.tuple(fc.nat(10), fc.nat(60)).map(([start, count]) => {
    return Array.from({ length: count }, (_, index) => start + index);
  }),
);

function missing(set: SequenceSet, end: number): number[] {
  const found: number[] = [];
  set.forEachMissing(end, (sequence) => found.push(sequence));
  return found;
}

describe('a set of sequences', () => {
  test('is a set', () => {
    fc.assert(
      fc.property(sequences, fc.nat(END + 5), (added, end) => {
        const set = new SequenceSet();
        const model = new Set<number>();
        for (const sequence of added) {
          expect(set.add(sequence)).toBe(!model.has(sequence));
          model.add(sequence);
          expect(set.count).toBe(model.size);
        }
        for (let sequence = 0; sequence < END + 2; sequence += 1) {
          expect(set.has(sequence)).toBe(model.has(sequence));
        }
        const absent = Array.from({ length: end }, (_, at) => at).filter((at) => !model.has(at));
        expect(missing(set, end)).toEqual(absent);
      }),
      { numRuns: 1000 },
    );
  });

  test('holds ranges as long as they can be', () => {
    fc.assert(
      fc.property(sequences, (added) => {
        const set = new SequenceSet();
        for (const sequence of added) set.add(sequence);
        const ranges = set.toRanges();
        expect(ranges.length % 2).toBe(0);
        // Each start is after the end before it, and not its neighbour.
        for (let at = 1; at < ranges.length; at += 1) {
          expect(ranges[at]).toBeGreaterThan(ranges[at - 1]!);
        }
        const again = SequenceSet.fromRanges(ranges);
        expect(again.toRanges()).toEqual(ranges);
        expect(again.count).toBe(new Set(added).size);
      }),
    );
  });

  test('of all messages in order is one range, a copy its own', () => {
    const set = new SequenceSet();
    for (let sequence = 0; sequence < 100_000; sequence += 1) set.add(sequence);
    expect(set.toRanges()).toEqual([0, 100_000]);
    const copy = SequenceSet.fromRanges(Float64Array.from(set.toRanges()));
    copy.add(100_000);
    expect([set.count, copy.count]).toEqual([100_000, 100_001]);
    expect(missing(copy, 100_003)).toEqual([100_001, 100_002]);
  });

  test('takes numbers up to what devices count to', () => {
    const set = new SequenceSet();
    for (const sequence of [0xffffffff, 0, 0xfffffffe]) set.add(sequence);
    expect(set.toRanges()).toEqual([0, 1, 0xfffffffe, 0x100000000]);
  });
});
