// Fields and MQTT 5 properties as bytes (MQTT 5 §1.5, §2.2.2).
//
// Writers return the offset after what they wrote; one greater than target.length says that it
// did not fit. A property that is absent (undefined, or the number that stands for absent) takes
// no bytes, so callers need no branches of their own.

import { assert } from '../assert.ts';
import { utf8Size, writeUtf8 } from '../codec/text.ts';
import { FIELD_SIZE_MAX } from './packet.ts';
import {
  CONTENT_TYPE,
  CORRELATION,
  MESSAGE_EXPIRY,
  PAYLOAD_FORMAT,
  RESPONSE_TOPIC,
  SUBSCRIPTION_ID,
  TOPIC_ALIAS,
  USER_PROPERTY,
} from './properties.ts';
import { remainingLengthSize, writeRemainingLength } from './remaining-length.ts';

/** Bytes of a property whose value is one byte, or an integer of two or four. */
export const BYTE_PROPERTY_SIZE = 2;
export const U16_PROPERTY_SIZE = 3;
export const U32_PROPERTY_SIZE = 5;

/** Big-endian, as all integers of MQTT (§1.5.2). */
export function writeU16(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value >>> 8;
  target[offset + 1] = value;
  return offset + 2;
}

/** Bytes of `size` after their two-byte length; Infinity where that length cannot say it. */
export function fieldSize(size: number): number {
  return size > FIELD_SIZE_MAX ? Infinity : 2 + size;
}

/** Bytes of a string with its two-byte length. */
export function textFieldSize(text: string): number {
  return fieldSize(utf8Size(text));
}

/** Writes a UTF-8 Encoded String (§1.5.4), or nothing where it does not fit. */
export function writeTextField(target: Uint8Array, offset: number, text: string): number {
  const size = utf8Size(text);
  const next = offset + fieldSize(size);
  if (next > target.length) return next;
  writeU16(target, offset, size);
  return writeUtf8(target, offset + 2, text);
}

/** Writes Binary Data (§1.5.6), or nothing where it does not fit. */
export function writeBinaryField(target: Uint8Array, offset: number, bytes: Uint8Array): number {
  const next = offset + fieldSize(bytes.length);
  if (next > target.length) return next;
  writeU16(target, offset, bytes.length);
  target.set(bytes, offset + 2);
  return next;
}

/** `value` 0-255. */
export function writeByteProperty(
  target: Uint8Array,
  offset: number,
  id: number,
  value: number,
): number {
  target[offset] = id;
  target[offset + 1] = value;
  return offset + BYTE_PROPERTY_SIZE;
}

/** `value` 0-65535. */
export function writeU16Property(
  target: Uint8Array,
  offset: number,
  id: number,
  value: number,
): number {
  target[offset] = id;
  return writeU16(target, offset + 1, value);
}

/** `value` 0-4294967295. */
export function writeU32Property(
  target: Uint8Array,
  offset: number,
  id: number,
  value: number,
): number {
  target[offset] = id;
  writeU16(target, offset + 1, value >>> 16);
  return writeU16(target, offset + 3, value);
}

/** Bytes of any property that is a string; undefined = absent. */
export function textPropertySize(text: string | undefined): number {
  return text === undefined ? 0 : 1 + textFieldSize(text);
}

/** Any property that is a string. */
export function writeTextProperty(
  target: Uint8Array,
  offset: number,
  id: number,
  text: string | undefined,
): number {
  if (text === undefined) return offset;
  target[offset] = id;
  return writeTextField(target, offset + 1, text);
}

/** Bytes of any property that is Binary Data; undefined = absent. */
export function binaryPropertySize(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : 1 + fieldSize(bytes.length);
}

/** Any property that is Binary Data. */
export function writeBinaryProperty(
  target: Uint8Array,
  offset: number,
  id: number,
  bytes: Uint8Array | undefined,
): number {
  if (bytes === undefined) return offset;
  target[offset] = id;
  return writeBinaryField(target, offset + 1, bytes);
}

/** `alias` 1-65535; 0 = absent. */
export function topicAliasSize(alias: number): number {
  return alias === 0 ? 0 : U16_PROPERTY_SIZE;
}

