// The trailer of an MCUboot slot (docs/design.md, "Image trailer"), for flash whose write alignment
// is at most 8 bytes.

import { ERASED } from './mcuboot-format.ts';

/** The last 16 bytes of a slot whose trailer was written. */
export const TRAILER_MAGIC: readonly number[] = [
  0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80,
];
/** Bytes from copy_done to the slot's end. No swap status stands below: no images are swapped. */
export const TRAILER_SIZE = 32;
/** Distances from the slot's end; the trailer is in units of 8 bytes. */
export const IMAGE_OK_FROM_END = 24;
const COPY_DONE_FROM_END = 32;
export const TRAILER_FLAG_SET = 1;

/** Where a flag of the trailer stands: `bad` is neither set nor erased. */
export type TrailerFlag = 'set' | 'unset' | 'bad';

/** What the running application and a swap leave at the slot's end; no signature covers it. */
export interface Trailer {
  readonly magic: TrailerFlag;
  /** The image was confirmed. */
  readonly imageOk: TrailerFlag;
  readonly copyDone: TrailerFlag;
}

function readFlag(byte: number | undefined): TrailerFlag {
  if (byte === TRAILER_FLAG_SET) return 'set';
  return byte === ERASED ? 'unset' : 'bad';
}

/** Reads the trailer at the end of `slot`; undefined where the slot is too short for one. */
export function readTrailer(slot: Uint8Array): Trailer | undefined {
  if (slot.length < TRAILER_SIZE) return undefined;
  const magic = slot.subarray(slot.length - TRAILER_MAGIC.length);
  const isErased = magic.every((byte) => byte === ERASED);
  const isSet = magic.every((byte, index) => byte === TRAILER_MAGIC[index]);
  return {
    magic: isSet ? 'set' : isErased ? 'unset' : 'bad',
    imageOk: readFlag(slot[slot.length - IMAGE_OK_FROM_END]),
    copyDone: readFlag(slot[slot.length - COPY_DONE_FROM_END]),
  };
}
