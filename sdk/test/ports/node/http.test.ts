import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeHttp } from '../../../ports/node/http.ts';
import type { HttpHandlers, HttpRequest, HttpRequestOptions } from '../../../src/platform.ts';
import {
  aTurn,
  aWhile,
  CERTIFICATE,
  CERTIFICATE_NAME,
  closedPort,
  KEY,
  until,
} from './loopback.ts';

const FIRMWARE = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 7919) >> 5));

const endings: (() => void)[] = [];

afterAll(() => {
  for (const end of endings) end();
});

/** A server; its URL without a path. */
async function serve(listener: RequestListener, scheme = 'http'): Promise<string> {
  const server =
    scheme === 'http'
      ? createServer(listener)
      : createHttpsServer({ cert: CERTIFICATE, key: KEY }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => server.close().closeAllConnections());
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Serves FIRMWARE, the whole of it or the range that is asked for. */
function serveFirmware(request: IncomingMessage, response: ServerResponse): void {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  if (first === undefined) {
    response.writeHead(200, { 'content-length': FIRMWARE.length, etag: '"1"' }).end(FIRMWARE);
    return;
  }
  const end = last === '' ? FIRMWARE.length : Number(last) + 1;
  const part = FIRMWARE.subarray(Number(first), end);
  const range = `bytes ${first}-${end - 1}/${FIRMWARE.length}`;
  response.writeHead(206, { 'content-range': range }).end(part);
}

/** Notes what it hears; reads as it is told. */
class Downloader {
  readonly events: string[] = [];
  readonly parts: Buffer[] = [];
  status = 0;
  done = false;
  reason: string | undefined;
  request!: HttpRequest;
  onHeaders: () => void = () => undefined;
  onReadable: (count: number) => void = (count) => this.take(count);

  constructor(options: Partial<HttpRequestOptions> & { readonly url: string }) {
    const handlers = HANDLERS;
    this.request = nodeHttp.request({ method: 'GET', headers: [], ...options }, handlers, this);
  }

  take(size: number): number {
    const into = new Uint8Array(size);
    const count = this.request.read(into, size);
    this.parts.push(Buffer.from(into.subarray(0, count)));
    return count;
  }

  body(): Buffer {
    return Buffer.concat(this.parts);
  }

  async ended(): Promise<this> {
    await until(() => this.done, 'the end of the exchange');
    return this;
  }
}

const HANDLERS: HttpHandlers = {
  onHeaders(this: HttpRequest, status: number): void {
    const owner = ownerOf(this);
    owner.status = status;
    owner.events.push('headers');
    owner.onHeaders();
  },
  onReadable(this: HttpRequest, count: number): void {
    const owner = ownerOf(this);
    owner.events.push('readable');
    owner.onReadable(count);
  },
  onDone(this: HttpRequest, reason?: string): void {
    const owner = ownerOf(this);
    owner.done = true;
    owner.reason = reason;
    owner.events.push('done');
  },
};

/** Who downloads something of which the server sends the beginning, and the server's socket. */
async function halfOfIt(
  headers: Readonly<Record<string, number>>,
  onReadable?: (count: number) => void,
): Promise<{ owner: Downloader; socket: Socket }> {
  const asked = Promise.withResolvers<Socket>();
  const url = await serve((_request, response) => {
    response.writeHead(200, headers).write('half of it');
    asked.resolve(response.socket!);
  });
  const owner = new Downloader({ url });
  if (onReadable !== undefined) owner.onReadable = onReadable;
  return { owner, socket: await asked.promise };
}

function ownerOf(request: HttpRequest): Downloader {
  const owner = request.target as Downloader;
  if (owner.request !== request) throw new Error('a handler ran before request returned');
  return owner;
}

describe.concurrent('a request', () => {
  test('gets status, headers and the whole body, in this order', async () => {
    const url = await serve(serveFirmware);
    const owner = await new Downloader({ url: `${url}/app.bin` }).ended();
    expect(owner.status).toBe(200);
    expect(owner.reason).toBeUndefined();
    expect(owner.body().equals(FIRMWARE)).toBe(true);
    expect(owner.request.header('etag')).toBe('"1"');
    expect(owner.request.header('content-length')).toBe('3000000');
    expect(owner.request.header('location')).toBeUndefined();
    expect(owner.events[0]).toBe('headers');
    expect(owner.events.indexOf('done')).toBe(owner.events.length - 1);
  });

  test('gets a part by its range', async () => {
    const url = await serve(serveFirmware);
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=1000000-1065535', 1_000_000, 1_065_536],
      ['bytes=2999990-', 2_999_990, 3_000_000],
    ] as const) {
      const owner = await new Downloader({ url, headers: ['range', range] }).ended();
      expect(owner.status).toBe(206);
      expect(owner.body().equals(FIRMWARE.subarray(start, end))).toBe(true);
      expect(owner.request.header('content-range')).toBe(`bytes ${start}-${end - 1}/3000000`);
    }
  });

  test('sends method, headers and body; an answer without one ends too', async () => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const { method, url: path, headers } = request;
        seen.push(`${method} ${path} ${headers.accept} ${headers['content-length']} ${body}`);
        response.writeHead(204, [
          ['x-twice', '1'],
          ['x-twice', '2'],
        ]);
        response.end();
      });
    });
    const headers = ['accept', 'application/cbor', 'x-other', ''];
    const body = Buffer.from('report');
    const posted = await new Downloader({ method: 'POST', url: `${url}/a`, headers, body }).ended();
    expect([posted.status, posted.reason, posted.body().length]).toEqual([204, undefined, 0]);
    expect(posted.request.header('x-twice')).toBe('1, 2');
    const head = await new Downloader({ method: 'HEAD', url: `${url}/b` }).ended();
    expect([head.status, head.reason]).toEqual([204, undefined]);
    expect(seen).toEqual(['POST /a application/cbor 6 report', 'HEAD /b undefined undefined ']);
  });

  test('hands an error status on as any other', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end('no such file'));
    const owner = await new Downloader({ url }).ended();
    expect([owner.status, owner.reason, owner.body().toString()]).toEqual([
      404,
      undefined,
      'no such file',
    ]);
  });

  test('for what is no URL of the web throws', () => {
    for (const url of ['', 'firmware.bin', 'ftp://127.0.0.1/', 'http://']) {
      expect(() => new Downloader({ url }), url).toThrow(TypeError);
    }
  });
});

