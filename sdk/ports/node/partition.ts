// A flash partition in a file, with NOR's rules: erase by sector, program only what is erased.

import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Partition } from '../../src/platform.ts';

export interface PartitionGeometry {
  /** Bytes; a multiple of `sectorSize`. */
  readonly size: number;
  /** Default 4,096. */
  readonly sectorSize?: number;
  /** Default 4. */
  readonly writeAlignment?: number;
}

/**
 * Opens or creates the file. Throws a RangeError where address, size or alignment are wrong or
 * the target is not erased, and the file system's own errors.
 */
export class FilePartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment: number;
  readonly erasedValue = 0xff;
  private readonly file: number;

  constructor(path: string, geometry: PartitionGeometry) {
    this.size = geometry.size;
    this.sectorSize = geometry.sectorSize ?? 4096;
    this.writeAlignment = geometry.writeAlignment ?? 4;
    if (this.size <= 0 || this.size % this.sectorSize !== 0) {
      throw new RangeError(`partition size ${this.size}: expected a multiple of the sector size`);
    }
    mkdirSync(dirname(path), { recursive: true });
    this.file = openSync(path, 'a+');
    closeSync(this.file);
    this.file = openSync(path, 'r+');
    const present = fstatSync(this.file).size;
    if (present < this.size) {
      writeSync(this.file, new Uint8Array(this.size - present).fill(0xff), 0, undefined, present);
    }
  }

  read(address: number, into: Uint8Array): void {
    this.check(address, into.length);
    readSync(this.file, into, 0, into.length, address);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.check(address, size);
    if (address % this.writeAlignment !== 0 || size % this.writeAlignment !== 0) {
      throw new RangeError(
        `write of ${size} at ${address}: expected units of ${this.writeAlignment}`,
      );
    }
    const present = new Uint8Array(size);
    this.read(address, present);
    if (!present.every((byte) => byte === this.erasedValue)) {
      throw new RangeError(`write of ${size} at ${address}: not erased`);
    }
    writeSync(this.file, bytes, start, size, address);
    fsyncSync(this.file);
  }

  eraseBlock(address: number): void {
    this.check(address, this.sectorSize);
    if (address % this.sectorSize !== 0) {
      throw new RangeError(`erase at ${address}: expected the start of a sector`);
    }
    writeSync(this.file, new Uint8Array(this.sectorSize).fill(0xff), 0, undefined, address);
    fsyncSync(this.file);
  }

  close(): void {
    closeSync(this.file);
  }

  private check(address: number, size: number): void {
    if (address < 0 || address + size > this.size) {
      throw new RangeError(`${size} bytes at ${address}: past the partition of ${this.size}`);
    }
  }
}
