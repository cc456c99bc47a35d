// How streams fail and how they are cut: the reason in words, once, and nothing left open.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import { NodeStream, StreamBuffers } from '../../../ports/node/stream.ts';
import type { ConnectOptions, TlsOptions } from '../../../src/platform.ts';
import {
  aWhile,
  CERTIFICATE,
  CERTIFICATE_NAME,
  closedPort,
  connect,
  HANDLERS,
  KEY,
  type Loopback,
  listen,
  Owner,
  optionsOf,
  PACKET_SIZE_MAX,
  stillness,
  TRANSPORTS,
  type Transport,
  until,
} from './loopback.ts';

const endings: (() => unknown)[] = [];

afterAll(async () => {
  for (const end of endings) await end();
});

async function serve(transport: Transport, onSocket?: (socket: Socket) => void): Promise<Loopback> {
  const server = await listen(transport, onSocket);
  endings.push(() => server.close());
  return server;
}

/** A connected owner and the socket at the other end. */
async function open(
  transport: Transport,
  owner = new Owner(),
): Promise<{ owner: Owner; peer: Socket }> {
  const server = await serve(transport);
  connect(server.options, owner);
  await until(() => owner.room > 0 && server.sockets.length === 1, 'connection');
  return { owner, peer: server.sockets[0]! };
}

/** All that the owner of a stream which never opens is told. */
async function failureOf(options: ConnectOptions): Promise<string[]> {
  const owner = connect(options);
  await until(() => owner.ended, 'a failure');
  await until(() => owner.buffers.openCount === 0, 'the socket to go');
  return owner.events;
}

/** Connects over TLS to a server for flotilla.test; its certificate is trusted unless said. */
async function tlsFailureOf(tls: TlsOptions): Promise<string[]> {
  const server = await serve('tls', (socket) => socket.end('hello'));
  const { host, port } = server.options;
  return failureOf({ host, port, tls });
}

describe.concurrent('a stream that does not open tells why:', () => {
  test('nobody listens', async () => {
    const port = await closedPort();
    for (const host of ['127.0.0.1', 'localhost']) {
      expect(await failureOf({ host, port })).toEqual(['error connection refused']);
    }
    expect(await failureOf(optionsOf('tls', port))).toEqual(['error connection refused']);
  });

  test('there is no such host', async () => {
    const [event, ...more] = await failureOf({ host: 'no-such-host.invalid', port: 1883 });
    expect(event).toMatch(/^error host not found/);
    expect(more).toEqual([]);
  });

  test('the server is not trusted', async () => {
    expect(await tlsFailureOf({ serverName: CERTIFICATE_NAME })).toEqual([
      'error TLS: its certificate is self-signed (give its CA to trust it)',
    ]);
  });

  test('its certificate is for another name, the host’s where none is given', async () => {
    for (const serverName of [{}, { serverName: 'other.test' }]) {
      expect(await tlsFailureOf({ ca: CERTIFICATE, ...serverName })).toEqual([
        'error TLS: its certificate is for another host name',
      ]);
    }
  });

  test('it does not speak TLS', async () => {
    const { port } = await serve('tcp', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await failureOf(optionsOf('tls', port))).toEqual([
      'error TLS: the server does not speak TLS on this port',
    ]);
  });

  test('it hangs up before the handshake is over', async () => {
    const { port } = await serve('tcp', (socket) => socket.end());
    expect(await failureOf(optionsOf('tls', port))).toEqual(['error connection reset']);
  });

  test.each<[string, TlsOptions]>([
    ['a key that is none', { certificate: CERTIFICATE, key: 'secret' }],
    ['a certificate that is none', { certificate: 'paper', key: KEY }],
    ['a certificate that is cut off', { certificate: CERTIFICATE.slice(0, 300), key: KEY }],
  ])('%s', async (_what, tls) => {
    const [event, ...more] = await tlsFailureOf(tls);
    expect(event).toMatch(/^error TLS: the certificates cannot be used: /);
    expect(more).toEqual([]);
  });
});

describe.concurrent('over TLS', () => {
  test('any certificate will do where none is to be verified', async () => {
    const server = await serve('tls', (socket) => socket.end('hello'));
    const { host, port } = server.options;
    const owner = connect({ host, port, tls: { verify: false } });
    owner.onReadable = () => owner.take(owner.waiting);
    await until(() => owner.ended, 'the end');
    expect(owner.events.slice(1)).toEqual(['readable 5', 'error']);
  });

  test('a client certificate is shown, and the name that is asked for', async () => {
    const server = await listen('tls', undefined, { requestCert: true, ca: CERTIFICATE });
    endings.push(() => server.close());
    const tls = { ca: CERTIFICATE, certificate: CERTIFICATE, key: KEY };
    connect({ ...server.options, tls: { ...tls, serverName: CERTIFICATE_NAME } });
    await until(() => server.sockets.length === 1, 'connection');
    const socket = server.sockets[0] as TLSSocket;
    expect(socket.getPeerCertificate().subject.CN).toBe(CERTIFICATE_NAME);
    expect(socket.authorized).toBe(true);
    expect((socket as { servername?: unknown }).servername).toBe(CERTIFICATE_NAME);
  });
});

test.concurrent('an open stream that the other side resets tells so', async () => {
  const { owner, peer } = await open('tcp');
  peer.resetAndDestroy();
  await until(() => owner.ended, 'the end');
  expect(owner.events.slice(1)).toEqual(['error connection reset']);
  expect(owner.buffers.openCount).toBe(0);
});

