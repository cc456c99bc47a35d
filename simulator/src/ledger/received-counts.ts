// How many different messages came from each of several senders: usually one after the other, and
// then one number each.

import { SequenceSet } from './sequence-set.ts';

export class ReceivedCounts {
  /** Messages of each sender, of those whose came in order without a gap. */
  private readonly inOrder: Uint32Array;
  /** Of the others. */
  private readonly sets = new Map<number, SequenceSet>();

  constructor(senderCount: number) {
    this.inOrder = new Uint32Array(senderCount);
  }

  /** A message came; false when it had come before. */
  add(sender: number, sequence: number): boolean {
    let set = this.sets.get(sender);
    if (set === undefined) {
      const next = this.inOrder[sender]!;
      if (sequence === next) this.inOrder[sender] = next + 1;
      if (sequence <= next) return sequence === next;
      set = SequenceSet.fromRanges(next > 0 ? [0, next] : []);
      this.sets.set(sender, set);
    }
    return set.add(sequence);
  }

  /** Different messages, by sender. */
  counts(): Uint32Array {
    const counts = this.inOrder.slice();
    for (const [sender, set] of this.sets) counts[sender] = set.count;
    return counts;
  }
}
