// MQTT control packets as bytes, in the caller's buffer (MQTT 3.1.1 §2-3, MQTT 5 §2-3).
// Packets that only a server sends are in write-server.ts.
//
// A packet writer returns the offset after the packet. An offset greater than target.length says
// that the packet does not fit there, and then nothing was written; Infinity says that it fits
// nowhere, because a field is longer than its length prefix can say.

import { assert } from '../assert.ts';
import { utf8Size, writeUtf8 } from '../codec/text.ts';
import type { ConnectFields, ProtocolVersion, PublishFields, Qos, Subscription } from './packet.ts';
import {
  AUTH,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  PUBLISH,
  PUBREL,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from './packet.ts';
import {
  AUTH_DATA,
  AUTH_METHOD,
  MAXIMUM_PACKET_SIZE,
  REASON_STRING,
  RECEIVE_MAXIMUM,
  SESSION_EXPIRY,
  TOPIC_ALIAS_MAXIMUM,
  WILL_DELAY,
} from './properties.ts';
import { remainingLengthSize, writeRemainingLength } from './remaining-length.ts';
import {
  binaryPropertySize,
  contentTypeSize,
  correlationSize,
  fieldSize,
  messageExpirySize,
  payloadFormatSize,
  responseTopicSize,
  subscriptionIdSize,
  textFieldSize,
  textPropertySize,
  topicAliasSize,
  U16_PROPERTY_SIZE,
  U32_PROPERTY_SIZE,
  userPropertiesSize,
  writeBinaryField,
  writeBinaryProperty,
  writeContentType,
  writeCorrelation,
  writeMessageExpiry,
  writePayloadFormat,
  writeResponseTopic,
  writeSubscriptionId,
  writeTextField,
  writeTextProperty,
  writeTopicAlias,
  writeU16,
  writeU16Property,
  writeU32Property,
  writeUserProperties,
} from './write-properties.ts';

export { remainingLengthSize } from './remaining-length.ts';
export {
  contentTypeSize,
  correlationSize,
  messageExpirySize,
  payloadFormatSize,
  responseTopicSize,
  topicAliasSize,
  userPropertySize,
  writeContentType,
  writeCorrelation,
  writeMessageExpiry,
  writePayloadFormat,
  writeResponseTopic,
  writeTopicAlias,
  writeUserProperty,
} from './write-properties.ts';

/** Flags of PUBREL, SUBSCRIBE and UNSUBSCRIBE (MQTT-2.1.3-1; MQTT-2.2.2-1 in 3.1.1). */
const FLAGS_0010 = 2;

/** Whole size of a packet whose variable header and payload take `remaining` bytes. */
export function packetSize(remaining: number): number {
  return 1 + remainingLengthSize(remaining) + remaining;
}

/** Size of the properties with their length prefix; 3.1.1 has neither. */
export function propertiesFieldSize(version: ProtocolVersion, propertiesSize: number): number {
  return version === 5 ? remainingLengthSize(propertiesSize) + propertiesSize : 0;
}

/** `packetId` 1-65535. */
export function writePacketId(target: Uint8Array, offset: number, packetId: number): number {
  assert(packetId !== 0, 'packet id 0'); // MQTT-2.2.1-3, MQTT-2.3.1-1 in 3.1.1.
  return writeU16(target, offset, packetId);
}

/** The type byte and the Remaining Length (§2.1.1); 3.1.1 §2.2. */
export function writeFixedHeader(
  target: Uint8Array,
  offset: number,
  type: number,
  flags: number,
  remaining: number,
): number {
  target[offset] = (type << 4) | flags;
  return writeRemainingLength(target, offset + 1, remaining);
}

function publishRemaining(
  version: ProtocolVersion,
  topicSize: number,
  qos: Qos,
  payloadSize: number,
  propertiesSize: number,
): number {
  return (
    fieldSize(topicSize) +
    (qos === 0 ? 0 : 2) +
    propertiesFieldSize(version, propertiesSize) +
    payloadSize
  );
}

/**
 * Whole size in bytes of a PUBLISH. `propertiesSize` is that of the properties alone, without
 * their length prefix; 0 on 3.1.1.
 */
export function publishSize(
  version: ProtocolVersion,
  topicSize: number,
  qos: Qos,
  payloadSize: number,
  propertiesSize: number,
): number {
  return packetSize(publishRemaining(version, topicSize, qos, payloadSize, propertiesSize));
}

/**
 * Begins a PUBLISH: type byte, Remaining Length and topic length. The caller has checked
 * `publishSize`, and goes on with `topicSize` bytes of topic, `writePublishTail`, the properties,
 * and the payload. `flags` is DUP 8 | qos << 1 | RETAIN 1.
 */
export function writePublishHead(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  flags: number,
  topicSize: number,
  qos: Qos,
  payloadSize: number,
  propertiesSize: number,
): number {
  const remaining = publishRemaining(version, topicSize, qos, payloadSize, propertiesSize);
  const next = writeFixedHeader(target, offset, PUBLISH, flags, remaining);
  return writeU16(target, next, topicSize);
}

/** What follows the topic: the packet id where qos > 0, and the property length on v5. */
export function writePublishTail(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  qos: Qos,
  packetId: number,
  propertiesSize: number,
): number {
  const next = qos === 0 ? offset : writePacketId(target, offset, packetId);
  return version === 5 ? writeRemainingLength(target, next, propertiesSize) : next;
}

function publishPropertiesSize(fields: PublishFields): number {
  return (
    payloadFormatSize(fields.payloadIsUtf8 === true) +
    messageExpirySize(fields.messageExpiryS ?? -1) +
    contentTypeSize(fields.contentType) +
    responseTopicSize(fields.responseTopic) +
    correlationSize(fields.correlation) +
    subscriptionIdSize(fields.subscriptionId ?? 0) +
    topicAliasSize(fields.topicAlias ?? 0) +
    userPropertiesSize(fields.userProperties)
  );
}

/** Properties stand in the order of their identifiers, here and in every packet we write. */
function writePublishProperties(target: Uint8Array, offset: number, fields: PublishFields): number {
  let next = writePayloadFormat(target, offset, fields.payloadIsUtf8 === true);
  next = writeMessageExpiry(target, next, fields.messageExpiryS ?? -1);
  next = writeContentType(target, next, fields.contentType);
  next = writeResponseTopic(target, next, fields.responseTopic);
  next = writeCorrelation(target, next, fields.correlation);
  next = writeSubscriptionId(target, next, fields.subscriptionId ?? 0);
  next = writeTopicAlias(target, next, fields.topicAlias ?? 0);
  return writeUserProperties(target, next, fields.userProperties);
}

/** A whole PUBLISH from its fields; v5 properties are left out on 3.1.1. */
export function writePublish(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  fields: PublishFields,
): number {
  const qos = fields.qos;
  const topicSize = utf8Size(fields.topic);
  const payloadSize = fields.payload.length;
  const propertiesSize = version === 5 ? publishPropertiesSize(fields) : 0;
  const remaining = publishRemaining(version, topicSize, qos, payloadSize, propertiesSize);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  const dup = fields.dup && qos > 0 ? 8 : 0;
  const flags = dup | (qos << 1) | (fields.retain ? 1 : 0);
  let next = writeFixedHeader(target, offset, PUBLISH, flags, remaining);
  next = writeUtf8(target, writeU16(target, next, topicSize), fields.topic);
  next = writePublishTail(target, next, version, qos, fields.packetId, propertiesSize);
  if (version === 5) next = writePublishProperties(target, next, fields);
  target.set(fields.payload, next);
  return end;
}

function connectPropertiesSize(fields: ConnectFields): number {
  return (
    (fields.sessionExpiryS === 0 ? 0 : U32_PROPERTY_SIZE) +
    (fields.receiveMaximum === 65535 ? 0 : U16_PROPERTY_SIZE) +
    ((fields.topicAliasMaximum ?? 0) === 0 ? 0 : U16_PROPERTY_SIZE) +
    userPropertiesSize(fields.userProperties) +
    (fields.maximumPacketSize === 0 ? 0 : U32_PROPERTY_SIZE)
  );
}

function writeConnectProperties(
  target: Uint8Array,
  offset: number,
  fields: ConnectFields,
  size: number,
): number {
  let next = writeRemainingLength(target, offset, size);
  if (fields.sessionExpiryS !== 0) {
    next = writeU32Property(target, next, SESSION_EXPIRY, fields.sessionExpiryS);
  }
  if (fields.receiveMaximum !== 65535) {
    next = writeU16Property(target, next, RECEIVE_MAXIMUM, fields.receiveMaximum);
  }
  const topicAliasMaximum = fields.topicAliasMaximum ?? 0;
  if (topicAliasMaximum !== 0) {
    next = writeU16Property(target, next, TOPIC_ALIAS_MAXIMUM, topicAliasMaximum);
  }
  next = writeUserProperties(target, next, fields.userProperties);
  if (fields.maximumPacketSize !== 0) {
    next = writeU32Property(target, next, MAXIMUM_PACKET_SIZE, fields.maximumPacketSize);
  }
  return next;
}

/** 3.1.1 has no password without a user name (MQTT-3.1.2-22): there the name is empty. */
function connectUsername(version: ProtocolVersion, fields: ConnectFields): string | undefined {
  if (fields.username !== undefined || version === 5) return fields.username;
  return fields.password === undefined ? undefined : '';
}

function connectRemaining(
  version: ProtocolVersion,
  fields: ConnectFields,
  propertiesSize: number,
): number {
  // Protocol name 6, level 1, flags 1, keep alive 2.
  let size = 10 + propertiesFieldSize(version, propertiesSize) + textFieldSize(fields.clientId);
  const will = fields.will;
  if (will !== undefined) {
    const willPropertiesSize = will.delayS === 0 ? 0 : U32_PROPERTY_SIZE;
    size += propertiesFieldSize(version, willPropertiesSize);
    size += textFieldSize(will.topic) + fieldSize(will.payload.length);
  }
  const username = connectUsername(version, fields);
  if (username !== undefined) size += textFieldSize(username);
  if (fields.password !== undefined) size += fieldSize(fields.password.length);
  return size;
}

function connectFlags(version: ProtocolVersion, fields: ConnectFields): number {
  const will = fields.will;
  let flags = fields.cleanStart ? 2 : 0;
  if (will !== undefined) flags |= 4 | (will.qos << 3) | (will.retain ? 32 : 0);
  if (fields.password !== undefined) flags |= 64;
  if (connectUsername(version, fields) !== undefined) flags |= 128;
  return flags;
}

/**
 * CONNECT. On 3.1.1 `cleanStart` is Clean Session, and an empty client id needs it
 * (MQTT-3.1.3-7).
 */
export function writeConnect(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  fields: ConnectFields,
): number {
  const propertiesSize = version === 5 ? connectPropertiesSize(fields) : 0;
  const remaining = connectRemaining(version, fields, propertiesSize);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, CONNECT, 0, remaining);
  next = writeTextField(target, next, 'MQTT');
  target[next] = version;
  target[next + 1] = connectFlags(version, fields);
  next = writeU16(target, next + 2, fields.keepAliveS);
  if (version === 5) next = writeConnectProperties(target, next, fields, propertiesSize);
  next = writeTextField(target, next, fields.clientId);
  const will = fields.will;
  if (will !== undefined) {
    if (version === 5) {
      next = writeRemainingLength(target, next, will.delayS === 0 ? 0 : U32_PROPERTY_SIZE);
      if (will.delayS !== 0) next = writeU32Property(target, next, WILL_DELAY, will.delayS);
    }
    next = writeTextField(target, next, will.topic);
    next = writeBinaryField(target, next, will.payload);
  }
  const username = connectUsername(version, fields);
  if (username !== undefined) next = writeTextField(target, next, username);
  return fields.password === undefined ? next : writeBinaryField(target, next, fields.password);
}

