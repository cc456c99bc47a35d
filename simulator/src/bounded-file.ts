// Files that a scenario's author names: of any kind, so that `/dev/stdin` and pipes will do, and read
// only as far as they may be large, because `/dev/zero` has no end.

import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_SIZE = 65_536;

/**
 * The content of a file, or its first `sizeMax` + 1 bytes where it has more than `sizeMax`. Throws
 * what `node:fs` throws.
 */
export function readBounded(path: string, sizeMax: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let left = sizeMax + 1; left > 0; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_SIZE, left));
      const count = readSync(file, chunk);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      left -= count;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(file);
  }
}