describe.concurrent('the body', () => {
  test('comes as slowly as it is read: the sender is slowed down', async () => {
    let responded: ServerResponse | undefined;
    const url = await serve((_request, response) => {
      responded = response;
      response.write(Buffer.alloc(20_000_000, 1));
      response.end(FIRMWARE);
    });
    const owner = new Downloader({ url });
    let announced = 0;
    owner.onReadable = (count) => {
      announced = count;
    };
    await until(() => announced > 0, 'the first bytes');
    await aWhile(100);
    expect(owner.events).toEqual(['headers', 'readable']);
    expect(responded!.writableLength).toBeGreaterThan(1_000_000);
    // In small parts, in turns of its own.
    owner.onReadable = (count) => owner.take(count >> 1);
    let count = 0;
    while (!owner.done) {
      count = owner.take(100_000);
      if (count === 0) await aTurn();
    }
    expect(owner.reason).toBeUndefined();
    expect(owner.body().length).toBe(23_000_000);
    expect(owner.body().subarray(20_000_000).equals(FIRMWARE)).toBe(true);
  });

  test('that the server does not finish ends with a reason', async () => {
    const cuts: ((socket: Socket) => void)[] = [
      (socket) => socket.destroy(),
      (socket) => socket.end(),
      (socket) => socket.resetAndDestroy(),
    ];
    for (const cut of cuts) {
      const lengths: Record<string, number>[] = [{ 'content-length': 1000 }, {}];
      for (const length of lengths) {
        const { owner, socket } = await halfOfIt(length);
        await until(() => owner.parts.length > 0, 'the first half');
        cut(socket);
        await owner.ended();
        expect(owner.body().toString()).toBe('half of it');
        expect(owner.reason).toMatch(/connection (lost|reset)/);
        expect(owner.events).toEqual(['headers', 'readable', 'done']);
      }
    }
  });

  test('that is lost while some of it waits to be read ends with a reason too', async () => {
    const { owner, socket } = await halfOfIt({ 'content-length': 1000 }, () => undefined);
    await until(() => owner.events.includes('readable'), 'the first half');
    socket.destroy();
    await owner.ended();
    expect(owner.reason).toBe('connection lost');
  });
});

