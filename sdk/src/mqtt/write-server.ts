// MQTT control packets that only a server sends: CONNACK, SUBACK, UNSUBACK
// (MQTT 3.1.1 §3.2, §3.9, §3.11; MQTT 5 the same). Contract as in write.ts.

import { assert } from '../assert.ts';
import type { ProtocolVersion, ServerLimits } from './packet.ts';
import { CONNACK, SUBACK, UNSUBACK } from './packet.ts';
import {
  ASSIGNED_CLIENT_ID,
  MAXIMUM_PACKET_SIZE,
  MAXIMUM_QOS,
  RECEIVE_MAXIMUM,
  RETAIN_AVAILABLE,
  SERVER_KEEP_ALIVE,
  SESSION_EXPIRY,
  SHARED_AVAILABLE,
  SUBSCRIPTION_ID_AVAILABLE,
  TOPIC_ALIAS_MAXIMUM,
  WILDCARD_AVAILABLE,
} from './properties.ts';
import { writeRemainingLength } from './remaining-length.ts';
import { packetSize, propertiesFieldSize, writeFixedHeader, writePacketId } from './write.ts';
import {
  BYTE_PROPERTY_SIZE,
  textPropertySize,
  U16_PROPERTY_SIZE,
  U32_PROPERTY_SIZE,
  writeByteProperty,
  writeTextProperty,
  writeU16Property,
  writeU32Property,
} from './write-properties.ts';

function limitsSize(limits: ServerLimits): number {
  return (
    (limits.sessionExpiryS === undefined ? 0 : U32_PROPERTY_SIZE) +
    textPropertySize(limits.assignedClientId) +
    (limits.serverKeepAliveS === undefined ? 0 : U16_PROPERTY_SIZE) +
    (limits.receiveMaximum === undefined ? 0 : U16_PROPERTY_SIZE) +
    (limits.topicAliasMaximum === undefined ? 0 : U16_PROPERTY_SIZE) +
    maximumQosSize(limits) +
    flagSize(limits.retainAvailable) +
    (limits.maximumPacketSize === undefined ? 0 : U32_PROPERTY_SIZE) +
    flagSize(limits.wildcardAvailable) +
    flagSize(limits.subscriptionIdAvailable) +
    flagSize(limits.sharedAvailable)
  );
}

/** The property can say 0 or 1 only; its absence says 2 (MQTT 5 §3.2.2.3.4). */
function maximumQosSize(limits: ServerLimits): number {
  return limits.maximumQos === undefined || limits.maximumQos === 2 ? 0 : BYTE_PROPERTY_SIZE;
}

function flagSize(flag: boolean | undefined): number {
  return flag === undefined ? 0 : BYTE_PROPERTY_SIZE;
}

function writeFlag(
  target: Uint8Array,
  offset: number,
  id: number,
  flag: boolean | undefined,
): number {
  return flag === undefined ? offset : writeByteProperty(target, offset, id, flag ? 1 : 0);
}

function writeU16Limit(
  target: Uint8Array,
  offset: number,
  id: number,
  value: number | undefined,
): number {
  return value === undefined ? offset : writeU16Property(target, offset, id, value);
}

function writeU32Limit(
  target: Uint8Array,
  offset: number,
  id: number,
  value: number | undefined,
): number {
  return value === undefined ? offset : writeU32Property(target, offset, id, value);
}

function writeLimits(target: Uint8Array, offset: number, limits: ServerLimits): number {
  let next = writeU32Limit(target, offset, SESSION_EXPIRY, limits.sessionExpiryS);
  next = writeTextProperty(target, next, ASSIGNED_CLIENT_ID, limits.assignedClientId);
  next = writeU16Limit(target, next, SERVER_KEEP_ALIVE, limits.serverKeepAliveS);
  next = writeU16Limit(target, next, RECEIVE_MAXIMUM, limits.receiveMaximum);
  next = writeU16Limit(target, next, TOPIC_ALIAS_MAXIMUM, limits.topicAliasMaximum);
  if (maximumQosSize(limits) > 0) {
    next = writeByteProperty(target, next, MAXIMUM_QOS, limits.maximumQos as number);
  }
  next = writeFlag(target, next, RETAIN_AVAILABLE, limits.retainAvailable);
  next = writeU32Limit(target, next, MAXIMUM_PACKET_SIZE, limits.maximumPacketSize);
  next = writeFlag(target, next, WILDCARD_AVAILABLE, limits.wildcardAvailable);
  next = writeFlag(target, next, SUBSCRIPTION_ID_AVAILABLE, limits.subscriptionIdAvailable);
  return writeFlag(target, next, SHARED_AVAILABLE, limits.sharedAvailable);
}

/**
 * CONNACK. `reasonCode` is a return code on 3.1.1, which has no limits. Session Present goes
 * out with success only (MQTT-3.2.2-6; MQTT-3.2.2-4 in 3.1.1).
 */
export function writeConnack(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  sessionPresent: boolean,
  reasonCode: number,
  limits: ServerLimits,
): number {
  const propertiesSize = version === 5 ? limitsSize(limits) : 0;
  const remaining = 2 + propertiesFieldSize(version, propertiesSize);
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  const next = writeFixedHeader(target, offset, CONNACK, 0, remaining);
  target[next] = sessionPresent && reasonCode === 0 ? 1 : 0;
  target[next + 1] = reasonCode;
  if (version === 4) return end;
  return writeLimits(target, writeRemainingLength(target, next + 2, propertiesSize), limits);
}

function writeCodes(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  type: number,
  packetId: number,
  codes: ArrayLike<number>,
  count: number,
): number {
  const remaining = 2 + propertiesFieldSize(version, 0) + count;
  const end = offset + packetSize(remaining);
  if (end > target.length) return end;

  let next = writeFixedHeader(target, offset, type, 0, remaining);
  next = writePacketId(target, next, packetId);
  if (version === 5) next = writeRemainingLength(target, next, 0);
  for (let index = 0; index < count; index += 1) target[next + index] = codes[index];
  return end;
}

/** SUBACK with one code per filter, in order (MQTT-3.9.3-1). 3.1.1 knows 0, 1, 2 and 0x80. */
export function writeSuback(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  packetId: number,
  codes: ArrayLike<number>,
): number {
  assert(codes.length > 0, 'SUBACK without a code');
  return writeCodes(target, offset, version, SUBACK, packetId, codes, codes.length);
}

/** UNSUBACK with one code per filter, in order (MQTT-3.11.3-1); 3.1.1 has no codes. */
export function writeUnsuback(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  packetId: number,
  codes: ArrayLike<number>,
): number {
  const count = version === 5 ? codes.length : 0;
  return writeCodes(target, offset, version, UNSUBACK, packetId, codes, count);
}
