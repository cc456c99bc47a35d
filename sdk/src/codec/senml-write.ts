// Writes Flotilla's telemetry as SenML packs in CBOR (RFC 8428 §6).
//
//     [{n: "seq", v: 7, bn: "<device id>/<stream>:", bt: 1767225600},
//      {n: "uncertainty", u: "s", v: 2.5},
//      {n: "temperature", u: "Cel", v: 21.37, t: -0.5}, …]
//
// The first record carries the base fields and the buffer's sequence; the second, where the clock
// is worth a warning, its uncertainty, so a sample that comes first must not be called
// "uncertainty"; then one record per sample. `bver` is left out: 10 is its default (§4.4). Map
// keys are in the order of deterministic CBOR, 0, 1, 2 … before -1, -2 … (RFC 8949 §4.2.1).
//
// The writers' contract is that of cbor-write.ts: an offset past target.length says that it did
// not fit, and is still the exact size.

import { assert } from '../assert.ts';
import {
  MAJOR_TEXT,
  writeArrayHead,
  writeBoolean,
  writeHead,
  writeInteger,
  writeMapHead,
  writeNumber,
  writeText,
} from './cbor-write.ts';
import { utf8Size, writeUtf8 } from './text.ts';

/** Labels (RFC 8428 §6 table 4). */
export const LABEL_BASE_VERSION = -1;
export const LABEL_BASE_NAME = -2;
export const LABEL_BASE_TIME = -3;
export const LABEL_BASE_UNIT = -4;
export const LABEL_BASE_VALUE = -5;
export const LABEL_BASE_SUM = -6;
export const LABEL_NAME = 0;
export const LABEL_UNIT = 1;
export const LABEL_VALUE = 2;
export const LABEL_STRING_VALUE = 3;
export const LABEL_BOOLEAN_VALUE = 4;
export const LABEL_SUM = 5;
export const LABEL_TIME = 6;
export const LABEL_UPDATE_TIME = 7;
export const LABEL_DATA_VALUE = 8;

/** A float of 64 bits with its head (RFC 8949 §3.3). */
const DOUBLE_HEAD = 0xfb;
const DOUBLE_SIZE = 9;

/** Name of the first record, whose value is the sequence. */
export const SEQUENCE_NAME = 'seq';
/** Name of the second record, where there is one about the clock. */
export const UNCERTAINTY_NAME = 'uncertainty';
export const UNCERTAINTY_UNIT = 's';

/** Times from here on are seconds since 1970, lesser ones relative to now (RFC 8428 §4.5.3). */
export const ABSOLUTE_TIME_S_MIN = 268435456;

/**
 * True when `text` can be a whole name, or a device id, which every name of the device begins
 * with: A-Z a-z 0-9 - : . / _, the first a letter or digit (RFC 8428 §4.5.1).
 */
export function isSenmlName(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (!isNameCharacter(text.charCodeAt(index), index === 0)) return false;
  }
  return text.length > 0;
}

/** True when a name may hold this character code, or begin with it. */
export function isNameCharacter(code: number, first: boolean): boolean {
  if (code >= 0x61) return code <= 0x7a;
  if (code >= 0x41) return code <= 0x5a || (code === 0x5f && !first);
  if (code >= 0x30 && code <= 0x39) return true;
  return code >= 0x2d && code <= 0x3a && !first;
}

/**
 * Writes the head of a pack and its first record. `recordCount` counts every record, this one and
 * that of the uncertainty too.
 *
 * `deviceId` and `stream` consist of SenML name characters (see `isSenmlName`), and `deviceId`
 * has no '/'; nothing checks that here, so check ids where they are configured. `stream` is ''
 * where there is none. `baseTimeS`: see ABSOLUTE_TIME_S_MIN; finite; NaN while no time is known,
 * for which `setBaseTime` then has room. `sequence`: 0 to 2^53 - 1.
 */
export function beginPack(
  target: Uint8Array,
  offset: number,
  recordCount: number,
  deviceId: string,
  stream: string,
  baseTimeS: number,
  sequence: number,
): number {
  assert(isFinite(baseTimeS) || isNaN(baseTimeS), 'senml: infinite base time');
  let next = writeArrayHead(target, offset, recordCount);
  next = writeMapHead(target, next, 4);
  next = writeInteger(target, next, LABEL_NAME);
  next = writeText(target, next, SEQUENCE_NAME);
  next = writeInteger(target, next, LABEL_VALUE);
  next = writeInteger(target, next, sequence);
  next = writeInteger(target, next, LABEL_BASE_NAME);
  next = writeBaseName(target, next, deviceId, stream);
  next = writeInteger(target, next, LABEL_BASE_TIME);
  return isFinite(baseTimeS) ? writeNumber(target, next, baseTimeS) : writeNow(target, next);
}

