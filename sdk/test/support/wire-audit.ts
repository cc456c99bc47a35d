// Watches the bytes between a client and its stream and notes every rule of MQTT that the client
// breaks, read by mqtt-packet and judged without a look into the client.

import { type Parser, parser } from 'mqtt-packet';
import type { AnyPacket } from './broker-connection.ts';
import { FrameSplitter } from './frames.ts';
import type { LinkTap, VirtualStream } from './virtual-link.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** Bytes that a topic alias saves, at most, with the topics of these tests. */
const ALIAS_GAIN_MAX = 40;

export interface AuditOptions {
  readonly inflightMax: number;
  /** Seconds, as configured; 0 = off. */
  readonly keepAliveS: number;
  /** False where a message may be made anew instead of sent again (the birth). */
  readonly sameContent?: boolean;
  /** A topic whose messages may be given up between two connections (the birth). */
  readonly givesUp?: string;
}

/** A QoS 1 or 2 message or a SUBSCRIBE that the client began and has not ended. */
interface Exchange {
  readonly kind: 'publish' | 'subscribe';
  readonly qos: number;
  readonly content: string;
  /** Bytes of its packet. */
  readonly size: number;
  /** Rises with each first transmission. */
  readonly order: number;
  awaits: 'puback' | 'pubrec' | 'pubcomp' | 'suback';
  /** The connection on which PUBLISH and PUBREL went out last. */
  sentOn: number;
  releasedOn: number;
  /** Counts PUBRECs, for the order of PUBRELs. */
  receivedOrder: number;
  /** The client may have closed before it came to the packet that ended this. */
  unsure: boolean;
}

interface ServerPacket extends AnyPacket {
  sessionPresent?: boolean;
  returnCode?: number;
  properties?: AnyPacket['properties'] & {
    maximumQoS?: number;
    retainAvailable?: boolean;
    serverKeepAlive?: number;
  };
}

export class WireAudit implements LinkTap {
  readonly violations: string[] = [];
  /** Packets that the client wrote, by kind. */
  readonly written: Record<string, number> = {};
  /** Connections on which the server resumed the session. */
  resumedCount = 0;
  private readonly world: VirtualWorld;
  private readonly options: AuditOptions;
  private readonly exchanges = new Map<number, Exchange>();
  private orderLast = 0;
  private receivedLast = 0;
  private connection = new ConnectionAudit(0);
  /** Exchanges that packets of the last read ended or moved on, as they were before. */
  private touched: [number, Exchange][] = [];
  private readTurn = -1;

  constructor(world: VirtualWorld, options: AuditOptions) {
    this.world = world;
    this.options = options;
  }

  opened(): void {
    this.connection = new ConnectionAudit(this.connection.number + 1);
    const { up, down } = this.connection;
    up.on('packet', (packet) => this.onWritten(packet as unknown as AnyPacket));
    up.on('error', (error: Error) => this.violate(`wrote malformed bytes: ${error.message}`));
    down.on('packet', (packet) => this.onRead(packet as unknown as ServerPacket));
    // What the server does wrong is not the client's fault.
    down.on('error', () => {
      this.connection.unreadable = true;
    });
  }

  wrote(stream: VirtualStream, bytes: Uint8Array): void {
    for (const frame of this.connection.upFrames.push(bytes)) {
      this.connection.frameSize = frame.length;
      this.connection.up.parse(Buffer.from(frame));
    }
    this.connection.roomLeft = stream.room - bytes.length;
    if (this.connection.upFrames.waiting > 0) this.violate('wrote no whole packet');
  }

  read(_stream: VirtualStream, bytes: Uint8Array): void {
    const { connection } = this;
    this.touched = [];
    this.readTurn = this.world.turnCount;
    for (const frame of connection.downFrames.push(bytes)) {
      if (!connection.unreadable) connection.down.parse(Buffer.from(frame));
    }
  }

  closed(): void {
    this.connection.over = true;
    if (this.readTurn !== this.world.turnCount) return;
    for (const [packetId, one] of this.touched) {
      this.exchanges.set(packetId, { ...one, unsure: true });
    }
  }

  /** The device was reset: it knows nothing of its session any more. */
  reset(): void {
    this.exchanges.clear();
  }

