// TCP and TLS streams over Espruino's `net` and `tls`: binary strings below, bytes above.

import type { ConnectOptions, Stream, StreamHandlers, TlsOptions } from '../../src/platform.ts';
import type { BinaryString, EngineModules, EngineSocket, EngineTools } from './engine.ts';

declare const E: EngineTools;
declare const global: EngineModules;
declare function atob(text: string): BinaryString;
declare function setTimeout(action: () => void, delayMs: number): number;

/** Bytes that may wait for the owner. The engine cannot slow a sender down: more end the stream. */
export const RECEIVED_SIZE_MAX = 8192;

/** The engine checks no certificate, so TLS without this consent would only look safe. */
const UNVERIFIED = 'TLS: Espruino verifies no certificate; accept that by tls.verify = false';

/** A stream of `EspruinoPlatform.connect`. */
export class EspruinoStream implements Stream {
  target: unknown;
  private handlers: StreamHandlers | undefined;
  private socket: EngineSocket | undefined = undefined;
  /** What arrived and was not read: whole chunks, the first of them from `readAt` on. */
  private readonly chunks: Uint8Array[] = [];
  private readAt = 0;
  private waiting = 0;
  /** Bytes written since the engine last said that all had been sent. */
  private unsent = 0;
  private readonly writeSizeMax: number;
  private failure: string | undefined = undefined;
  /** The connection ended, and the owner has bytes to read before it is told. */
  private isOver = false;

  /** At most `writeSizeMax` bytes wait in the engine. Nothing happens before `open`. */
  constructor(handlers: StreamHandlers, target: unknown, writeSizeMax: number) {
    this.handlers = handlers;
    this.target = target;
    this.writeSizeMax = writeSizeMax;
  }

  open(options: ConnectOptions): void {
    const { host, port, tls } = options;
    if (tls !== undefined && tls.verify !== false) {
      this.failSoon(UNVERIFIED);
      return;
    }
    try {
      const opened = () => this.writable(0);
      const socket =
        tls === undefined
          ? global.require('net').connect({ host, port }, opened)
          : global.require('tls').connect(tlsOptions(host, port, tls), opened);
      this.socket = socket;
      socket.on('data', (data) => this.received(data));
      socket.on('drain', () => this.writable(0));
      socket.on('error', (error) => {
        this.failure = error.message;
      });
      socket.on('close', () => this.closed());
    } catch (error) {
      // A host that is not found, no memory, TLS that the build lacks.
      this.failSoon((error as Error).message);
    }
  }

  read(into: Uint8Array, size: number): number {
    const chunk = this.chunks[0];
    if (chunk === undefined) return 0;
    const start = this.readAt;
    const count = Math.min(size, chunk.length - start);
    into.set(chunk.subarray(start, start + count), 0);
    this.readAt = start + count;
    this.waiting -= count;
    if (this.readAt === chunk.length) {
      this.chunks.shift();
      this.readAt = 0;
      if (this.isOver && this.waiting === 0) setTimeout(() => this.over(), 0);
    }
    return count;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start;
    if (size > this.writeSizeMax - this.unsent) throw new Error('stream: write past the room');
    const data = E.toString(bytes.subarray(start, end));
    const { socket } = this;
    // After an end that the owner has not heard of yet the engine would throw.
    if (socket !== undefined && !this.isOver) {
      if (data === undefined) throw new Error('stream: out of memory');
      this.unsent += size;
      try {
        socket.write(data);
      } catch {
        // Closed since: its `close` event is on its way.
        this.unsent = this.writeSizeMax;
      }
    }
    return this.writeSizeMax - this.unsent;
  }

  close(): void {
    this.handlers = undefined;
    const { socket } = this;
    this.socket = undefined;
    if (socket !== undefined) socket.end();
  }

  private received(data: BinaryString): void {
    const { handlers } = this;
    if (handlers === undefined || data.length === 0) return;
    if (this.waiting + data.length > RECEIVED_SIZE_MAX) {
      this.failure = `more than ${RECEIVED_SIZE_MAX} bytes wait to be read`;
      this.over();
      return;
    }
    this.chunks.push(E.toUint8Array(data));
    this.waiting += data.length;
    handlers.onReadable.call(this, this.waiting);
  }

  /** Connected, or all is sent: `unsent` bytes wait in the engine. */
  private writable(unsent: number): void {
    this.unsent = unsent;
    const { handlers } = this;
    if (handlers !== undefined) handlers.onWritable.call(this, this.writeSizeMax - unsent);
  }

  private closed(): void {
    this.isOver = true;
    if (this.waiting === 0 || this.failure !== undefined) this.over();
  }

  private over(): void {
    const { handlers } = this;
    this.close();
    if (handlers !== undefined) handlers.onError.call(this, this.failure);
  }

  private failSoon(reason: string): void {
    this.failure = reason;
    setTimeout(() => this.over(), 0);
  }
}

function tlsOptions(host: string, port: number, tls: TlsOptions) {
  return { host, port, ca: derOf(tls.ca), cert: derOf(tls.certificate), key: derOf(tls.key) };
}

/** The first block of a PEM text (RFC 7468), decoded. */
function derOf(pem: string | undefined): BinaryString | undefined {
  if (pem === undefined) return undefined;
  const lines = pem.split('\n');
  let base64 = '';
  let inside = false;
  for (let index = 0; index < lines.length; index += 1) {
    const line = (lines[index] as string).trim();
    if (line.indexOf('-----') === 0) {
      if (inside) break;
      inside = true;
    } else if (inside) base64 += line;
  }
  return atob(base64);
}
