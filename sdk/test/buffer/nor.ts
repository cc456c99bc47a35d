// NOR flash as an array, with its rules and without its faults: those are test/flash-log.

import type { Partition } from '../../src/platform.ts';

export class Nor implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment: number;
  readonly erasedValue: number;
  readonly eraseCounts: number[];
  readonly bytes: Uint8Array;

  constructor(sectorCount: number, sectorSize: number, writeAlignment: number, erasedValue = 255) {
    this.size = sectorCount * sectorSize;
    this.sectorSize = sectorSize;
    this.writeAlignment = writeAlignment;
    this.erasedValue = erasedValue;
    this.bytes = new Uint8Array(this.size).fill(erasedValue);
    this.eraseCounts = new Array(sectorCount).fill(0);
  }

  read(address: number, into: Uint8Array): void {
    if (address < 0 || address + into.length > this.size) throw new RangeError('read past the end');
    for (let at = 0; at < into.length; at += 1) into[at] = this.bytes[address + at] as number;
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    const isAligned = address % this.writeAlignment === 0 && size % this.writeAlignment === 0;
    if (!isAligned || size <= 0 || address + size > this.size) throw new RangeError('write range');
    for (let at = 0; at < size; at += 1) {
      if (this.bytes[address + at] !== this.erasedValue) throw new RangeError('not erased');
      this.bytes[address + at] = bytes[start + at] as number;
    }
  }

  eraseBlock(address: number): void {
    if (address % this.sectorSize !== 0) throw new RangeError('no sector');
    this.bytes.fill(this.erasedValue, address, address + this.sectorSize);
    this.eraseCounts[address / this.sectorSize]! += 1;
  }

  get wearSpread(): number {
    return Math.max(...this.eraseCounts) - Math.min(...this.eraseCounts);
  }
}
