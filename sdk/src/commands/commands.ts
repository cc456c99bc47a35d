// Commands to a device: a request comes in, one result goes out.
//
// Request on `commands`, CBOR: {"cid": text, "command": text, "argument"?: any, "expires"?: epoch
// seconds}. Result on `commands/{cid}/result`, CBOR: {"ok": bool, "value"?: any, "error"?: text}.
// With MQTT 5 a request may name a Response Topic and Correlation Data instead of a cid (MQTT 5
// §4.10): the result then goes there.

import { CborReader, readValue } from '../codec/cbor.ts';
import { readUtf8 } from '../codec/text.ts';
import type { Device } from '../device.ts';
import type { Packet } from '../mqtt/packet.ts';
import { isTopicName } from '../mqtt/topic.ts';
import { PowerLoss } from '../platform.ts';
import { CID_LENGTH_MAX, COMMAND_LIMITS, type ReplyTo, writeResult } from './result.ts';

/**
 * Handles one command; returns its value for the result, or throws an Error with the reason of
 * the failure. `argument` is what the request holds: check it. One that takes longer returns
 * `LATER` and tells `call` when it has finished.
 */
export type CommandHandler = (argument: unknown, device: Device, call: CommandCall) => unknown;

/** What a handler returns whose command goes on. */
export const LATER = '\u0000later';

/** Commands that go on at once; one more is answered with 'busy'. */
export const COMMANDS_RUNNING_MAX = 4;
/** How long a command may go on before it is answered with 'timed out', in ms. */
export const COMMAND_MS_MAX = 60000;
/** Commands remembered, so that a second copy is not carried out again. */
export const COMMANDS_RECENT_MAX = 16;
/** Longest correlation data, in bytes: it waits in the buffer with the result. */
export const CORRELATION_SIZE_MAX = 64;
/** Longest response topic, in bytes. */
export const RESPONSE_TOPIC_SIZE_MAX = 255;

/** A command that goes on. */
export class CommandCall {
  readonly replyTo: ReplyTo;
  readonly dueMs: number;
  private readonly commands: Commands;

  constructor(commands: Commands, replyTo: ReplyTo, dueMs: number) {
    this.commands = commands;
    this.replyTo = replyTo;
    this.dueMs = dueMs;
  }

  /** Sends the result; the first of `finish` and `fail` counts. */
  finish(value: unknown): void {
    this.commands.end(this, true, value);
  }

  fail(reason: string): void {
    this.commands.end(this, false, reason);
  }
}

/** The commands of one device; made when the first one comes. */
export class Commands {
  private readonly device: Device;
  /** Hashes of the last ids, in a circle. */
  private readonly recent: number[] = [];
  private recentNext = 0;
  private readonly running: CommandCall[] = [];

  constructor(device: Device) {
    this.device = device;
  }

  /** The monotonic ms at which `tick` is wanted next; Infinity = never. */
  nextDeadlineMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.running.length; index += 1) {
      next = Math.min(next, (this.running[index] as CommandCall).dueMs);
    }
    return next;
  }

  /** Gives up what takes too long. */
  tick(nowMs: number): void {
    for (let index = this.running.length - 1; index >= 0; index -= 1) {
      const call = this.running[index] as CommandCall;
      if (call.dueMs <= nowMs) this.end(call, false, 'timed out');
    }
  }

  /** A request: carries it out and answers it, unless nobody can be told or it is a second copy. */
  receive(packet: Packet, source: Uint8Array): void {
    const { counters } = this.device;
    const request = readRequest(source, packet.payloadStart, packet.payloadEnd);
    const replyTo = request === undefined ? undefined : replyToOf(request, packet, source);
    if (request === undefined || replyTo === undefined) {
      counters.commandsRefused += 1;
      return;
    }
    if (this.isKnown(hashOf(replyTo))) {
      counters.commandsRepeated += 1;
      return;
    }
    counters.commands += 1;
    this.carryOut(request, replyTo);
  }

  /** For `CommandCall`. */
  end(call: CommandCall, ok: boolean, value: unknown): void {
    const index = this.running.indexOf(call);
    if (index < 0) return;
    this.running.splice(index, 1);
    this.answer(call.replyTo, ok, value);
  }

  private carryOut(request: Request, replyTo: ReplyTo): void {
    const { device } = this;
    const name = member(request, 'command');
    const refusal = this.refusal(request, name);
    if (refusal !== undefined) {
      this.answer(replyTo, false, refusal);
    } else if (name === 'ping') {
      this.answer(replyTo, true, 'pong');
    } else {
      const dueMs = device.platform.clock.monotonicMs() + COMMAND_MS_MAX;
      const call = new CommandCall(this, replyTo, dueMs);
      this.running.push(call);
      this.run(device.profile.commands[name as string] as CommandHandler, request, call);
    }
  }

  private run(handler: CommandHandler, request: Request, call: CommandCall): void {
    try {
      const value = handler(member(request, 'argument'), this.device, call);
      if (value !== LATER) this.end(call, true, value);
    } catch (error) {
      if (error instanceof PowerLoss) throw error;
      this.end(call, false, messageOf(error));
    }
  }

  /** Why the command is not carried out; undefined = it is. */
  private refusal(request: Request, name: unknown): string | undefined {
    if (typeof name !== 'string') return 'command: expected text';
    if (this.isExpired(member(request, 'expires'))) return 'expired';
    if (name === 'ping') return undefined;
    if (!has(this.device.profile.commands, name)) return `unknown command '${name}'`;
    return this.running.length === COMMANDS_RUNNING_MAX ? 'busy' : undefined;
  }

  private answer(replyTo: ReplyTo, ok: boolean, value: unknown): void {
    const { scratch } = this.device.platform.memory;
    this.device.sendResult(writeResult(scratch, replyTo, ok, value));
  }

  /** Without a time of its own a device carries out what the server still delivers. */
  private isExpired(expires: unknown): boolean {
    if (typeof expires !== 'number') return false;
    const { clock } = this.device.platform;
    return clock.epochMs() - clock.epochUncertaintyMs() > expires * 1000;
  }

  private isKnown(hash: number): boolean {
    if (this.recent.indexOf(hash) >= 0) return true;
    this.recent[this.recentNext] = hash;
    this.recentNext = (this.recentNext + 1) % COMMANDS_RECENT_MAX;
    return false;
  }
}

