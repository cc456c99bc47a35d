// Memory of the devices of one thread.

import type { Memory } from '@flotilla/sdk';
import { NodeMemory } from '@flotilla/sdk/node';

/** The heap is the whole fleet's, so no device reports it. */
export class FleetMemory extends NodeMemory {
  override heapUsed(): undefined {
    return undefined;
  }
}

/** What one device holds of its thread's memory: a reset gives all of it back. */
export class DeviceMemory implements Memory {
  private readonly inner: Memory;
  private readonly views = new Set<Uint8Array>();

  constructor(inner: Memory) {
    this.inner = inner;
  }

  get transmit(): Uint8Array {
    return this.inner.transmit;
  }

  get receive(): Uint8Array {
    return this.inner.receive;
  }

  get scratch(): Uint8Array {
    return this.inner.scratch;
  }

  /** Views that are held. */
  get count(): number {
    return this.views.size;
  }

  allocate(size: number): Uint8Array {
    const view = this.inner.allocate(size);
    this.views.add(view);
    return view;
  }

  release(view: Uint8Array): void {
    if (this.views.delete(view)) this.inner.release(view);
  }

  releaseAll(): void {
    for (const view of this.views) this.inner.release(view);
    this.views.clear();
  }

  heapUsed(): number | undefined {
    return this.inner.heapUsed();
  }
}
