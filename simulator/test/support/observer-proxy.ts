// A TCP proxy before a broker that treats the connections of a run's observer in its own way, and
// leaves all others alone.

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';

/** What becomes of the observer's connections. */
export type Treatment =
  | 'pass'
  /** Bytes go in and nothing comes out, either way: of those that are open, and of new ones. */
  | 'swallow'
  /** The same of those that are open; new ones pass. */
  | 'swallow-open'
  /** As of a broker that forgot a subscription: pings are answered, nothing is delivered. */
  | 'undelivered'
  /** They end, and new ones are refused. */
  | 'refuse';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  isObserver: boolean;
  isSwallowed: boolean;
}

export class ObserverProxy {
  readonly url: string;
  treatment: Treatment = 'pass';
  private readonly server: Server;
  private readonly links = new Set<Link>();

  private constructor(server: Server) {
    this.server = server;
    this.url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(port: number): Promise<ObserverProxy> {
    let proxy: ObserverProxy | undefined;
    const server = createServer((client) => proxy!.accept(client, port));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    proxy = new ObserverProxy(server);
    return proxy;
  }

  /** From now on. */
  treat(treatment: Treatment): void {
    this.treatment = treatment;
    for (const link of this.links) {
      if (!link.isObserver) continue;
      link.isSwallowed = treatment === 'swallow' || treatment === 'swallow-open';
      if (treatment === 'refuse') end(link);
    }
  }

  close(): void {
    this.server.close();
    for (const link of this.links) end(link);
  }

  private accept(client: Socket, port: number): void {
    const server = connect({ host: '127.0.0.1', port });
    const link: Link = { client, server, isObserver: false, isSwallowed: false };
    this.links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.links.delete(link);
        end(link);
      });
    }
    const requests = mqttPacket.parser();
    let version = 4;
    requests.on('packet', (packet) => {
      if (packet.cmd !== 'connect') return;
      version = packet.protocolVersion ?? 4;
      link.isObserver = packet.clientId.endsWith('-observer');
      if (link.isObserver) this.admit(link, packet.clean === true);
    });
    client.on('data', (chunk) => {
      if (version === 4 && !link.isObserver) requests.parse(chunk);
      if (!link.isSwallowed) server.write(chunk);
    });
    const deliver = deliveries((packet) => client.write(packet));
    server.on('data', (chunk) => {
      if (link.isSwallowed) return;
      if (link.isObserver) deliver(chunk, this.treatment === 'undelivered');
      else client.write(chunk);
    });
  }

  private admit(link: Link, isClean: boolean): void {
    link.isSwallowed = this.treatment === 'swallow';
    if (this.treatment === 'refuse') end(link);
    // A new session has its subscription again.
    if (this.treatment === 'undelivered' && isClean) this.treatment = 'pass';
  }
}

/** Passes on packet by packet, without PUBLISHes where they are not to be delivered. */
function deliveries(
  write: (packet: Buffer) => void,
): (chunk: Buffer, isUndelivered: boolean) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk, isUndelivered) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const size = packetSize(rest);
      if (size === undefined || rest.length < size) return;
      const isPublish = rest[0]! >> 4 === 3;
      if (!(isPublish && isUndelivered)) write(rest.subarray(0, size));
      rest = rest.subarray(size);
    }
  };
}

/** Bytes of the packet that `bytes` begins with; undefined while that is not known. */
function packetSize(bytes: Buffer): number | undefined {
  let length = 0;
  for (let at = 1; at < Math.min(5, bytes.length); at += 1) {
    length += (bytes[at]! & 127) * 128 ** (at - 1);
    if (bytes[at]! < 128) return at + 1 + length;
  }
  return undefined;
}

function end({ client, server }: Link): void {
  client.destroy();
  server.destroy();
}