describe.concurrent('an exchange that does not begin tells why:', () => {
  test('nobody listens', async () => {
    const port = await closedPort();
    for (const host of ['127.0.0.1', 'localhost']) {
      const owner = await new Downloader({ url: `http://${host}:${port}` }).ended();
      expect([owner.reason, owner.events]).toEqual(['connection refused', ['done']]);
    }
  });

  test('there is no such host', async () => {
    const owner = await new Downloader({ url: 'http://no-such-host.invalid' }).ended();
    expect(owner.reason).toMatch(/^host not found/);
  });

  test('the server hangs up, or does not speak HTTP', async () => {
    const hangsUp = await serve((request) => request.socket.destroy());
    const owner = await new Downloader({ url: hangsUp }).ended();
    expect([owner.reason, owner.events]).toEqual(['connection reset', ['done']]);
    const garbage = await serve((request) => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
    expect((await new Downloader({ url: garbage }).ended()).reason).toMatch(/\w/);
  });

  test('the server is not trusted, or another one', async () => {
    const url = await serve(serveFirmware, 'https');
    const untrusted = await new Downloader({ url, tls: {} }).ended();
    expect(untrusted.reason).toMatch(/^TLS: its certificate is self-signed/);
    const other = await new Downloader({ url, tls: { ca: CERTIFICATE } }).ended();
    expect(other.reason).toBe('TLS: its certificate is for another host name');
    const unusable = new Downloader({ url, tls: { certificate: 'paper', key: KEY } });
    expect((await unusable.ended()).reason).toMatch(/^TLS: the certificates cannot be used/);
    unusable.request.close();
  });
});

describe.concurrent('over TLS', () => {
  test('the server is verified under the name that is given, or not at all', async () => {
    const url = await serve(serveFirmware, 'https');
    const headers = ['range', 'bytes=5-9'];
    for (const tls of [{ ca: CERTIFICATE, serverName: CERTIFICATE_NAME }, { verify: false }]) {
      const owner = await new Downloader({ url, headers, tls }).ended();
      expect([owner.reason, owner.status]).toEqual([undefined, 206]);
      expect(owner.body().equals(FIRMWARE.subarray(5, 10))).toBe(true);
    }
  });
});

describe.concurrent('after close', () => {
  test('no handler runs, whenever it is called, and the server is let go', async () => {
    for (const when of ['at once', 'in onHeaders', 'in onReadable', 'while unread'] as const) {
      let connections = 0;
      const url = await serve((request, response) => {
        connections += 1;
        request.socket.on('close', () => {
          connections -= 1;
        });
        response.writeHead(200).write(FIRMWARE);
      });
      const owner = new Downloader({ url });
      let eventsAtClose = -1;
      const close = () => {
        owner.request.close();
        eventsAtClose = owner.events.length;
      };
      if (when === 'at once') close();
      if (when === 'in onHeaders') owner.onHeaders = close;
      if (when === 'in onReadable') owner.onReadable = close;
      if (when === 'while unread') {
        owner.onReadable = () => undefined;
        await until(() => owner.events.includes('readable'), 'the body');
        close();
      }
      await until(() => eventsAtClose >= 0, when);
      await aWhile();
      await until(() => connections === 0, `${when}: the connection to go`);
      expect(owner.events.length, when).toBe(eventsAtClose);
    }
  });

  test('of one that is over nothing happens', async () => {
    const url = await serve(serveFirmware);
    const owner = await new Downloader({ url, headers: ['range', 'bytes=0-9'] }).ended();
    owner.request.close();
    await aWhile();
    expect(owner.events.filter((event) => event === 'done').length).toBe(1);
  });
});
