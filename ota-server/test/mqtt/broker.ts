// A broker of a few lines over mqtt-packet, for tests: QoS 0 and 1, shared subscriptions, and what
// real ones refuse.

import { createServer, type Server, type Socket } from 'node:net';
import mqtt from 'mqtt-packet';

export interface BrokerOptions {
  /** As aedes 1.x: answers a v5 CONNECT with return code 1. */
  readonly refusesV5?: boolean;
  /** Answers filters that begin with $share with 0x9e. */
  readonly refusesShared?: boolean;
}

interface Subscription {
  readonly socket: Socket;
  readonly version: number;
  readonly filter: string;
}

const SHARED_REFUSED = 0x9e;

export class TestBroker {
  /** Filters as they were granted. */
  readonly granted: string[] = [];
  port = 0;
  private readonly options: BrokerOptions;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private subscriptions: Subscription[] = [];

  constructor(options: BrokerOptions = {}) {
    this.options = options;
    this.server = createServer((socket) => this.accept(socket));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = (this.server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    let version = 4;
    const send = (packet: mqtt.Packet) =>
      socket.write(mqtt.generate(packet, { protocolVersion: version }));
    const parser = mqtt.parser();
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        version = packet.protocolVersion ?? 4;
        if (version === 5 && this.options.refusesV5) {
          version = 4;
          send({ cmd: 'connack', returnCode: 1, sessionPresent: false });
          socket.end();
        } else send({ cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false });
      } else if (packet.cmd === 'subscribe') {
        const granted = packet.subscriptions.map(({ topic }) =>
          this.subscribe(socket, version, topic),
        );
        send({ cmd: 'suback', messageId: packet.messageId!, granted });
      } else if (packet.cmd === 'publish') {
        if (packet.qos === 1) send({ cmd: 'puback', messageId: packet.messageId!, reasonCode: 0 });
        this.route(packet);
      } else if (packet.cmd === 'pingreq') send({ cmd: 'pingresp' });
    });
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.subscriptions = this.subscriptions.filter((entry) => entry.socket !== socket);
    });
  }

  private subscribe(socket: Socket, version: number, filter: string): number {
    if (filter.startsWith('$share/') && this.options.refusesShared) return SHARED_REFUSED;
    this.granted.push(filter);
    this.subscriptions.push({ socket, version, filter });
    return 1;
  }

  private route(packet: mqtt.IPublishPacket): void {
    const served = new Set<string>();
    for (const { filter, socket, version } of this.subscriptions) {
      const [, group, ...rest] = filter.split('/');
      const isShared = filter.startsWith('$share/');
      if (!matches(isShared ? rest.join('/') : filter, packet.topic)) continue;
      if (isShared && served.has(group!)) continue;
      if (isShared) served.add(group!);
      const out = { ...packet, retain: packet.retain && !isShared, qos: 0 as const, dup: false };
      socket.write(mqtt.generate(out, { protocolVersion: version }));
    }
  }
}

function matches(filter: string, topic: string): boolean {
  const levels = topic.split('/');
  const parts = filter.split('/');
  return (
    parts.length === levels.length && parts.every((part, at) => part === '+' || part === levels[at])
  );
}
