// The result of a command, as it waits in the buffer: where it goes, and what it says.
//
//   topic size u8, correlation size + 1 u8 (0 = a topic below the device's), topic, correlation,
//   body

import { writeValue } from '../codec/cbor.ts';
import { readUtf8, writeUtf8 } from '../codec/text.ts';
import type { Reply } from '../mqtt/delivery.ts';
import { PowerLoss } from '../platform.ts';

/** Longest correlation id, in characters: it becomes part of a topic. */
export const CID_LENGTH_MAX = 32;
/** Largest encoded body, in bytes; a larger value is answered with an error. */
export const RESULT_SIZE_MAX = 512;

export const COMMAND_LIMITS = { depthMax: 8, countMax: 64, sizeMax: 1024 };

/** Who waits for a result: the readers of `commands/{cid}/result`, or of a Response Topic. */
export interface ReplyTo {
  readonly cid: string;
  readonly topic?: string;
  readonly correlation?: Uint8Array;
}

/** Writes a result; `value` is the reason where it is not ok. Returns the size of all. */
export function writeResult(
  target: Uint8Array,
  { cid, correlation, topic }: ReplyTo,
  ok: boolean,
  value: unknown,
): number {
  let bodyAt = writeUtf8(target, 2, topic === undefined ? `commands/${cid}/result` : topic);
  target[0] = bodyAt - 2;
  target[1] = 0;
  if (topic !== undefined && correlation !== undefined) {
    target[1] = correlation.length + 1;
    target.set(correlation, bodyAt);
    bodyAt += correlation.length;
  }
  const body = ok ? (value === undefined ? { ok } : { ok, value }) : { ok, error: value };
  let problem = `result larger than ${RESULT_SIZE_MAX} bytes`;
  try {
    const end = writeValue(target, bodyAt, body, COMMAND_LIMITS.depthMax);
    if (end - bodyAt <= RESULT_SIZE_MAX && end <= target.length) return end;
  } catch (thrown) {
    if (thrown instanceof PowerLoss) throw thrown;
    // A handler may return anything, a function too.
    problem = 'result is not data';
  }
  return writeValue(target, bodyAt, { ok: false, error: problem }, COMMAND_LIMITS.depthMax);
}

/** The topic of the result at `start`, below the device's or whole. */
export function resultTopic(bytes: Uint8Array, start: number): string {
  return readUtf8(bytes, start + 2, start + 2 + (bytes[start] as number));
}

/** Where a whole topic is meant; undefined = the topic is below the device's. */
export function resultReply(bytes: Uint8Array, start: number): Reply | undefined {
  const correlationSize = (bytes[start + 1] as number) - 1;
  if (correlationSize < 0) return undefined;
  const correlation = new Uint8Array(correlationSize);
  const at = start + 2 + (bytes[start] as number);
  for (let index = 0; index < correlationSize; index += 1) {
    correlation[index] = bytes[at + index] as number;
  }
  return {
    topic: resultTopic(bytes, start),
    correlation: correlationSize === 0 ? undefined : correlation,
  };
}

/** Where the body of the result at `start` begins. */
export function resultBody(bytes: Uint8Array, start: number): number {
  const correlationSize = Math.max(0, (bytes[start + 1] as number) - 1);
  return start + 2 + (bytes[start] as number) + correlationSize;
}
