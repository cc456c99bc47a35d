// Servers on free loopback ports, over TCP and TLS, and stream owners that note what they hear.

import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { connectStream, type NodeStream, StreamBuffers } from '../../../ports/node/stream.ts';
import type { ConnectOptions, Stream, StreamHandlers } from '../../../src/platform.ts';

/** For the host name flotilla.test alone, valid from 2020 to 2120, its own CA. */
export const CERTIFICATE = fixture('self-signed.pem');
export const KEY = fixture('self-signed.key.pem');
export const CERTIFICATE_NAME = 'flotilla.test';

function fixture(name: string): string {
  return readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');
}

export type Transport = 'tcp' | 'tls';
export const TRANSPORTS: readonly Transport[] = ['tcp', 'tls'];

export interface Loopback {
  /** For `connect`. */
  readonly options: ConnectOptions;
  readonly port: number;
  /** Sockets accepted so far, in order. */
  readonly sockets: readonly Socket[];
  /** Ends server and sockets at once. */
  close(): void;
}

/** A server whose sockets are paused until `onSocket` reads them. */
export async function listen(
  transport: Transport,
  onSocket: (socket: Socket) => void = () => undefined,
  tlsOptions: TlsOptions = {},
): Promise<Loopback> {
  const sockets: Socket[] = [];
  const accept = (socket: Socket) => {
    // A peer that is cut off is what many tests are about.
    socket.on('error', () => undefined);
    sockets.push(socket);
    onSocket(socket);
  };
  const server: Server =
    transport === 'tcp'
      ? createServer({ pauseOnConnect: true }, accept)
      : createTlsServer({ cert: CERTIFICATE, key: KEY, ...tlsOptions }, accept);
  if (transport === 'tls') server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    sockets,
    options: optionsOf(transport, port),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export function optionsOf(transport: Transport, port: number): ConnectOptions {
  const host = '127.0.0.1';
  if (transport === 'tcp') return { host, port };
  return { host, port, tls: { ca: CERTIFICATE, serverName: CERTIFICATE_NAME } };
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = await listen('tcp');
  server.close();
  return server.port;
}

export const PACKET_SIZE_MAX = 4096;

/** An owner that notes its events; what it does at one is up to the test. */
export class Owner {
  /** 'writable 32768', 'readable 5', 'error connection reset', 'error' for an orderly end. */
  readonly events: string[] = [];
  room = 0;
  /** Bytes that wait, as announced last. */
  waiting = 0;
  ended = false;
  stream: NodeStream | undefined;
  readonly buffers: StreamBuffers;
  onWritable: () => void = () => undefined;
  onReadable: () => void = () => undefined;
  onError: () => void = () => undefined;

  constructor(buffers = new StreamBuffers(PACKET_SIZE_MAX)) {
    this.buffers = buffers;
  }

  /** Reads at most `size` bytes. */
  take(size: number): Buffer {
    const into = new Uint8Array(size);
    const count = this.stream!.read(into, size);
    return Buffer.from(into.subarray(0, count));
  }

  write(bytes: Uint8Array): void {
    this.room = this.stream!.write(bytes, 0, bytes.length);
  }
}

export const HANDLERS: StreamHandlers = {
  onWritable(this: Stream, room: number): void {
    const owner = ownerOf(this);
    owner.room = room;
    owner.events.push(`writable ${room}`);
    owner.onWritable();
  },
  onReadable(this: Stream, count: number): void {
    const owner = ownerOf(this);
    owner.waiting = count;
    owner.events.push(`readable ${count}`);
    owner.onReadable();
  },
  onError(this: Stream, reason?: string): void {
    const owner = ownerOf(this);
    owner.ended = true;
    owner.events.push(reason === undefined ? 'error' : `error ${reason}`);
    owner.onError();
  },
};

function ownerOf(stream: Stream): Owner {
  const owner = stream.target as Owner;
  if (owner.stream !== stream) throw new Error('a handler ran before connect returned');
  return owner;
}

/** Opens a stream for `owner`. */
export function connect(options: ConnectOptions, owner = new Owner()): Owner {
  owner.stream = connectStream(options, HANDLERS, owner, owner.buffers);
  return owner;
}

/** What takes this long hangs, also on a machine with much else to do. */
const HANG_MS = 300_000;
/** On a busy machine ms alone may pass without a turn. */
const TURN_COUNT = 5;

/** Resolves when `condition` holds, as seen after some turn; rejects with `what` when it hangs. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + HANG_MS;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await aTurn(1);
  }
}

/** Ends the present turn; sockets speak before the next. */
export async function aTurn(ms = 0): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets what can happen without waiting happen. */
export async function aWhile(ms = 30): Promise<void> {
  for (let count = 0; count < TURN_COUNT; count += 1) await aTurn(ms / TURN_COUNT);
}

/** Resolves when `value` has not changed for a while, with that value. */
export async function stillness(value: () => number): Promise<number> {
  for (let before = value(); ; before = value()) {
    await aWhile(100);
    if (value() === before) return before;
  }
}
