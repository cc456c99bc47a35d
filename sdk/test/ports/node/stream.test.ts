// The contract of `Platform.connect` (platform.ts), over real loopback TCP and TLS.

import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { StreamBuffers } from '../../../ports/node/stream.ts';
import {
  aTurn,
  aWhile,
  connect,
  type Loopback,
  listen,
  Owner,
  PACKET_SIZE_MAX,
  stillness,
  TRANSPORTS,
  type Transport,
  until,
} from './loopback.ts';

const servers: Loopback[] = [];

afterAll(() => {
  for (const server of servers) server.close();
});

async function serve(transport: Transport, onSocket?: (socket: Socket) => void): Promise<Loopback> {
  const server = await listen(transport, onSocket);
  servers.push(server);
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

/** Everything that a socket receives from now on. */
function collect(socket: Socket): { bytes(): Buffer; ended: boolean } {
  const chunks: Buffer[] = [];
  const collected = { bytes: () => Buffer.concat(chunks), ended: false };
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => {
    collected.ended = true;
  });
  socket.resume();
  return collected;
}

function pattern(size: number, start = 0): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, index) => ((start + index) * 167) >> 3));
}

describe.concurrent.each(TRANSPORTS)('a stream over %s', (transport) => {
  test('says first that it is open, with room for the largest packet', async () => {
    const { owner, peer } = await open(transport);
    expect(owner.events).toEqual([`writable ${owner.room}`]);
    expect(owner.room).toBeGreaterThanOrEqual(PACKET_SIZE_MAX);
    const received = collect(peer);
    owner.write(pattern(PACKET_SIZE_MAX));
    await until(() => received.bytes().length === PACKET_SIZE_MAX, 'the packet');
    expect(received.bytes()).toEqual(pattern(PACKET_SIZE_MAX));
    owner.stream!.close();
  });

  test('takes bytes[start, end), copying them before it returns', async () => {
    const { owner, peer } = await open(transport);
    const received = collect(peer);
    const bytes = Buffer.from('..hello..');
    owner.stream!.write(bytes, 2, 7);
    bytes.fill('x');
    owner.stream!.write(bytes, 3, 3);
    await until(() => received.bytes().length === 5, 'five bytes');
    expect(received.bytes().toString()).toBe('hello');
    owner.stream!.close();
  });

  test('write returns the room left; past the room it throws and takes nothing', async () => {
    const { owner, peer } = await open(transport);
    const before = owner.room;
    expect(owner.stream!.write(pattern(100), 0, 100)).toBe(before - 100);
    const tooMuch = new Uint8Array(before - 100 + 1);
    expect(() => owner.stream!.write(tooMuch, 0, tooMuch.length)).toThrow('past the room');
    const received = collect(peer);
    owner.stream!.close();
    await until(() => received.ended, 'the end');
    expect(received.bytes()).toEqual(pattern(100));
  });

  test('all of the room can be written at once, also where packets are large', async () => {
    const { owner, peer } = await open(transport, new Owner(new StreamBuffers(100_000)));
    const received = collect(peer);
    const bytes = pattern(owner.room);
    owner.write(bytes);
    await until(() => received.bytes().length >= bytes.length, 'all bytes');
    expect(received.bytes().equals(bytes)).toBe(true);
    owner.stream!.close();
  });

  test('announces what is not read again with the next bytes', async () => {
    const { owner, peer } = await open(transport);
    peer.write('abc');
    await until(() => owner.waiting === 3, 'three bytes');
    peer.write('defg');
    await until(() => owner.waiting === 7, 'all seven');
    expect(owner.take(2).toString()).toBe('ab');
    peer.write('h');
    await until(() => owner.waiting === 6, 'the six that are left');
    expect(owner.take(100).toString()).toBe('cdefgh');
    expect(owner.take(100).length).toBe(0);
    owner.stream!.close();
  });

  test('an orderly end comes after all was read, without a reason', async () => {
    const { owner, peer } = await open(transport);
    peer.end('abc');
    await until(() => owner.waiting === 3, 'three bytes');
    await aWhile();
    expect(owner.ended).toBe(false);
    expect(owner.take(1).toString()).toBe('a');
    await aWhile();
    expect(owner.ended).toBe(false);
    const last = owner.events.length;
    expect(owner.take(9).toString()).toBe('bc');
    expect(owner.events.length).toBe(last); // Not from within `read`.
    await until(() => owner.ended, 'the end');
    expect(owner.events.at(-1)).toBe('error');
  });

  test('an owner that does not read stops the sender', async () => {
    const { owner, peer } = await open(transport);
    const chunk = pattern(65_536);
    let sent = 0;
    let taken = 0;
    const send = () => {
      for (let going = true; going && sent < 400; sent += 1) going = peer.write(chunk);
    };
    peer.on('drain', send);
    send();
    expect(await stillness(() => sent)).toBeLessThan(400);
    expect(owner.waiting).toBeLessThan(300_000);
    const drain = () => {
      for (let part = owner.take(65_536); part.length > 0; part = owner.take(65_536)) {
        taken += part.length;
      }
    };
    owner.onReadable = drain;
    drain();
    await until(() => taken === 400 * chunk.length, 'the rest');
    owner.stream!.close();
  });

  test('a peer that does not read takes the room away until it reads again', async () => {
    const { owner, peer } = await open(transport);
    const roomMax = owner.room;
    let written = 0;
    const fill = () => {
      while (owner.room >= 1000) {
        owner.write(pattern(1000, written));
        written += 1000;
      }
    };
    owner.onWritable = fill;
    fill();
    await stillness(() => written);
    expect(owner.room).toBeLessThan(1000);
    const events = owner.events.length;
    owner.onWritable = () => undefined;
    const received = collect(peer);
    await until(() => owner.events.length > events, 'onWritable');
    expect(owner.room).toBeGreaterThanOrEqual(PACKET_SIZE_MAX);
    expect(owner.room).toBeLessThanOrEqual(roomMax);
    await until(() => received.bytes().length === written, 'all that was written');
    expect(received.bytes().equals(pattern(written))).toBe(true);
    owner.stream!.close();
  });

  test('however it is read, every byte comes once and in order', async () => {
    const server = await serve(transport);
    const scenario = fc.record({
      // Sizes that the peer writes, and what the owner does at each announcement.
      writes: fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 8 }),
      reads: fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 8 }),
      together: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ writes, reads, together }) => {
        const before = server.sockets.length;
        const owner = connect(server.options);
        const parts: Buffer[] = [];
        let step = 0;
        owner.onReadable = () => {
          parts.push(owner.take(reads[step % reads.length]!));
          step += 1;
        };
        await until(() => owner.room > 0 && server.sockets.length > before, 'connection');
        const total = writes.reduce((sum, size) => sum + size, 0);
        const peer = server.sockets[before]!;
        let at = 0;
        for (const size of writes) {
          peer.write(pattern(size, at));
          at += size;
          if (!together) await aTurn();
        }
        peer.end();
        const count = () => parts.reduce((sum, part) => sum + part.length, 0);
        while (count() < total) {
          await aTurn();
          parts.push(owner.take(3000));
        }
        expect(Buffer.concat(parts).equals(pattern(total))).toBe(true);
        await until(() => owner.ended, 'the end');
        expect(owner.events.at(-1)).toBe('error');
      }),
      { numRuns: 15 },
    );
  });
});

