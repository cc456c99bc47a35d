// Sequence numbers that go on after a reset, so that a duplicate is recognised by (stream,
// sequence) whichever boot sent it.
//
// A setting holds a bound that no sequence has reached. It is raised by a block at a time, before
// the first number of the block is used: one write for many numbers. A boot begins at the bound,
// or exactly where the last one ended if that said so with `close`.

import { readUint32, writeUint32 } from '../codec/uint32.ts';
import type { Platform } from '../platform.ts';

/** Numbers reserved by one write, so the largest gap that a reset leaves. */
export const SEQUENCE_BLOCK = 64;

/** Stream u32, bound u32. */
const KEY = 'sequence';
const VALUE_SIZE = 8;

export class SequenceCounter {
  /** Names the numbers: another one when the settings were lost. */
  readonly stream: number;
  /** The number that `take` gives next. */
  next = 0;
  private bound = 0;
  private readonly platform: Platform;

  constructor(platform: Platform) {
    this.platform = platform;
    const value = platform.settings.get(KEY);
    if (value !== undefined && value.length === VALUE_SIZE) {
      this.stream = readUint32(value, 0);
      this.next = readUint32(value, 4);
      this.bound = this.next;
    } else {
      this.stream = platform.random();
    }
  }

  /** A number that no boot of this stream has used. */
  take(): number {
    if (this.next === this.bound) {
      this.bound = this.next + SEQUENCE_BLOCK;
      this.save(this.bound);
    }
    const sequence = this.next;
    this.next = sequence + 1;
    return sequence;
  }

  /** Before an orderly restart or deep sleep: the next boot leaves no gap. */
  close(): void {
    this.bound = this.next;
    this.save(this.next);
  }

  private save(bound: number): void {
    const value = new Uint8Array(VALUE_SIZE);
    writeUint32(value, 0, this.stream);
    writeUint32(value, 4, bound);
    this.platform.settings.set(KEY, value);
  }
}
