// Shared buffers of a thread, and device memory out of slabs: a typed array of its own costs V8
// about 280 bytes more than a view of a slab does.

import { getHeapStatistics } from 'node:v8';
import type { Memory } from '../../src/platform.ts';
import type { StreamBuffers } from './stream.ts';

const SLAB_SIZE = 1 << 20;
const BUFFER_SIZE = 16384;
/** Larger views are arrays of their own, and go when they are released: packets have any size. */
const POOLED_SIZE_MAX = 16384;

export class NodeMemory implements Memory {
  readonly transmit: Uint8Array;
  readonly receive: Uint8Array;
  readonly scratch: Uint8Array;
  private slab = new ArrayBuffer(SLAB_SIZE);
  private slabUsed = 0;
  /** Released views by size, to be handed out again. */
  private readonly free = new Map<number, Uint8Array[]>();

  constructor(buffers: StreamBuffers) {
    this.transmit = new Uint8Array(buffers.packetSizeMax);
    this.receive = new Uint8Array(BUFFER_SIZE);
    this.scratch = new Uint8Array(Math.max(BUFFER_SIZE, buffers.packetSizeMax));
  }

  allocate(size: number): Uint8Array {
    const released = this.free.get(size)?.pop();
    if (released !== undefined) return released.fill(0);
    if (size > POOLED_SIZE_MAX) return new Uint8Array(size);
    if (this.slabUsed + size > SLAB_SIZE) {
      this.slab = new ArrayBuffer(SLAB_SIZE);
      this.slabUsed = 0;
    }
    const view = new Uint8Array(this.slab, this.slabUsed, size);
    this.slabUsed += size;
    return view;
  }

  release(view: Uint8Array): void {
    if (view.length > POOLED_SIZE_MAX) return;
    const views = this.free.get(view.length);
    if (views === undefined) this.free.set(view.length, [view]);
    else views.push(view);
  }

  heapUsed(): number | undefined {
    // process.memoryUsage() would also walk the system's tables for the resident size.
    return getHeapStatistics().used_heap_size;
  }
}
