// MQTT 5 properties of a received packet (MQTT 5 §2.2.2), checked and stored in its Packet.

import type { ConnectDetails, Packet } from './packet.ts';
import { PUBLISH } from './packet.ts';
import {
  ASSIGNED_CLIENT_ID,
  AUTH_DATA,
  AUTH_METHOD,
  CONTENT_TYPE,
  CORRELATION,
  MAXIMUM_PACKET_SIZE,
  MAXIMUM_QOS,
  MESSAGE_EXPIRY,
  PAYLOAD_FORMAT,
  propertyRule,
  REASON_STRING,
  RECEIVE_MAXIMUM,
  REQUEST_PROBLEM_INFORMATION,
  REQUEST_RESPONSE_INFORMATION,
  RESPONSE_INFORMATION,
  RESPONSE_TOPIC,
  RETAIN_AVAILABLE,
  SERVER_KEEP_ALIVE,
  SERVER_REFERENCE,
  SESSION_EXPIRY,
  SHARED_AVAILABLE,
  SUBSCRIPTION_ID,
  SUBSCRIPTION_ID_AVAILABLE,
  TOPIC_ALIAS,
  TOPIC_ALIAS_MAXIMUM,
  TYPE_BINARY,
  TYPE_BOOLEAN,
  TYPE_LENGTH,
  TYPE_MASK,
  TYPE_PAIR,
  TYPE_TEXT,
  TYPE_U16,
  TYPE_U32,
  USER_PROPERTY,
  WILDCARD_AVAILABLE,
  WILL,
  WILL_DELAY,
} from './properties.ts';
import { readBinary, readText, readTopicName, readU16, readU32 } from './read-fields.ts';
import { MALFORMED_PACKET, PROTOCOL_ERROR } from './reason-codes.ts';
import { readRemainingLength, remainingLengthSize } from './remaining-length.ts';

/** Offset after a value of `type` that is only stepped over, or a negative reason code. */
function valueEnd(source: Uint8Array, offset: number, end: number, type: number): number {
  let next = end + 1;
  if (type === TYPE_BOOLEAN) next = offset + 1;
  else if (type === TYPE_U16) next = offset + 2;
  else if (type === TYPE_U32) next = offset + 4;
  else if (type === TYPE_LENGTH) {
    const value = readRemainingLength(source, offset, end);
    if (value >= 0) next = offset + remainingLengthSize(value);
  } else if (type === TYPE_BINARY) return readBinary(source, offset, end);
  else if (type === TYPE_TEXT) return readText(source, offset, end);
  else if (type === TYPE_PAIR) {
    const nameEnd = readText(source, offset, end);
    return nameEnd < 0 ? nameEnd : readText(source, nameEnd, end);
  }
  return next > end ? -MALFORMED_PACKET : next;
}

/** Returns 0 or a reason code: other values than 0 and 1 are protocol errors throughout. */
function storeBoolean(packet: Packet, id: number, value: number): number {
  if (value > 1) return PROTOCOL_ERROR;
  const flag = value === 1;
  if (id === PAYLOAD_FORMAT) packet.payloadIsUtf8 = flag;
  else if (id === REQUEST_PROBLEM_INFORMATION) detailsOf(packet).requestProblemInformation = flag;
  else if (id === REQUEST_RESPONSE_INFORMATION) detailsOf(packet).requestResponseInformation = flag;
  else if (id === MAXIMUM_QOS) packet.maximumQos = flag ? 1 : 0;
  else if (id === RETAIN_AVAILABLE) packet.retainAvailable = flag;
  else if (id === WILDCARD_AVAILABLE) packet.wildcardAvailable = flag;
  else if (id === SUBSCRIPTION_ID_AVAILABLE) packet.subscriptionIdAvailable = flag;
  else if (id === SHARED_AVAILABLE) packet.sharedAvailable = flag;
  return 0;
}

/** For properties that the rules allow nowhere but in a CONNECT and its will. */
function detailsOf(packet: Packet): ConnectDetails {
  return packet.connect as ConnectDetails;
}

/** Returns 0 or a reason code: 0 is not allowed where it would allow nothing. */
function storeNumber(packet: Packet, id: number, value: number, place: number): number {
  switch (id) {
    case SESSION_EXPIRY:
      packet.sessionExpiryS = value;
      return 0;
    case MESSAGE_EXPIRY:
      if (place === WILL) detailsOf(packet).willMessageExpiryS = value;
      else packet.messageExpiryS = value;
      return 0;
    case WILL_DELAY:
      detailsOf(packet).willDelayS = value;
      return 0;
    case SERVER_KEEP_ALIVE:
      packet.serverKeepAliveS = value;
      return 0;
    case TOPIC_ALIAS_MAXIMUM:
      packet.topicAliasMaximum = value;
      return 0;
    case RECEIVE_MAXIMUM:
      packet.receiveMaximum = value;
      break;
    case MAXIMUM_PACKET_SIZE:
      packet.maximumPacketSize = value;
      break;
    case TOPIC_ALIAS:
      packet.topicAlias = value;
      break;
    case SUBSCRIPTION_ID:
      if (packet.subscriptionId === 0) packet.subscriptionId = value;
      break;
  }
  return value === 0 ? PROTOCOL_ERROR : 0;
}

