// The order of devices in a rollout: a 32-bit hash of (salt, device id), so that a wave needs no
// row per device, never loses a member, and the same devices are not the canaries every time.

import { POSITION_END, type WaveOptions } from './model.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * Place of a device in the order of the rollout with this salt: an integer in [0, POSITION_END).
 *
 * FNV-1a over UTF-16 code units, then MurmurHash3's finalizer: FNV alone leaves ids that differ in
 * their last digits close together in the high bits, which are what decides the wave.
 */
export function positionOf(salt: string, deviceId: string): number {
  let hash = FNV_OFFSET;
  for (let index = 0; index < salt.length; index += 1) hash = mix(hash, salt.charCodeAt(index));
  // No code unit has this value: ('a', 'bc') and ('ab', 'c') differ.
  hash = mix(hash, 0x10000);
  for (let index = 0; index < deviceId.length; index += 1) {
    hash = mix(hash, deviceId.charCodeAt(index));
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** First position behind each wave. */
export function waveEnds(waves: readonly WaveOptions[]): number[] {
  return waves.map((wave) => Math.round((wave.percent / 100) * POSITION_END));
}

/** Index of the wave that holds `position`; `ends` rises, and its last is POSITION_END. */
export function waveAt(ends: readonly number[], position: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (position < ends[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}

function mix(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, FNV_PRIME);
}
