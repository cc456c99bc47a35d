// What all clients of a kind have in common: addresses, limits, and the scratch that they share.

import type { ConnectOptions } from '../platform.ts';
import { Packet, type ProtocolVersion } from './packet.ts';
import { TopicTemplate } from './topic-template.ts';

export interface ClientOptions {
  readonly broker: ConnectOptions;
  readonly username?: string;
  readonly password?: Uint8Array;
  /** Topic template, default `devices/{id}/{topic}`. */
  readonly topics?: string;
  /** 4 = MQTT 3.1.1, 5 = MQTT 5, 0 (default) = 5 with a fall-back to 3.1.1. */
  readonly protocol?: ProtocolVersion | 0;
  /** Default 60,000; 0 = off. Sent in whole seconds. */
  readonly keepAliveMs?: number;
  /** Seconds the server keeps the session after a disconnect, default 3,600; 0 = none. */
  readonly sessionExpiryS?: number;
  /** Messages in flight at once, at QoS 1 and 2, default 8. */
  readonly inflightMax?: number;
  /** Incoming QoS 2 messages held at once (our Receive Maximum), default 16. */
  readonly receiveMax?: number;
  /** Largest packet that is taken whole, in bytes, default 2,048. Larger ones are skipped. */
  readonly packetSizeMax?: number;
  /** From the start of a connection to CONNACK, default 10,000. */
  readonly connectMsMax?: number;
  /**
   * How long the oldest message in flight may wait for PUBACK, PUBREC or PUBCOMP before the
   * connection is given up, default 60,000; a quarter more at random.
   */
  readonly ackMsMax?: number;
  /** First and largest window of the full-jitter backoff, default 1,000 and 60,000. */
  readonly retryMsMin?: number;
  readonly retryMsMax?: number;
}

/** Shared by all clients with the same options; one per thread. */
export class ClientProfile {
  readonly broker: ConnectOptions;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly topics: TopicTemplate;
  readonly protocol: ProtocolVersion | 0;
  readonly keepAliveMs: number;
  readonly sessionExpiryS: number;
  readonly inflightMax: number;
  readonly receiveMax: number;
  readonly packetSizeMax: number;
  readonly connectMsMax: number;
  readonly ackMsMax: number;
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  /** The packet being handled; valid until the handler returns. */
  readonly packet = new Packet();

  /** Throws a RangeError that names the option for values that MQTT cannot say. */
  constructor(options: ClientOptions) {
    this.broker = options.broker;
    this.username = options.username;
    this.password = options.password;
    this.topics = new TopicTemplate(options.topics ?? 'devices/{id}/{topic}');
    this.protocol = options.protocol ?? 0;
    this.keepAliveMs = options.keepAliveMs ?? 60000;
    this.sessionExpiryS = options.sessionExpiryS ?? 3600;
    this.inflightMax = options.inflightMax ?? 8;
    this.receiveMax = options.receiveMax ?? 16;
    this.packetSizeMax = options.packetSizeMax ?? 2048;
    this.connectMsMax = options.connectMsMax ?? 10000;
    this.ackMsMax = options.ackMsMax ?? 60000;
    this.retryMsMin = options.retryMsMin ?? 1000;
    this.retryMsMax = options.retryMsMax ?? 60000;
    if (this.username !== undefined && this.username.indexOf('\0') >= 0) {
      throw new RangeError('username: U+0000 is not allowed');
    }
    checkRange('keepAliveMs', this.keepAliveMs, 0, 65535000);
    checkRange('sessionExpiryS', this.sessionExpiryS, 0, 4294967295);
    // Each message in flight takes a packet identifier, and a SUBSCRIBE needs one too.
    checkRange('inflightMax', this.inflightMax, 1, 65534);
    checkRange('receiveMax', this.receiveMax, 1, 65535);
    checkRange('ackMsMax', this.ackMsMax, 1, Number.POSITIVE_INFINITY);
  }
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new RangeError(`${name}: expected ${min}-${max}, got ${value}`);
}
