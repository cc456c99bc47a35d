// Writes an image into the inactive slot from its start on: a sector is erased just before its
// first byte is programmed, and nothing is written past the signed size.

import { assert } from '../assert.ts';
import type { Partition } from '../platform.ts';

/** Bytes that are programmed at once, where the flash does not ask for more. */
export const PAGE_SIZE = 256;

/** Bytes that a writer for `slot` needs. */
export function pageSize(slot: Partition): number {
  const { writeAlignment } = slot;
  return Math.ceil(PAGE_SIZE / writeAlignment) * writeAlignment;
}

export class SlotWriter {
  private readonly slot: Partition;
  /** The signed size. */
  private readonly size: number;
  private readonly page: Uint8Array;
  /** Bytes from the start of the slot that are programmed. */
  programmed = 0;
  /** Bytes that wait in the page. */
  private waiting = 0;

  /** `page` is of `pageSize(slot)` bytes and the writer's until it is dropped. */
  constructor(slot: Partition, size: number, page: Uint8Array) {
    assert(size <= slot.size && page.length % slot.writeAlignment === 0, 'slot writer: sizes');
    this.slot = slot;
    this.size = size;
    this.page = page;
  }

  /** Bytes taken so far. */
  get written(): number {
    return this.programmed + this.waiting;
  }

  /** Bytes from the start of the slot in sectors that are whole: a resume begins after them. */
  get durable(): number {
    const { sectorSize } = this.slot;
    if (this.programmed >= this.size) return this.size;
    return Math.floor(this.programmed / sectorSize) * sectorSize;
  }

  /** Goes on at `address`, the start of a sector or the end of the image. */
  begin(address: number): void {
    assert(address === this.size || address % this.slot.sectorSize === 0, 'slot writer: address');
    this.programmed = address;
    this.waiting = 0;
  }

  /** Takes bytes[start, end); 'too-long' and nothing more where they pass the signed size. */
  write(bytes: Uint8Array, start: number, end: number): string | undefined {
    if (end - start > this.size - this.written) return 'too-long';
    const { page } = this;
    for (let at = start; at < end; ) {
      const part = Math.min(end - at, page.length - this.waiting);
      for (let index = 0; index < part; index += 1) {
        page[this.waiting + index] = bytes[at + index] as number;
      }
      at += part;
      this.waiting += part;
      if (this.waiting === page.length) this.program();
    }
    if (this.written === this.size && this.waiting > 0) this.program();
    return undefined;
  }

  private program(): void {
    const { page, slot, waiting } = this;
    const { erasedValue, sectorSize, writeAlignment } = slot;
    let end = waiting;
    for (; end % writeAlignment !== 0; end += 1) page[end] = erasedValue;
    for (let at = 0; at < end; ) {
      const address = this.programmed + at;
      const offset = address % sectorSize;
      if (offset === 0) slot.eraseBlock(address);
      const part = Math.min(end - at, sectorSize - offset);
      slot.write(address, page, at, at + part);
      at += part;
    }
    this.programmed += waiting;
    this.waiting = 0;
  }
}
