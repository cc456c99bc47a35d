// The fault matrix: for each operation of a flow, every way in which it is cut.

import type { Fault, FlashOperation } from '../flash/faults.ts';
import type { FuseFault } from '../fuses.ts';

/** Bits of a page program of which single ones are tried; and torn variants of a page. */
const PAGE_PREFIX_STEP = 16;
const PAGE_BIT_MIXES = 6;
const PAGE_WEAK_MIXES = 6;
const PAGE_SHORT_BITS = 3;
const PAGE_WEAK_BITS = 3;
/** A record is small and decisive: every byte boundary and every bit. */
const RECORD_MIXES = 64;
const ERASE_BIT_MIXES = 8;
const LAG_MAX = 3;

/** The faults of an operation; `isRecord`: it is on the boot record. */
export function faultsOf(operation: FlashOperation, isRecord: boolean, seed: number): Fault[] {
  if (operation.kind === 'erase') return eraseFaults(seed);
  const bytes = operation.bytes ?? new Uint8Array(0);
  return isRecord ? recordFaults(bytes, seed) : pageFaults(bytes, seed);
}

/** A clean cut, and the states that a torn erase may leave. */
function eraseFaults(seed: number): Fault[] {
  const faults: Fault[] = [{ kind: 'cut-before' }, { kind: 'cut-after' }, { kind: 'erase-zeros' }];
  for (const half of [0, 1] as const) faults.push({ kind: 'erase-half', half });
  for (let index = 0; index < ERASE_BIT_MIXES; index += 1) {
    faults.push({ kind: 'erase-bits', seed: seed + index });
  }
  for (let lag = 1; lag <= LAG_MAX; lag += 1) {
    for (const weak of ['random', 'fading', 'growing'] as const) {
      faults.push({ kind: 'erase-weak', weak, lag });
    }
  }
  return faults;
}

function pageFaults(bytes: Uint8Array, seed: number): Fault[] {
  const faults: Fault[] = [{ kind: 'cut-before' }];
  for (let size = PAGE_PREFIX_STEP; size < bytes.length; size += PAGE_PREFIX_STEP) {
    faults.push({ kind: 'program-prefix', size });
  }
  const zeros = countZeros(bytes);
  for (let index = 0; index < PAGE_BIT_MIXES; index += 1) {
    faults.push({ kind: 'program-bits', seed: seed + index });
  }
  for (let index = 0; index < PAGE_WEAK_MIXES; index += 1) {
    const weak = (['random', 'fading', 'growing'] as const)[index % 3]!;
    faults.push({ kind: 'program-weak', weak, lag: 1 + (index % LAG_MAX), seed: seed + index });
  }
  for (let index = 0; index < Math.min(PAGE_SHORT_BITS, zeros); index += 1) {
    faults.push({ kind: 'program-short', bit: spread(index, PAGE_SHORT_BITS, zeros) });
  }
  for (let index = 0; index < Math.min(PAGE_WEAK_BITS, zeros); index += 1) {
    const weak = (['random', 'fading', 'growing'] as const)[index % 3]!;
    const bit = spread(index, PAGE_WEAK_BITS, zeros);
    faults.push({ kind: 'program-weak-bit', weak, lag: 1 + (index % LAG_MAX), bit });
  }
  return faults;
}

function recordFaults(bytes: Uint8Array, seed: number): Fault[] {
  const faults: Fault[] = [{ kind: 'cut-before' }, { kind: 'cut-after' }];
  for (let size = 1; size < bytes.length; size += 1) {
    faults.push({ kind: 'program-prefix', size }, { kind: 'program-suffix', size });
  }
  for (let index = 0; index < RECORD_MIXES; index += 1) {
    const weak = (['random', 'fading', 'growing'] as const)[index % 3]!;
    faults.push({ kind: 'program-bits', seed: seed + index });
    faults.push({ kind: 'program-weak', weak, lag: 1 + (index % LAG_MAX), seed: seed + index });
  }
  const zeros = countZeros(bytes);
  for (let bit = 0; bit < zeros; bit += 1) {
    faults.push({ kind: 'program-short', bit });
    for (const weak of ['random', 'fading', 'growing'] as const) {
      faults.push({ kind: 'program-weak-bit', weak, lag: 1 + (bit % LAG_MAX), bit });
    }
  }
  return faults;
}

/** Cuts of a fuse burn: before, after, and four subsets. */
export function fuseFaults(seed: number): FuseFault[] {
  return [
    { kind: 'cut-before', seed: 0 },
    { kind: 'cut-after', seed: 0 },
    ...[0, 1, 2, 3].map((index) => ({ kind: 'torn' as const, seed: seed + index })),
  ];
}

/** The second cut of a double cut: clean at each boundary, and the worst of each kind. */
export function secondFaultsOf(
  operation: FlashOperation,
  isRecord: boolean,
  seed: number,
): Fault[] {
  if (operation.kind === 'erase') {
    if (!isRecord) return [{ kind: 'cut-before' }, { kind: 'erase-weak', weak: 'growing', lag: 2 }];
    return [
      { kind: 'cut-before' },
      { kind: 'cut-after' },
      { kind: 'erase-zeros' },
      { kind: 'erase-weak', weak: 'growing', lag: 1 },
      { kind: 'erase-weak', weak: 'random', lag: 1 },
    ];
  }
  if (!isRecord) {
    return [
      { kind: 'cut-before' },
      { kind: 'program-bits', seed },
      { kind: 'program-weak', weak: 'growing', lag: 2, seed },
    ];
  }
  return [
    { kind: 'cut-before' },
    { kind: 'cut-after' },
    { kind: 'program-prefix', size: 16 },
    { kind: 'program-bits', seed },
    { kind: 'program-weak', weak: 'random', lag: 1, seed },
    { kind: 'program-weak', weak: 'fading', lag: 1, seed },
    { kind: 'program-weak', weak: 'growing', lag: 1, seed },
  ];
}

function countZeros(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit += 1) if (((byte >> bit) & 1) === 0) count += 1;
  }
  return count;
}

/** Position `index` of `count` spread over `size`, the ends included. */
function spread(index: number, count: number, size: number): number {
  return Math.floor((index * (size - 1)) / Math.max(1, count - 1));
}
