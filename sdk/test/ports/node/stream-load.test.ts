// Many streams share a batch, a read buffer and a thread, and their owners one transmit buffer,
// as devices do. Whatever happens when: each peer gets every byte of its stream once, in order,
// and so does the owner of what comes back. SEED=… repeats a run, COUNT=… makes it longer.

import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { connectStream, type NodeStream, StreamBuffers } from '../../../ports/node/stream.ts';
import type { Stream, StreamHandlers } from '../../../src/platform.ts';
import { Random } from '../../support/random.ts';
import { listen, TRANSPORTS, type Transport, until } from './loopback.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const ROUND_COUNT = Number(process.env.COUNT ?? 25);
const STREAM_COUNT = 50;
const PACKET_SIZE_MAX = 4096;
/** What a stream may be asked to write in one turn; together more than a batch holds. */
const BURST_SIZE_MAX = 60_000;
/** Streams whose peers read nothing until the end, written to until the kernel takes no more. */
const HOG_COUNT = 1;
/** More than the kernel buffers for one socket: 4 MB on its way out, and what the reader was given. */
const HOG_SIZE = 7_000_000;

/** Byte `at` of stream `index`; the first is the index itself, by which the peer knows it. */
function byteOf(index: number, at: number): number {
  return at === 0 ? index : (Math.imul(index * 65_537 + at, 0x9e3779b1) >>> 13) & 255;
}

/** What all owners of a thread share. */
class World {
  readonly transmit = new Uint8Array(PACKET_SIZE_MAX);
  readonly receive = new Uint8Array(5000);
  readonly mistakes: string[] = [];
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Compares bytes[0, count) with what stream `index` says from `at` on. */
  check(who: string, index: number, at: number, bytes: Uint8Array, count: number): void {
    for (let offset = 0; offset < count; offset += 1) {
      if (bytes[offset] === byteOf(index, at + offset)) continue;
      this.mistakes.push(`SEED=${SEED}: ${who} ${index} got a wrong byte ${at + offset}`);
      return;
    }
  }
}

/** Writes packets of random size whenever it may, each made just before in the shared buffer. */
class Writer {
  room = 0;
  written = 0;
  /** Bytes that it shall have written by now. */
  wanted = 0;
  /** Bytes that came back. */
  returned = 0;
  stream: NodeStream | undefined;
  endings = 0;
  readonly index: number;
  readonly world: World;

  constructor(index: number, world: World) {
    this.index = index;
    this.world = world;
  }

  pump(): void {
    const { transmit, random } = this.world;
    while (this.written < this.wanted) {
      const size = Math.min(random.between(1, PACKET_SIZE_MAX), this.wanted - this.written);
      if (size > this.room) return;
      for (let at = 0; at < size; at += 1) transmit[at] = byteOf(this.index, this.written + at);
      this.written += size;
      this.room = this.stream!.write(transmit, 0, size);
    }
  }

  read(size: number): void {
    const { receive } = this.world;
    const count = this.stream!.read(receive, size);
    this.world.check('owner', this.index, this.returned, receive, count);
    this.returned += count;
  }
}

const HANDLERS: StreamHandlers = {
  onWritable(this: Stream, room: number): void {
    const writer = this.target as Writer;
    writer.room = room;
    writer.pump();
  },
  onReadable(this: Stream, count: number): void {
    const writer = this.target as Writer;
    // Sometimes all, sometimes a part: the rest is read at another time.
    writer.read(Math.min(5000, writer.world.random.oneIn(3) ? count >> 1 : count));
  },
  onError(this: Stream): void {
    (this.target as Writer).endings += 1;
  },
};

/** The other end: checks what it gets and sends it back. */
class Peer {
  index = -1;
  received = 0;
  readonly socket: Socket;

  constructor(socket: Socket, world: World) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (this.index < 0) this.index = chunk[0]!;
      world.check('peer', this.index, this.received, chunk, chunk.length);
      this.received += chunk.length;
      socket.write(chunk);
    });
    socket.resume();
  }
}

async function runLoad(transport: Transport, seed: number): Promise<void> {
  const world = new World(seed);
  const { random } = world;
  const peers: Peer[] = [];
  const server = await listen(transport, (socket) => peers.push(new Peer(socket, world)));
  const buffers = new StreamBuffers(PACKET_SIZE_MAX);
  const writers = Array.from({ length: STREAM_COUNT }, (_, index) => new Writer(index, world));
  for (const writer of writers) {
    writer.wanted = 1;
    writer.stream = connectStream(server.options, HANDLERS, writer, buffers);
  }
  await until(() => peers.every(({ index }) => index >= 0) && peers.length === 50, 'connections');
  const peerOf = (writer: Writer) => peers.find(({ index }) => index === writer.index)!;
  const hogs = writers.slice(0, HOG_COUNT);
  for (const hog of hogs) peerOf(hog).socket.pause();
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    // One turn in which many streams write: past the batch, past the room of some.
    for (let bursts = random.between(1, STREAM_COUNT); bursts > 0; bursts -= 1) {
      const writer = random.pick(writers);
      writer.wanted += random.oneIn(4) ? random.below(BURST_SIZE_MAX) : random.below(300);
      writer.pump();
    }
    for (const hog of hogs) {
      hog.wanted += Math.ceil(HOG_SIZE / ROUND_COUNT);
      hog.pump();
    }
    const { socket } = peerOf(random.pick(writers.slice(HOG_COUNT)));
    if (random.oneIn(2)) socket.pause();
    else socket.resume();
    for (const writer of writers) if (random.oneIn(4)) writer.read(random.below(5000));
    // A turn ends here, and at most times the kernel gets some too.
    const pauseMs = random.below(4);
    await new Promise<void>((resolve) => {
      if (pauseMs === 0) setImmediate(resolve);
      else setTimeout(resolve, pauseMs - 1);
    });
  }
  expect(hogs.every(({ written, wanted }) => written < wanted)).toBe(true);
  for (const { socket } of peers) socket.resume();
  await until(() => {
    for (const writer of writers) writer.read(5000);
    if (world.mistakes.length > 0) throw new Error(world.mistakes[0]);
    return writers.every(({ returned, wanted }) => returned === wanted);
  }, `SEED=${SEED}: everything back`);
  for (const writer of writers) {
    writer.wanted += 1000;
    writer.pump();
    writer.stream!.close();
  }
  await until(() => buffers.openCount === 0, `SEED=${SEED}: all streams closed`);
  for (const writer of writers) expect(peerOf(writer).received).toBe(writer.wanted);
  expect(world.mistakes).toEqual([]);
  expect(writers.every(({ endings }) => endings === 0)).toBe(true);
  server.close();
}

test.each(TRANSPORTS)('fifty streams over %s share a thread', async (transport) => {
  console.log(`SEED=${SEED} fifty streams over ${transport}, ${ROUND_COUNT} rounds`);
  await runLoad(transport, SEED);
});
