// One connection of the broker model: packets in, packets out, and a note of every violation.

import { generate, type Packet as OraclePacket, type Parser, parser } from 'mqtt-packet';
import type { ProtocolVersion, Qos } from '../../src/mqtt/packet.ts';
import type { BrokerModel } from './broker-model.ts';
import type { BrokerMessage, BrokerSession } from './broker-session.ts';
import { FrameSplitter } from './frames.ts';
import type { ServerSocket } from './virtual-link.ts';
import type { WorldEvent } from './virtual-world.ts';

/** A packet as mqtt-packet reads it, loosely. */
export interface AnyPacket {
  cmd: string;
  messageId?: number;
  qos?: Qos;
  dup?: boolean;
  retain?: boolean;
  topic?: string;
  payload?: Uint8Array;
  reasonCode?: number;
  protocolVersion?: number;
  clean?: boolean;
  clientId?: string;
  keepalive?: number;
  will?: {
    topic: string;
    payload: Uint8Array;
    qos: Qos;
    retain: boolean;
    properties?: { willDelayInterval?: number };
  };
  username?: string;
  password?: Uint8Array;
  subscriptions?: { topic: string; qos: Qos }[];
  unsubscriptions?: string[];
  properties?: {
    sessionExpiryInterval?: number;
    receiveMaximum?: number;
    maximumPacketSize?: number;
    topicAlias?: number;
    topicAliasMaximum?: number;
    correlationData?: Uint8Array;
  };
}

type AckKind = 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';

const PROTOCOL_ERROR = 0x82;
const KEEP_ALIVE_TIMEOUT = 0x8d;
const TAKEN_OVER = 0x8e;
const NOT_FOUND = 0x92;

export class BrokerConnection {
  readonly broker: BrokerModel;
  version: ProtocolVersion = 5;
  session: BrokerSession | undefined = undefined;
  connect: AnyPacket | undefined = undefined;
  open = true;
  /** Packets that came, for tests to look at. */
  readonly packets: AnyPacket[] = [];
  /** QoS 1 and 2 messages to the client at once. */
  sendMax = 65535;
  private readonly socket: ServerSocket;
  private readonly splitter = new FrameSplitter();
  private readonly parser: Parser = parser();
  private readonly aliases = new Map<number, string>();
  /** QoS 1 and 2 messages of the client that await PUBACK or PUBCOMP: its quota. */
  private readonly owed = new Set<number>();
  private will: AnyPacket['will'] = undefined;
  private ackAtMs = 0;
  private answersWaiting = 0;
  private keepAliveEvent: WorldEvent | undefined = undefined;

  constructor(broker: BrokerModel, socket: ServerSocket) {
    this.broker = broker;
    this.socket = socket;
    this.parser.on('packet', (packet) => this.onPacket(packet as unknown as AnyPacket));
    this.parser.on('error', (error: Error) => this.violated(`malformed: ${error.message}`));
    socket.onBytes = (bytes) => this.onBytes(bytes);
    socket.onClose = () => this.over(true);
  }

  /** Writes a packet, or raw bytes. */
  write(packet: Record<string, unknown> | Uint8Array): void {
    if (!this.open || this.broker.loses(String((packet as { cmd?: string }).cmd))) return;
    const bytes =
      packet instanceof Uint8Array
        ? packet
        : generate(packet as unknown as OraclePacket, { protocolVersion: this.version });
    this.socket.write(bytes);
  }

  sendPublish(message: BrokerMessage, qos: Qos, packetId: number, dup: boolean): void {
    if (this.broker.silent) return;
    const bytes = generate(
      {
        cmd: 'publish',
        topic: message.topic,
        payload: Buffer.from(message.payload),
        qos,
        dup,
        retain: message.retain,
        messageId: packetId,
        properties: requestProperties(message),
      },
      { protocolVersion: this.version },
    );
    const sizeMax = this.connect?.properties?.maximumPacketSize ?? 0;
    if (sizeMax > 0 && bytes.length > sizeMax && !this.broker.ignoresPacketSize) {
      // Dropped as if it had been sent (MQTT-3.1.2-25).
      if (qos > 0) this.session?.settle(qos === 1 ? 'puback' : 'pubrec', packetId, 0x95);
      return;
    }
    this.write(bytes);
  }

