// TCP and TLS streams over node:net and node:tls, lean enough for a hundred thousand at once:
// one read buffer for all sockets, shared listener functions, and one write per socket and turn.

import {
  type IpcSocketConnectOpts,
  isIP,
  connect as netConnect,
  type Socket,
  type TcpNetConnectOpts,
} from 'node:net';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  connect as tlsConnect,
} from 'node:tls';
import type { ConnectOptions, Stream, StreamHandlers, TlsOptions } from '../../src/platform.ts';

/** Bytes the kernel may lag behind before a stream asks its owner to wait. */
const WRITE_LAG_MAX = 16384;
const READ_BUFFER_SIZE = 65536;
const BATCH_SIZE = 65536;
/** Bytes that may wait for the owner before the sender is slowed down. */
const READ_LAG_MAX = 65536;
/** How long a closed stream waits for the other side to end too. */
const LINGER_MS_MAX = 2000;

const OWNER = Symbol('stream');
type OwnedSocket = Socket & { [OWNER]: NodeStream };

/** The buffers that all streams of a thread share. */
export class StreamBuffers {
  /** Largest write that always finds room once `onWritable` was called. */
  readonly packetSizeMax: number;
  readonly read: Buffer = Buffer.allocUnsafeSlow(READ_BUFFER_SIZE);
  /** Sockets that are not closed yet. */
  openCount = 0;
  /** At least one stream's whole room. */
  private readonly batchSize: number;
  private batch: Buffer;
  private used = 0;
  /** Segments of the batch in order: the owner of each, and where it ends. */
  private readonly owners: (NodeStream | undefined)[] = [];
  private readonly ends: number[] = [];
  private count = 0;
  /** Keeps the first loads of `flush` from being optimised away. */
  private lag = 0;
  private readonly starved: NodeStream[] = [];
  private readonly flushSoon = () => {
    this.flush();
    this.feed();
  };

  constructor(packetSizeMax: number) {
    this.packetSizeMax = packetSizeMax;
    this.batchSize = Math.max(BATCH_SIZE, WRITE_LAG_MAX + packetSizeMax);
    this.batch = Buffer.allocUnsafeSlow(this.batchSize);
  }

  /** Queues a copy of bytes[start, end) for `owner`; it goes out at the end of this turn. */
  add(owner: NodeStream, bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.used + size > this.batchSize) this.flush();
    if (this.used === 0) process.nextTick(this.flushSoon);
    // Any Uint8Array may be copied from: a quarter of what a loop costs for 150 bytes, and no view.
    Buffer.prototype.copy.call(bytes as Buffer, this.batch, this.used, start, end);
    this.used += size;
    const { count } = this;
    if (count > 0 && this.owners[count - 1] === owner) {
      this.ends[count - 1] = this.used;
    } else {
      this.owners[count] = owner;
      this.ends[count] = this.used;
      this.count = count + 1;
    }
  }

  /** Writes every segment to its socket now. */
  flush(): void {
    if (this.used === 0) return;
    const { owners, ends, batch, count } = this;
    // What the sockets need comes into the processor's cache: here the loads overlap.
    this.lag = 0;
    for (let index = 0; index < count; index += 1) this.lag += (owners[index] as NodeStream).lag;
    let start = 0;
    let held = false;
    for (let index = 0; index < count; index += 1) {
      const owner = owners[index] as NodeStream;
      const end = ends[index] as number;
      held = owner.send(batch.subarray(start, end)) || held;
      if (owner.starving) this.starved.push(owner);
      start = end;
    }
    // The arrays keep their length, and so their memory, but no stream.
    owners.fill(undefined, 0, count);
    this.count = 0;
    this.used = 0;
    // The kernel still reads from this memory: leave it to it.
    if (held) this.batch = Buffer.allocUnsafeSlow(this.batchSize);
  }

  /** Not within `flush`: that may run inside a write, whose bytes an owner could encode over. */
  private feed(): void {
    while (this.starved.length > 0) (this.starved.pop() as NodeStream).feed();
  }
}

/** A stream of `platform.connect`; a simulator may delay its opening or cut it. */
export class NodeStream implements Stream {
  target: unknown;
  /** True when the owner was told of less room than its largest packet. */
  starving = false;
  private readonly buffers: StreamBuffers;
  private handlers: StreamHandlers | undefined;
  /** Absent until `open`. */
  private socket: Socket | undefined = undefined;
  private source: Uint8Array = EMPTY;
  private sourceAt = 0;
  private sourceEnd = 0;
  /** Bytes that wait in the batch. */
  private batched = 0;
  private failure: string | undefined = undefined;
  private isOpen = false;
  /** The other side ended, and the owner has bytes to read before it is told. */
  private isOver = false;

