// What devices and the server say to each other about updates, as CBOR (RFC 8949, deterministic;
// maps with text keys). The same bodies travel over HTTP and MQTT.

import { CborReader, readValue, writeValue } from '@flotilla/sdk/codec/cbor';
import { utf8Size } from '@flotilla/sdk/codec/text';

/** `POST /v1/devices/{id}/check`: what the device is, and its sign of life during a soak. */
export interface CheckRequest {
  /** Of the running firmware. */
  readonly version: string;
  /** SHA-256 of the running image, 32 bytes. */
  readonly digest: Uint8Array;
  /** Highest manifest sequence number that the device has confirmed. */
  readonly sequence: number;
  readonly uptimeS: number;
  /** Resets by watchdog, crash or brown-out since the running image was confirmed. */
  readonly abnormalResets: number;
  /** SUIT class id, 16 bytes. */
  readonly class?: Uint8Array;
  /** The version that failed here last. */
  readonly failed?: string;
}

/** Where an image can come from: the whole of it, or a delta from the image `base`. */
export interface UpdateSource {
  /** Signed for this device for an hour, relative to the base URL. */
  readonly url: string;
  /** Bytes of the download. */
  readonly size: number;
  /** SHA-256 of the image that the delta applies to; absent = the whole image. */
  readonly base?: Uint8Array;
}

export interface Update {
  readonly rollout: string;
  /** Counts the offers to this device in this rollout from 1 on. */
  readonly attempt: number;
  readonly version: string;
  /** The signed SUIT envelope. */
  readonly envelope: Uint8Array;
  /** Deltas first, the smallest before others; the name in a URL of an image is its digest. */
  readonly sources: readonly UpdateSource[];
}

export interface CheckResponse {
  /** The server's clock, ms since 1970. */
  readonly nowMs: number;
  /** When to check again. */
  readonly pollS: number;
  readonly update?: Update;
}

/** In the order in which an update passes them; failed and reverted end it early. */
export const REPORT_STAGES = [
  'downloading',
  'downloaded',
  'verified',
  'staged',
  'rebooting',
  'trial',
  'confirmed',
  'failed',
  'reverted',
] as const;

export type ReportStage = (typeof REPORT_STAGES)[number];

/** `POST /v1/devices/{id}/report`: how far one attempt has come. */
export interface ReportRequest {
  readonly rollout: string;
  readonly attempt: number;
  readonly stage: ReportStage;
  /** Why it failed or was reverted. */
  readonly reason?: string;
  readonly version?: string;
  /** Downloaded so far. */
  readonly bytes?: number;
}

/** What is wrong with one field; `path` is '' for the body as a whole. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

export type Decoded<Message> =
  | { readonly message: Message; readonly problems?: undefined }
  | { readonly message?: undefined; readonly problems: readonly FieldProblem[] };

/** Bytes of a check or report; longer ones are refused before they are read. */
export const REQUEST_SIZE_MAX = 1024;
/** Bytes of `reason`. */
export const REASON_SIZE_MAX = 256;
/** Bytes of versions and rollout ids. */
export const NAME_SIZE_MAX = 64;
/** Attempts that one device can make in one rollout; the engine stops long before. */
export const ATTEMPT_MAX = 65535;

const DIGEST_SIZE = 32;
const CLASS_SIZE = 16;
const LIMITS = { depthMax: 2, countMax: 64, sizeMax: REQUEST_SIZE_MAX };
const RESPONSE_DEPTH_MAX = 5;
/** Of a device's answer: nothing that a server sends is larger. */
const RESPONSE_LIMITS = { depthMax: RESPONSE_DEPTH_MAX, countMax: 512, sizeMax: 65536 };

/** Reads a check; hostile bytes give problems, never an exception. */
export function decodeCheck(bytes: Uint8Array): Decoded<CheckRequest> {
  return decode(bytes, (fields) => ({
    // A device that has no name for what it runs can be updated all the same.
    version: fields.text('version', NAME_SIZE_MAX, 0),
    digest: fields.bytes('digest', DIGEST_SIZE),
    sequence: fields.count('sequence'),
    uptimeS: fields.count('uptimeS'),
    abnormalResets: fields.count('abnormalResets'),
    ...(fields.has('class') ? { class: fields.bytes('class', CLASS_SIZE) } : {}),
    ...(fields.has('failed') ? { failed: fields.text('failed', NAME_SIZE_MAX) } : {}),
  }));
}

