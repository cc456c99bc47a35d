// The memory of a platform for tests: shared buffers lose their content after every turn, and what
// is allocated is counted.

import type { Memory } from '../../src/platform.ts';

export class VirtualMemory implements Memory {
  /** Views handed out and not released. */
  outstandingCount = 0;
  outstandingSize = 0;
  outstandingCountMax = 0;
  allocateCount = 0;
  private readonly views = new Set<Uint8Array>();
  private buffers: Uint8Array[];
  private spare: Uint8Array[];
  private garbage = 0x5a;

  constructor(transmitSize: number, receiveSize: number, scratchSize: number) {
    const sizes = [transmitSize, receiveSize, scratchSize];
    this.buffers = sizes.map((size) => new Uint8Array(size).fill(0x5a));
    this.spare = sizes.map((size) => new Uint8Array(size).fill(0x5a));
  }

  get transmit(): Uint8Array {
    return this.buffers[0] as Uint8Array;
  }

  get receive(): Uint8Array {
    return this.buffers[1] as Uint8Array;
  }

  get scratch(): Uint8Array {
    return this.buffers[2] as Uint8Array;
  }

  allocate(size: number): Uint8Array {
    if (!Number.isInteger(size) || size < 0) throw new Error(`memory: allocate ${size}`);
    const view = new Uint8Array(size);
    this.views.add(view);
    this.allocateCount += 1;
    this.outstandingCount += 1;
    this.outstandingSize += size;
    this.outstandingCountMax = Math.max(this.outstandingCountMax, this.outstandingCount);
    return view;
  }

  release(view: Uint8Array): void {
    if (!this.views.delete(view)) throw new Error('memory: released twice, or not from here');
    this.outstandingCount -= 1;
    this.outstandingSize -= view.length;
    // Whoever still reads it reads nonsense.
    view.fill(0xdd);
  }

  heapUsed(): number | undefined {
    return undefined;
  }

  /** The turn is over: other buffers from now on, and garbage in all. */
  endTurn(): void {
    this.garbage = (this.garbage * 5 + 0x3b) & 255;
    const { buffers, spare } = this;
    for (let index = 0; index < buffers.length; index += 1) {
      (buffers[index] as Uint8Array).fill(this.garbage);
      (spare[index] as Uint8Array).fill(this.garbage);
    }
    this.buffers = spare;
    this.spare = buffers;
  }
}