  /** Does nothing until `open`. */
  constructor(handlers: StreamHandlers, target: unknown, buffers: StreamBuffers) {
    this.target = target;
    this.handlers = handlers;
    this.buffers = buffers;
  }

  /** Connects; nothing happens when the stream was closed or cut before. */
  open(options: ConnectOptions): void {
    if (this.handlers === undefined || this.failure !== undefined) return;
    const socket = options.tls === undefined ? this.openTcp(options) : this.openTls(options);
    if (socket === undefined) return;
    this.socket = socket;
    this.buffers.openCount += 1;
    (socket as OwnedSocket)[OWNER] = this;
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.on('drain', onDrain);
  }

  read(into: Uint8Array, size: number): number {
    const count = Math.min(size, this.sourceEnd - this.sourceAt);
    const { source, sourceAt } = this;
    if (count <= 64) {
      for (let index = 0; index < count; index += 1)
        into[index] = source[sourceAt + index] as number;
    } else {
      into.set(source.subarray(sourceAt, sourceAt + count));
    }
    this.sourceAt = sourceAt + count;
    if (this.sourceAt === this.sourceEnd && source !== this.buffers.read && source !== EMPTY) {
      this.source = EMPTY;
      if (this.isOver) process.nextTick(() => this.closed());
      else this.socket?.resume();
    }
    return count;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (end - start > this.room()) throw new Error('stream: write past the room');
    this.batched += end - start;
    this.buffers.add(this, bytes, start, end);
    const room = this.room();
    this.starving = room < this.buffers.packetSizeMax;
    return room;
  }

  close(): void {
    if (this.handlers === undefined) return;
    this.handlers = undefined;
    if (this.batched > 0) this.buffers.flush();
    const { socket } = this;
    if (!this.isOpen) {
      socket?.destroy();
      return;
    }
    // Bytes that arrive at a socket that is gone reset the connection, and what was written last
    // is lost with it: so reading goes on until the other side has ended too.
    socket?.end();
    socket?.resume();
    setTimeout(destroy, LINGER_MS_MAX, socket).unref();
  }

  /** Ends the stream as a lost link does: what waits is gone, the owner sees an error. */
  cut(reason: string): void {
    this.failure = reason;
    if (this.socket === undefined) process.nextTick(() => this.closed());
    else this.socket.destroy();
  }

  // For the shared listeners and the batch.

  opened(): void {
    this.isOpen = true;
    this.handlers?.onWritable.call(this, this.room());
  }

  /** Bytes arrived; true when all were read, false when reading must pause. */
  received(source: Uint8Array, count: number): boolean {
    if (this.handlers === undefined) return true;
    const rest = this.sourceEnd - this.sourceAt;
    if (rest > 0)
      this.source = Buffer.concat([
        this.source.subarray(this.sourceAt, this.sourceEnd),
        source.subarray(0, count),
      ]);
    else this.source = source;
    this.sourceAt = 0;
    this.sourceEnd = rest + count;
    this.handlers.onReadable.call(this, this.sourceEnd);
    if (this.sourceAt === this.sourceEnd || this.handlers === undefined) return true;
    // The shared buffer is overwritten by the next socket: keep what is left.
    if (rest === 0) {
      this.source = Uint8Array.prototype.slice.call(this.source, this.sourceAt, this.sourceEnd);
      this.sourceEnd -= this.sourceAt;
      this.sourceAt = 0;
    }
    return this.sourceEnd - this.sourceAt < READ_LAG_MAX;
  }

  /** Hands a segment of the batch to the socket; true when the kernel did not take it all. */
  send(segment: Uint8Array): boolean {
    this.batched -= segment.length;
    const { socket } = this;
    if (socket === undefined || !socket.writable) return false;
    socket.write(segment);
    return socket.writableLength > 0;
  }

  /** Tells the owner about room that came back. */
  feed(): void {
    if (!this.starving || this.room() < this.buffers.packetSizeMax) return;
    this.starving = false;
    this.handlers?.onWritable.call(this, this.room());
  }

  failed(error: NodeJS.ErrnoException): void {
    this.failure ??= reasonOf(error);
  }

