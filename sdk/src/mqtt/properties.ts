// MQTT 5 properties: identifiers, data types, and the packets that may carry them
// (MQTT 5 §2.2.2.2, Table 2-4).

import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
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

/** Property identifiers; none takes more than one byte. */
export const PAYLOAD_FORMAT = 0x01;
export const MESSAGE_EXPIRY = 0x02;
export const CONTENT_TYPE = 0x03;
export const RESPONSE_TOPIC = 0x08;
export const CORRELATION = 0x09;
export const SUBSCRIPTION_ID = 0x0b;
export const SESSION_EXPIRY = 0x11;
export const ASSIGNED_CLIENT_ID = 0x12;
export const SERVER_KEEP_ALIVE = 0x13;
export const AUTH_METHOD = 0x15;
export const AUTH_DATA = 0x16;
export const REQUEST_PROBLEM_INFORMATION = 0x17;
export const WILL_DELAY = 0x18;
export const REQUEST_RESPONSE_INFORMATION = 0x19;
export const RESPONSE_INFORMATION = 0x1a;
export const SERVER_REFERENCE = 0x1c;
export const REASON_STRING = 0x1f;
export const RECEIVE_MAXIMUM = 0x21;
export const TOPIC_ALIAS_MAXIMUM = 0x22;
export const TOPIC_ALIAS = 0x23;
export const MAXIMUM_QOS = 0x24;
export const RETAIN_AVAILABLE = 0x25;
export const USER_PROPERTY = 0x26;
export const MAXIMUM_PACKET_SIZE = 0x27;
export const WILDCARD_AVAILABLE = 0x28;
export const SUBSCRIPTION_ID_AVAILABLE = 0x29;
export const SHARED_AVAILABLE = 0x2a;

/** Where a property stands: a packet type, or the will inside a CONNECT. */
export const WILL = 0;

/** Data types, in the upper half of a rule. Every property of one byte is a boolean. */
export const TYPE_BOOLEAN = 1 << 16;
export const TYPE_U16 = 2 << 16;
export const TYPE_U32 = 3 << 16;
export const TYPE_LENGTH = 4 << 16;
export const TYPE_TEXT = 5 << 16;
export const TYPE_BINARY = 6 << 16;
export const TYPE_PAIR = 7 << 16;
export const TYPE_MASK = 7 << 16;

const ON_WILL = 1 << WILL;
const ON_CONNECT = 1 << CONNECT;
const ON_CONNACK = 1 << CONNACK;
const ON_PUBLISH = 1 << PUBLISH;
const ON_SUBSCRIBE = 1 << SUBSCRIBE;
const ON_DISCONNECT = 1 << DISCONNECT;
const ON_AUTH = 1 << AUTH;
/** Packets that answer carry a Reason String, and all packets a User Property. */
const ON_ANSWER =
  ON_CONNACK |
  (1 << PUBACK) |
  (1 << PUBREC) |
  (1 << PUBREL) |
  (1 << PUBCOMP) |
  (1 << SUBACK) |
  (1 << UNSUBACK) |
  ON_DISCONNECT |
  ON_AUTH;
const ON_ALL = ON_ANSWER | ON_WILL | ON_CONNECT | ON_PUBLISH | ON_SUBSCRIBE | (1 << UNSUBSCRIBE);

/** Data type | a bit `1 << place` for every place where it may stand; 0 = no such property. */
export function propertyRule(id: number): number {
  switch (id) {
    case PAYLOAD_FORMAT:
      return TYPE_BOOLEAN | ON_PUBLISH | ON_WILL;
    case MESSAGE_EXPIRY:
      return TYPE_U32 | ON_PUBLISH | ON_WILL;
    case CONTENT_TYPE:
    case RESPONSE_TOPIC:
      return TYPE_TEXT | ON_PUBLISH | ON_WILL;
    case CORRELATION:
      return TYPE_BINARY | ON_PUBLISH | ON_WILL;
    case SUBSCRIPTION_ID:
      return TYPE_LENGTH | ON_PUBLISH | ON_SUBSCRIBE;
    case SESSION_EXPIRY:
      return TYPE_U32 | ON_CONNECT | ON_CONNACK | ON_DISCONNECT;
    case ASSIGNED_CLIENT_ID:
    case RESPONSE_INFORMATION:
      return TYPE_TEXT | ON_CONNACK;
    case SERVER_KEEP_ALIVE:
      return TYPE_U16 | ON_CONNACK;
    case AUTH_METHOD:
      return TYPE_TEXT | ON_CONNECT | ON_CONNACK | ON_AUTH;
    case AUTH_DATA:
      return TYPE_BINARY | ON_CONNECT | ON_CONNACK | ON_AUTH;
    case REQUEST_PROBLEM_INFORMATION:
    case REQUEST_RESPONSE_INFORMATION:
      return TYPE_BOOLEAN | ON_CONNECT;
    case WILL_DELAY:
      return TYPE_U32 | ON_WILL;
    case SERVER_REFERENCE:
      return TYPE_TEXT | ON_CONNACK | ON_DISCONNECT;
    case REASON_STRING:
      return TYPE_TEXT | ON_ANSWER;
    case RECEIVE_MAXIMUM:
    case TOPIC_ALIAS_MAXIMUM:
      return TYPE_U16 | ON_CONNECT | ON_CONNACK;
    case TOPIC_ALIAS:
      return TYPE_U16 | ON_PUBLISH;
    case MAXIMUM_QOS:
    case RETAIN_AVAILABLE:
    case WILDCARD_AVAILABLE:
    case SUBSCRIPTION_ID_AVAILABLE:
    case SHARED_AVAILABLE:
      return TYPE_BOOLEAN | ON_CONNACK;
    case USER_PROPERTY:
      return TYPE_PAIR | ON_ALL;
    case MAXIMUM_PACKET_SIZE:
      return TYPE_U32 | ON_CONNECT | ON_CONNACK;
    default:
      return 0;
  }
}
