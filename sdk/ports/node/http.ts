// HTTP requests over node:http and node:https, with backpressure: what is not read stays in the
// socket, so a slow flash slows the sender down.

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Http, HttpHandlers, HttpRequest, HttpRequestOptions } from '../../src/platform.ts';
import { openCertificates, reasonOf } from './stream.ts';

class NodeHttpRequest implements HttpRequest {
  target: unknown;
  private handlers: HttpHandlers | undefined;
  /** Absent when the certificates for it cannot be used. */
  private readonly request: ClientRequest | undefined;
  private response: IncomingMessage | undefined;
  private chunk: Buffer | undefined;
  private chunkAt = 0;
  /** The whole body came, and the owner has not read all of it yet. */
  private isOver = false;

  constructor(options: HttpRequestOptions, handlers: HttpHandlers, target: unknown) {
    this.target = target;
    this.handlers = handlers;
    const open = options.url.startsWith('https:') ? httpsRequest : httpRequest;
    const headers: Record<string, string> = {};
    for (let index = 0; index + 1 < options.headers.length; index += 2) {
      headers[options.headers[index] as string] = options.headers[index + 1] as string;
    }
    const { tls } = options;
    const secureContext = tls === undefined ? undefined : openCertificates(tls);
    if (typeof secureContext === 'string') {
      process.nextTick(() => this.done(secureContext));
      return;
    }
    this.request = open(options.url, {
      method: options.method,
      headers,
      agent: false,
      ...(secureContext === undefined ? {} : { secureContext }),
      rejectUnauthorized: tls?.verify !== false,
      ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
    });
    this.request.on('response', (response) => this.receive(response));
    this.request.on('error', (error) => this.done(reasonOf(error)));
    this.request.end(options.body);
  }

  header(name: string): string | undefined {
    const value = this.response?.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  read(into: Uint8Array, size: number): number {
    const { chunk } = this;
    if (chunk === undefined) return 0;
    const count = Math.min(size, chunk.length - this.chunkAt);
    into.set(chunk.subarray(this.chunkAt, this.chunkAt + count));
    this.chunkAt += count;
    if (this.chunkAt === chunk.length) {
      this.chunk = undefined;
      if (this.isOver) process.nextTick(() => this.done(undefined));
      else this.response?.resume();
    }
    return count;
  }

  close(): void {
    this.handlers = undefined;
    this.request?.destroy();
  }

  private receive(response: IncomingMessage): void {
    this.response = response;
    this.handlers?.onHeaders.call(this, response.statusCode ?? 0);
    response.on('data', (chunk: Buffer) => {
      response.pause();
      this.chunk = chunk;
      this.chunkAt = 0;
      this.handlers?.onReadable.call(this, chunk.length);
    });
    // It comes with the last bytes, also when they wait to be read.
    response.on('end', () => {
      this.isOver = true;
      if (this.chunk === undefined) this.done(undefined);
    });
    response.on('aborted', () => this.done('connection lost'));
  }

  private done(reason: string | undefined): void {
    const { handlers } = this;
    this.handlers = undefined;
    handlers?.onDone.call(this, reason);
  }
}

/** One connection per request; redirects are the caller's. Throws a TypeError for a bad URL. */
export const nodeHttp: Http = {
  request: (options, handlers, target) => new NodeHttpRequest(options, handlers, target),
};