/** Reads a report; hostile bytes give problems, never an exception. */
export function decodeReport(bytes: Uint8Array): Decoded<ReportRequest> {
  return decode(bytes, (fields) => ({
    rollout: fields.text('rollout', NAME_SIZE_MAX),
    attempt: fields.count('attempt', ATTEMPT_MAX),
    stage: fields.oneOf('stage', REPORT_STAGES),
    ...(fields.has('reason') ? { reason: fields.text('reason', REASON_SIZE_MAX) } : {}),
    ...(fields.has('version') ? { version: fields.text('version', NAME_SIZE_MAX) } : {}),
    ...(fields.has('bytes') ? { bytes: fields.count('bytes') } : {}),
  }));
}

export function encodeCheck(request: CheckRequest): Uint8Array {
  return encode(request);
}

export function encodeReport(request: ReportRequest): Uint8Array {
  return encode(request);
}

export function encodeCheckResponse(response: CheckResponse): Uint8Array {
  return encode(response);
}

/** Reads an answer of our own server; throws when it is none. For clients that are no device. */
export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  const reader = new CborReader();
  reader.reset(bytes, 0, bytes.length);
  const value = readValue(reader, RESPONSE_LIMITS);
  if (!reader.finish()) throw new Error(`check response: ${reader.error}`);
  return value as CheckResponse;
}

function encode(value: object): Uint8Array {
  // Room for nearly every message at once; what is larger measures itself by doubling.
  for (let size = 2048; ; size *= 2) {
    const target = new Uint8Array(size);
    const end = writeValue(target, 0, value, RESPONSE_DEPTH_MAX);
    if (end <= size) return target.subarray(0, end);
    if (size > RESPONSE_LIMITS.sizeMax) throw new RangeError('device message past its size');
  }
}

function decode<Message>(bytes: Uint8Array, read: (fields: Fields) => Message): Decoded<Message> {
  const reader = new CborReader();
  reader.reset(bytes, 0, bytes.length);
  const value = readValue(reader, LIMITS);
  if (!reader.finish()) {
    const message = `expected CBOR, got ${reader.error} at byte ${reader.errorOffset}`;
    return { problems: [{ path: '', message }] };
  }
  if (!isMap(value)) return { problems: [{ path: '', message: 'expected a map' }] };
  const fields = new Fields(value);
  const message = read(fields);
  return fields.problems.length === 0 ? { message } : { problems: fields.problems };
}

function isMap(value: unknown): value is Record<string, unknown> {
  // readValue's maps have no prototype; arrays, tags and byte strings have one.
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

/** Takes fields out of a map, and notes all that is wrong with them; unknown ones are ignored. */
class Fields {
  readonly problems: FieldProblem[] = [];
  private readonly map: Record<string, unknown>;

  constructor(map: Record<string, unknown>) {
    this.map = map;
  }

  has(name: string): boolean {
    return name in this.map;
  }

  text(name: string, sizeMax: number, sizeMin: number = 1): string {
    const value = this.map[name];
    const size = typeof value === 'string' ? utf8Size(value) : -1;
    if (size >= sizeMin && size <= sizeMax) return value as string;
    return this.wrong(name, `text of ${sizeMin}-${sizeMax} bytes`, '');
  }

  bytes(name: string, size: number): Uint8Array {
    const value = this.map[name];
    if (value instanceof Uint8Array && value.length === size) return value;
    return this.wrong(name, `${size} bytes`, new Uint8Array(0));
  }

  count(name: string, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.map[name];
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max) {
      return value as number;
    }
    return this.wrong(name, `a whole number of 0-${max}`, 0);
  }

  oneOf<Value extends string>(name: string, values: readonly Value[]): Value {
    const found = values.find((value) => value === this.map[name]);
    return found ?? this.wrong(name, `one of ${values.join(', ')}`, values[0]!);
  }

  private wrong<Value>(name: string, expected: string, instead: Value): Value {
    const message = `expected ${expected}, got ${describe(this.map[name])}`;
    this.problems.push({ path: name, message });
    return instead;
  }
}

/** A few words about a value of the world's, short enough to send back. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') {
    return value.length <= 32 ? JSON.stringify(value) : `text of ${utf8Size(value)} bytes`;
  }
  return value === null || typeof value === 'boolean' ? String(value) : 'another type';
}
