// A set of sequence numbers as bits: of messages that are spread over the members of a group, each
// of whom sees a few here and there. Sets of several threads are united.

const BYTES_MIN = 16;

export class SequenceBits {
  private bytes: Uint8Array;

  /** A set of the bytes of another. */
  constructor(bytes: Uint8Array = new Uint8Array(BYTES_MIN)) {
    this.bytes = bytes;
  }

  /** Adds a number; false when it was there already. */
  add(sequence: number): boolean {
    const at = sequence >>> 3;
    const bit = 1 << (sequence & 7);
    if (at >= this.bytes.length) this.grow(at + 1);
    if ((this.bytes[at]! & bit) !== 0) return false;
    this.bytes[at]! |= bit;
    return true;
  }

  /** Adds what another set has. */
  unite(bytes: Uint8Array): void {
    if (bytes.length > this.bytes.length) this.grow(bytes.length);
    for (const [at, byte] of bytes.entries()) this.bytes[at]! |= byte;
  }

  get count(): number {
    let count = 0;
    for (let byte of this.bytes) for (; byte > 0; byte &= byte - 1) count += 1;
    return count;
  }

  toBytes(): Uint8Array {
    return this.bytes;
  }

  private grow(size: number): void {
    const grown = new Uint8Array(Math.max(size, 2 * this.bytes.length));
    grown.set(this.bytes);
    this.bytes = grown;
  }
}
