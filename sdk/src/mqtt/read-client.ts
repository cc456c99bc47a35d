// Received packets that only a client sends: CONNECT, SUBSCRIBE, UNSUBSCRIBE
// (MQTT 3.1.1 §3.1, §3.8, §3.10; MQTT 5 the same). Each reader gets the bytes after the fixed
// header and returns 0 or the reason code to close with.

import type { Packet, ProtocolVersion, Qos, RetainHandling } from './packet.ts';
import { CONNECT, ConnectDetails, SUBSCRIBE, UNSUBSCRIBE } from './packet.ts';
import { WILL } from './properties.ts';
import { readBinary, readText, readTopicName, readU16 } from './read-fields.ts';
import { readProperties } from './read-properties.ts';
import { MALFORMED_PACKET, PROTOCOL_ERROR, UNSUPPORTED_PROTOCOL_VERSION } from './reason-codes.ts';

const CLEAN_START = 2;
const WILL_FLAG = 4;
const WILL_RETAIN = 32;
const PASSWORD_FLAG = 64;
const USERNAME_FLAG = 128;

/** True for a name field that says 'MQTT'. */
function isProtocolName(source: Uint8Array, offset: number, end: number): boolean {
  return (
    end - offset === 6 &&
    source[offset + 2] === 0x4d &&
    source[offset + 3] === 0x51 &&
    source[offset + 4] === 0x54 &&
    source[offset + 5] === 0x54
  );
}

function readConnectFlags(packet: Packet, connect: ConnectDetails, flags: number): number {
  const willQos = (flags >> 3) & 3;
  connect.cleanStart = (flags & CLEAN_START) !== 0;
  connect.hasWill = (flags & WILL_FLAG) !== 0;
  connect.willRetain = (flags & WILL_RETAIN) !== 0;
  if ((flags & 1) !== 0) return MALFORMED_PACKET; // MQTT-3.1.2-3.
  if (willQos === 3) return MALFORMED_PACKET; // MQTT-3.1.2-12; MQTT-3.1.2-14 in 3.1.1.
  connect.willQos = willQos as Qos;
  // MQTT-3.1.2-11, -13; MQTT-3.1.2-11 in 3.1.1.
  if (!connect.hasWill && (willQos !== 0 || connect.willRetain)) return MALFORMED_PACKET;
  // Only 3.1.1 forbids a password alone (MQTT-3.1.2-22 there).
  const alone = (flags & PASSWORD_FLAG) !== 0 && (flags & USERNAME_FLAG) === 0;
  return alone && packet.version === 4 ? MALFORMED_PACKET : 0;
}

/** Returns the offset after the will, or a negative reason code. */
function readWill(
  packet: Packet,
  connect: ConnectDetails,
  source: Uint8Array,
  offset: number,
  end: number,
): number {
  let at = offset;
  if (packet.version === 5) {
    at = readProperties(packet, source, at, end, WILL);
    if (at < 0) return at;
  }
  const topicEnd = readTopicName(source, at, end);
  if (topicEnd < 0) return topicEnd;
  if (topicEnd === at + 2) return -PROTOCOL_ERROR; // MQTT-4.7.3-1.
  connect.willTopicStart = at + 2;
  connect.willTopicEnd = topicEnd;
  const payloadEnd = readBinary(source, topicEnd, end);
  if (payloadEnd < 0) return payloadEnd;
  connect.willPayloadStart = topicEnd + 2;
  connect.willPayloadEnd = payloadEnd;
  return payloadEnd;
}

/** The payload, in its one order (MQTT-3.1.3-1). */
function readConnectPayload(
  packet: Packet,
  connect: ConnectDetails,
  source: Uint8Array,
  offset: number,
  end: number,
  flags: number,
): number {
  let at = readText(source, offset, end);
  if (at < 0) return -at;
  connect.clientIdStart = offset + 2;
  connect.clientIdEnd = at;
  if (connect.hasWill) {
    at = readWill(packet, connect, source, at, end);
    if (at < 0) return -at;
  }
  if ((flags & USERNAME_FLAG) !== 0) {
    connect.usernameStart = at + 2;
    at = readText(source, at, end);
    if (at < 0) return -at;
    connect.usernameEnd = at;
  }
  if ((flags & PASSWORD_FLAG) !== 0) {
    connect.passwordStart = at + 2;
    at = readBinary(source, at, end);
    if (at < 0) return -at;
    connect.passwordEnd = at;
  }
  return at === end ? 0 : MALFORMED_PACKET;
}

/**
 * CONNECT. Another protocol name or level is UNSUPPORTED_PROTOCOL_VERSION: the answer to it is a
 * CONNACK with that code (or return code 1), then a close (MQTT-3.1.2-1, -2). An empty client id
 * without Clean Session is left to the server: 3.1.1 answers return code 2 (MQTT-3.1.3-8).
 */