  sendAck(kind: AckKind, packetId: number, reasonCode: number): void {
    if (this.broker.silent) return;
    this.write({ cmd: kind, messageId: packetId, reasonCode });
  }

  /** Ends the connection from the server's side, with DISCONNECT on 5. */
  disconnect(reasonCode: number): void {
    if (!this.open) return;
    if (this.version === 5 && this.session !== undefined && !this.broker.silent) {
      this.write({ cmd: 'disconnect', reasonCode });
    }
    this.socket.close();
    this.over(true);
  }

  takeOver(): void {
    this.disconnect(TAKEN_OVER);
  }

  /** The broker's process dies; it publishes no will. */
  crash(): void {
    if (!this.open) return;
    this.socket.reset();
    this.over(false);
  }

  private onBytes(bytes: Uint8Array): void {
    for (const frame of this.splitter.push(bytes)) {
      if (!this.open) return;
      const { maximumPacketSize } = this.broker.limits;
      if (this.version === 5 && maximumPacketSize > 0 && this.session !== undefined) {
        if (frame.length > maximumPacketSize) this.violated('Maximum Packet Size exceeded');
      }
      this.parser.parse(Buffer.from(frame));
    }
    if (this.splitter.malformed) this.violated('malformed Remaining Length');
  }

  private violated(words: string): void {
    this.broker.violate(words);
    this.disconnect(PROTOCOL_ERROR);
  }

  private onPacket(packet: AnyPacket): void {
    if (!this.open) return;
    this.packets.push(packet);
    this.watchKeepAlive();
    if (!this.broker.filter(this, packet)) return;
    if (this.session === undefined) {
      if (packet.cmd !== 'connect') this.violated(`${packet.cmd} before CONNECT`);
      else this.onConnect(packet);
      return;
    }
    switch (packet.cmd) {
      case 'publish':
        this.onPublish(packet, this.session);
        return;
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        this.onSettled(packet.cmd, packet, this.session);
        return;
      case 'pubrel':
        this.onRelease(packet, this.session);
        return;
      case 'subscribe':
        this.onSubscribe(packet, this.session);
        return;
      case 'unsubscribe':
        this.onUnsubscribe(packet, this.session);
        return;
      case 'pingreq':
        if (!this.broker.silent) this.write({ cmd: 'pingresp' });
        return;
      case 'disconnect':
        this.onDisconnect(packet, this.session);
        return;
      default:
        this.violated(`unexpected ${packet.cmd}`);
    }
  }

  private onConnect(packet: AnyPacket): void {
    const { broker } = this;
    this.version = packet.protocolVersion as ProtocolVersion;
    this.connect = packet;
    broker.connectCount[this.version] += 1;
    if (broker.silent) return;
    if (this.version === 5 ? !broker.speaks5 : !broker.speaks4) {
      this.refuseVersion();
      return;
    }
    if (broker.connackCode !== 0) {
      const code = broker.connackCode;
      this.write({ cmd: 'connack', sessionPresent: false, reasonCode: code, returnCode: code });
      this.socket.close();
      this.over(false);
      return;
    }
    if (broker.connackDelayMs === 0) this.greet(packet);
    else broker.world.after(broker.connackDelayMs, () => this.open && this.greet(packet));
  }

  private refuseVersion(): void {
    const { versionRefusal } = this.broker;
    if (versionRefusal === 'return-code-1') this.write(Uint8Array.of(0x20, 2, 0, 1));
    else if (versionRefusal === 'reason-0x84') this.write(Uint8Array.of(0x20, 3, 0, 0x84, 0));
    else if (versionRefusal === 'reason-0x84-short') this.write(Uint8Array.of(0x20, 2, 0, 0x84));
    this.socket.close();
    this.over(false);
  }

