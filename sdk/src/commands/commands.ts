// Commands to a device: a request with a correlation id comes in, one result goes out.
//
// Request on `commands`, CBOR: {"cid": text, "command": text, "argument"?: any}.
// Result on `commands/{cid}/result`, CBOR: {"ok": bool, "value"?: any, "error"?: text}.

import { CborReader, readValue, writeValue } from '../codec/cbor.ts';
import { writeUtf8 } from '../codec/text.ts';
import type { Device } from '../device.ts';
import { PowerLoss } from '../platform.ts';

/**
 * Handles one command; returns its value for the result, or throws an Error with the reason of
 * the failure. `argument` is what the request holds: check it.
 */
export type CommandHandler = (argument: unknown, device: Device) => unknown;

/** Longest correlation id, in characters: it becomes part of a topic. */
export const CID_LENGTH_MAX = 32;
/** Largest encoded result, in bytes; a larger value is answered with an error. */
export const RESULT_SIZE_MAX = 512;

const LIMITS = { depthMax: 8, countMax: 64, sizeMax: 1024 };

/** What became of a command. */
export interface CommandOutcome {
  readonly cid: string;
  readonly ok: boolean;
  readonly value?: unknown;
  readonly error?: string;
}

/** Runs the command in source[start, end); undefined when no result can be addressed to anyone. */
export function executeCommand(
  device: Device,
  source: Uint8Array,
  start: number,
  end: number,
): CommandOutcome | undefined {
  const reader = new CborReader();
  reader.reset(source, start, end);
  const request = readValue(reader, LIMITS) as { [member: string]: unknown } | undefined;
  if (reader.error !== undefined || typeof request !== 'object' || request === null) {
    return undefined;
  }
  const cid = member(request, 'cid');
  if (typeof cid !== 'string' || !isCid(cid)) return undefined;
  const name = member(request, 'command');
  if (typeof name !== 'string') return { cid, ok: false, error: 'command: expected text' };
  if (name === 'ping') return { cid, ok: true, value: 'pong' };
  const handlers = device.profile.commands;
  if (!has(handlers, name)) return { cid, ok: false, error: `unknown command '${name}'` };
  const handler = handlers[name] as CommandHandler;
  try {
    return { cid, ok: true, value: handler(member(request, 'argument'), device) };
  } catch (error) {
    if (error instanceof PowerLoss) throw error;
    return { cid, ok: false, error: error instanceof Error ? error.message : 'failed' };
  }
}

/**
 * Writes a result as the buffer holds it: a size byte, the topic below the device's, the body.
 * Returns the size of all.
 */
export function writeResult(target: Uint8Array, outcome: CommandOutcome): number {
  const bodyAt = writeUtf8(target, 1, `commands/${outcome.cid}/result`);
  target[0] = bodyAt - 1;
  const { ok, value, error } = outcome;
  const body = ok ? (value === undefined ? { ok } : { ok, value }) : { ok, error };
  let problem = `result larger than ${RESULT_SIZE_MAX} bytes`;
  try {
    const end = writeValue(target, bodyAt, body, LIMITS.depthMax);
    if (end - bodyAt <= RESULT_SIZE_MAX && end <= target.length) return end;
  } catch (thrown) {
    if (thrown instanceof PowerLoss) throw thrown;
    // A handler may return anything, a function too.
    problem = 'result is not data';
  }
  return writeValue(target, bodyAt, { ok: false, error: problem }, LIMITS.depthMax);
}

function isCid(text: string): boolean {
  return text.length <= CID_LENGTH_MAX && /^[A-Za-z0-9._:-]+$/.test(text);
}

function member(map: { [member: string]: unknown }, name: string): unknown {
  return has(map, name) ? map[name] : undefined;
}

function has(map: object, name: string): boolean {
  return Object.prototype.hasOwnProperty.call(map, name);
}
