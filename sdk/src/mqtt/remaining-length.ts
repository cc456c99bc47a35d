// Remaining Length: the variable byte integer in every MQTT fixed header (MQTT 3.1.1 §2.2.3).
// MQTT 5 writes property lengths and subscription identifiers the same way (§1.5.5).

import { REMAINING_LENGTH_MAX } from './packet.ts';

/** The bytes at hand end inside the integer. */
export const LENGTH_INCOMPLETE = -2;
/** A fifth byte, or more bytes than the value needs. */
export const LENGTH_MALFORMED = -1;

/** Bytes that `length` takes, 1-4; Infinity above REMAINING_LENGTH_MAX: it fits nowhere. */
export function remainingLengthSize(length: number): number {
  if (length < 128) return 1;
  if (length < 16384) return 2;
  if (length < 2097152) return 3;
  return length <= REMAINING_LENGTH_MAX ? 4 : Infinity;
}

/** Writes `length`, 0-REMAINING_LENGTH_MAX, and returns the offset after it. */
export function writeRemainingLength(target: Uint8Array, offset: number, length: number): number {
  let next = offset;
  let rest = length;
  while (rest > 127) {
    target[next] = (rest & 127) | 128;
    rest >>>= 7;
    next += 1;
  }
  target[next] = rest;
  return next + 1;
}

/**
 * The integer at `offset`, which took `remainingLengthSize` bytes of its value, or
 * LENGTH_INCOMPLETE or LENGTH_MALFORMED.
 *
 * The encoding must be minimal: MQTT 5 says so (MQTT-1.5.5-1), and 3.1.1 §2.2.3 leaves no other
 * ("uses a single byte for values up to 127").
 */
export function readRemainingLength(source: Uint8Array, offset: number, end: number): number {
  let value = 0;
  let shift = 0;
  for (let at = offset; at < end; at += 1) {
    const byte = source[at];
    value |= (byte & 127) << shift;
    if (byte < 128) return byte === 0 && shift > 0 ? LENGTH_MALFORMED : value;
    if (shift === 21) return LENGTH_MALFORMED;
    shift += 7;
  }
  return LENGTH_INCOMPLETE;
}
