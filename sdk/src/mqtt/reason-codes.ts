// Reason codes of MQTT 5 (§2.4) and return codes of MQTT 3.1.1 (§3.2.2.3, §3.9.3).

import type { ProtocolVersion } from './packet.ts';

/** Also "Normal disconnection" of a DISCONNECT and "Granted QoS 0" of a SUBACK. */
export const SUCCESS = 0x00;
export const GRANTED_QOS_1 = 0x01;
export const GRANTED_QOS_2 = 0x02;
export const DISCONNECT_WITH_WILL = 0x04;
export const NO_MATCHING_SUBSCRIBERS = 0x10;
export const NO_SUBSCRIPTION_EXISTED = 0x11;
export const CONTINUE_AUTHENTICATION = 0x18;
export const REAUTHENTICATE = 0x19;
/** Codes from here on say that something failed; also the one failure of a 3.1.1 SUBACK. */
export const UNSPECIFIED_ERROR = 0x80;
export const MALFORMED_PACKET = 0x81;
export const PROTOCOL_ERROR = 0x82;
export const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;
export const UNSUPPORTED_PROTOCOL_VERSION = 0x84;
export const CLIENT_IDENTIFIER_NOT_VALID = 0x85;
export const BAD_USER_NAME_OR_PASSWORD = 0x86;
export const NOT_AUTHORIZED = 0x87;
export const SERVER_UNAVAILABLE = 0x88;
export const SERVER_BUSY = 0x89;
export const BANNED = 0x8a;
export const SERVER_SHUTTING_DOWN = 0x8b;
export const BAD_AUTHENTICATION_METHOD = 0x8c;
export const KEEP_ALIVE_TIMEOUT = 0x8d;
export const SESSION_TAKEN_OVER = 0x8e;
export const TOPIC_FILTER_INVALID = 0x8f;
export const TOPIC_NAME_INVALID = 0x90;
export const PACKET_IDENTIFIER_IN_USE = 0x91;
export const PACKET_IDENTIFIER_NOT_FOUND = 0x92;
export const RECEIVE_MAXIMUM_EXCEEDED = 0x93;
export const TOPIC_ALIAS_INVALID = 0x94;
export const PACKET_TOO_LARGE = 0x95;
export const MESSAGE_RATE_TOO_HIGH = 0x96;
export const QUOTA_EXCEEDED = 0x97;
export const ADMINISTRATIVE_ACTION = 0x98;
export const PAYLOAD_FORMAT_INVALID = 0x99;
export const RETAIN_NOT_SUPPORTED = 0x9a;
export const QOS_NOT_SUPPORTED = 0x9b;
export const USE_ANOTHER_SERVER = 0x9c;
export const SERVER_MOVED = 0x9d;
export const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e;
export const CONNECTION_RATE_EXCEEDED = 0x9f;
export const MAXIMUM_CONNECT_TIME = 0xa0;
export const SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xa1;
export const WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xa2;

/** Return codes of a 3.1.1 CONNACK; 0 is SUCCESS. */
export const RETURN_UNACCEPTABLE_PROTOCOL_VERSION = 1;
export const RETURN_IDENTIFIER_REJECTED = 2;
export const RETURN_SERVER_UNAVAILABLE = 3;
export const RETURN_BAD_USER_NAME_OR_PASSWORD = 4;
export const RETURN_NOT_AUTHORIZED = 5;

/** Names of 0x80-0xA2 in order (MQTT 5 Table 2-6). */
const FAILURE_NAMES: readonly string[] = [
  'Unspecified error',
  'Malformed Packet',
  'Protocol Error',
  'Implementation specific error',
  'Unsupported Protocol Version',
  'Client Identifier not valid',
  'Bad User Name or Password',
  'Not authorized',
  'Server unavailable',
  'Server busy',
  'Banned',
  'Server shutting down',
  'Bad authentication method',
  'Keep Alive timeout',
  'Session taken over',
  'Topic Filter invalid',
  'Topic Name invalid',
  'Packet Identifier in use',
  'Packet Identifier not found',
  'Receive Maximum exceeded',
  'Topic Alias invalid',
  'Packet too large',
  'Message rate too high',
  'Quota exceeded',
  'Administrative action',
  'Payload format invalid',
  'Retain not supported',
  'QoS not supported',
  'Use another server',
  'Server moved',
  'Shared Subscriptions not supported',
  'Connection rate exceeded',
  'Maximum connect time',
  'Subscription Identifiers not supported',
  'Wildcard Subscriptions not supported',
];

/** Names of 0-5 in order (MQTT 3.1.1 Table 3.1). */
const RETURN_NAMES: readonly string[] = [
  'Connection Accepted',
  'Connection Refused, unacceptable protocol version',
  'Connection Refused, identifier rejected',
  'Connection Refused, Server unavailable',
  'Connection Refused, bad user name or password',
  'Connection Refused, not authorized',
];

function lowName(code: number): string | undefined {
  switch (code) {
    case SUCCESS:
      return 'Success';
    case GRANTED_QOS_1:
      return 'Granted QoS 1';
    case GRANTED_QOS_2:
      return 'Granted QoS 2';
    case DISCONNECT_WITH_WILL:
      return 'Disconnect with Will Message';
    case NO_MATCHING_SUBSCRIBERS:
      return 'No matching subscribers';
    case NO_SUBSCRIPTION_EXISTED:
      return 'No subscription existed';
    case CONTINUE_AUTHENTICATION:
      return 'Continue authentication';
    case REAUTHENTICATE:
      return 'Re-authenticate';
    default:
      return undefined;
  }
}

/**
 * The standard's name of a reason code (v5) or of a CONNACK return code and SUBACK failure
 * (3.1.1); 'Reason 0x..' for a code that the standard does not define.
 */
export function reasonName(code: number, version: ProtocolVersion): string {
  let name: string | undefined;
  if (version === 5) {
    name = code < UNSPECIFIED_ERROR ? lowName(code) : FAILURE_NAMES[code - UNSPECIFIED_ERROR];
  } else {
    name = code === UNSPECIFIED_ERROR ? 'Failure' : RETURN_NAMES[code];
  }
  return name === undefined ? `Reason 0x${code.toString(16)}` : name;
}