function storeRange(packet: Packet, id: number, start: number, end: number): void {
  switch (id) {
    case CONTENT_TYPE:
      packet.contentTypeStart = start;
      packet.contentTypeEnd = end;
      break;
    case RESPONSE_TOPIC:
      packet.responseTopicStart = start;
      packet.responseTopicEnd = end;
      break;
    case CORRELATION:
      packet.correlationStart = start;
      packet.correlationEnd = end;
      break;
    case ASSIGNED_CLIENT_ID:
      packet.assignedClientIdStart = start;
      packet.assignedClientIdEnd = end;
      break;
    case AUTH_METHOD:
      packet.authMethodStart = start;
      packet.authMethodEnd = end;
      break;
    case AUTH_DATA:
      packet.authDataStart = start;
      packet.authDataEnd = end;
      break;
    case RESPONSE_INFORMATION:
      packet.responseInformationStart = start;
      packet.responseInformationEnd = end;
      break;
    case SERVER_REFERENCE:
      packet.serverReferenceStart = start;
      packet.serverReferenceEnd = end;
      break;
    case REASON_STRING:
      packet.reasonStringStart = start;
      packet.reasonStringEnd = end;
      break;
  }
}

/** Reads the value at `offset` into the packet; returns the offset after it, or -reason. */
function readValue(
  packet: Packet,
  source: Uint8Array,
  offset: number,
  end: number,
  id: number,
  place: number,
): number {
  const type = propertyRule(id) & TYPE_MASK;
  const next = valueEnd(source, offset, end, type);
  if (next < 0) return next;
  let reason = 0;
  if (type === TYPE_BOOLEAN) reason = storeBoolean(packet, id, source[offset]);
  else if (type === TYPE_U16) reason = storeNumber(packet, id, readU16(source, offset), place);
  else if (type === TYPE_U32) reason = storeNumber(packet, id, readU32(source, offset), place);
  else if (type === TYPE_LENGTH) {
    reason = storeNumber(packet, id, readRemainingLength(source, offset, end), place);
  } else if (type !== TYPE_PAIR) storeRange(packet, id, offset + 2, next);
  if (id === RESPONSE_TOPIC) {
    // A topic name: no wildcards (MQTT-3.3.2-14), at least one character (MQTT-4.7.3-1).
    if (next === offset + 2) reason = PROTOCOL_ERROR;
    else return readTopicName(source, offset, end);
  }
  return reason === 0 ? next : -reason;
}

/**
 * Reads the Property Length at `offset` and the properties after it into `packet`. `place` is
 * the packet's type, or WILL. Returns the offset after them, or a negative reason code.
 */
export function readProperties(
  packet: Packet,
  source: Uint8Array,
  offset: number,
  end: number,
  place: number,
): number {
  const size = readRemainingLength(source, offset, end);
  if (size < 0) return -MALFORMED_PACKET;
  let at = offset + remainingLengthSize(size);
  const propertiesEnd = at + size;
  if (propertiesEnd > end) return -MALFORMED_PACKET;
  if (place === WILL) {
    const details = detailsOf(packet);
    details.willPropertiesStart = at;
    details.willPropertiesEnd = propertiesEnd;
  } else {
    packet.propertiesStart = at;
    packet.propertiesEnd = propertiesEnd;
  }
  let seenLow = 0;
  let seenHigh = 0;
  while (at < propertiesEnd) {
    const id = source[at];
    // Also says no to an identifier of two bytes: none is assigned.
    if ((propertyRule(id) & (1 << place)) === 0) return -MALFORMED_PACKET;
    if (id !== USER_PROPERTY && !(id === SUBSCRIPTION_ID && place === PUBLISH)) {
      const bit = 1 << (id & 31);
      if (((id < 32 ? seenLow : seenHigh) & bit) !== 0) return -PROTOCOL_ERROR;
      if (id < 32) seenLow |= bit;
      else seenHigh |= bit;
    }
    at = readValue(packet, source, at + 1, propertiesEnd, id, place);
    if (at < 0) return at;
  }
  return at;
}

/** A user property: ranges of the source. One object serves for all. */
export class UserProperty {
  nameStart = -1;
  nameEnd = -1;
  valueStart = -1;
  valueEnd = -1;
}

/**
 * Finds the next user property in source[offset, end), a properties range of a packet that
 * `readPacket` accepted. Returns the offset after it, or -1 when there is none:
 *
 *     let at = nextUserProperty(property, source, packet.propertiesStart, packet.propertiesEnd);
 *     while (at >= 0) {
 *       …
 *       at = nextUserProperty(property, source, at, packet.propertiesEnd);
 *     }
 */
export function nextUserProperty(
  property: UserProperty,
  source: Uint8Array,
  offset: number,
  end: number,
): number {
  let at = offset;
  // The absent range starts at -1 and ends there.
  while (at >= 0 && at < end) {
    const id = source[at];
    const next = valueEnd(source, at + 1, end, propertyRule(id) & TYPE_MASK);
    if (next >= 0 && id === USER_PROPERTY) {
      property.nameStart = at + 3;
      property.nameEnd = property.nameStart + readU16(source, at + 1);
      property.valueStart = property.nameEnd + 2;
      property.valueEnd = next;
      return next;
    }
    at = next;
  }
  return -1;
}
