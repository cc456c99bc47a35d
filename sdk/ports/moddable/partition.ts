// A flash partition over ECMA-419's flash storage, whose blocks are numbered and not addressed.

import Flash, { type FlashPartition } from 'embedded:storage/flash';
import type { Partition } from '../../src/platform.ts';

export class ModdablePartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment = 4;
  readonly erasedValue = 0xff;
  private readonly flash: FlashPartition;

  constructor(flash: FlashPartition) {
    this.flash = flash;
    const { blockLength, size } = flash.status();
    this.size = size;
    this.sectorSize = blockLength;
  }

  read(address: number, into: Uint8Array): void {
    this.check(address, into.length);
    this.flash.read(into, address);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    this.check(address, end - start);
    if (address % this.writeAlignment !== 0 || (end - start) % this.writeAlignment !== 0) {
      throw new RangeError(`write of ${end - start} at ${address}: expected units of 4`);
    }
    this.flash.write(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start), address);
  }

  eraseBlock(address: number): void {
    this.check(address, this.sectorSize);
    if (address % this.sectorSize !== 0) {
      throw new RangeError(`erase at ${address}: expected the start of a sector`);
    }
    this.flash.eraseBlock(address / this.sectorSize);
  }

  private check(address: number, size: number): void {
    if (!(address >= 0 && address + size <= this.size)) {
      throw new RangeError(`${size} bytes at ${address}: past the partition of ${this.size}`);
    }
  }
}

/** The partition of a label, `nextota`, or undefined where the flash has none of that name. */
export function openPartition(path: string): Partition | undefined {
  try {
    return new ModdablePartition(Flash.open({ path, mode: 'r+' }));
  } catch {
    return undefined;
  }
}
