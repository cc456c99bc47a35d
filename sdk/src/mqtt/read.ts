// Received MQTT control packets: framing, checks, and fields as ranges of the source
// (MQTT 3.1.1 §2-3, MQTT 5 §2-3). Nothing is copied or allocated.
//
// What a packet may not look like is MALFORMED_PACKET, what it may not say is PROTOCOL_ERROR
// (MQTT 5 §1.2, §4.13); on 3.1.1 both mean: close (MQTT-4.8.0-1). Three rules bind senders only,
// and a receiver gains nothing by closing over them:
// - DUP at QoS 0 (MQTT-3.3.1-2): RabbitMQ up to 3.11 passes the publisher's flag on.
// - Session Present beside a refusal (MQTT-3.2.2-6): the reason code says more.
// - Reason codes that the packet's table lacks: from 0x80 on they are failures, whatever they say.
// Nor is the direction checked, nor what depends on the connection's state.

import type { Packet, ProtocolVersion, Qos } from './packet.ts';
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from './packet.ts';
import { readConnect, readFilters } from './read-client.ts';
import { readTopicName, readU16 } from './read-fields.ts';
import { readProperties } from './read-properties.ts';
import { MALFORMED_PACKET, PROTOCOL_ERROR, UNSPECIFIED_ERROR } from './reason-codes.ts';
import { LENGTH_INCOMPLETE, readRemainingLength, remainingLengthSize } from './remaining-length.ts';

export { nextSubscription, SubscriptionEntry } from './read-client.ts';
export { nextUserProperty, UserProperty } from './read-properties.ts';

/**
 * Whole size in bytes of the packet that begins at `start`: it may reach past `end`. 0 when more
 * bytes are needed to know; -1 when the Remaining Length is malformed (a fifth byte, or more
 * bytes than the value needs: MQTT-1.5.5-1), after which a stream cannot be read on.
 */
export function frameSize(source: Uint8Array, start: number, end: number): number {
  const remaining = readRemainingLength(source, start + 1, end);
  if (remaining >= 0) return 1 + remainingLengthSize(remaining) + remaining;
  return remaining === LENGTH_INCOMPLETE ? 0 : -1;
}

function resetProperties(packet: Packet): void {
  packet.sessionExpiryS = -1;
  packet.receiveMaximum = 65535;
  packet.maximumQos = 2;
  packet.retainAvailable = true;
  packet.maximumPacketSize = 0;
  packet.assignedClientIdStart = -1;
  packet.assignedClientIdEnd = -1;
  packet.topicAliasMaximum = 0;
  packet.topicAlias = 0;
  packet.wildcardAvailable = true;
  packet.subscriptionIdAvailable = true;
  packet.sharedAvailable = true;
  packet.serverKeepAliveS = -1;
  packet.messageExpiryS = -1;
  packet.payloadIsUtf8 = false;
  packet.subscriptionId = 0;
  packet.contentTypeStart = -1;
  packet.contentTypeEnd = -1;
  packet.responseTopicStart = -1;
  packet.responseTopicEnd = -1;
  packet.correlationStart = -1;
  packet.correlationEnd = -1;
  packet.reasonStringStart = -1;
  packet.reasonStringEnd = -1;
  packet.responseInformationStart = -1;
  packet.responseInformationEnd = -1;
  packet.serverReferenceStart = -1;
  packet.serverReferenceEnd = -1;
  packet.authMethodStart = -1;
  packet.authMethodEnd = -1;
  packet.authDataStart = -1;
  packet.authDataEnd = -1;
}

/** Back to the state of a new Packet. Most packets touched few fields, so few are reset. */
function reset(packet: Packet, version: ProtocolVersion): void {
  const wasConnect = packet.type === CONNECT;
  packet.connect = undefined;
  if (wasConnect || packet.propertiesEnd > packet.propertiesStart) resetProperties(packet);
  packet.type = 0;
  packet.dup = false;
  packet.qos = 0;
  packet.retain = false;
  packet.packetId = 0;
  packet.reasonCode = 0;
  packet.sessionPresent = false;
  packet.topicStart = -1;
  packet.topicEnd = -1;
  packet.payloadStart = -1;
  packet.payloadEnd = -1;
  packet.version = version;
  packet.propertiesStart = -1;
  packet.propertiesEnd = -1;
}

function readPublish(
  packet: Packet,
  source: Uint8Array,
  offset: number,
  end: number,
  flags: number,
): number {
  const qos = (flags >> 1) & 3;
  if (qos === 3) return MALFORMED_PACKET; // MQTT-3.3.1-4.
  packet.dup = (flags & 8) !== 0;
  packet.qos = qos as Qos;
  packet.retain = (flags & 1) !== 0;
  let at = readTopicName(source, offset, end);
  if (at < 0) return -at;
  packet.topicStart = offset + 2;
  packet.topicEnd = at;
  if (qos > 0) {
    if (at + 2 > end) return MALFORMED_PACKET;
    packet.packetId = readU16(source, at);
    if (packet.packetId === 0) return PROTOCOL_ERROR; // MQTT-2.2.1-4; MQTT-2.3.1-1 in 3.1.1.
    at += 2;
  }
  if (packet.version === 5) {
    at = readProperties(packet, source, at, end, PUBLISH);
    if (at < 0) return -at;
  }
  // No topic and no alias for it (MQTT 5 §3.3.2.1; MQTT-4.7.3-1 in 3.1.1).
  if (packet.topicEnd === packet.topicStart && packet.topicAlias === 0) return PROTOCOL_ERROR;
  packet.payloadStart = at;
  packet.payloadEnd = end;
  return 0;
}

