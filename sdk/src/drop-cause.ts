// Why a message was given up: one number, from 0x80 on the reason code of MQTT 5 that says it.

import { PACKET_TOO_LARGE, reasonName, UNSPECIFIED_ERROR } from './mqtt/reason-codes.ts';

/** The full policy gave it up. */
export const BUFFER_FULL = 0;
/** The same, while there was no connection. */
export const BUFFER_FULL_OFFLINE = 1;
/** The flash does not give it back. */
export const FLASH_FAILED = 2;
/** Larger than the whole buffer. */
export const LARGER_THAN_BUFFER = 3;
/** Larger than the transmit buffer, and so than any packet. */
export const LARGER_THAN_PACKET = 4;

const NAMES: readonly string[] = [
  'buffer full',
  'buffer full while offline',
  'lost by the flash',
  'larger than the buffer',
  'larger than the transmit buffer',
];

/** True for what no retry nor room mends. */
export function isTooLarge(cause: number): boolean {
  return cause === LARGER_THAN_BUFFER || cause === LARGER_THAN_PACKET || cause === PACKET_TOO_LARGE;
}

/** In words: those of the standard for a reason code. */
export function dropCauseName(cause: number): string {
  return cause < UNSPECIFIED_ERROR ? (NAMES[cause] as string) : reasonName(cause, 5);
}
