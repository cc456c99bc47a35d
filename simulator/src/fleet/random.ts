// Random numbers by counter: each is a hash of (seed, device, stream, counter), so that what one
// device draws depends on nothing that another does (Salmon et al. 2011, "Parallel random numbers:
// as easy as 1, 2, 3"). The hash is MurmurHash3 (x86, 32 bits) over the four words.

/** Streams of a device; sensor i draws from SENSOR_STREAM + i. */
export const PLATFORM_STREAM = 0;
export const CHURN_STREAM = 2;
export const CLOCK_STREAM = 3;
/** Power cuts, losses of the link in a download, and which behaviour of an image a device has. */
export const POWER_STREAM = 4;
export const DOWNLOAD_STREAM = 5;
export const BEHAVIOUR_STREAM = 6;
export const SENSOR_STREAM = 16;

/** A uniform 32-bit unsigned integer. */
export function randomUint32(
  seed: number,
  device: number,
  stream: number,
  counter: number,
): number {
  let hash = mix(0, seed);
  hash = mix(hash, device);
  hash = mix(hash, stream);
  hash = mix(hash, counter);
  hash ^= 16;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Uniform in [0, 1). */
export function randomUnit(seed: number, device: number, stream: number, counter: number): number {
  return randomUint32(seed, device, stream, counter) / 4294967296;
}

/** Standard normal (Box and Muller 1958); takes two numbers, at `counter` and `counter + 1`. */
export function randomNormal(
  seed: number,
  device: number,
  stream: number,
  counter: number,
): number {
  // 1 - u keeps the logarithm finite.
  const radius = Math.sqrt(-2 * Math.log(1 - randomUnit(seed, device, stream, counter)));
  return radius * Math.cos(2 * Math.PI * randomUnit(seed, device, stream, counter + 1));
}

function mix(hash: number, word: number): number {
  let block = Math.imul(word, 0xcc9e2d51);
  block = (block << 15) | (block >>> 17);
  const next = hash ^ Math.imul(block, 0x1b873593);
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0;
}
