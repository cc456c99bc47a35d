// Hostile bytes for parsers: noise, and honest files with fields that lie. The same seed gives the
// same bytes.

/** A 32-bit generator (mulberry32): uniform on [0, bound). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  below(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** Lengths at which arithmetic goes wrong. */
const EDGES = [
  0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xfff0, 0xfffc,
];
const WIDE_EDGES = [0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffc, 0xffffffff];

/** Overwrites one field with an edge, a small change of itself, or noise. */
function lie(random: Random, view: DataView, offset: number): void {
  const left = view.byteLength - offset;
  if (left >= 4 && random.below(3) === 0) {
    const value = view.getUint32(offset, true);
    const lies = [...WIDE_EDGES, value + 1, value - 1, value ^ (1 << random.below(32))];
    view.setUint32(offset, random.pick(lies), true);
  } else if (left >= 2 && random.below(2) === 0) {
    const value = view.getUint16(offset, true);
    view.setUint16(offset, random.pick([...EDGES, value + 1, value - 1]), true);
  } else {
    view.setUint8(offset, random.below(256));
  }
}

/**
 * Noise that begins as `file` does, or `file` with one to four lies (at `fields`, most of them), cut
 * off or followed by noise at times.
 */
export function damage(random: Random, file: Uint8Array, fields: readonly number[]): Uint8Array {
  const cut = random.below(4) === 0 ? random.below(file.length + 1) : file.length;
  const tail = random.below(4) === 0 ? random.below(64) : 0;
  const bytes = new Uint8Array(cut + tail);
  bytes.set(file.subarray(0, cut));
  for (let offset = cut; offset < bytes.length; offset++) bytes[offset] = random.below(256);
  if (bytes.length === 0) return bytes;
  if (random.below(8) === 0) {
    for (let offset = 4; offset < bytes.length; offset++) bytes[offset] = random.below(256);
    return bytes;
  }
  const view = new DataView(bytes.buffer);
  for (let count = 1 + random.below(4); count > 0; count--) {
    const field = random.below(4) === 0 ? random.below(bytes.length) : random.pick(fields);
    if (field < bytes.length) lie(random, view, field);
  }
  return bytes;
}

/** A view of the same bytes in other surroundings: what a reader past the end would see. */
export function surrounded(bytes: Uint8Array, filler: number): Uint8Array {
  const around = new Uint8Array(bytes.length + 256).fill(filler);
  around.set(bytes, 128);
  return around.subarray(128, 128 + bytes.length);
}