type Request = { readonly [member: string]: unknown };

function readRequest(source: Uint8Array, start: number, end: number): Request | undefined {
  const reader = new CborReader();
  reader.reset(source, start, end);
  const request = readValue(reader, COMMAND_LIMITS);
  if (reader.error !== undefined || typeof request !== 'object' || request === null) {
    return undefined;
  }
  return request as Request;
}

/** Where the result goes; undefined when the request tells no place. */
function replyToOf(request: Request, packet: Packet, source: Uint8Array): ReplyTo | undefined {
  const cid = member(request, 'cid');
  const { correlationEnd, correlationStart, responseTopicEnd, responseTopicStart } = packet;
  if (responseTopicStart < 0) {
    return typeof cid === 'string' && isCid(cid) ? { cid } : undefined;
  }
  const size = responseTopicEnd - responseTopicStart;
  const hasCorrelation = correlationStart >= 0;
  // Without either, a second copy could not be told from another request.
  if (!hasCorrelation && !(typeof cid === 'string' && isCid(cid))) return undefined;
  const correlationSize = hasCorrelation ? correlationEnd - correlationStart : 0;
  if (size > RESPONSE_TOPIC_SIZE_MAX || correlationSize > CORRELATION_SIZE_MAX) return undefined;
  const topic = readUtf8(source, responseTopicStart, responseTopicEnd);
  if (!isTopicName(topic)) return undefined;
  const correlation = new Uint8Array(correlationSize);
  for (let index = 0; index < correlationSize; index += 1) {
    correlation[index] = source[correlationStart + index] as number;
  }
  return { cid: typeof cid === 'string' ? cid : '', topic, correlation };
}

/** FNV-1a of 32 bits over what tells one request from another. */
function hashOf({ cid, correlation, topic }: ReplyTo): number {
  let hash = 2166136261;
  for (let index = 0; index < cid.length; index += 1) hash = mix(hash, cid.charCodeAt(index));
  if (topic === undefined || correlation === undefined) return hash;
  hash = mix(hash, 256);
  for (let index = 0; index < topic.length; index += 1) hash = mix(hash, topic.charCodeAt(index));
  for (let index = 0; index < correlation.length; index += 1) {
    hash = mix(hash, correlation[index] as number);
  }
  return hash;
}

/** Times 16777619 = 2^24 + 403, in steps that doubles hold exactly. */
function mix(hash: number, code: number): number {
  const mixed = (hash ^ code) >>> 0;
  return (mixed * 403 + ((mixed << 24) >>> 0)) % 4294967296;
}

function isCid(text: string): boolean {
  return text.length <= CID_LENGTH_MAX && /^[A-Za-z0-9._:-]+$/.test(text);
}

function member(map: Request, name: string): unknown {
  return has(map, name) ? map[name] : undefined;
}

function has(map: object, name: string): boolean {
  return Object.prototype.hasOwnProperty.call(map, name);
}

/** What was thrown, in words. Not by `instanceof Error`: Espruino's TypeError is none. */
function messageOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return 'failed';
  const { message } = thrown as { readonly message?: unknown };
  return typeof message === 'string' ? message : 'failed';
}