  private greet(packet: AnyPacket): void {
    const { broker } = this;
    const { limits } = broker;
    const { session, present } = broker.openSession(packet.clientId ?? '', packet.clean === true);
    this.session = session;
    session.connection = this;
    session.will = undefined;
    const five = this.version === 5;
    const expiryS = packet.properties?.sessionExpiryInterval ?? 0;
    session.expiryS = five ? expiryS : packet.clean ? 0 : Number.POSITIVE_INFINITY;
    this.sendMax = Math.min(broker.sendMax, packet.properties?.receiveMaximum ?? 65535);
    this.will = packet.will;
    const properties: Record<string, unknown> = {};
    if (limits.receiveMaximum < 65535) properties.receiveMaximum = limits.receiveMaximum;
    if (limits.maximumQos < 2) properties.maximumQoS = limits.maximumQos;
    if (!limits.retainAvailable) properties.retainAvailable = false;
    if (limits.maximumPacketSize > 0) properties.maximumPacketSize = limits.maximumPacketSize;
    if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum;
    if (!limits.wildcardAvailable) properties.wildcardSubscriptionAvailable = false;
    if (!limits.sharedAvailable) properties.sharedSubscriptionAvailable = false;
    if (limits.serverKeepAliveS >= 0) properties.serverKeepAlive = limits.serverKeepAliveS;
    this.write({
      cmd: 'connack',
      sessionPresent: present,
      ...(five ? { reasonCode: 0, properties } : { returnCode: 0 }),
    });
    this.watchKeepAlive();
    session.resume();
  }

  private onPublish(packet: AnyPacket, session: BrokerSession): void {
    const { broker } = this;
    const { limits } = broker;
    const qos = packet.qos as Qos;
    const packetId = packet.messageId ?? 0;
    const topic = this.resolveTopic(packet);
    if (topic === undefined) return;
    if (this.version === 5 && qos > limits.maximumQos) {
      this.violated('Maximum QoS exceeded');
      return;
    }
    if (this.version === 5 && packet.retain && !limits.retainAvailable) {
      this.violated('RETAIN although not available');
      return;
    }
    const payload = Uint8Array.from(packet.payload as Uint8Array);
    const correlation = packet.properties?.correlationData;
    const message = {
      topic,
      payload,
      qos,
      retain: packet.retain === true,
      ...(correlation === undefined ? {} : { correlation: Uint8Array.from(correlation) }),
    };
    if (qos === 0) {
      broker.publish(message, session.clientId, session.number);
      return;
    }
    this.owed.add(packetId);
    if (this.version === 5 && this.owed.size > limits.receiveMaximum) {
      this.violated('Receive Maximum exceeded');
      return;
    }
    const reason = this.version === 5 ? broker.reasonOf(topic, payload) : 0;
    const known = qos === 2 && session.incoming.has(packetId);
    if (!known && reason < 128) {
      if (qos === 1 || broker.passOnAt === 'publish') {
        broker.publish(message, session.clientId, session.number);
      }
      if (qos === 2) {
        session.incoming.set(packetId, broker.passOnAt === 'pubrel' ? message : undefined);
      }
    }
    this.answer(qos === 1 ? 'puback' : 'pubrec', packetId, known ? 0 : reason);
  }

  /** The topic behind an alias (MQTT 5 §3.3.2.3.4). */
  private resolveTopic(packet: AnyPacket): string | undefined {
    const alias = packet.properties?.topicAlias;
    const topic = packet.topic ?? '';
    if (alias === undefined) {
      if (topic === '') this.violated('PUBLISH without topic');
      return topic === '' ? undefined : topic;
    }
    if (alias === 0 || alias > this.broker.limits.topicAliasMaximum) {
      this.violated(`topic alias ${alias}`);
      return undefined;
    }
    if (topic !== '') this.aliases.set(alias, topic);
    const known = this.aliases.get(alias);
    if (known === undefined) this.violated(`unknown topic alias ${alias}`);
    return known;
  }

  private onRelease(packet: AnyPacket, session: BrokerSession): void {
    const packetId = packet.messageId as number;
    const known = session.incoming.has(packetId);
    const message = session.incoming.get(packetId);
    session.incoming.delete(packetId);
    if (message !== undefined) this.broker.publish(message, session.clientId, session.number);
    this.answer('pubcomp', packetId, known || this.version === 4 ? 0 : NOT_FOUND);
  }

  private onSettled(
    kind: 'puback' | 'pubrec' | 'pubcomp',
    packet: AnyPacket,
    session: BrokerSession,
  ): void {
    session.settle(kind, packet.messageId as number, packet.reasonCode ?? 0);
  }

