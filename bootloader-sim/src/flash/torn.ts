// What an operation leaves in a sector when power is cut in its middle, or when a bit flips at
// rest: functions of what was there, what was to become of it, and the fault.

import { NO_WEAK_BITS, type WeakBits } from './content.ts';
import type { Fault } from './faults.ts';
import { ERASED } from './geometry.ts';
import { mix } from './mix.ts';

/** The bits of a sector, strong and weak; weak bits are 1 in `bytes`. */
export interface SectorBits {
  readonly bytes: Uint8Array;
  readonly weakBits: readonly WeakBits[];
}

/** What the cut erase of a sector leaves, or undefined where the fault is none of an erase. */
export function tearErase(
  { bytes, weakBits }: SectorBits,
  fault: Fault,
  boot: number,
): SectorBits | undefined {
  const next = new Uint8Array(bytes.length).fill(ERASED);
  switch (fault.kind) {
    case 'erase-zeros':
      return { bytes: next.fill(0), weakBits: NO_WEAK_BITS };
    case 'erase-bits': {
      const { seed } = fault;
      for (let at = 0; at < next.length; at += 1) next[at] = bytes[at]! | mix(seed, at);
      return { bytes: next, weakBits: maskedBy(weakBits, (at) => ~mix(seed, at)) };
    }
    case 'erase-half': {
      const half = bytes.length / 2;
      const from = fault.half === 0 ? half : 0;
      next.set(bytes.subarray(from, from + half), from);
      const isKept = (at: number) => at >= from && at < from + half;
      return { bytes: next, weakBits: maskedBy(weakBits, (at) => (isKept(at) ? 0xff : 0)) };
    }
    case 'erase-weak': {
      const mask = bytes.map((byte) => ~byte);
      for (const old of weakBits) for (const [at, bits] of old.mask.entries()) mask[at]! |= bits;
      const { lag, weak: kind } = fault;
      return { bytes: next, weakBits: withSet([], { mask, kind, lag, sinceBoot: boot }) };
    }
    default:
      return undefined;
  }
}

/** A page program: source[start, end) goes to `offset` of the sector. */
export interface PageProgram {
  readonly offset: number;
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/**
 * Programs into `bytes`, whole or as `fault` leaves it, and returns the weak bits after it. Bits
 * that are not to become 0, or that the fault keeps from it, stay as they are, weak or strong.
 */
export function programBits(
  { bytes, weakBits }: SectorBits,
  { end, offset, source, start }: PageProgram,
  fault: Fault | undefined,
  boot: number,
): readonly WeakBits[] {
  const old = weakBits.map((set) => ({ ...set, mask: set.mask.slice() }));
  const isWeak = fault?.kind === 'program-weak' || fault?.kind === 'program-weak-bit';
  const mask = new Uint8Array(isWeak ? bytes.length : 0);
  let bitIndex = 0;
  for (let index = start; index < end; index += 1) {
    const at = offset + index - start;
    if (fault !== undefined && !isReached(fault, index - start, end - index)) continue;
    for (let bit = 1; bit < 0x100; bit <<= 1) {
      if ((source[index]! & bit) !== 0) continue;
      const fate = fault === undefined ? 'done' : fateOf(fault, bitIndex);
      bitIndex += 1;
      if (fate === 'left') continue;
      for (const set of old) set.mask[at]! &= ~bit;
      if (fate === 'weak') mask[at]! |= bytes[at]! & bit;
      else bytes[at]! &= ~bit;
    }
  }
  const left = maskedBy(old, () => 0xff);
  if (!isWeak) return left;
  return withSet(left, { mask, kind: fault.weak, lag: fault.lag, sinceBoot: boot });
}

/** The bits with one of them flipped, which is strong then. */
export function flip({ bytes, weakBits }: SectorBits, at: number, bit: number): SectorBits {
  const next = bytes.slice();
  next[at]! ^= 1 << bit;
  return {
    bytes: next,
    weakBits: maskedBy(weakBits, (each) => (each === at ? ~(1 << bit) : 0xff)),
  };
}

/** True for faults that `programBits` can carry out. */
export function isProgramFault(fault: Fault): boolean {
  return fault.kind.startsWith('program-') || fault.kind === 'cut-after';
}

/** False for a byte that the program did not come to: `left` bytes from the end, itself counted. */
function isReached(fault: Fault, position: number, left: number): boolean {
  if (fault.kind === 'program-prefix') return position < fault.size;
  return fault.kind !== 'program-suffix' || left <= fault.size;
}

/** What becomes of a bit that is to become 0; they are counted from the first byte's lowest. */
function fateOf(fault: Fault, bitIndex: number): 'done' | 'left' | 'weak' {
  switch (fault.kind) {
    case 'program-bits':
      return (mix(fault.seed, bitIndex) & 1) === 1 ? 'left' : 'done';
    case 'program-weak':
      return (mix(fault.seed, bitIndex) & 1) === 1 ? 'weak' : 'done';
    case 'program-short':
      return fault.bit === bitIndex ? 'left' : 'done';
    case 'program-weak-bit':
      return fault.bit === bitIndex ? 'weak' : 'done';
    default:
      return 'done';
  }
}

/** The sets with only the weak bits that `keep` has at their byte; those that hold none are gone. */
function maskedBy(sets: readonly WeakBits[], keep: (at: number) => number): readonly WeakBits[] {
  if (sets.length === 0) return NO_WEAK_BITS;
  return sets.reduce<readonly WeakBits[]>((kept, set) => {
    return withSet(kept, { ...set, mask: set.mask.map((bits, at) => bits & keep(at)) });
  }, NO_WEAK_BITS);
}

function withSet(sets: readonly WeakBits[], set: WeakBits): readonly WeakBits[] {
  return set.mask.some((bits) => bits !== 0) ? [...sets, set] : sets;
}
