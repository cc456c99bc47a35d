// What a broker keeps of a client between connections (MQTT 3.1.1 §3.1.2.4, MQTT 5 §4.1), and the
// sending of messages to it with QoS 0, 1 and 2.

import type { Qos } from '../../src/mqtt/packet.ts';
import type { BrokerConnection } from './broker-connection.ts';

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  /** Of a request, on MQTT 5. */
  readonly responseTopic?: string;
  readonly correlation?: Uint8Array;
}

/** A message to the client. */
interface Outgoing {
  readonly message: BrokerMessage;
  readonly qos: Qos;
  packetId: number;
  state: 'queued' | 'sent' | 'released';
}

export class BrokerSession {
  readonly clientId: string;
  /** Counts sessions, so that one is told from its successor of the same name. */
  readonly number: number;
  /** Infinity = never. */
  expiryS = 0;
  readonly subscriptions = new Map<string, Qos>();
  /** Incoming QoS 2 exchanges, and what is to be passed on at PUBREL. */
  readonly incoming = new Map<number, BrokerMessage | undefined>();
  connection: BrokerConnection | undefined = undefined;
  /** When the last connection ended. */
  leftMs = 0;
  /** Publishes the will that waits for its delay. */
  will: (() => void) | undefined = undefined;
  /** QoS 1 and 2 messages in the order of sending. */
  private outgoing: Outgoing[] = [];
  private packetIdLast = 0;
  private resuming = false;

  constructor(clientId: string, number: number) {
    this.clientId = clientId;
    this.number = number;
  }

  /** Messages to the client that it has not taken in full. */
  get pendingCount(): number {
    return this.outgoing.length;
  }

  /** Highest QoS of the subscriptions that match, or -1. */
  qosFor(topic: string): number {
    let found = -1;
    for (const [filter, qos] of this.subscriptions) {
      if (filterMatches(filter, topic)) found = Math.max(found, qos);
    }
    return found;
  }

  publishWill(): void {
    const { will } = this;
    this.will = undefined;
    if (will !== undefined) will();
  }

  enqueue(message: BrokerMessage, granted: Qos): void {
    const qos = Math.min(granted, message.qos) as Qos;
    if (qos === 0) {
      if (this.connection !== undefined) this.connection.sendPublish(message, 0, 0, false);
      return;
    }
    this.outgoing.push({ message, qos, packetId: 0, state: 'queued' });
    this.pump();
  }

  /** Sends again what was on its way, in order, before anything new (MQTT-4.4.0-1). */
  resume(): void {
    // Sending may end an item at once: one that is too large for the client.
    this.resuming = true;
    for (const item of [...this.outgoing]) {
      if (item.state === 'sent') {
        this.connection?.sendPublish(item.message, item.qos, item.packetId, true);
      } else if (item.state === 'released') {
        this.connection?.sendAck('pubrel', item.packetId, 0);
      }
    }
    this.resuming = false;
    this.pump();
  }

  /** Sends what the client's Receive Maximum allows. */
  pump(): void {
    const { connection } = this;
    if (connection === undefined || this.resuming) return;
    for (;;) {
      const item = this.outgoing.find((one) => one.state === 'queued');
      const flying = this.outgoing.filter((one) => one.state !== 'queued').length;
      if (item === undefined || flying >= connection.sendMax) return;
      item.packetId = this.nextPacketId();
      item.state = 'sent';
      connection.sendPublish(item.message, item.qos, item.packetId, false);
    }
  }

  /** PUBACK, PUBREC or PUBCOMP came; false when nothing waits for it. */
  settle(kind: 'puback' | 'pubrec' | 'pubcomp', packetId: number, reasonCode: number): boolean {
    const index = this.outgoing.findIndex((one) => one.packetId === packetId);
    const item = this.outgoing[index];
    if (item === undefined) return false;
    if (kind === 'pubrec' && item.qos === 2 && reasonCode < 128) {
      item.state = 'released';
      this.connection?.sendAck('pubrel', packetId, 0);
      return true;
    }
    const ends =
      kind === 'puback'
        ? item.qos === 1
        : item.qos === 2 && (kind === 'pubrec' || item.state === 'released');
    if (!ends) return false;
    this.outgoing.splice(index, 1);
    this.pump();
    return true;
  }

  private nextPacketId(): number {
    do {
      this.packetIdLast = (this.packetIdLast % 65535) + 1;
    } while (this.outgoing.some((one) => one.packetId === this.packetIdLast));
    return this.packetIdLast;
  }
}

/** Topic filters by the text of MQTT 3.1.1 §4.7, level by level. */
export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false;
  for (const [index, want] of wanted.entries()) {
    if (want === '#') return true;
    if (index >= levels.length || (want !== '+' && want !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}