/** A base time of 0, "now" (RFC 8428 §4.5.3), in as many bytes as any time takes. */
function writeNow(target: Uint8Array, offset: number): number {
  target[offset] = DOUBLE_HEAD;
  for (let index = 1; index < DOUBLE_SIZE; index += 1) target[offset + index] = 0;
  return offset + DOUBLE_SIZE;
}

/**
 * Sets the base time of the pack in bytes[start, end), which was begun while no time was known;
 * any other pack stays as it is. Not called in the steady state: it makes a DataView.
 */
export function setBaseTime(
  bytes: Uint8Array,
  start: number,
  end: number,
  baseTimeS: number,
): boolean {
  // array, map, n: "seq", v: sequence, bn: name, bt.
  let at = afterHead(bytes, start) + 1;
  at = afterHead(bytes, at + 1) + SEQUENCE_NAME.length;
  at = afterHead(bytes, at + 1) + 1;
  const nameSize = textSize(bytes, at);
  at = afterHead(bytes, at) + nameSize + 1;
  if (at + DOUBLE_SIZE > end || bytes[at] !== DOUBLE_HEAD) return false;
  new DataView(bytes.buffer, bytes.byteOffset + at + 1, 8).setFloat64(0, baseTimeS);
  return true;
}

/** After the head at `at`, which may hold an argument of 1, 2, 4 or 8 bytes. */
function afterHead(bytes: Uint8Array, at: number): number {
  const info = (bytes[at] as number) & 31;
  return at + 1 + (info < 24 ? 0 : 1 << (info - 24));
}

/** Of a text of up to 255 bytes: a device id and a stream have fewer. */
function textSize(bytes: Uint8Array, at: number): number {
  const info = (bytes[at] as number) & 31;
  return info < 24 ? info : (bytes[at + 1] as number);
}

/** Piece by piece: a joined string would be garbage in every pack. */
function writeBaseName(
  target: Uint8Array,
  offset: number,
  deviceId: string,
  stream: string,
): number {
  const size = utf8Size(deviceId) + (stream === '' ? 0 : 1 + utf8Size(stream)) + 1;
  let next = writeHead(target, offset, MAJOR_TEXT, size);
  next = writeUtf8(target, next, deviceId);
  if (stream !== '') {
    next = writeUtf8(target, next, '/');
    next = writeUtf8(target, next, stream);
  }
  return writeUtf8(target, next, ':');
}

/** Writes the record that tells how uncertain the base time is: plus or minus, in seconds. */
export function writeUncertainty(target: Uint8Array, offset: number, uncertaintyS: number): number {
  return writeSample(target, offset, UNCERTAINTY_NAME, UNCERTAINTY_UNIT, uncertaintyS, 0);
}

/**
 * Writes one sample. `name` consists of SenML name characters; `unit` is one of RFC 8428 §12.1,
 * or '' or undefined for none. A number must be finite, as JSON's are (§6): leave out what a
 * sensor could not measure. `timeOffsetS` is finite and relative to the pack's base time.
 */
export function writeSample(
  target: Uint8Array,
  offset: number,
  name: string,
  unit: string | undefined,
  value: number | boolean | string,
  timeOffsetS: number,
): number {
  assert(isFinite(timeOffsetS), 'senml: time not finite');
  const hasUnit = unit !== undefined && unit !== '';
  const count = 2 + (hasUnit ? 1 : 0) + (timeOffsetS !== 0 ? 1 : 0);
  let next = writeMapHead(target, offset, count);
  next = writeInteger(target, next, LABEL_NAME);
  next = writeText(target, next, name);
  if (hasUnit) {
    next = writeInteger(target, next, LABEL_UNIT);
    next = writeText(target, next, unit);
  }
  if (typeof value === 'number') {
    assert(isFinite(value), 'senml: value not finite');
    next = writeInteger(target, next, LABEL_VALUE);
    next = writeNumber(target, next, value);
  } else if (typeof value === 'boolean') {
    next = writeInteger(target, next, LABEL_BOOLEAN_VALUE);
    next = writeBoolean(target, next, value);
  } else {
    next = writeInteger(target, next, LABEL_STRING_VALUE);
    next = writeText(target, next, value);
  }
  if (timeOffsetS === 0) return next;
  next = writeInteger(target, next, LABEL_TIME);
  return writeNumber(target, next, timeOffsetS);
}
