// Moddable's digest, over noble's.

import { sha256 } from '@noble/hashes/sha2.js';

export class Digest {
  private readonly hash = sha256.create();

  constructor(algorithm: string) {
    if (algorithm !== 'SHA256') throw new Error('unknown digest');
  }

  write(bytes: Uint8Array): void {
    this.hash.update(bytes);
  }

  close(): ArrayBufferLike {
    return this.hash.digest().slice().buffer;
  }
}