describe.concurrent.each(TRANSPORTS)('an open stream over %s', (transport) => {
  test('that is cut ends at once: what was on its way is gone', async () => {
    const { owner, peer } = await open(transport);
    const received: Buffer[] = [];
    peer.on('data', (chunk: Buffer) => received.push(chunk)).resume();
    owner.write(Buffer.from('hello'));
    owner.stream!.cut('link down');
    expect(owner.events.length).toBe(1); // Not from within `cut`.
    await until(() => owner.ended && peer.destroyed, 'both ends to go');
    expect(owner.events.slice(1)).toEqual(['error link down']);
    expect(received).toEqual([]);
    expect(owner.buffers.openCount).toBe(0);
    // The batch goes on without it.
    owner.stream!.write(Buffer.from('hello'), 0, 5);
    owner.stream!.close();
    await aWhile();
    expect(owner.events.length).toBe(2);
  });

  test('that is cut twice, or cut and closed, is told once or not at all', async () => {
    const buffers = new StreamBuffers(PACKET_SIZE_MAX);
    const twice = await open(transport, new Owner(buffers));
    twice.owner.stream!.cut('first');
    twice.owner.stream!.cut('second');
    const closed = await open(transport, new Owner(buffers));
    closed.owner.stream!.cut('link down');
    closed.owner.stream!.close();
    const unread = await open(transport, new Owner(buffers));
    unread.peer.end('abc');
    await until(() => unread.owner.waiting === 3, 'three bytes');
    await aWhile();
    unread.owner.stream!.cut('link down');
    await until(() => buffers.openCount === 0, 'all to go');
    await aWhile();
    expect(twice.owner.events.length).toBe(2);
    expect(closed.owner.events.length).toBe(1);
    expect(unread.owner.events.at(-1)).toBe('error link down');
  });
});

test.concurrent('a stream whose peer reads no more is gone some time after its close', async () => {
  const buffers = new StreamBuffers(PACKET_SIZE_MAX);
  const owners = await Promise.all(TRANSPORTS.map((each) => open(each, new Owner(buffers))));
  for (const { owner } of owners) {
    owner.onWritable = () => owner.write(new Uint8Array(owner.room));
    owner.onWritable();
  }
  await stillness(() => owners.reduce((sum, { owner }) => sum + owner.events.length, 0));
  for (const { owner } of owners) {
    owner.write(new Uint8Array(owner.room));
    owner.stream!.close();
  }
  await until(() => buffers.openCount === 0, 'the sockets to go');
});

describe.concurrent('a stream before it opens', () => {
  test('is cut: the owner is told later, and nothing is opened any more', async () => {
    const server = await serve('tcp');
    const owner = new Owner();
    owner.stream = new NodeStream(HANDLERS, owner, owner.buffers);
    owner.stream.cut('link down');
    expect(owner.events).toEqual([]);
    // Its turn to open may come before the owner has heard.
    owner.stream.open(server.options);
    await until(() => owner.ended, 'the cut');
    owner.stream.open(server.options);
    await aWhile();
    expect(owner.events).toEqual(['error link down']);
    expect(server.sockets).toEqual([]);
    expect(owner.buffers.openCount).toBe(0);
  });

  test('is closed: nothing is opened, no handler runs', async () => {
    const server = await serve('tcp');
    for (const end of ['close', 'cut and close'] as const) {
      const owner = new Owner();
      owner.stream = new NodeStream(HANDLERS, owner, owner.buffers);
      if (end !== 'close') owner.stream.cut('link down');
      owner.stream.close();
      owner.stream.open(server.options);
      await aWhile();
      expect(owner.events, end).toEqual([]);
      expect(owner.buffers.openCount).toBe(0);
    }
    expect(server.sockets).toEqual([]);
  });

  test('is cut or closed while it connects: the socket is gone at once', async () => {
    const { port } = await serveDeaf();
    const buffers = new StreamBuffers(PACKET_SIZE_MAX);
    const owners = Array.from({ length: 8 }, () =>
      connect({ host: '127.0.0.1', port }, new Owner(buffers)),
    );
    await stillness(() => owners.filter(({ room }) => room > 0).length);
    const connecting = owners.filter(({ room }) => room === 0);
    expect(connecting.length).toBeGreaterThan(1);
    const openCount = owners.length - connecting.length;
    connecting[0]!.stream!.cut('link down');
    for (const { stream } of connecting.slice(1)) stream!.close();
    await aWhile();
    expect(buffers.openCount).toBe(openCount);
    expect(connecting.map(({ events }) => events.length)).toEqual([
      1,
      ...connecting.slice(1).map(() => 0),
    ]);
    for (const { stream } of owners) stream!.close();
  });

  test('is closed within the TLS handshake: the socket is gone at once', async () => {
    const silent = await serve('tcp');
    const owner = connect(optionsOf('tls', silent.port));
    await until(() => silent.sockets.length === 1, 'connection');
    await aWhile();
    owner.stream!.close();
    await aWhile();
    expect(owner.buffers.openCount).toBe(0);
    expect(owner.events).toEqual([]);
  });
});

/** A server that listens and never accepts: once its short queue is full, connects hang. */
async function serveDeaf(): Promise<{ port: number }> {
  const code = `
    const { createServer } = require('node:net');
    const { parentPort } = require('node:worker_threads');
    const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(code, { eval: true });
  endings.push(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  return { port };
}
