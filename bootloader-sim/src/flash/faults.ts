// What can go wrong in one flash operation. A fault is data, so that a case can be named,
// replayed and enumerated; `flash.ts` carries it out.

import type { WeakKind } from './content.ts';

/** One operation that the flash is about to carry out; counted from 0 since the last power-on. */
export interface FlashOperation {
  readonly kind: 'erase' | 'program';
  readonly index: number;
  /** First byte. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  /** What a program writes; valid during the call. */
  readonly bytes?: Uint8Array;
}

/** A power cut at an operation, and what the operation leaves behind. */
export type Fault =
  /** Nothing was done yet. */
  | { readonly kind: 'cut-before' }
  /** All was done. */
  | { readonly kind: 'cut-after' }
  /** Erase: NOR first programs all bits to 0; the cut came then. */
  | { readonly kind: 'erase-zeros' }
  /** Erase: each bit that was 0 is 0 or 1 by chance. */
  | { readonly kind: 'erase-bits'; readonly seed: number }
  /** Erase: every bit that was 0 is weak; `lag` as in `WeakBits`. */
  | { readonly kind: 'erase-weak'; readonly weak: WeakKind; readonly lag: number }
  /** Erase: the first or second half of the sector is erased, the other is as before. */
  | { readonly kind: 'erase-half'; readonly half: 0 | 1 }
  /** Program: only the first `size` bytes. */
  | { readonly kind: 'program-prefix'; readonly size: number }
  /** Program: only the last `size` bytes. */
  | { readonly kind: 'program-suffix'; readonly size: number }
  /** Program: each bit that is to become 0 does so or not, by chance. */
  | { readonly kind: 'program-bits'; readonly seed: number }
  /** Program: a random half of the bits that become 0 is weak. */
  | {
      readonly kind: 'program-weak';
      readonly weak: WeakKind;
      readonly lag: number;
      readonly seed: number;
    }
  /** Program: all but one of the bits that become 0 (counted from the first byte's lowest). */
  | { readonly kind: 'program-short'; readonly bit: number }
  /** Program: one of the bits that become 0 is weak. */
  | {
      readonly kind: 'program-weak-bit';
      readonly weak: WeakKind;
      readonly lag: number;
      readonly bit: number;
    };

/** A fault as one word, for replay commands; `parseFault` reads it. */
export function formatFault(fault: Fault): string {
  switch (fault.kind) {
    case 'cut-before':
    case 'cut-after':
    case 'erase-zeros':
      return fault.kind;
    case 'erase-bits':
    case 'program-bits':
      return `${fault.kind}:${fault.seed}`;
    case 'erase-weak':
      return `${fault.kind}:${fault.weak}:${fault.lag}`;
    case 'program-weak':
      return `${fault.kind}:${fault.weak}:${fault.lag}:${fault.seed}`;
    case 'erase-half':
      return `${fault.kind}:${fault.half}`;
    case 'program-prefix':
    case 'program-suffix':
      return `${fault.kind}:${fault.size}`;
    case 'program-short':
      return `${fault.kind}:${fault.bit}`;
    case 'program-weak-bit':
      return `${fault.kind}:${fault.weak}:${fault.lag}:${fault.bit}`;
  }
}

const WEAK_KINDS: readonly string[] = ['random', 'fading', 'growing'];

/** The fault that `formatFault` wrote, or undefined. */
export function parseFault(text: string): Fault | undefined {
  const [kind = '', ...words] = text.split(':');
  const weak = WEAK_KINDS.includes(words[0]!) ? (words.shift() as WeakKind) : undefined;
  if (!words.every((word) => /^\d{1,10}$/.test(word))) return undefined;
  const [first, second] = words.map(Number);
  switch (`${kind}${weak === undefined ? '' : '+weak'}/${words.length}`) {
    case 'cut-before/0':
    case 'cut-after/0':
    case 'erase-zeros/0':
      return { kind } as Fault;
    case 'erase-bits/1':
    case 'program-bits/1':
      return { kind, seed: first } as Fault;
    case 'erase-half/1':
      return first! <= 1 ? ({ kind, half: first } as Fault) : undefined;
    case 'program-prefix/1':
    case 'program-suffix/1':
      return { kind, size: first } as Fault;
    case 'program-short/1':
      return { kind, bit: first } as Fault;
    case 'erase-weak+weak/1':
      return { kind, weak, lag: first } as Fault;
    case 'program-weak+weak/2':
      return { kind, weak, lag: first, seed: second } as Fault;
    case 'program-weak-bit+weak/2':
      return { kind, weak, lag: first, bit: second } as Fault;
    default:
      return undefined;
  }
}
