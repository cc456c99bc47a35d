// What a device holds of one key of its shadow.
//
// A list and not an array: most devices have one key or two, and an array costs more than they.

import type { ShadowValue } from './shadow-value.ts';

/** The device's own edit, which the cloud has not taken yet. */
export const DIRTY = 1;
/** `reported` is to be updated. */
export const DUE = 2;
/** In the last update that went out, and not changed since. */
export const SENT = 4;

export class ShadowKey {
  readonly name: string;
  next: ShadowKey | undefined;
  /** In force on the device; undefined while unknown. */
  value: ShadowValue | undefined = undefined;
  /** DIRTY, DUE and SENT. */
  flags = 0;
  /** Fingerprint of the desired value that was last dealt with; 0 = none is desired. */
  seen = 0;
  /** The cloud's timestamp of it, in s; 0 = unknown. */
  seenS = 0;
  /** When a DIRTY value was set: epoch ms, or minus (1 + monotonic ms); 0 = unknown. */
  editedMs = 0;

  constructor(name: string, next: ShadowKey | undefined) {
    this.name = name;
    this.next = next;
  }
}
