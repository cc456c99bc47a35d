// Every rule of the standard that a single packet can break, as bytes.

import type { ProtocolVersion } from '../../src/mqtt/packet.ts';
import {
  MALFORMED_PACKET,
  PROTOCOL_ERROR,
  UNSUPPORTED_PROTOCOL_VERSION,
} from '../../src/mqtt/reason-codes.ts';
import { field, frame, properties } from './samples.ts';

const M = MALFORMED_PACKET;
const P = PROTOCOL_ERROR;
const U = UNSUPPORTED_PROTOCOL_VERSION;

type Part = number | string | readonly number[];

/** No properties, and short fields. */
export const NONE = properties();
export const ID = field('id');
export const T = field('t');
const BAD = field([0xff]);
const SHARE = field('$share/g/t');

/** CONNECT: name, level, flags, keep alive 10 s, and what follows. */
export function connect(level: number, flags: number, ...rest: Part[]): Uint8Array {
  return frame(0x10, field('MQTT'), level, flags, [0, 10], ...rest);
}

/** Packets of v5 with just these properties. */
function connectWith(...parts: Part[]): Uint8Array {
  return connect(5, 2, properties(...parts), ID);
}
function connackWith(...parts: Part[]): Uint8Array {
  return frame(0x20, 0, 0, properties(...parts));
}
function publishWith(...parts: Part[]): Uint8Array {
  return frame(0x30, T, properties(...parts));
}
function subscribeWith(...parts: Part[]): Uint8Array {
  return frame(0x82, [0, 1], properties(...parts), T, 0);
}

export type Violation = readonly [
  rule: string,
  version: ProtocolVersion,
  reason: number,
  packet: Uint8Array,
  laxer?: boolean,
];

/**
 * mqtt-packet lets pass what is marked L: it checks neither UTF-8 nor topics, nor trailing bytes,
 * nor duplicates, ranges and places of properties, nor packet id 0.
 */
const L = true;

