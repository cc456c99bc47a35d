// Bytes of an MQTT stream cut into whole packets, by the algorithm of MQTT 3.1.1 §2.2.3.

export class FrameSplitter {
  /** True once a Remaining Length had a fifth byte: nothing can be read from then on. */
  malformed = false;
  private rest: Uint8Array = new Uint8Array(0);

  /** Bytes of a packet that is not whole yet. */
  get waiting(): number {
    return this.rest.length;
  }

  /** The packets that `bytes` complete. */
  push(bytes: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    if (this.malformed) return frames;
    let all = bytes;
    if (this.rest.length > 0) {
      all = new Uint8Array(this.rest.length + bytes.length);
      all.set(this.rest);
      all.set(bytes, this.rest.length);
    }
    let at = 0;
    for (;;) {
      const size = frameSize(all, at);
      if (size < 0) this.malformed = true;
      if (size <= 0 || at + size > all.length) break;
      frames.push(all.subarray(at, at + size));
      at += size;
    }
    this.rest = all.subarray(at);
    return frames;
  }
}

/** Size of the packet at `at`; 0 when more bytes are needed to know, -1 when it is malformed. */
function frameSize(bytes: Uint8Array, at: number): number {
  let multiplier = 1;
  let remaining = 0;
  for (let index = 1; index <= 4; index += 1) {
    const digit = bytes[at + index];
    if (digit === undefined) return 0;
    remaining += (digit & 127) * multiplier;
    if (digit < 128) return 1 + index + remaining;
    multiplier *= 128;
  }
  return -1;
}
