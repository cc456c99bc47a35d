// Bits that flip at rest: every single bit of a signed image, one at a time; each must be refused.

import { type CampaignWorld, LAYOUT } from './world.ts';

export interface AtRestResult {
  readonly count: number;
  /** Positions, in bits, whose flip was accepted. */
  readonly accepted: readonly number[];
}

/** Flips bits first, first + stride … below `end` of the image `next`. */
export function flipAtRest(
  world: CampaignWorld,
  first: number,
  end: number,
  stride: number,
  accepts: (bytes: Uint8Array) => boolean,
  tick: (count: number) => void,
): AtRestResult {
  const slot = new Uint8Array(LAYOUT.slots[0].size).fill(0xff);
  slot.set(world.images.next);
  if (!accepts(slot)) throw new Error('the image is refused without a flip');
  const accepted: number[] = [];
  let count = 0;
  for (let bit = first; bit < end; bit += stride) {
    slot[bit >> 3]! ^= 1 << (bit & 7);
    if (accepts(slot)) accepted.push(bit);
    slot[bit >> 3]! ^= 1 << (bit & 7);
    count += 1;
    if (count % 500 === 0) tick(500);
  }
  tick(count % 500);
  return { count, accepted };
}

/** Bits of the image that `flipAtRest` flips. */
export function atRestBits(world: CampaignWorld): number {
  return world.images.next.length * 8;
}
