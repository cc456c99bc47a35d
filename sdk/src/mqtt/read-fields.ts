// Fields of received packets: strings, binary data, topic names (MQTT 3.1.1 §1.5, MQTT 5 §1.5).
//
// Readers return the offset after a field, or a reason code to close with as a negative number.

import { isUtf8 } from '../codec/text.ts';
import { MALFORMED_PACKET, PROTOCOL_ERROR } from './reason-codes.ts';

const NUMBER_SIGN = 0x23;
const PLUS = 0x2b;

/** Big-endian; the caller has checked that both bytes are there. */
export function readU16(source: Uint8Array, offset: number): number {
  return (source[offset] << 8) | source[offset + 1];
}

/** Big-endian, 0-4294967295; the caller has checked that all bytes are there. */
export function readU32(source: Uint8Array, offset: number): number {
  return ((readU16(source, offset) << 16) | readU16(source, offset + 2)) >>> 0;
}

/** Offset after the Binary Data whose two-byte length is at `offset`. */
export function readBinary(source: Uint8Array, offset: number, end: number): number {
  if (offset + 2 > end) return -MALFORMED_PACKET;
  const next = offset + 2 + readU16(source, offset);
  return next > end ? -MALFORMED_PACKET : next;
}

/** True for well-formed UTF-8 without U+0000 (MQTT-1.5.4-1, -2; MQTT-1.5.3-1, -2 in 3.1.1). */
function isText(source: Uint8Array, start: number, end: number): boolean {
  let bits = 0;
  for (let at = start; at < end; at += 1) {
    const byte = source[at];
    if (byte === 0) return false;
    bits |= byte;
  }
  return bits < 128 || isUtf8(source, start, end);
}

/** Offset after the UTF-8 string whose two-byte length is at `offset`. */
export function readText(source: Uint8Array, offset: number, end: number): number {
  const next = readBinary(source, offset, end);
  return next < 0 || isText(source, offset + 2, next) ? next : -MALFORMED_PACKET;
}

/**
 * Offset after the topic name at `offset`, which may be empty. A wildcard in it is a protocol
 * error (MQTT-3.3.2-2, MQTT-4.7.0-1; MQTT-4.7.1-1 in 3.1.1).
 */
export function readTopicName(source: Uint8Array, offset: number, end: number): number {
  const next = readBinary(source, offset, end);
  let bits = 0;
  // ASCII needs one pass; the bytes that matter here never stand inside a longer sequence.
  for (let at = offset + 2; at < next; at += 1) {
    const byte = source[at];
    if (byte === 0) return -MALFORMED_PACKET;
    if (byte === NUMBER_SIGN || byte === PLUS) return -PROTOCOL_ERROR;
    bits |= byte;
  }
  return bits < 128 || isUtf8(source, offset + 2, next) ? next : -MALFORMED_PACKET;
}
