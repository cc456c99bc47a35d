// Raw flash pages as a partition, over Espruino's Flash module. Where they lie is the board's
// matter: `require('Flash').getFree()` lists what neither the program nor Storage uses.

import type { Partition } from '../../src/platform.ts';
import type { EngineFlash } from './engine.ts';

export interface FlashRange {
  /** Absolute address of the first page. */
  readonly address: number;
  /** Bytes: whole pages, all of one size. */
  readonly size: number;
}

/** Throws a RangeError where the range is not of whole pages, or an access leaves it. */
export class FlashPartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  /** Words; a board whose flash programs 8 bytes at a time is not supported yet. */
  readonly writeAlignment = 4;
  readonly erasedValue = 255;
  private readonly flash: EngineFlash;
  private readonly address: number;

  constructor(flash: EngineFlash, range: FlashRange) {
    const { address, size } = range;
    const page = flash.getPage(address);
    if (page === undefined || page.addr !== address || !(size > 0) || size % page.length !== 0) {
      throw new RangeError(`flash ${address} + ${size}: expected whole pages`);
    }
    this.flash = flash;
    this.address = address;
    this.size = size;
    this.sectorSize = page.length;
  }

  read(address: number, into: Uint8Array): void {
    this.check(address, into.length);
    into.set(this.flash.read(into.length, this.address + address), 0);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    this.check(address, end - start);
    if (address % this.writeAlignment !== 0 || (end - start) % this.writeAlignment !== 0) {
      throw new RangeError(`write of ${end - start} at ${address}: expected units of 4`);
    }
    this.flash.write(bytes.subarray(start, end), this.address + address);
  }

  eraseBlock(address: number): void {
    this.check(address, this.sectorSize);
    this.flash.erasePage(this.address + address);
  }

  private check(address: number, size: number): void {
    if (address < 0 || address + size > this.size) {
      throw new RangeError(`${size} bytes at ${address}: past the partition of ${this.size}`);
    }
  }
}