function readConnack(packet: Packet, source: Uint8Array, offset: number, end: number): number {
  let at = offset + 2;
  if (at > end || source[offset] > 1) return MALFORMED_PACKET; // MQTT-3.2.2-1.
  packet.sessionPresent = source[offset] === 1;
  packet.reasonCode = source[offset + 1];
  if (packet.version === 5) {
    if (at === end && packet.reasonCode !== 0) {
      // A server without MQTT 5 refuses in its own form: no properties, mostly return code 1.
      packet.version = 4;
      return 0;
    }
    at = readProperties(packet, source, at, end, CONNACK);
    if (at < 0) return -at;
  }
  return at === end ? 0 : MALFORMED_PACKET;
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP. On v5 the end may come before what would be 0. */
function readAck(packet: Packet, source: Uint8Array, offset: number, end: number): number {
  let at = offset + 2;
  if (at > end) return MALFORMED_PACKET;
  packet.packetId = readU16(source, offset);
  if (packet.packetId === 0) return PROTOCOL_ERROR; // MQTT-2.2.1-5: that of a PUBLISH.
  if (packet.version === 5 && at < end) {
    packet.reasonCode = source[at];
    at += 1;
    if (at < end) at = readProperties(packet, source, at, end, packet.type);
    if (at < 0) return -at;
  }
  return at === end ? 0 : MALFORMED_PACKET;
}

/** SUBACK and UNSUBACK; on 3.1.1 an UNSUBACK has no codes. */
function readCodes(packet: Packet, source: Uint8Array, offset: number, end: number): number {
  let at = offset + 2;
  if (at > end) return MALFORMED_PACKET;
  packet.packetId = readU16(source, offset);
  if (packet.packetId === 0) return PROTOCOL_ERROR; // MQTT-2.2.1-6; MQTT-2.3.1-7 in 3.1.1.
  if (packet.version === 5) {
    at = readProperties(packet, source, at, end, packet.type);
    if (at < 0) return -at;
  } else if (packet.type === UNSUBACK) {
    return at === end ? 0 : MALFORMED_PACKET;
  }
  if (at === end) return MALFORMED_PACKET;
  packet.payloadStart = at;
  packet.payloadEnd = end;
  if (packet.version === 5) return 0;
  for (; at < end; at += 1) {
    // MQTT-3.9.3-2 in 3.1.1: the other codes are reserved.
    if (source[at] > 2 && source[at] !== UNSPECIFIED_ERROR) return MALFORMED_PACKET;
  }
  return 0;
}

function readDisconnect(packet: Packet, source: Uint8Array, offset: number, end: number): number {
  let at = offset;
  if (packet.version === 5 && at < end) {
    packet.reasonCode = source[at];
    at += 1;
    if (at < end) at = readProperties(packet, source, at, end, DISCONNECT);
    if (at < 0) return -at;
  }
  return at === end ? 0 : MALFORMED_PACKET;
}

function readAuth(packet: Packet, source: Uint8Array, offset: number, end: number): number {
  if (packet.version !== 5) return MALFORMED_PACKET; // 15 is reserved in 3.1.1 (Table 2.1).
  if (offset === end) return 0; // Success without properties (MQTT 5 §3.15.2.1).
  packet.reasonCode = source[offset];
  const at = readProperties(packet, source, offset + 1, end, AUTH);
  if (at < 0) return -at;
  if (packet.authMethodStart < 0) return PROTOCOL_ERROR; // §3.15.2.2.2.
  return at === end ? 0 : MALFORMED_PACKET;
}

/** True for the first byte of a server: CONNACK, or AUTH, or DISCONNECT (MQTT-3.2.0-1, §4.13). */
export function mayGreet(firstByte: number): boolean {
  return firstByte === CONNACK << 4 || firstByte === AUTH << 4 || firstByte === DISCONNECT << 4;
}

/** The reserved flags of every packet but PUBLISH (MQTT-2.1.3-1; MQTT-2.2.2-2 in 3.1.1). */
function expectedFlags(type: number): number {
  return type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 2 : 0;
}

/**
 * Reads the packet that is source[start, end), no more and no less, into `packet`. `version` is
 * the connection's; a CONNECT says its own, and a CONNACK may turn out to be of 3.1.1 on a v5
 * connection: see packet.version.
 *
 * Returns 0, or the reason code to close with: MALFORMED_PACKET or PROTOCOL_ERROR, or
 * UNSUPPORTED_PROTOCOL_VERSION for a CONNECT of another protocol. Then the fields mean nothing.
 * Never throws, never reads at or past `end`.
 */
export function readPacket(
  packet: Packet,
  source: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): number {
  reset(packet, version);
  const remaining = readRemainingLength(source, start + 1, end);
  if (remaining < 0) return MALFORMED_PACKET;
  const offset = start + 1 + remainingLengthSize(remaining);
  if (offset + remaining !== end) return MALFORMED_PACKET;
  const type = source[start] >> 4;
  const flags = source[start] & 15;
  packet.type = type;
  if (type === PUBLISH) return readPublish(packet, source, offset, end, flags);
  if (flags !== expectedFlags(type)) return MALFORMED_PACKET;
  switch (type) {
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
      return readAck(packet, source, offset, end);
    case CONNACK:
      return readConnack(packet, source, offset, end);
    case SUBACK:
    case UNSUBACK:
      return readCodes(packet, source, offset, end);
    case PINGREQ:
    case PINGRESP:
      return offset === end ? 0 : MALFORMED_PACKET;
    case DISCONNECT:
      return readDisconnect(packet, source, offset, end);
    case CONNECT:
      return readConnect(packet, source, offset, end);
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      return readFilters(packet, source, offset, end);
    case AUTH:
      return readAuth(packet, source, offset, end);
    default:
      return MALFORMED_PACKET; // 0 is forbidden.
  }
}