/**
 * PUBACK, PUBREC, PUBREL or PUBCOMP by `type`. 3.1.1 has no reason code; v5 leaves out
 * 0 (Success), and no property length follows another (MQTT 5 §3.4.2.2.1).
 */
export function writeAck(
  target: Uint8Array,
  offset: number,
  type: number,
  packetId: number,
  version: ProtocolVersion,
  reasonCode: number,
): number {
  const remaining = version === 5 && reasonCode !== 0 ? 3 : 2;
  const end = offset + 2 + remaining;
  if (end > target.length) return end;
  const flags = type === PUBREL ? FLAGS_0010 : 0;
  let next = writeFixedHeader(target, offset, type, flags, remaining);
  next = writePacketId(target, next, packetId);
  if (remaining === 3) target[next] = reasonCode;
  return end;
}

function subscriptionOptions(version: ProtocolVersion, subscription: Subscription): number {
  if (version === 4) return subscription.qos;
  return (
    subscription.qos |
    (subscription.noLocal === true ? 4 : 0) |
    (subscription.retainAsPublished === true ? 8 : 0) |
    ((subscription.retainHandling ?? 0) << 4)
  );
}

/** SUBSCRIBE with at least one filter. `subscriptionId` 1-268435455 is sent on v5. */
export function writeSubscribe(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  packetId: number,
  filters: readonly Subscription[],
  subscriptionId?: number,
): number {
  assert(filters.length > 0, 'SUBSCRIBE without a filter'); // MQTT-3.8.3-2.
  const propertiesSize = subscriptionIdSize(subscriptionId ?? 0);
  let remaining = 2 + propertiesFieldSize(version, propertiesSize);
  for (let index = 0; index < filters.length; index += 1) {
    remaining += textFieldSize(filters[index].filter) + 1;
  }
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, SUBSCRIBE, FLAGS_0010, remaining);
  next = writePacketId(target, next, packetId);
  if (version === 5) {
    next = writeRemainingLength(target, next, propertiesSize);
    next = writeSubscriptionId(target, next, subscriptionId ?? 0);
  }
  for (let index = 0; index < filters.length; index += 1) {
    next = writeTextField(target, next, filters[index].filter);
    target[next] = subscriptionOptions(version, filters[index]);
    next += 1;
  }
  return end;
}