  /** Called by whoever handles a message, before it returns. */
  handling(qos: number, packetId: number): void {
    const owed = qos === 1 ? this.connection.pubacks : this.connection.pubrecs;
    if (qos > 0 && !owed.includes(packetId)) {
      this.violate(`PUBLISH ${packetId} acknowledged before it was handled`);
    }
  }

  /** Acknowledgements that the client still owes on this connection. */
  get owedCount(): number {
    const { pubacks, pubrecs, pubrels, pubcomps } = this.connection;
    return pubacks.length + pubrecs.length + pubrels.length + pubcomps.length;
  }

  get openCount(): number {
    let count = 0;
    for (const one of this.exchanges.values()) if (!one.unsure) count += 1;
    return count;
  }

  private violate(words: string): void {
    this.violations.push(`${this.world.nowMs} ms, connection ${this.connection.number}: ${words}`);
  }

  private onWritten(packet: AnyPacket): void {
    const { connection } = this;
    this.written[packet.cmd] = (this.written[packet.cmd] ?? 0) + 1;
    if (connection.over) this.violate(`${packet.cmd} after the end`);
    this.checkGap();
    if (packet.cmd === 'connect') {
      if (connection.connected || connection.greeted) this.violate('CONNECT twice');
      connection.greeted = true;
      const version = packet.protocolVersion ?? 4;
      connection.version = version;
      (connection.down as unknown as { settings: object }).settings = { protocolVersion: version };
      return;
    }
    if (!connection.connected) this.violate(`${packet.cmd} before CONNACK`);
    if (connection.packetSizeMax > 0 && connection.frameSize > connection.packetSizeMax) {
      this.violate(`${packet.cmd} of ${connection.frameSize} bytes: Maximum Packet Size`);
    }
    const packetId = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'publish':
        this.onPublish(packet);
        return;
      case 'puback':
        this.inTurn('PUBACK', connection.pubacks, packetId);
        return;
      case 'pubrec':
        this.inTurn('PUBREC', connection.pubrecs, packetId);
        return;
      case 'pubcomp':
        this.inTurn('PUBCOMP', connection.pubcomps, packetId);
        return;
      case 'pubrel':
        this.onRelease(packetId);
        return;
      case 'subscribe':
        this.begin('subscribe', 1, '', packetId);
        return;
      case 'disconnect':
        connection.over = true;
    }
  }

  /** Acknowledgements go out in the order of what they answer (MQTT-4.6.0-2, -3). */
  private inTurn(name: string, owed: number[], packetId: number): void {
    const at = owed.indexOf(packetId);
    if (at !== 0) this.violate(at < 0 ? `${name} ${packetId} unasked` : `${name} out of turn`);
    if (at >= 0) owed.splice(at, 1);
  }

  private onPublish(packet: AnyPacket): void {
    const { connection } = this;
    const { dup, messageId = 0, qos = 0, retain } = packet;
    if (qos > connection.qosMax) this.violate(`QoS ${qos} although Maximum QoS`);
    if (retain && !connection.retainAvailable) this.violate('RETAIN although not available');
    const alias = packet.properties?.topicAlias;
    if (alias !== undefined && (alias === 0 || alias > connection.aliasMax)) {
      this.violate(`topic alias ${alias} of ${connection.aliasMax}`);
    }
    const topic = connection.resolve(packet.topic ?? '', alias);
    if (topic === '') this.violate('PUBLISH without a topic');
    if (qos === 0) {
      if (dup) this.violate('DUP at QoS 0 (MQTT-3.3.1-2)');
      return;
    }
    const content = `${topic} ${Buffer.from(packet.payload ?? []).toString('latin1')}`;
    const known = this.exchanges.get(messageId);
    if (dup) this.onRetransmission(messageId, qos, content, known);
    else {
      if (this.mayResend()) this.violate(`PUBLISH ${messageId} before older ones were sent again`);
      this.begin('publish', qos, content, messageId);
    }
    this.checkFlying();
  }

  /** True when something of an earlier connection is still to be sent again. */
  private mayResend(): boolean {
    for (const one of this.exchanges.values()) {
      const sentOn = Math.max(one.sentOn, one.releasedOn);
      if (one.kind === 'publish' && !one.unsure && sentOn < this.connection.number) return true;
    }
    return false;
  }

  private onRetransmission(
    packetId: number,
    qos: number,
    content: string,
    known: Exchange | undefined,
  ): void {
    const { connection } = this;
    if (known === undefined || known.kind !== 'publish') {
      this.violate(`DUP of ${packetId}, which is not in flight`);
      return;
    }
    if (known.awaits === 'pubcomp') this.violate(`PUBLISH ${packetId} after its PUBREC`);
    if (known.qos !== qos) this.violate(`QoS of ${packetId} changed`);
    if (this.options.sameContent !== false && known.content !== content) {
      this.violate(`content of ${packetId} changed`);
    }
    if (known.sentOn === connection.number) {
      this.violate(`PUBLISH ${packetId} sent again on the same connection (MQTT-4.4.0-1)`);
    }
    if (known.order < connection.orderSent) this.violate(`PUBLISH ${packetId} out of order`);
    connection.orderSent = known.order;
    known.sentOn = connection.number;
    known.unsure = false;
  }

  private begin(
    kind: 'publish' | 'subscribe',
    qos: number,
    content: string,
    packetId: number,
  ): void {
    if (packetId === 0) this.violate(`${kind} with packet id 0`);
    if (this.exchanges.get(packetId)?.unsure === false) {
      this.violate(`packet id ${packetId} in use twice`);
    }
    this.orderLast += 1;
    const awaits = kind === 'subscribe' ? 'suback' : qos === 2 ? 'pubrec' : 'puback';
    const { number } = this.connection;
    this.exchanges.set(packetId, {
      kind,
      qos,
      content,
      size: this.connection.frameSize,
      order: this.orderLast,
      awaits,
      sentOn: number,
      releasedOn: 0,
      receivedOrder: 0,
      unsure: false,
    });
    if (kind === 'publish') this.connection.orderSent = this.orderLast;
  }

  /** Messages in flight stay within our limit, and on 5 within the server's. */
  private checkFlying(): void {
    let all = 0;
    let here = 0;
    for (const one of this.exchanges.values()) {
      if (one.kind !== 'publish' || one.unsure) continue;
      all += 1;
      if (one.sentOn === this.connection.number) here += 1;
    }
    if (all > this.options.inflightMax) this.violate(`${all} messages in flight`);
    if (here > this.connection.receiveMaximum) this.violate('Receive Maximum exceeded');
  }

  /** PUBRELs go out in the order of PUBRECs (MQTT-4.6.0-4), also when sent again. */
  private onRelease(packetId: number): void {
    const { connection } = this;
    const known = this.exchanges.get(packetId);
    if (connection.pubrels.includes(packetId)) {
      this.inTurn('PUBREL', connection.pubrels, packetId);
    } else if (known === undefined || (known.awaits !== 'pubcomp' && !known.unsure)) {
      this.violate(`PUBREL ${packetId} unasked`);
    } else if (known.releasedOn === connection.number) {
      this.violate(`PUBREL ${packetId} sent again on the same connection`);
    } else {
      const early = known.receivedOrder < connection.releaseSent;
      if (early && !known.unsure) this.violate('PUBREL out of order');
      connection.releaseSent = Math.max(connection.releaseSent, known.receivedOrder);
    }
    if (known === undefined) return;
    known.releasedOn = connection.number;
    if (known.unsure) known.awaits = 'pubcomp';
    known.unsure = false;
  }

  private checkGap(): void {
    const { connection, world } = this;
    const gapMs = world.nowMs - connection.wroteMs;
    // Where no PINGREQ found room, what was written before was still on its way out.
    if (connection.connected && connection.keepAliveS > 0 && connection.roomLeft >= 2) {
      if (gapMs > connection.keepAliveS * 1000) this.violate(`silent for ${gapMs} ms`);
    }
    connection.wroteMs = world.nowMs;
  }

  private onRead(packet: ServerPacket): void {
    const { connection } = this;
    const packetId = packet.messageId ?? 0;
    const refused = (packet.reasonCode ?? 0) >= 128;
    switch (packet.cmd) {
      case 'connack':
        this.onConnack(packet);
        return;
      case 'publish':
        if (packet.qos === 1) connection.pubacks.push(packetId);
        if (packet.qos === 2) connection.pubrecs.push(packetId);
        return;
      case 'pubrel':
        connection.pubcomps.push(packetId);
        return;
      case 'puback':
      case 'pubcomp':
      case 'suback':
        if (this.exchanges.get(packetId)?.awaits === packet.cmd) this.end(packetId);
        return;
      case 'pubrec':
        this.onReceived(packetId, refused);
        return;
    }
  }

  private end(packetId: number): void {
    const one = this.exchanges.get(packetId);
    if (one === undefined) return;
    this.touched.push([packetId, { ...one }]);
    this.exchanges.delete(packetId);
  }

  private onReceived(packetId: number, refused: boolean): void {
    const one = this.exchanges.get(packetId);
    if (refused) {
      if (one !== undefined && one.awaits === 'pubrec') this.end(packetId);
      return;
    }
    if (!this.connection.pubrels.includes(packetId)) this.connection.pubrels.push(packetId);
    if (one === undefined || one.awaits !== 'pubrec') return;
    this.receivedLast += 1;
    one.receivedOrder = this.receivedLast;
    this.touched.push([packetId, { ...one }]);
    one.awaits = 'pubcomp';
  }

  private onConnack(packet: ServerPacket): void {
    const { connection } = this;
    if (connection.connected || (packet.reasonCode ?? packet.returnCode ?? 0) !== 0) return;
    connection.connected = true;
    const { properties = {} } = packet;
    connection.receiveMaximum = properties.receiveMaximum ?? 65535;
    connection.qosMax = properties.maximumQoS ?? 2;
    connection.retainAvailable = properties.retainAvailable ?? true;
    connection.packetSizeMax = properties.maximumPacketSize ?? 0;
    connection.aliasMax = properties.topicAliasMaximum ?? 0;
    connection.keepAliveS = properties.serverKeepAlive ?? this.options.keepAliveS;
    connection.wroteMs = this.world.nowMs;
    if (packet.sessionPresent === true) this.resumedCount += 1;
    else this.exchanges.clear();
    for (const [packetId, one] of this.exchanges) {
      // A SUBSCRIBE is no part of the session, and what the server does not take any more may
      // not be sent again (MQTT-3.2.2-11).
      const tooHigh = one.awaits !== 'pubcomp' && one.qos > connection.qosMax;
      if (tooHigh) one.unsure = true;
      const { givesUp } = this.options;
      if (givesUp !== undefined && one.content.startsWith(`${givesUp} `)) one.unsure = true;
      if (one.kind === 'subscribe') this.exchanges.delete(packetId);
      // Without an alias it is larger than it was; what does not fit any more is given up.
      const sizeMax = connection.packetSizeMax - ALIAS_GAIN_MAX;
      if (connection.packetSizeMax > 0 && one.size > sizeMax) one.unsure = true;
    }
  }
}

/** What the audit knows of one connection. */
class ConnectionAudit {
  readonly number: number;
  readonly up: Parser = parser();
  readonly down: Parser = parser();
  readonly upFrames = new FrameSplitter();
  readonly downFrames = new FrameSplitter();
  frameSize = 0;
  version = 5;
  greeted = false;
  connected = false;
  over = false;
  unreadable = false;
  wroteMs = 0;
  /** After the last write. */
  roomLeft = 0;
  orderSent = 0;
  releaseSent = 0;
  /** Packet ids that wait for the client's answer, oldest first. */
  readonly pubacks: number[] = [];
  readonly pubrecs: number[] = [];
  readonly pubrels: number[] = [];
  readonly pubcomps: number[] = [];
  receiveMaximum = 65535;
  qosMax = 2;
  retainAvailable = true;
  packetSizeMax = 0;
  aliasMax = 0;
  keepAliveS = 0;
  private readonly topics = new Map<number, string>();

  constructor(number: number) {
    this.number = number;
  }

  resolve(topic: string, alias: number | undefined): string {
    if (alias === undefined) return topic;
    if (topic !== '') this.topics.set(alias, topic);
    return this.topics.get(alias) ?? '';
  }
}
