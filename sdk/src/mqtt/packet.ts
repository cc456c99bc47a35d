// MQTT control packets as data: names and numbers of MQTT 3.1.1 §2-3 and MQTT 5 §2-3.

export type ProtocolVersion = 4 | 5;
export type Qos = 0 | 1 | 2;
export type RetainHandling = 0 | 1 | 2;

export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;
export const AUTH = 15;

/** Largest length four 7-bit groups can hold: 2^28 - 1, so 32-bit operators are exact. */
export const REMAINING_LENGTH_MAX = 268435455;

/** The fixed header is a type byte and one to four length bytes. */
export const FIXED_HEADER_SIZE_MAX = 5;

/** Longest string or binary field in bytes: its length prefix has two. */
export const FIELD_SIZE_MAX = 65535;

/** What a CONNECT says besides the properties that other packets have too. */
export class ConnectDetails {
  cleanStart = false;
  keepAliveS = 0;
  clientIdStart = -1;
  clientIdEnd = -1;
  hasWill = false;
  willQos: Qos = 0;
  willRetain = false;
  willDelayS = 0;
  willMessageExpiryS = -1;
  willTopicStart = -1;
  willTopicEnd = -1;
  willPayloadStart = -1;
  willPayloadEnd = -1;
  usernameStart = -1;
  usernameEnd = -1;
  passwordStart = -1;
  passwordEnd = -1;
  /** All properties of the will, to walk for its user properties. */
  willPropertiesStart = -1;
  willPropertiesEnd = -1;
  requestResponseInformation = false;
  requestProblemInformation = true;
}

/**
 * One incoming packet. Reused for every packet of a thread: byte fields are ranges
 * [start, end) of the source it was read from and are valid only until the handler returns.
 * An absent range is empty with start = -1; an absent property has the default that
 * MQTT 5 gives it.
 */
export class Packet {
  type = 0;
  dup = false;
  qos: Qos = 0;
  retain = false;
  /** 0 where the packet has none. */
  packetId = 0;
  /** Reason code (v5) or return code (3.1.1) of CONNACK, PUBACK … DISCONNECT, AUTH. */
  reasonCode = 0;
  sessionPresent = false;

  /** PUBLISH. */
  topicStart = -1;
  topicEnd = -1;
  /** PUBLISH payload; SUBACK and UNSUBACK codes; SUBSCRIBE and UNSUBSCRIBE entries. */
  payloadStart = -1;
  payloadEnd = -1;

  /** The connection's; a CONNECT says its own, and a CONNACK may turn out to be of 3.1.1. */
  version: ProtocolVersion = 5;
  /** CONNECT: what no other packet has. Devices read none, so they do not carry it. */
  connect: ConnectDetails | undefined = undefined;

  /** All properties of the packet (not those of a will), to walk for user properties. */
  propertiesStart = -1;
  propertiesEnd = -1;
  /** Seconds; -1 = absent. */
  sessionExpiryS = -1;
  receiveMaximum = 65535;
  maximumQos: Qos = 2;
  retainAvailable = true;
  /** Bytes; 0 = no limit was given. */
  maximumPacketSize = 0;
  assignedClientIdStart = -1;
  assignedClientIdEnd = -1;
  topicAliasMaximum = 0;
  /** 0 = absent. */
  topicAlias = 0;
  wildcardAvailable = true;
  subscriptionIdAvailable = true;
  sharedAvailable = true;
  /** Seconds; -1 = the server did not override it. */
  serverKeepAliveS = -1;
  /** Seconds; -1 = never expires. */
  messageExpiryS = -1;
  /** PUBLISH; on CONNECT this, content type, response topic and correlation are the will's. */
  payloadIsUtf8 = false;
  /** First Subscription Identifier; 0 = absent. */
  subscriptionId = 0;
  contentTypeStart = -1;
  contentTypeEnd = -1;
  responseTopicStart = -1;
  responseTopicEnd = -1;
  correlationStart = -1;
  correlationEnd = -1;
  reasonStringStart = -1;
  reasonStringEnd = -1;
  responseInformationStart = -1;
  responseInformationEnd = -1;
  serverReferenceStart = -1;
  serverReferenceEnd = -1;
  authMethodStart = -1;
  authMethodEnd = -1;
  authDataStart = -1;
  authDataEnd = -1;
}

export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  /** Seconds the server waits before it publishes the will (v5 only). */
  readonly delayS: number;
}

/** What a CONNECT says. v5-only members are left out on 3.1.1. */
export interface ConnectFields {
  readonly clientId: string;
  readonly cleanStart: boolean;
  /** 0-65535; 0 = off. */
  readonly keepAliveS: number;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly will?: Will;
  /** Seconds; 0 ends the session with the connection. */
  readonly sessionExpiryS: number;
  /** QoS 1 and 2 messages that we take at once, 1-65535; 65535 is not sent. */
  readonly receiveMaximum: number;
  /** Largest packet that we take, in bytes; 0 = no limit. */
  readonly maximumPacketSize: number;
  /** Topic aliases that we take, 0-65535; absent = none. */
  readonly topicAliasMaximum?: number;
  /** Names and values in turn. */
  readonly userProperties?: readonly string[];
}

/** What a PUBLISH says. v5-only members are left out on 3.1.1. */
export interface PublishFields {
  /** Empty only where a topic alias stands for it. */
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  /** Left out at QoS 0 (MQTT-3.3.1-2). */
  readonly dup: boolean;
  /** 1-65535; not used at QoS 0. */
  readonly packetId: number;
  /** 1-65535; 0 or absent = none. */
  readonly topicAlias?: number;
  /** Seconds; negative or absent = never expires. */
  readonly messageExpiryS?: number;
  readonly payloadIsUtf8?: boolean;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlation?: Uint8Array;
  /** Names and values in turn. */
  readonly userProperties?: readonly string[];
  /** Only a server sends it (MQTT-3.3.4-6); 0 or absent = none. */
  readonly subscriptionId?: number;
}

/** What a CONNACK of v5 announces; all optional, absent = the default of MQTT 5 §3.2.2.3. */
export interface ServerLimits {
  readonly sessionExpiryS?: number;
  readonly receiveMaximum?: number;
  readonly maximumQos?: Qos;
  readonly retainAvailable?: boolean;
  readonly maximumPacketSize?: number;
  readonly assignedClientId?: string;
  readonly topicAliasMaximum?: number;
  readonly serverKeepAliveS?: number;
  readonly wildcardAvailable?: boolean;
  readonly sharedAvailable?: boolean;
  readonly subscriptionIdAvailable?: boolean;
}

export interface Subscription {
  readonly filter: string;
  readonly qos: Qos;
  /** v5: do not send back what this client publishes. */
  readonly noLocal?: boolean;
  /** v5: keep the RETAIN flag of the publisher. */
  readonly retainAsPublished?: boolean;
  /** v5: retained messages 0 = at subscribe, 1 = only if the subscription is new, 2 = never. */
  readonly retainHandling?: RetainHandling;
}
