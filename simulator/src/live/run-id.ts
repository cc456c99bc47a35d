// The id of a run.

import { randomInt } from 'node:crypto';

const DIGITS = 'abcdefghijklmnopqrstuvwxyz0123456789';
/** 36^7: of a million runs at once on a broker, one in 150,000 would find its id taken. */
const DIGIT_COUNT = 7;

/**
 * Names a run in client ids and topics. No two runs have the same, also of one scenario with one
 * seed: on one broker each would take the other's sessions over. Nothing random in a run, such as
 * what its sensors measure, depends on it.
 */
export function newRunId(): string {
  let id = 'r';
  for (let count = 0; count < DIGIT_COUNT; count += 1) id += DIGITS[randomInt(DIGITS.length)];
  return id;
}
