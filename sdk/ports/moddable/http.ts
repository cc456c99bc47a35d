// HTTP requests over Moddable's ECMA-419 client: one connection per request, no redirects.

import TCP from 'embedded:io/socket/tcp';
import TLSSocket from 'embedded:io/socket/tls';
import HTTPClient, { type HttpClientRequest } from 'embedded:network/http/client';
import type { Http, HttpHandlers, HttpRequest, HttpRequestOptions } from '../../src/platform.ts';
import { secureOptions } from './stream.ts';

interface Address {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/** XS has no URL. Throws a TypeError for what is no absolute `http:` or `https:` URL. */
export function parseUrl(url: string): Address {
  const parts = /^(https?):\/\/([^/:?#@]+)(?::(\d{1,5}))?(\/[^#]*)?$/.exec(url);
  if (parts === null) throw new TypeError(`url '${url}': expected http(s)://host[:port]/path`);
  const secure = parts[1] === 'https';
  const port = parts[3] === undefined ? (secure ? 443 : 80) : Number(parts[3]);
  if (port < 1 || port > 65535) throw new TypeError(`url '${url}': port ${port}`);
  const path = parts[4] === undefined ? '/' : parts[4];
  return { secure, host: parts[2] as string, port, path };
}

class ModdableHttpRequest implements HttpRequest {
  target: unknown;
  private handlers: HttpHandlers | undefined;
  private readonly client: HTTPClient;
  private readonly request: HttpClientRequest;
  private headers: Map<string, string> | undefined = undefined;
  private waiting = 0;
  private bodyAt = 0;

  constructor(options: HttpRequestOptions, handlers: HttpHandlers, target: unknown) {
    this.target = target;
    this.handlers = handlers;
    const { host, path, port, secure } = parseUrl(options.url);
    const { body, headers, method, tls = {} } = options;
    const sent = new Map<string, string>();
    for (let index = 0; index + 1 < headers.length; index += 2) {
      sent.set(headers[index] as string, headers[index + 1] as string);
    }
    if (body !== undefined) sent.set('content-length', String(body.length));
    const tlsSocket = { io: TLSSocket, secure: secureOptions(tls), TCP: { io: TCP } };
    this.client = new HTTPClient({
      host,
      port,
      socket: secure ? tlsSocket : { io: TCP },
      onError: () => this.done('connection lost'),
    });
    this.request = this.client.request({
      method,
      path,
      headers: sent,
      onHeaders: (status, received) => this.receive(status, received),
      onReadable: (count) => this.readable(count),
      onWritable: (room) => this.writeBody(body, room),
      onDone: (error) => this.done(error ? String(error) : undefined),
    });
  }

  header(name: string): string | undefined {
    return this.headers === undefined ? undefined : this.headers.get(name);
  }

  read(into: Uint8Array, size: number): number {
    const wanted = Math.min(size, this.waiting);
    if (wanted === 0) return 0;
    const count = this.request.read(new Uint8Array(into.buffer, into.byteOffset, wanted));
    if (count === undefined) return 0;
    this.waiting -= count;
    return count;
  }

  close(): void {
    this.handlers = undefined;
    this.waiting = 0;
    this.client.close();
  }

  private receive(status: number, headers: Map<string, string>): void {
    this.headers = headers;
    if (this.handlers !== undefined) this.handlers.onHeaders.call(this, status);
  }

  private readable(count: number): void {
    this.waiting = count;
    if (this.handlers !== undefined) this.handlers.onReadable.call(this, count);
  }

  private writeBody(body: Uint8Array | undefined, room: number): void {
    if (body === undefined || this.bodyAt === body.length) return;
    const size = Math.min(room, body.length - this.bodyAt);
    this.request.write(new Uint8Array(body.buffer, body.byteOffset + this.bodyAt, size));
    this.bodyAt += size;
  }

  private done(reason: string | undefined): void {
    const { handlers } = this;
    if (handlers === undefined) return;
    this.handlers = undefined;
    handlers.onDone.call(this, reason);
    this.client.close();
  }
}

export const moddableHttp: Http = {
  request: (options, handlers, target) => new ModdableHttpRequest(options, handlers, target),
};