/** Topic Alias (§3.3.2.3.4). */
export function writeTopicAlias(target: Uint8Array, offset: number, alias: number): number {
  return alias === 0 ? offset : writeU16Property(target, offset, TOPIC_ALIAS, alias);
}

/** `seconds` 0-4294967295; negative = absent. */
export function messageExpirySize(seconds: number): number {
  return seconds < 0 ? 0 : U32_PROPERTY_SIZE;
}

/** Message Expiry Interval (§3.3.2.3.3). */
export function writeMessageExpiry(target: Uint8Array, offset: number, seconds: number): number {
  return seconds < 0 ? offset : writeU32Property(target, offset, MESSAGE_EXPIRY, seconds);
}

/** False is the default and takes no bytes. */
export function payloadFormatSize(isUtf8: boolean): number {
  return isUtf8 ? BYTE_PROPERTY_SIZE : 0;
}

/** Payload Format Indicator (§3.3.2.3.2). */
export function writePayloadFormat(target: Uint8Array, offset: number, isUtf8: boolean): number {
  return isUtf8 ? writeByteProperty(target, offset, PAYLOAD_FORMAT, 1) : offset;
}

/** undefined = absent. */
export function contentTypeSize(text: string | undefined): number {
  return textPropertySize(text);
}

/** Content Type (§3.3.2.3.9). */
export function writeContentType(
  target: Uint8Array,
  offset: number,
  text: string | undefined,
): number {
  return writeTextProperty(target, offset, CONTENT_TYPE, text);
}

/** undefined = absent. */
export function responseTopicSize(topic: string | undefined): number {
  return textPropertySize(topic);
}

/** Response Topic (§3.3.2.3.5): a topic name, so without wildcards (MQTT-3.3.2-14). */
export function writeResponseTopic(
  target: Uint8Array,
  offset: number,
  topic: string | undefined,
): number {
  return writeTextProperty(target, offset, RESPONSE_TOPIC, topic);
}

/** undefined = absent. */
export function correlationSize(bytes: Uint8Array | undefined): number {
  return binaryPropertySize(bytes);
}

/** Correlation Data (§3.3.2.3.6). */
export function writeCorrelation(
  target: Uint8Array,
  offset: number,
  bytes: Uint8Array | undefined,
): number {
  return writeBinaryProperty(target, offset, CORRELATION, bytes);
}

/** `subscriptionId` 1-268435455; 0 = absent. */
export function subscriptionIdSize(subscriptionId: number): number {
  return subscriptionId === 0 ? 0 : 1 + remainingLengthSize(subscriptionId);
}

/** Subscription Identifier (§3.3.2.3.8, §3.8.2.1.2). */
export function writeSubscriptionId(
  target: Uint8Array,
  offset: number,
  subscriptionId: number,
): number {
  if (subscriptionId === 0) return offset;
  target[offset] = SUBSCRIPTION_ID;
  return writeRemainingLength(target, offset + 1, subscriptionId);
}

/** A property may stand many times, also with the same name. */
export function userPropertySize(name: string, value: string): number {
  return 1 + textFieldSize(name) + textFieldSize(value);
}

/** User Property (§3.3.2.3.7). */
export function writeUserProperty(
  target: Uint8Array,
  offset: number,
  name: string,
  value: string,
): number {
  target[offset] = USER_PROPERTY;
  return writeTextField(target, writeTextField(target, offset + 1, name), value);
}

/** Bytes of names and values in turn. */
export function userPropertiesSize(pairs: readonly string[] | undefined): number {
  if (pairs === undefined) return 0;
  assert(pairs.length % 2 === 0, 'user property without a value');
  let size = 0;
  for (let index = 0; index < pairs.length; index += 2) {
    size += userPropertySize(pairs[index], pairs[index + 1]);
  }
  return size;
}

/** Names and values in turn, in their order. */
export function writeUserProperties(
  target: Uint8Array,
  offset: number,
  pairs: readonly string[] | undefined,
): number {
  if (pairs === undefined) return offset;
  let next = offset;
  for (let index = 0; index < pairs.length; index += 2) {
    next = writeUserProperty(target, next, pairs[index], pairs[index + 1]);
  }
  return next;
}