  private onSubscribe(packet: AnyPacket, session: BrokerSession): void {
    const granted: number[] = [];
    for (const { topic, qos } of packet.subscriptions ?? []) {
      const code = this.broker.grant(topic, qos);
      granted.push(code);
      if (code < 128) session.subscriptions.set(topic, code as Qos);
    }
    if (this.broker.silent) return;
    this.write({ cmd: 'suback', messageId: packet.messageId, granted });
    for (const message of this.broker.retained.values()) {
      const qos = session.qosFor(message.topic);
      if (qos >= 0) session.enqueue(message, qos as Qos);
    }
  }

  private onUnsubscribe(packet: AnyPacket, session: BrokerSession): void {
    const granted: number[] = [];
    for (const filter of packet.unsubscriptions ?? []) {
      granted.push(session.subscriptions.delete(filter) ? 0 : 0x11);
    }
    if (!this.broker.silent) this.write({ cmd: 'unsuback', messageId: packet.messageId, granted });
  }

  private onDisconnect(packet: AnyPacket, session: BrokerSession): void {
    if ((packet.reasonCode ?? 0) !== 4) this.will = undefined;
    const expiryS = packet.properties?.sessionExpiryInterval;
    if (expiryS !== undefined) session.expiryS = expiryS;
    this.socket.close();
    this.over(true);
  }

  /** Answers after the broker's delay, unless the connection is over by then. */
  private answer(kind: AckKind, packetId: number, reasonCode: number): void {
    const { broker } = this;
    const { nowMs } = broker.world;
    let atMs = nowMs + broker.ackDelayMs();
    if (broker.acksInOrder) atMs = Math.max(atMs, this.ackAtMs);
    this.ackAtMs = Math.max(atMs, this.ackAtMs);
    const send = () => {
      this.answersWaiting -= 1;
      if (!this.open) return;
      if (kind !== 'pubrec' || reasonCode >= 128) this.owed.delete(packetId);
      this.sendAck(kind, packetId, reasonCode);
    };
    this.answersWaiting += 1;
    // One that is due now may not overtake another that is due now too.
    if (atMs === nowMs && this.answersWaiting === 1) send();
    else broker.world.after(atMs - nowMs, send);
  }

  /** Closes after one and a half times the keep-alive (MQTT-3.1.2-22; -24 in 3.1.1). */
  private watchKeepAlive(): void {
    if (this.keepAliveEvent !== undefined) this.keepAliveEvent.cancelled = true;
    const { serverKeepAliveS } = this.broker.limits;
    const own = this.connect?.keepalive ?? 0;
    const keepAliveS = this.version === 5 && serverKeepAliveS >= 0 ? serverKeepAliveS : own;
    if (this.session === undefined || keepAliveS === 0) return;
    this.keepAliveEvent = this.broker.world.after(keepAliveS * 1500, () => {
      if (this.open) this.disconnect(KEEP_ALIVE_TIMEOUT);
    });
  }

  private over(publishesWill: boolean): void {
    if (!this.open) return;
    this.open = false;
    const { broker, session, will } = this;
    if (this.keepAliveEvent !== undefined) this.keepAliveEvent.cancelled = true;
    broker.connections.splice(broker.connections.indexOf(this), 1);
    if (session === undefined || session.connection !== this) return;
    broker.leaveSession(session);
    if (will === undefined || !publishesWill) return;
    const publish = () => {
      broker.willCount += 1;
      broker.publish({ ...will, payload: Uint8Array.from(will.payload) });
    };
    const delayS = Math.min(will.properties?.willDelayInterval ?? 0, session.expiryS);
    if (delayS === 0) {
      publish();
      return;
    }
    // A new connection in the meantime stops it (MQTT-3.1.3-9), the end of the session does not.
    session.will = publish;
    broker.world.after(delayS * 1000, () => {
      if (session.will === publish) session.publishWill();
    });
  }
}

function requestProperties({ correlation, responseTopic }: BrokerMessage) {
  return {
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlation === undefined ? {} : { correlationData: Buffer.from(correlation) }),
  };
}