/** UNSUBSCRIBE with at least one filter. */
export function writeUnsubscribe(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  packetId: number,
  filters: readonly string[],
): number {
  assert(filters.length > 0, 'UNSUBSCRIBE without a filter'); // MQTT-3.10.3-2.
  let remaining = 2 + propertiesFieldSize(version, 0);
  for (let index = 0; index < filters.length; index += 1)
    remaining += textFieldSize(filters[index]);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, UNSUBSCRIBE, FLAGS_0010, remaining);
  next = writePacketId(target, next, packetId);
  if (version === 5) next = writeRemainingLength(target, next, 0);
  for (let index = 0; index < filters.length; index += 1) {
    next = writeTextField(target, next, filters[index]);
  }
  return end;
}

function writeEmpty(target: Uint8Array, offset: number, type: number): number {
  const end = offset + 2;
  if (end <= target.length) writeFixedHeader(target, offset, type, 0, 0);
  return end;
}

/** PINGREQ, the same in both versions. */
export function writePingreq(target: Uint8Array, offset: number): number {
  return writeEmpty(target, offset, PINGREQ);
}

/** PINGRESP, the same in both versions. */
export function writePingresp(target: Uint8Array, offset: number): number {
  return writeEmpty(target, offset, PINGRESP);
}

/**
 * DISCONNECT. 3.1.1 says no more than that; on v5 `sessionExpiryS` (a client only,
 * MQTT-3.14.2-2) replaces the value of the CONNECT unless it is negative or absent.
 */