// biome-ignore format: a table reads by its rows.
export const VIOLATIONS: readonly Violation[] = [
  // Fixed header.
  ['§2.1.2 type 0 is forbidden', 5, M, frame(0x00)],
  ['§2.2.1 type 15 is reserved in 3.1.1', 4, M, frame(0xf0)],
  ['Remaining Length beyond the packet', 5, M, Uint8Array.of(0xc0, 1)],
  ['Remaining Length short of the packet', 5, M, Uint8Array.of(0xd0, 0, 0), L],

  // CONNECT.
  ['[MQTT-3.1.2-1] name MQIsdp', 4, U, frame(0x10, field('MQIsdp'), 3, 2, [0, 0], ID), L],
  ['[MQTT-3.1.2-1] name mqtt', 5, U, frame(0x10, field('mqtt'), 5, 2, [0, 0], NONE, ID)],
  ['[MQTT-3.1.2-1] name MQTTT', 5, U, frame(0x10, field('MQTTT'), 5, 2, [0, 0], NONE, ID)],
  ['[MQTT-3.1.2-2] level 6', 5, U, connect(6, 2, NONE, ID)],
  ['[MQTT-3.1.2-2] level 6 and no more', 5, U, frame(0x10, field('MQTT'), 6)],
  ['[MQTT-3.1.2-2] level 3', 5, U, connect(3, 2, ID), L],
  ['[MQTT-3.1.2-2] bridge bit in the level', 5, U, connect(0x84, 2, ID), L],
  ['a CONNECT that ends in its name', 5, M, frame(0x10, [0, 4], 'MQT')],
  ['a CONNECT that ends before its level', 5, M, frame(0x10, field('MQTT'))],
  ['a CONNECT that ends in its keep alive', 5, M, frame(0x10, field('MQTT'), 5, 2, 0)],
  ['[MQTT-3.1.2-3] reserved connect flag', 5, M, connect(5, 3, NONE, ID)],
  ['[MQTT-3.1.2-3] reserved connect flag', 4, M, connect(4, 3, ID)],
  ['[MQTT-3.1.2-11] will QoS without a will', 5, M, connect(5, 0x08, NONE, ID)],
  ['[MQTT-3.1.2-13] will QoS without a will', 4, M, connect(4, 0x12, ID)],
  ['[MQTT-3.1.2-12] will QoS 3', 5, M, connect(5, 0x1c, NONE, ID, NONE, T, T), L],
  ['[MQTT-3.1.2-14] will QoS 3', 4, M, connect(4, 0x1c, ID, T, T), L],
  ['[MQTT-3.1.2-13] will retain without a will', 5, M, connect(5, 0x20, NONE, ID)],
  ['[MQTT-3.1.2-15] will retain without a will', 4, M, connect(4, 0x22, ID)],
  ['[MQTT-3.1.2-9] will flag without a will', 4, M, connect(4, 0x06, ID)],
  ['[MQTT-3.1.2-9] will without properties', 5, M, connect(5, 0x06, NONE, ID)],
  ['[MQTT-3.1.2-9] will without payload', 5, M, connect(5, 0x06, NONE, ID, NONE, T)],
  ['[MQTT-3.1.2-16] user name without its flag', 5, M, connect(5, 2, NONE, ID, T), L],
  ['[MQTT-3.1.2-17] user name flag alone', 5, M, connect(5, 0x82, NONE, ID)],
  ['[MQTT-3.1.2-18] password without its flag', 5, M, connect(5, 0x82, NONE, ID, T, T), L],
  ['[MQTT-3.1.2-19] password flag alone', 5, M, connect(5, 0xc2, NONE, ID, T)],
  ['[MQTT-3.1.2-22] password without a user name', 4, M, connect(4, 0x42, ID, T), L],
  ['[MQTT-3.1.3-3] no client id', 5, M, connect(5, 2, NONE)],
  ['[MQTT-3.1.3-4] client id is no UTF-8', 5, M, connect(5, 2, NONE, BAD), L],
  ['[MQTT-3.1.3-11] will topic is no UTF-8', 5, M, connect(5, 6, NONE, ID, NONE, BAD, T), L],
  ['[MQTT-3.1.3-10] will topic is no UTF-8', 4, M, connect(4, 6, ID, BAD, T), L],
  ['[MQTT-3.1.3-12] user name is no UTF-8', 5, M, connect(5, 0x82, NONE, ID, BAD), L],
  ['[MQTT-3.1.3-11] user name is no UTF-8', 4, M, connect(4, 0x82, ID, BAD), L],
  ['[MQTT-4.7.0-1] will topic #', 5, P, connect(5, 6, NONE, ID, NONE, field('#'), T), L],
  ['[MQTT-4.7.1-1] + in the will topic', 4, P, connect(4, 6, ID, field('a/+'), T), L],
  ['[MQTT-4.7.3-1] empty will topic', 5, P, connect(5, 6, NONE, ID, NONE, field(''), T), L],
  ['§3.1.2.11.3 Receive Maximum 0', 5, P, connectWith(0x21, [0, 0]), L],
  ['§3.1.2.11.4 Maximum Packet Size 0', 5, P, connectWith(0x27, [0, 0, 0, 0]), L],
  ['§3.1.2.11.6 Request Response Information 2', 5, P, connectWith(0x19, 2), L],
  ['§3.1.2.11.7 Request Problem Information 2', 5, P, connectWith(0x17, 2), L],
  ['§3.1.2.11.10 Authentication Data alone', 5, P, connectWith(0x16, T), L],
  ['[MQTT-2.2.2-1] no property length', 5, M, frame(0x10, field('MQTT'), 5, 2, [0, 0])],

  // CONNACK.
  ['[MQTT-3.2.2-1] reserved acknowledge flag', 5, M, frame(0x20, 2, 0, NONE)],
  ['§3.2.2.1 reserved acknowledge flag', 4, M, frame(0x20, 2, 0)],
  ['[MQTT-2.2.2-1] success without a property length', 5, M, frame(0x20, 0, 0), L],
  ['§3.2.2.3.3 Receive Maximum 0', 5, P, connackWith(0x21, [0, 0]), L],
  ['§3.2.2.3.4 Maximum QoS 2', 5, P, connackWith(0x24, 2), L],
  ['§3.2.2.3.5 Retain Available 2', 5, P, connackWith(0x25, 2), L],
  ['§3.2.2.3.6 Maximum Packet Size 0', 5, P, connackWith(0x27, [0, 0, 0, 0]), L],
  ['§3.2.2.3.11 Wildcard Subscription Available 2', 5, P, connackWith(0x28, 2), L],
  ['§3.2.2.3.12 Subscription Identifiers Available 2', 5, P, connackWith(0x29, 2), L],
  ['§3.2.2.3.13 Shared Subscription Available 2', 5, P, connackWith(0x2a, 2), L],
  ['a CONNACK of one byte', 4, M, frame(0x20, 0), L],
  ['trailing byte', 5, M, frame(0x20, 0, 0, NONE, 0), L],
  ['trailing byte', 4, M, frame(0x20, 0, 0, 0), L],

  // PUBLISH.
  ['[MQTT-3.3.1-4] QoS 3', 5, M, frame(0x36, T, [0, 1], NONE)],
  ['[MQTT-3.3.1-4] QoS 3', 4, M, frame(0x36, T, [0, 1])],
  ['[MQTT-2.2.1-4] packet id 0', 5, P, frame(0x32, T, [0, 0], NONE), L],
  ['[MQTT-2.3.1-1] packet id 0', 4, P, frame(0x34, T, [0, 0]), L],
  ['[MQTT-2.3.1-1] no packet id', 4, M, frame(0x32, T), L],
  ['[MQTT-3.3.2-1] no topic', 4, M, frame(0x30)],
  ['[MQTT-3.3.2-1] topic length past the end', 4, M, frame(0x30, [0, 2], 't')],
  ['[MQTT-3.3.2-1] topic is no UTF-8', 4, M, frame(0x30, BAD), L],
  ['[MQTT-3.3.2-2] # in the topic', 5, P, frame(0x30, field('a/#'), NONE), L],
  ['[MQTT-3.3.2-2] + in the topic', 5, P, frame(0x30, field('+/a'), NONE), L],
  ['[MQTT-3.3.2-2] # in the topic', 4, P, frame(0x30, field('a#')), L],
  ['[MQTT-3.3.2-2] + in the topic', 4, P, frame(0x30, field('ä+')), L],
  ['§3.3.2.1 no topic and no alias', 5, P, frame(0x30, field(''), NONE), L],
  ['[MQTT-4.7.3-1] empty topic', 4, P, frame(0x30, field('')), L],
  ['[MQTT-3.3.2-8] topic alias 0', 5, P, publishWith(0x23, [0, 0]), L],
  ['[MQTT-3.3.2-13] response topic is no UTF-8', 5, M, publishWith(0x08, BAD), L],
  ['[MQTT-3.3.2-14] wildcard in the response topic', 5, P, publishWith(0x08, field('a/+')), L],
  ['[MQTT-4.7.3-1] empty response topic', 5, P, publishWith(0x08, field('')), L],
  ['[MQTT-3.3.2-19] content type is no UTF-8', 5, M, publishWith(0x03, BAD), L],
  ['§3.3.2.3.2 Payload Format Indicator 2', 5, P, publishWith(0x01, 2), L],
  ['§3.3.2.3.8 Subscription Identifier 0', 5, P, publishWith(0x0b, 0), L],
  ['§3.3.2.3.8 second Subscription Identifier 0', 5, P, publishWith(0x0b, 1, 0x0b, 0), L],
  ['[MQTT-1.5.5-1] Subscription Identifier in two bytes', 5, M, publishWith(0x0b, [0x81, 0]), L],
  ['[MQTT-1.5.7-1] user property name is no UTF-8', 5, M, publishWith(0x26, BAD, T), L],
  ['[MQTT-1.5.7-1] U+0000 in a user property', 5, M, publishWith(0x26, T, field([0])), L],
  ['[MQTT-2.2.2-1] no property length', 5, M, frame(0x30, T), L],
  ['[MQTT-1.5.5-1] property length in two bytes', 5, M, frame(0x30, T, [0x80, 0]), L],
  ['property length past the end', 5, M, frame(0x30, T, 1)],
  ['property length that cuts a property', 5, M, frame(0x30, T, 2, 0x23, [0, 1]), L],

  // PUBACK, PUBREC, PUBREL, PUBCOMP.
  ['[MQTT-2.2.1-5] packet id 0', 5, P, frame(0x40, [0, 0]), L],
  ['[MQTT-2.3.1-6] packet id 0', 4, P, frame(0x62, [0, 0]), L],
  ['half a packet id', 5, M, frame(0x50, 0), L],
  ['trailing byte', 4, M, frame(0x70, [0, 1], 0), L],
  ['trailing byte', 5, M, frame(0x70, [0, 1], 0, NONE, 0), L],

  // SUBSCRIBE, SUBACK.
  ['[MQTT-2.2.1-3] packet id 0', 5, P, frame(0x82, [0, 0], NONE, T, 0), L],
  ['[MQTT-2.3.1-1] packet id 0', 4, P, frame(0x82, [0, 0], T, 0), L],
  ['half a packet id', 4, M, frame(0x82, 0)],
  ['[MQTT-3.8.3-2] no filter', 5, P, frame(0x82, [0, 1], NONE), L],
  ['[MQTT-3.8.3-3] no filter', 4, P, frame(0x82, [0, 1]), L],
  ['[MQTT-3.8.3-1] filter is no UTF-8', 5, M, frame(0x82, [0, 1], NONE, BAD, 0), L],
  ['[MQTT-4.7.3-1] empty filter', 5, P, frame(0x82, [0, 1], NONE, field(''), 0), L],
  ['[MQTT-4.7.3-2] U+0000 in the filter', 4, M, frame(0x82, [0, 1], field([0x61, 0]), 0), L],
  ['filter without options', 5, M, frame(0x82, [0, 1], NONE, T)],
  ['[MQTT-3.8.3-5] reserved option bit 6', 5, M, frame(0x82, [0, 1], NONE, T, 0x40)],
  ['[MQTT-3.8.3-5] reserved option bit 7', 5, M, frame(0x82, [0, 1], NONE, T, 0, T, 0x80)],
  ['[MQTT-3-8.3-4] reserved option bit 2', 4, M, frame(0x82, [0, 1], T, 0x04)],
  ['[MQTT-3-8.3-4] QoS 3', 4, M, frame(0x82, [0, 1], T, 3)],
  ['§3.8.3.1 QoS 3', 5, P, frame(0x82, [0, 1], NONE, T, 3)],
  ['§3.8.3.1 Retain Handling 3', 5, P, frame(0x82, [0, 1], NONE, T, 0x30)],
  ['[MQTT-3.8.3-4] No Local on a share', 5, P, frame(0x82, [0, 1], NONE, SHARE, 4), L],
  ['§3.8.2.1.2 Subscription Identifier 0', 5, P, subscribeWith(0x0b, 0), L],
  ['§3.8.2.1.2 two Subscription Identifiers', 5, P, subscribeWith(0x0b, 1, 0x0b, 2), L],
  ['[MQTT-2.2.1-6] packet id 0', 5, P, frame(0x90, [0, 0], NONE, 0), L],
  ['half a packet id', 5, M, frame(0x90, 0), L],
  ['[MQTT-3.8.4-6] SUBACK without a code', 5, M, frame(0x90, [0, 1], NONE), L],
  ['[MQTT-3.8.4-5] SUBACK without a code', 4, M, frame(0x90, [0, 1]), L],
  ['[MQTT-3.9.3-2] reserved return code 3', 4, M, frame(0x90, [0, 1], 0, 3)],
  ['[MQTT-3.9.3-2] reserved return code 0x87', 4, M, frame(0x90, [0, 1], 0x87)],

  // UNSUBSCRIBE, UNSUBACK.
  ['[MQTT-2.2.1-3] packet id 0', 5, P, frame(0xa2, [0, 0], NONE, T), L],
  ['[MQTT-3.10.3-2] no filter', 5, P, frame(0xa2, [0, 1], NONE), L],
  ['[MQTT-3.10.3-2] no filter', 4, P, frame(0xa2, [0, 1]), L],
  ['[MQTT-3.10.3-1] filter is no UTF-8', 4, M, frame(0xa2, [0, 1], BAD), L],
  ['[MQTT-4.7.3-1] empty filter', 4, P, frame(0xa2, [0, 1], field('')), L],
  ['[MQTT-2.3.1-7] packet id 0', 4, P, frame(0xb0, [0, 0]), L],
  ['§3.11.3 UNSUBACK of 3.1.1 has no payload', 4, M, frame(0xb0, [0, 1], 0)],
  ['[MQTT-3.11.3-2] UNSUBACK without a code', 5, M, frame(0xb0, [0, 1], NONE), L],

  // PINGREQ, PINGRESP, DISCONNECT, AUTH.
  ['§3.12 PINGREQ with a byte', 5, M, frame(0xc0, 0), L],
  ['§3.13 PINGRESP with a byte', 4, M, frame(0xd0, 0), L],
  ['§3.14 DISCONNECT of 3.1.1 with a byte', 4, M, frame(0xe0, 0), L],
  ['trailing byte', 5, M, frame(0xe0, 0, NONE, 0), L],
  ['§3.15.2.1 AUTH without a property length', 5, M, frame(0xf0, 0), L],
  ['§3.15.2.2.2 AUTH without a method', 5, P, frame(0xf0, 0x18, properties(0x16, T)), L],
  ['trailing byte', 5, M, frame(0xf0, 0x18, properties(0x15, T), 0), L],
];