  closed(): void {
    if (this.socket !== undefined) this.buffers.openCount -= 1;
    this.socket = undefined;
    this.isOver = this.failure === undefined && this.sourceAt < this.sourceEnd;
    if (this.isOver) return;
    const handlers = this.handlers;
    this.handlers = undefined;
    handlers?.onError.call(this, this.failure);
  }

  private room(): number {
    return Math.max(0, WRITE_LAG_MAX + this.buffers.packetSizeMax - this.lag - this.batched);
  }

  /** Bytes written that the kernel has not taken yet. */
  get lag(): number {
    return this.socket === undefined ? 0 : this.socket.writableLength;
  }

  private openTcp(options: ConnectOptions): Socket {
    const { read } = this.buffers;
    const connectOptions: TcpNetConnectOpts & Partial<IpcSocketConnectOpts> = {
      host: options.host,
      port: options.port,
      noDelay: true,
      autoSelectFamily: isIP(options.host) === 0,
      // Room is reported against this mark; Node says 'drain' once it was reached.
      writableHighWaterMark: WRITE_LAG_MAX,
      onread: { buffer: read, callback: (count: number) => this.received(read, count) },
    } as TcpNetConnectOpts;
    const socket = netConnect(connectOptions);
    socket.on('connect', onConnect);
    return socket;
  }

  /** Undefined when OpenSSL cannot use the certificates; the owner hears of it. */
  private openTls(options: ConnectOptions): Socket | undefined {
    const tls = options.tls ?? {};
    const servername = tls.serverName ?? (isIP(options.host) === 0 ? options.host : undefined);
    const secureContext = openCertificates(tls);
    if (typeof secureContext === 'string') {
      this.cut(secureContext);
      return undefined;
    }
    const connectOptions: ConnectionOptions & { highWaterMark: number } = {
      host: options.host,
      port: options.port,
      secureContext,
      servername,
      rejectUnauthorized: tls.verify !== false,
      highWaterMark: WRITE_LAG_MAX,
    };
    const socket = tlsConnect(connectOptions);
    socket.setNoDelay(true);
    socket.once('secureConnect', onConnect);
    socket.on('data', onData);
    return socket;
  }
}

const EMPTY = new Uint8Array(0);

function destroy(socket: Socket | undefined): void {
  socket?.destroy();
}

function onConnect(this: Socket): void {
  (this as OwnedSocket)[OWNER].opened();
}

function onData(this: Socket, chunk: Buffer): void {
  if (!(this as OwnedSocket)[OWNER].received(chunk, chunk.length)) this.pause();
}

function onDrain(this: Socket): void {
  (this as OwnedSocket)[OWNER].feed();
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  (this as OwnedSocket)[OWNER].failed(error);
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[OWNER].closed();
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host not found (the name server did not answer)',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EPIPE: 'connection reset',
  EMFILE: 'out of file descriptors (raise the limit: ulimit -n)',
  EADDRNOTAVAIL: 'out of local ports for this broker address',
};

const TLS_REASONS: Record<string, string> = {
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not speak TLS on this port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the server does not speak TLS on this port',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed (give its CA to trust it)',
  SELF_SIGNED_CERT_IN_CHAIN: 'its CA is not trusted (give the CA to trust it)',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its CA is not trusted (give the CA to trust it)',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its CA is not trusted (give the CA to trust it)',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
};

/** What a socket error means, in words; the system's own for a rare one. */
export function reasonOf(error: NodeJS.ErrnoException): string {
  // Happy eyeballs tries several addresses and reports all their errors in one.
  const first =
    error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  const code = first.code ?? '';
  if (TLS_REASONS[code] !== undefined) return `TLS: ${TLS_REASONS[code]}`;
  return REASONS[code] ?? first.message.trim();
}

/** What TLS needs of `options`; in words what is wrong where OpenSSL cannot use them. */
export function openCertificates(options: TlsOptions): SecureContext | string {
  try {
    const { ca, certificate, key } = options;
    return createSecureContext({ ca, cert: certificate, key });
  } catch (error) {
    return `TLS: the certificates cannot be used: ${(error as Error).message}`;
  }
}

/** Opens a stream on this thread's buffers; see `Platform.connect`. */
export function connectStream(
  options: ConnectOptions,
  handlers: StreamHandlers,
  target: unknown,
  buffers: StreamBuffers,
): NodeStream {
  const stream = new NodeStream(handlers, target, buffers);
  stream.open(options);
  return stream;
}
