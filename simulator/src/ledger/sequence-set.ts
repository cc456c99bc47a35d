// A set of sequence numbers as ranges: the usual set, every message of a device in order, is one
// range however long the run is.

/** How many numbers are in either of two sets, given as ranges by `toRanges`. */
export function unionCount(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let count = 0;
  let end = 0;
  for (let at = 0, other = 0; at < left.length || other < right.length; ) {
    const isLeft = other >= right.length || (at < left.length && left[at]! <= right[other]!);
    const start = Math.max(end, isLeft ? left[at]! : right[other]!);
    const stop = isLeft ? left[at + 1]! : right[other + 1]!;
    if (isLeft) at += 2;
    else other += 2;
    count += Math.max(0, stop - start);
    end = Math.max(end, stop);
  }
  return count;
}

export class SequenceSet {
  /** Start and end (exclusive) of each range in turn, ascending, not touching each other. */
  private readonly bounds: number[] = [];

  /** A set of the ranges that `toRanges` gave. */
  static fromRanges(ranges: ArrayLike<number>): SequenceSet {
    const set = new SequenceSet();
    for (let index = 0; index < ranges.length; index += 1) set.bounds.push(ranges[index]!);
    return set;
  }

  /** Adds a number; false when it was there already. */
  add(sequence: number): boolean {
    const { bounds } = this;
    const last = bounds.length - 1;
    if (last >= 0 && bounds[last] === sequence) {
      bounds[last] = sequence + 1;
      return true;
    }
    // After this many bounds the number is before the next one: inside a range when it is odd.
    const at = this.boundsAtOrBelow(sequence);
    if (at % 2 === 1) return false;
    const touchesBefore = at > 0 && bounds[at - 1] === sequence;
    const touchesAfter = bounds[at] === sequence + 1;
    if (touchesBefore && touchesAfter) bounds.splice(at - 1, 2);
    else if (touchesBefore) bounds[at - 1] = sequence + 1;
    else if (touchesAfter) bounds[at] = sequence;
    else bounds.splice(at, 0, sequence, sequence + 1);
    return true;
  }

  has(sequence: number): boolean {
    return this.boundsAtOrBelow(sequence) % 2 === 1;
  }

  /** Beyond the largest number; 0 for an empty set. */
  get end(): number {
    return this.bounds.at(-1) ?? 0;
  }

  get count(): number {
    let count = 0;
    for (let at = 0; at < this.bounds.length; at += 2) {
      count += this.bounds[at + 1]! - this.bounds[at]!;
    }
    return count;
  }

  /** Calls `visit` for each number of [0, end) that is not in the set. */
  forEachMissing(end: number, visit: (sequence: number) => void): void {
    let sequence = 0;
    for (let at = 0; at < this.bounds.length && sequence < end; at += 2) {
      for (; sequence < Math.min(this.bounds[at]!, end); sequence += 1) visit(sequence);
      sequence = this.bounds[at + 1]!;
    }
    for (; sequence < end; sequence += 1) visit(sequence);
  }

  /** Start and end (exclusive) of each range in turn. */
  toRanges(): readonly number[] {
    return this.bounds;
  }

  private boundsAtOrBelow(sequence: number): number {
    let low = 0;
    let high = this.bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bounds[middle]! <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