describe.concurrent.each(TRANSPORTS)('closing a stream over %s', (transport) => {
  test('everything written before arrives, then the end', async () => {
    const { owner, peer } = await open(transport);
    let written = 0;
    // Past what the kernel takes at once.
    for (let turns = 0; turns < 50; turns += 1) {
      while (owner.room >= 500) {
        owner.write(pattern(500, written));
        written += 500;
      }
      await aTurn();
    }
    owner.stream!.close();
    await aWhile();
    const received = collect(peer);
    await until(() => received.ended, 'the end');
    expect(received.bytes().length).toBe(written);
    expect(received.bytes().equals(pattern(written))).toBe(true);
  });

  test('bytes of the present turn arrive too, while the peer sends', async () => {
    const { owner, peer } = await open(transport);
    // What comes in after the close would make the kernel reset the connection, and lose them.
    const talk = setInterval(() => peer.write(pattern(1000)), 1);
    owner.onReadable = () => owner.take(owner.waiting);
    await aWhile();
    const size = Math.min(owner.room, 20_000);
    owner.write(pattern(size));
    owner.stream!.close();
    await aWhile();
    const received = collect(peer);
    await until(() => received.ended || peer.destroyed, 'the end');
    clearInterval(talk);
    expect(received.bytes().equals(pattern(size))).toBe(true);
  });

  test('no handler runs after it, whenever it is called', async () => {
    for (const when of ['opening', 'onWritable', 'onReadable', 'unread', 'writing'] as const) {
      const server = await serve(transport, (socket) => socket.write('hello'));
      const owner = connect(server.options);
      const { buffers } = owner;
      let eventsAtClose = -1;
      const close = () => {
        owner.stream!.close();
        eventsAtClose = owner.events.length;
      };
      if (when === 'opening') close();
      if (when === 'onWritable') owner.onWritable = close;
      if (when === 'onReadable') owner.onReadable = close;
      if (when === 'unread' || when === 'writing') {
        await until(() => owner.waiting > 0, 'hello');
        if (when === 'writing') owner.write(pattern(owner.room));
        close();
      }
      await until(() => eventsAtClose >= 0, when);
      await aWhile();
      for (const socket of server.sockets) socket.end('more').resume();
      await until(() => buffers.openCount === 0, `${when}: the socket to go`);
      await aWhile();
      expect(owner.events.length, when).toBe(eventsAtClose);
    }
  });

  test('twice is once', async () => {
    const { owner, peer } = await open(transport);
    const { buffers } = owner;
    const received = collect(peer);
    owner.write(pattern(10));
    owner.stream!.close();
    owner.stream!.close();
    await until(() => received.ended && buffers.openCount === 0, 'the end');
    expect(received.bytes()).toEqual(pattern(10));
  });
});

describe('open streams', () => {
  test('are counted', async () => {
    const buffers = new StreamBuffers(PACKET_SIZE_MAX);
    const server = await serve('tcp');
    const owners = Array.from({ length: 20 }, () => connect(server.options, new Owner(buffers)));
    await until(() => server.sockets.length === 20, 'connections');
    expect(buffers.openCount).toBe(20);
    owners.slice(0, 5).forEach(({ stream }) => {
      stream!.close();
    });
    for (const socket of server.sockets.slice(5, 10)) socket.resetAndDestroy();
    owners.slice(10, 15).forEach(({ stream }) => {
      stream!.cut('gone');
    });
    for (const socket of server.sockets.slice(0, 5)) socket.resume();
    await until(() => buffers.openCount === 5, 'fifteen to go');
    await aWhile();
    expect(buffers.openCount).toBe(5);
  });
});
