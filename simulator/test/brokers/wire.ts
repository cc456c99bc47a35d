// A wire between a client and a broker that shows what goes over it, and can fail: a TCP proxy
// that reads along with mqtt-packet, which is not our codec.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Packet, parser } from 'mqtt-packet';

export type Side = 'client' | 'broker';

interface Sighting {
  readonly from: Side;
  readonly packet: Packet;
}

export class Wire {
  private readonly sightings: Sighting[] = [];
  private readonly brokerPort: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly muted = new Set<Side>();

  private constructor(brokerPort: number) {
    this.brokerPort = brokerPort;
    this.server = createServer({ noDelay: true }, (socket) => this.join(socket));
  }

  static async open(brokerPort: number): Promise<Wire> {
    const wire = new Wire(brokerPort);
    await new Promise<void>((resolve) => wire.server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** No connection is open any more, on either side. */
  get isIdle(): boolean {
    return this.sockets.size === 0;
  }

  /** From now on nothing that this side sends gets through, until `cut`. */
  mute(side: Side): void {
    this.muted.add(side);
  }

  /** Ends all present connections, without a DISCONNECT. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
    this.muted.clear();
  }

  /** Ends all connections and takes no new ones. */
  close(): void {
    this.server.close();
    this.cut();
  }

  /** All packets of a type that this side sent, in order. */
  packets<Command extends Packet['cmd']>(
    from: Side,
    command: Command,
  ): Extract<Packet, { cmd: Command }>[] {
    return this.sightings
      .filter((sighting) => sighting.from === from && sighting.packet.cmd === command)
      .map(({ packet }) => packet as Extract<Packet, { cmd: Command }>);
  }

  private join(client: Socket): void {
    const broker = connect({ host: '127.0.0.1', port: this.brokerPort, noDelay: true });
    const settings = { protocolVersion: 4 };
    this.forward('client', client, broker, settings);
    this.forward('broker', broker, client, settings);
  }

  private forward(from: Side, source: Socket, sink: Socket, settings: object): void {
    const reader = parser(settings);
    reader.on('packet', (packet: Packet) => {
      // What follows has the form of the version that the client asked for.
      if (packet.cmd === 'connect')
        Object.assign(settings, { protocolVersion: packet.protocolVersion });
      this.sightings.push({ from, packet });
    });
    reader.on('error', () => undefined);
    this.sockets.add(source);
    source.on('data', (bytes) => {
      if (this.muted.has(from)) return;
      reader.parse(bytes);
      sink.write(bytes);
    });
    source.on('error', () => undefined);
    source.on('close', () => {
      this.sockets.delete(source);
      // What the broker said before it hung up still arrives.
      sink.end();
    });
  }
}
