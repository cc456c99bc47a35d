// A broker on loopback for one device: MQTT 3.1.1 by mqtt-packet, so that nothing of ours judges
// itself. It can go away and come back.

import { createServer, type Server, type Socket } from 'node:net';
import { decode, encode } from 'cbor-x';
import { generate, parser } from 'mqtt-packet';

export interface Received {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly retain: boolean;
}

export class LoopbackBroker {
  /** Every PUBLISH, duplicates too. */
  readonly received: Received[] = [];
  readonly filters: string[] = [];
  connectCount = 0;
  /** False: connections are closed as soon as they are there. */
  isOnline = true;
  /** The desired state of the one shadow. */
  private desired: Record<string, unknown> = {};
  private shadowVersion = 1;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private packetIdNext = 1;

  private constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket) => this.serve(socket));
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(): Promise<LoopbackBroker> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new LoopbackBroker(server);
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** Ends every connection, and all that come until `isOnline` is true again. */
  goOffline(): void {
    this.isOnline = false;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Sends `body` as CBOR at QoS 1. */
  publish(topic: string, body: unknown): void {
    const packet = { cmd: 'publish', topic, payload: encode(body), qos: 1, dup: false } as const;
    const messageId = this.packetIdNext;
    this.packetIdNext += 1;
    for (const socket of this.sockets) {
      socket.write(generate({ ...packet, retain: false, messageId }));
    }
  }

  /** Changes the desired state, and tells the device as AWS does: by a delta. */
  desire(state: Record<string, unknown>): void {
    Object.assign(this.desired, state);
    this.shadowVersion += 1;
    const delta = { state, version: this.shadowVersion, timestamp: 1764000000 };
    this.publish('devices/esp-1/shadow/update/delta', delta);
  }

  /** Answers `shadow/get` and `shadow/update`. */
  private answerShadow(topic: string, payload: Uint8Array): void {
    const { clientToken, state } = decode(payload) as { clientToken: string; state: unknown };
    if (topic.endsWith('/update')) this.shadowVersion += 1;
    const { desired, shadowVersion: version } = this;
    this.publish(`${topic}/accepted`, {
      state: topic.endsWith('/get') ? { desired } : state,
      version,
      timestamp: 1764000000,
      clientToken,
    });
  }

  /** What came on topics that end like this, decoded, oldest first. */
  bodies(topicEnd: string): unknown[] {
    return this.received
      .filter(({ topic, payload }) => topic.endsWith(topicEnd) && payload.length > 0)
      .map(({ payload }) => decode(payload));
  }

  async close(): Promise<void> {
    this.goOffline();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    if (!this.isOnline) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => undefined);
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet) => this.answer(socket, packet));
    packets.on('error', (error) => socket.destroy(error));
    socket.on('data', (bytes) => packets.parse(bytes));
  }

  private answer(socket: Socket, packet: import('mqtt-packet').Packet): void {
    switch (packet.cmd) {
      case 'connect':
        this.connectCount += 1;
        if (packet.protocolVersion !== 4) socket.destroy();
        socket.write(
          generate({ cmd: 'connack', returnCode: 0, sessionPresent: this.connectCount > 1 }),
        );
        break;
      case 'subscribe': {
        for (const { topic } of packet.subscriptions) this.filters.push(topic);
        const granted = packet.subscriptions.map(({ qos }) => qos);
        socket.write(generate({ cmd: 'suback', messageId: packet.messageId ?? 0, granted }));
        break;
      }
      case 'publish': {
        const { messageId, qos, retain, topic } = packet;
        this.received.push({ topic, qos, retain, payload: packet.payload as Uint8Array });
        if (qos === 1) socket.write(generate({ cmd: 'puback', messageId: messageId ?? 0 }));
        if (/\/shadow\/(get|update)$/.test(topic)) {
          this.answerShadow(topic, packet.payload as Uint8Array);
        }
        break;
      }
      case 'pingreq':
        socket.write(generate({ cmd: 'pingresp' }));
        break;
    }
  }
}
