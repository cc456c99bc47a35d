// embedded:storage/flash: blocks by number, and the physics of NOR: programming clears bits only.

import { world } from './world.ts';

const BLOCK_LENGTH = 4096;

export default {
  open({ path }: { readonly path: string }) {
    const bytes = world.flashes.get(path);
    if (bytes === undefined) throw new Error('flash: no such partition');
    return {
      read(buffer: Uint8Array, offset: number): void {
        buffer.set(bytes.subarray(offset, offset + buffer.length));
      },
      write(buffer: Uint8Array, offset: number): void {
        for (const [index, byte] of buffer.entries()) bytes[offset + index]! &= byte;
      },
      eraseBlock(start: number, end = start + 1): void {
        bytes.fill(0xff, start * BLOCK_LENGTH, end * BLOCK_LENGTH);
      },
      status: () => ({
        size: bytes.length,
        blockLength: BLOCK_LENGTH,
        blocks: bytes.length / BLOCK_LENGTH,
      }),
      close: () => undefined,
    };
  },
};