export function readConnect(
  packet: Packet,
  source: Uint8Array,
  offset: number,
  end: number,
): number {
  const nameEnd = readBinary(source, offset, end);
  if (nameEnd < 0 || nameEnd + 1 > end) return MALFORMED_PACKET;
  const level = source[nameEnd];
  if (!isProtocolName(source, offset, nameEnd) || (level !== 4 && level !== 5)) {
    return UNSUPPORTED_PROTOCOL_VERSION;
  }
  packet.version = level;
  if (nameEnd + 4 > end) return MALFORMED_PACKET;
  const flags = source[nameEnd + 1];
  const connect = new ConnectDetails();
  packet.connect = connect;
  const reason = readConnectFlags(packet, connect, flags);
  if (reason !== 0) return reason;
  connect.keepAliveS = readU16(source, nameEnd + 2);
  let at = nameEnd + 4;
  if (level === 5) {
    at = readProperties(packet, source, at, end, CONNECT);
    if (at < 0) return -at;
    // Data says nothing without its method (MQTT 5 §3.1.2.11.10).
    if (packet.authDataStart >= 0 && packet.authMethodStart < 0) return PROTOCOL_ERROR;
  }
  return readConnectPayload(packet, connect, source, at, end, flags);
}

/** True for a filter field that begins with '$share/'. */
function isShared(source: Uint8Array, offset: number, end: number): boolean {
  const prefix = '$share/';
  if (end - offset - 2 < prefix.length) return false;
  for (let index = 0; index < prefix.length; index += 1) {
    if (source[offset + 2 + index] !== prefix.charCodeAt(index)) return false;
  }
  return true;
}

/** Checks Subscription Options; returns 0 or a reason code. */
function optionsReason(options: number, version: ProtocolVersion, shared: boolean): number {
  // 3.1.1 has the QoS only, and no other value than 0-2 (MQTT-3-8.3-4 there).
  if (version === 4) return options > 2 ? MALFORMED_PACKET : 0;
  if (options > 63) return MALFORMED_PACKET; // MQTT-3.8.3-5.
  if ((options & 3) === 3 || options >> 4 === 3) return PROTOCOL_ERROR; // §3.8.3.1.
  return shared && (options & 4) !== 0 ? PROTOCOL_ERROR : 0; // MQTT-3.8.3-4.
}

/**
 * SUBSCRIBE and UNSUBSCRIBE by packet.type. Where wildcards stand in a filter is not checked:
 * see `isTopicFilter`.
 */
export function readFilters(
  packet: Packet,
  source: Uint8Array,
  offset: number,
  end: number,
): number {
  if (offset + 2 > end) return MALFORMED_PACKET;
  packet.packetId = readU16(source, offset);
  if (packet.packetId === 0) return PROTOCOL_ERROR; // MQTT-2.2.1-3; MQTT-2.3.1-1 in 3.1.1.
  let at = offset + 2;
  if (packet.version === 5) {
    at = readProperties(packet, source, at, end, packet.type);
    if (at < 0) return -at;
  }
  packet.payloadStart = at;
  packet.payloadEnd = end;
  // MQTT-3.8.3-2, MQTT-3.10.3-2; MQTT-3.8.3-3, MQTT-3.10.3-2 in 3.1.1.
  if (at === end) return PROTOCOL_ERROR;
  while (at < end) {
    const start = at;
    at = readText(source, start, end);
    if (at < 0) return -at;
    if (at === start + 2) return PROTOCOL_ERROR; // MQTT-4.7.3-1.
    if (packet.type === UNSUBSCRIBE) continue;
    if (at === end) return MALFORMED_PACKET;
    const reason = optionsReason(source[at], packet.version, isShared(source, start, at));
    if (reason !== 0) return reason;
    at += 1;
  }
  return 0;
}

/** One entry of a SUBSCRIBE or UNSUBSCRIBE. One object serves for all. */
export class SubscriptionEntry {
  filterStart = -1;
  filterEnd = -1;
  /** What follows is of a SUBSCRIBE, and all but the QoS of v5. */
  qos: Qos = 0;
  noLocal = false;
  retainAsPublished = false;
  retainHandling: RetainHandling = 0;
}

/**
 * Reads the entry at `offset`, which begins at packet.payloadStart, of a SUBSCRIBE or UNSUBSCRIBE
 * that `readPacket` accepted. Returns the offset of the next entry, or -1 when there is none.
 */
export function nextSubscription(
  entry: SubscriptionEntry,
  packet: Packet,
  source: Uint8Array,
  offset: number,
): number {
  if (offset >= packet.payloadEnd) return -1;
  entry.filterStart = offset + 2;
  entry.filterEnd = entry.filterStart + readU16(source, offset);
  if (packet.type !== SUBSCRIBE) return entry.filterEnd;
  const options = source[entry.filterEnd];
  entry.qos = (options & 3) as Qos;
  entry.noLocal = (options & 4) !== 0;
  entry.retainAsPublished = (options & 8) !== 0;
  entry.retainHandling = ((options >> 4) & 3) as RetainHandling;
  return entry.filterEnd + 1;
}
