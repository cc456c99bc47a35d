// Chance for faults and weak bits: the same (seed, index) gives the same bits, on every machine.

/** Eight random-looking bits of two integers (the finalizer of MurmurHash3, x86, 32 bits). */
export function mix(seed: number, index: number): number {
  let hash = Math.imul(seed ^ 0x5bd1e995, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 8) & 0xff;
}
