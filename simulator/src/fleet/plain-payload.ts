// What a plain client's message says: in its first bytes whose sequence it has and for when it was
// scheduled, and then filling. Whose it is stands in its topic.
//
//   sequence u32, schedule u32 in tenths of a ms since 1970 modulo 2^32, 'x' …
//
// A payload too small for that says nothing: all that can be told of it is that one more came.

import { readUint32, writeUint32 } from '@flotilla/sdk/codec/uint32';

/** Payloads from this many bytes on are told apart; smaller ones are counted. */
export const PLAIN_HEAD_SIZE = 8;
const TICKS_PER_MS = 10;
const TICK_COUNT = 0x1_0000_0000;
const FILLING = 0x78;

/** What `readPlain` found. */
export class PlainMessage {
  sequence = 0;
  /** Ms since 1970, to a tenth. */
  scheduledMs = 0;
}

/** Writes the payload of `size` bytes to the start of `target`; `scheduledMs` since 1970. */
export function writePlain(
  target: Uint8Array,
  size: number,
  sequence: number,
  scheduledMs: number,
): void {
  target.fill(FILLING, 0, size);
  if (size < PLAIN_HEAD_SIZE) return;
  writeUint32(target, 0, sequence);
  writeUint32(target, 4, ticksOf(scheduledMs));
}

/**
 * Reads the head of a payload that begins at `start` and has PLAIN_HEAD_SIZE bytes or more.
 * `nowMs` is the time since 1970, within 2.4 days of the schedule.
 */
export function readPlain(
  source: Uint8Array,
  start: number,
  nowMs: number,
  message: PlainMessage,
): void {
  message.sequence = readUint32(source, start);
  // Signed: processes of a run may differ by less than a ms, so a schedule can be yet to come.
  const ageTicks = (ticksOf(nowMs) - readUint32(source, start + 4)) | 0;
  message.scheduledMs = (Math.floor(nowMs * TICKS_PER_MS) - ageTicks) / TICKS_PER_MS;
}

function ticksOf(epochMs: number): number {
  return Math.floor(epochMs * TICKS_PER_MS) % TICK_COUNT;
}
