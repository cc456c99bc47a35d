// Many streams share a batch, a read buffer and a thread, and their owners one transmit buffer,
// as devices do. Whatever happens when: each peer gets each byte of its stream once, in order.
// SEED=… repeats a run, COUNT=… makes it longer.

import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { connectStream, type NodeStream, StreamBuffers } from '../../../ports/node/stream.ts';
import type { Stream, StreamHandlers } from '../../../src/platform.ts';
import { Random } from '../../support/random.ts';
import { type Loopback, listen, TRANSPORTS, type Transport, until } from './loopback.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const ROUNDS = Number(process.env.COUNT ?? 60);
const STREAM_COUNT = 50;
const PACKET_SIZE_MAX = 4096;
/** Of each stream, so that a peer that stopped reading is felt. */
const BYTES_PER_STREAM_MAX = 400_000;

/** Byte `at` of stream `index`; the first is the index itself, by which the peer knows it. */
function byteOf(index: number, at: number): number {
  if (at === 0) return index;
  return (Math.imul(index * 65_537 + at, 0x9e3779b1) >>> 13) & 255;
}

/** What the owners of a thread share, as the devices of a platform do. */
interface World {
  readonly transmit: Uint8Array;
  readonly random: Random;
}

/** Writes random packets whenever it may, each made in the transmit buffer just before. */
class Writer {
  readonly index: number;
  readonly world: World;
  stream!: NodeStream;
  room = 0;
  written = 0;
  echoed = 0;
  isOpen = false;
  /** Bytes that it means to have written by now. */
  wanted = 0;
  reasons: (string | undefined)[] = [];

  constructor(index: number, world: World) {
    this.index = index;
    this.world = world;
  }

  pump(): void {
    const { transmit, random, index } = this.world.transmit ? { ...this.world, index: this.index } : this as never;
    while (this.written < this.wanted) {
      const size = Math.min(random.between(1, PACKET_SIZE_MAX), this.wanted - this.written);
      if (size > this.room) return;
      for (let at = 0; at < size; at += 1) transmit[at] = byteOf(index, this.written + at);
      this.written += size;
      this.room = this.stream.write(transmit, 0, size);
    }
  }

  /** What comes back is the bytes of this stream from the start. */
  check(): void {
    const { receive } = SHARED;
    for (let count = this.stream.read(receive, receive.length); count > 0; ) {
      for (let at = 0; at < count; at += 1) {
        if (receive[at] !== byteOf(this.index, this.echoed + at)) {
          throw new Error(`SEED=${SEED}: stream ${this.index}: wrong byte ${this.echoed + at} back`);
        }
      }
      this.echoed += count;
      count = this.stream.read(receive, receive.length);
    }
  }
}
