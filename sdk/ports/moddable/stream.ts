// A byte stream of platform.ts over ECMA-419's TCP or Moddable's TLSSocket.

import TCP, { type TcpOptions } from 'embedded:io/socket/tcp';
import TLSSocket from 'embedded:io/socket/tls';
import type { ConnectOptions, Stream, StreamHandlers, TlsOptions } from '../../src/platform.ts';

/** What the socket of a stream has in its `target`: shared handlers, no closure per socket. */
class ModdableStream implements Stream {
  target: unknown;
  private readonly handlers: StreamHandlers;
  private socket: TCP | undefined = undefined;
  /** Bytes announced and not read: asking for more than is there throws. */
  private waiting = 0;

  constructor(options: ConnectOptions, handlers: StreamHandlers, target: unknown) {
    this.handlers = handlers;
    this.target = target;
    this.socket = open(options, {
      host: options.host,
      port: options.port,
      nodelay: true,
      target: this,
      onReadable,
      onWritable,
      onError,
    });
    this.socket.format = 'buffer';
  }

  read(into: Uint8Array, size: number): number {
    const { socket } = this;
    const wanted = Math.min(size, this.waiting);
    if (socket === undefined || wanted === 0) return 0;
    const count = socket.read(new Uint8Array(into.buffer, into.byteOffset, wanted));
    // Nothing is buffered: the standard answers undefined.
    if (count === undefined) return 0;
    this.waiting -= count;
    return count;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.socket === undefined) return 0;
    return this.socket.write(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  }

  close(): void {
    const { socket } = this;
    this.socket = undefined;
    if (socket !== undefined) socket.close();
  }

  readable(count: number): void {
    this.waiting = count;
    if (this.socket !== undefined) this.handlers.onReadable.call(this, count);
  }

  writable(room: number): void {
    if (this.socket !== undefined) this.handlers.onWritable.call(this, room);
  }

  /** The standard gives no reason, and signals an orderly close the same way. */
  failed(): void {
    if (this.socket === undefined) return;
    this.socket = undefined;
    this.handlers.onError.call(this, 'connection lost');
  }
}

function onReadable(this: TCP, count: number): void {
  (this.target as ModdableStream).readable(count);
}

function onWritable(this: TCP, room: number): void {
  (this.target as ModdableStream).writable(room);
}

function onError(this: TCP): void {
  (this.target as ModdableStream).failed();
}

function open(options: ConnectOptions, tcp: TcpOptions): TCP {
  const { host, tls } = options;
  if (tls === undefined) return new TCP(tcp);
  return new TLSSocket({
    ...tcp,
    host: tls.serverName === undefined ? host : tls.serverName,
    secure: secureOptions(tls),
    TCP: { io: TCP },
  });
}

/** TlsOptions in the words of Moddable's SecureSocket; it takes DER or PEM as resources give it. */
export function secureOptions({ ca, certificate, key, verify }: TlsOptions): {
  certificate?: string;
  clientCertificates?: string[];
  clientKey?: string;
  verify?: boolean;
} {
  return {
    ...(ca === undefined ? {} : { certificate: ca }),
    ...(certificate === undefined ? {} : { clientCertificates: [certificate] }),
    ...(key === undefined ? {} : { clientKey: key }),
    ...(verify === undefined ? {} : { verify }),
  };
}

/** Opens a stream; the outcome comes as `onWritable` or `onError`. */
export function connectStream(
  options: ConnectOptions,
  handlers: StreamHandlers,
  target: unknown,
): Stream {
  return new ModdableStream(options, handlers, target);
}
