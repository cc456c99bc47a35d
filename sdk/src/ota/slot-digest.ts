// SHA-256 of what is in the slot, read back from the flash in small steps.

import type { Partition, Platform, Sha256 } from '../platform.ts';

/** Bytes that are hashed in one turn, about. */
const TURN_SIZE_MAX = 4096;

export class SlotDigest {
  private readonly platform: Platform;
  private readonly slot: Partition;
  private readonly size: number;
  private readonly hash: Sha256;
  private at = 0;

  /** Of the first `size` bytes of the slot. */
  constructor(platform: Platform, slot: Partition, size: number) {
    this.platform = platform;
    this.slot = slot;
    this.size = size;
    this.hash = platform.crypto.sha256();
  }

  /** Hashes some more; true when the digest is in `into`, 32 bytes. */
  step(into: Uint8Array): boolean {
    const { receive } = this.platform.memory;
    for (let count = 0; count < TURN_SIZE_MAX && this.at < this.size; ) {
      const part = Math.min(receive.length, this.size - this.at);
      this.slot.read(this.at, part === receive.length ? receive : receive.subarray(0, part));
      this.hash.update(receive, 0, part);
      this.at += part;
      count += part;
    }
    if (this.at < this.size) return false;
    this.hash.digest(into);
    return true;
  }
}
