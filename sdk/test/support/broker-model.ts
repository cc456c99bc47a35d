// A broker for tests: MQTT 3.1.1 and 5 by the text of the standards, in virtual time, with
// mqtt-packet as its codec, so that nothing of ours judges itself. It can do to a client
// whatever a broker may do, and some things that it may not.

import type { Qos } from '../../src/mqtt/packet.ts';
import { BrokerConnection } from './broker-connection.ts';
import { type BrokerMessage, BrokerSession } from './broker-session.ts';
import type { ServerSocket } from './virtual-link.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** What CONNACK of MQTT 5 announces (§3.2.2.3), and the broker then insists on. */
export interface BrokerLimits {
  receiveMaximum: number;
  maximumQos: Qos;
  retainAvailable: boolean;
  /** Bytes; 0 = no limit. */
  maximumPacketSize: number;
  topicAliasMaximum: number;
  /** Seconds; -1 = the client's. */
  serverKeepAliveS: number;
  wildcardAvailable: boolean;
  sharedAvailable: boolean;
}

/** How it meets a CONNECT of a version that it does not speak. */
export type VersionRefusal = 'return-code-1' | 'reason-0x84' | 'reason-0x84-short' | 'close';

/** A message that the broker took from a client, to pass it on. */
export interface Taken extends BrokerMessage {
  readonly clientId: string;
  readonly sessionNumber: number;
  readonly atMs: number;
}

export class BrokerModel {
  readonly world: VirtualWorld;
  readonly limits: BrokerLimits = {
    receiveMaximum: 65535,
    maximumQos: 2,
    retainAvailable: true,
    maximumPacketSize: 0,
    topicAliasMaximum: 0,
    serverKeepAliveS: -1,
    wildcardAvailable: true,
    sharedAvailable: true,
  };
  speaks5 = true;
  speaks4 = true;
  versionRefusal: VersionRefusal = 'return-code-1';
  /** Code of CONNACK; not 0 = refused. */
  connackCode = 0;
  connackDelayMs = 0;
  /** True: reads on and answers nothing. */
  silent = false;
  /** How long acknowledgements take, and whether they keep the order of what they answer. */
  ackDelayMs: () => number = () => 0;
  acksInOrder = true;
  /** When a QoS 2 message is passed on (MQTT 5 §4.3.3: either is right). */
  passOnAt: 'publish' | 'pubrel' = 'publish';
  reasonOf: (topic: string, payload: Uint8Array) => number = () => 0;
  grant: (filter: string, qos: Qos) => number = (_, qos) => qos;
  /** QoS 1 and 2 messages to a client at once, besides its Receive Maximum. */
  sendMax = 20;
  /** True: sends packets larger than the client's Maximum Packet Size, which 5 forbids. */
  ignoresPacketSize = false;
  /** True swallows a packet that it would send. */
  loses: (cmd: string) => boolean = () => false;
  /** Sees every packet that comes, before it is handled; false swallows it. */
  filter: (connection: BrokerConnection, packet: { cmd: string }) => boolean = () => true;

  readonly taken: Taken[] = [];
  /** QoS 2 messages that it owned and forgot with a session. */
  readonly forgotten: BrokerMessage[] = [];
  readonly retained = new Map<string, BrokerMessage>();
  readonly sessions = new Map<string, BrokerSession>();
  /** Open connections, and all that ever were. */
  readonly connections: BrokerConnection[] = [];
  readonly history: BrokerConnection[] = [];
  /** Violations of MQTT by clients. */
  readonly violations: string[] = [];
  /** CONNECTs so far, by version. */
  connectCount = { 4: 0, 5: 0 };
  willCount = 0;
  private sessionCount = 0;

  constructor(world: VirtualWorld) {
    this.world = world;
  }

  accept(socket: ServerSocket): void {
    const connection = new BrokerConnection(this, socket);
    this.connections.push(connection);
    this.history.push(connection);
  }

  /** The session of a CONNECT, and whether it was there before (MQTT-3.1.2-4 … -6). */
  openSession(clientId: string, clean: boolean): { session: BrokerSession; present: boolean } {
    const old = this.sessions.get(clientId);
    old?.connection?.takeOver();
    const present = !clean && this.sessions.get(clientId) !== undefined;
    if (clean) this.forget(clientId);
    let session = this.sessions.get(clientId);
    if (session === undefined) {
      this.sessionCount += 1;
      session = new BrokerSession(clientId, this.sessionCount);
      this.sessions.set(clientId, session);
    }
    return { session, present };
  }

  /** A connection is over: its session stays for its expiry. */
  leaveSession(session: BrokerSession): void {
    session.connection = undefined;
    if (session.expiryS === 0) this.forgetIf(session);
    else if (session.expiryS < Number.POSITIVE_INFINITY) {
      const leftMs = this.world.nowMs;
      this.world.after(session.expiryS * 1000, () => {
        if (session.connection === undefined && session.leftMs === leftMs) this.forgetIf(session);
      });
      session.leftMs = leftMs;
    }
  }

  /** Forgets the session of a client, and ends its connection, as after an administrator's hand. */
  forget(clientId: string): void {
    const session = this.sessions.get(clientId);
    if (session === undefined) return;
    session.connection?.crash();
    for (const message of session.incoming.values()) {
      if (message !== undefined) this.forgotten.push(message);
    }
    this.sessions.delete(clientId);
    session.publishWill();
  }

  private forgetIf(session: BrokerSession): void {
    if (this.sessions.get(session.clientId) === session) this.forget(session.clientId);
  }

  /** Ends all connections as a crash does; `keeps` = sessions and retained messages survive. */
  restart(keeps: boolean): void {
    for (const connection of [...this.connections]) connection.crash();
    if (keeps) return;
    for (const clientId of [...this.sessions.keys()]) this.forget(clientId);
    this.retained.clear();
  }

  /** A message from `clientId` ('' = from elsewhere) goes to all who subscribed. */
  publish(message: BrokerMessage, clientId = '', sessionNumber = 0): void {
    if (clientId !== '') {
      this.taken.push({ ...message, clientId, sessionNumber, atMs: this.world.nowMs });
    }
    if (message.retain) {
      if (message.payload.length === 0) this.retained.delete(message.topic);
      else this.retained.set(message.topic, message);
    }
    const passedOn = { ...message, retain: false };
    for (const session of this.sessions.values()) {
      const qos = session.qosFor(message.topic);
      if (qos >= 0) session.enqueue(passedOn, qos as Qos);
    }
  }

  /** Messages taken on a topic, as text. */
  texts(topic: string): string[] {
    return this.taken
      .filter((one) => one.topic === topic)
      .map((one) => Buffer.from(one.payload).toString());
  }

  /** The last connection that was made, open or not. */
  get connection(): BrokerConnection {
    const last = this.history[this.history.length - 1];
    if (last === undefined) throw new Error('broker: no connection');
    return last;
  }

  violate(words: string): void {
    this.violations.push(`${this.world.nowMs} ms: ${words}`);
  }
}
