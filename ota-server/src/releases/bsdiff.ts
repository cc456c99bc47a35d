// bsdiff's way of describing a target by a base (Percival, "Naive differences of executable code",
// 2003): stretches that resemble the base, byte differences and all, and what is new between them.
// Code that moved keeps its shape while its addresses change, so near matches are worth more than
// exact ones.

import { longestMatches, type Matches } from './suffix-array.ts';

/** target[start, start + size): base[baseStart, …) plus differences, or new bytes. */
export interface Stretch {
  readonly start: number;
  readonly size: number;
  /** Undefined where the bytes are new. */
  readonly baseStart: number | undefined;
}

/** An exact match has to beat the present alignment by so many bytes to be followed (Percival). */
const MATCH_GAIN_MIN = 8;

/** `target` in stretches, in order and without gaps; linear in the size of both. */
export function findStretches(base: Uint8Array, target: Uint8Array): Stretch[] {
  const matches = longestMatches(base, target);
  const stretches: Stretch[] = [];
  // The present alignment: target[start] lies on base[baseStart].
  let start = 0;
  let baseStart = 0;
  for (let scan = 0; ; ) {
    const next = nextMatch(base, target, matches, scan, baseStart - start);
    scan = next.start + next.size;
    if (!next.isNew) continue;
    const isLast = next.start === target.length;
    let forward = extendForward(base, target, start, baseStart, next.start);
    let backward = isLast ? 0 : extendBackward(base, target, start, next.start, next.baseStart);
    const overlap = start + forward - (next.start - backward);
    if (overlap > 0) {
      const split = splitOverlap(base, target, {
        start: next.start - backward,
        size: overlap,
        left: baseStart - start,
        right: next.baseStart - next.start,
      });
      forward += split - overlap;
      backward -= split;
    }
    const fresh = next.start - backward - (start + forward);
    if (forward > 0) stretches.push({ start, size: forward, baseStart });
    if (fresh > 0) stretches.push({ start: start + forward, size: fresh, baseStart: undefined });
    if (isLast) return stretches;
    start = next.start - backward;
    baseStart = next.baseStart - backward;
  }
}

interface Found {
  readonly start: number;
  readonly size: number;
  readonly baseStart: number;
  /** False where the present alignment goes on through the match; true at the end of the target. */
  readonly isNew: boolean;
}

/**
 * The next match from `from` on that the present alignment (base = target + `shift`) does not
 * explain nearly as well, or one on that very alignment.
 */
function nextMatch(
  base: Uint8Array,
  target: Uint8Array,
  { sizes, starts }: Matches,
  from: number,
  shift: number,
): Found {
  // How many bytes of the match at `scan` are the same on the present alignment.
  let score = 0;
  let scored = from;
  for (let scan = from; scan < target.length; scan += 1) {
    const size = sizes[scan]!;
    for (; scored < scan + size; scored += 1) {
      if (base[scored + shift] === target[scored]) score += 1;
    }
    const found = { start: scan, size, baseStart: starts[scan]! };
    if (size > score + MATCH_GAIN_MIN) return { ...found, isNew: true };
    if (size === score && size !== 0) return { ...found, isNew: false };
    if (base[scan + shift] === target[scan]) score -= 1;
  }
  return { start: target.length, size: 0, baseStart: 0, isNew: true };
}

/** How far the alignment is worth going on towards `end`: at least half of the bytes are right. */
function extendForward(
  base: Uint8Array,
  target: Uint8Array,
  start: number,
  baseStart: number,
  end: number,
): number {
  const most = Math.min(end - start, base.length - baseStart);
  let same = 0;
  let best = 0;
  let size = 0;
  for (let count = 1; count <= most; count += 1) {
    if (base[baseStart + count - 1] === target[start + count - 1]) same += 1;
    if (same * 2 - count > best) {
      best = same * 2 - count;
      size = count;
    }
  }
  return size;
}

/** How far back from its match at `end` an alignment is worth beginning. */
function extendBackward(
  base: Uint8Array,
  target: Uint8Array,
  start: number,
  end: number,
  baseEnd: number,
): number {
  const most = Math.min(end - start, baseEnd);
  let same = 0;
  let best = 0;
  let size = 0;
  for (let count = 1; count <= most; count += 1) {
    if (base[baseEnd - count] === target[end - count]) same += 1;
    if (same * 2 - count > best) {
      best = same * 2 - count;
      size = count;
    }
  }
  return size;
}

/** How many bytes of an overlap the left alignment should keep. */
function splitOverlap(
  base: Uint8Array,
  target: Uint8Array,
  overlap: {
    readonly start: number;
    readonly size: number;
    /** Base less target of either alignment. */
    readonly left: number;
    readonly right: number;
  },
): number {
  let score = 0;
  let best = 0;
  let split = 0;
  for (let count = 0; count < overlap.size; count += 1) {
    const at = overlap.start + count;
    if (base[at + overlap.left] === target[at]) score += 1;
    if (base[at + overlap.right] === target[at]) score -= 1;
    if (score > best) {
      best = score;
      split = count + 1;
    }
  }
  return split;
}