export function writeDisconnect(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  reasonCode: number,
  sessionExpiryS?: number,
  reasonString?: string,
): number {
  if (version === 4) return writeEmpty(target, offset, DISCONNECT);
  const expiryS = sessionExpiryS ?? -1;
  const propertiesSize = (expiryS < 0 ? 0 : U32_PROPERTY_SIZE) + textPropertySize(reasonString);
  if (propertiesSize === 0 && reasonCode === 0) return writeEmpty(target, offset, DISCONNECT);
  // Without properties their length is left out too (MQTT 5 §3.14.2.2.1).
  const remaining = propertiesSize === 0 ? 1 : 1 + propertiesFieldSize(version, propertiesSize);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, DISCONNECT, 0, remaining);
  target[next] = reasonCode;
  if (propertiesSize === 0) return end;
  next = writeRemainingLength(target, next + 1, propertiesSize);
  if (expiryS >= 0) next = writeU32Property(target, next, SESSION_EXPIRY, expiryS);
  return writeTextProperty(target, next, REASON_STRING, reasonString);
}

/** AUTH (v5). The method must be in every one of them (MQTT 5 §3.15.2.2.2). */
export function writeAuth(
  target: Uint8Array,
  offset: number,
  reasonCode: number,
  method: string,
  data?: Uint8Array,
  reasonString?: string,
): number {
  const propertiesSize =
    textPropertySize(method) + binaryPropertySize(data) + textPropertySize(reasonString);
  const remaining = 1 + propertiesFieldSize(5, propertiesSize);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, AUTH, 0, remaining);
  target[next] = reasonCode;
  next = writeRemainingLength(target, next + 1, propertiesSize);
  next = writeTextProperty(target, next, AUTH_METHOD, method);
  next = writeBinaryProperty(target, next, AUTH_DATA, data);
  return writeTextProperty(target, next, REASON_STRING, reasonString);
}
