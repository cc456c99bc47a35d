// Any cutting of any stream gives the same packets as the whole, and no memory is left behind.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PacketTarget, Receiver } from '../../src/mqtt/receiver.ts';
import { VirtualMemory } from '../support/virtual-memory.ts';
import { bytes, field, variable } from './samples.ts';

const SIZE_MAX = 40;

/** Notes what it is given; checks that what is outside a packet does not matter. */
class Notes implements PacketTarget {
  readonly events: string[] = [];
  /** Stops at this event. */
  stopAt = Number.POSITIVE_INFINITY;
  onEvent: () => void = () => undefined;

  onPacket(source: Uint8Array, start: number, end: number): boolean {
    return this.note(`packet ${Buffer.from(source.subarray(start, end)).toString('hex')}`);
  }

  onOversize(qos: number, packetId: number): boolean {
    return this.note(`oversize ${qos} ${packetId}`);
  }

  onUnframed(): void {
    this.note('unframed');
  }

  private note(event: string): boolean {
    this.events.push(event);
    this.onEvent();
    return this.events.length < this.stopAt;
  }
}

/** Gives `stream` to a receiver in pieces that end at `cuts`; each piece in a fresh dirty buffer. */
function receive(stream: readonly number[], cuts: readonly number[], notes = new Notes()) {
  const memory = new VirtualMemory(16, 16, 16);
  const receiver = new Receiver(memory, SIZE_MAX, notes);
  const ends = [...new Set([...cuts.map((cut) => cut % (stream.length + 1)), stream.length])];
  ends.sort((a, b) => a - b);
  let start = 0;
  let going = true;
  for (const end of ends) {
    const piece = new Uint8Array(end - start + 7).fill(0xee);
    piece.set(stream.slice(start, end));
    going = receiver.take(piece, end - start);
    piece.fill(0xee);
    expect(memory.outstandingCount).toBeLessThanOrEqual(1);
    if (!going) break;
    start = end;
  }
  return { events: notes.events, going, memory, receiver };
}

interface Sample {
  readonly bytes: number[];
  readonly event: string;
  /** Nothing can be read behind it. */
  readonly ends: boolean;
}

/** A packet of `size` bytes of body; what it says does not matter here. */
const small: fc.Arbitrary<Sample> = fc
  .tuple(fc.integer({ min: 16, max: 255 }), fc.uint8Array({ maxLength: SIZE_MAX - 2 }))
  .map(([first, body]) => {
    const packet = bytes(first, variable(body.length), body);
    return { bytes: packet, event: `packet ${Buffer.from(packet).toString('hex')}`, ends: false };
  });

const oversize: fc.Arbitrary<Sample> = fc
  .record({
    qos: fc.constantFrom(0, 1, 2, 3),
    flags: fc.constantFrom(0, 1, 8, 9),
    packetId: fc.integer({ min: 0, max: 65535 }),
    topicSize: fc.constantFrom(0, 1, 5, 200, 300),
    size: fc.constantFrom(SIZE_MAX - 1, 127, 128, 200, 300, 16383, 16384),
  })
  .map(({ flags, packetId, qos, size, topicSize }) => {
    const id = qos === 0 ? [] : [packetId >> 8, packetId & 255];
    const body = bytes(field('t'.repeat(topicSize)), id, new Array<number>(size).fill(0x77));
    const packet = bytes(0x30 | flags | (qos << 1), variable(body.length), body);
    return { bytes: packet, event: `oversize ${qos} ${qos === 0 ? 0 : packetId}`, ends: false };
  });

/** A PUBLISH whose topic reaches past it: there is no packet id to answer. */
const oversizeWithoutId: fc.Arbitrary<Sample> = fc
  .tuple(fc.constantFrom(1, 2), fc.integer({ min: 45, max: 300 }), fc.integer({ min: -3, max: 60 }))
  .map(([qos, size, past]) => {
    const topicSize = size + past;
    const body = bytes(topicSize >> 8, topicSize & 255, new Array<number>(size).fill(0x55));
    const packet = bytes(0x30 | (qos << 1), variable(body.length), body);
    const idEnd = 2 + topicSize + 2;
    const event = idEnd <= body.length ? `oversize ${qos} ${0x5555}` : `oversize ${qos} 0`;
    return { bytes: packet, event, ends: false };
  });

const unframed: fc.Arbitrary<Sample> = fc
  .constantFrom<readonly number[]>(
    [0x30, 0x80, 0x80, 0x80, 0x80],
    [0x40, 0xff, 0xff, 0xff, 0xff],
    // More bytes than the value needs (MQTT-1.5.5-1).
    [0x30, 0x80, 0x00],
    [0x40, 0x82, 0x80, 0x00],
    // Too large for what must be read whole.
    [0x40, SIZE_MAX - 1],
    [0x20, 0xff, 0x7f],
    [0x90, 0xff, 0xff, 0xff, 0x7f],
  )
  .map((list) => ({ bytes: [...list], event: 'unframed', ends: true }));

const stream = fc
  .tuple(
    fc.array(fc.oneof({ weight: 4, arbitrary: small }, oversize, oversizeWithoutId), {
      maxLength: 6,
    }),
    fc.option(unframed, { nil: undefined }),
  )
  .map(([list, last]) => (last === undefined ? list : [...list, last]));

const cutting = fc.oneof(
  fc.array(fc.nat(40_000), { maxLength: 12 }),
  fc.constantFrom(1, 2, 3, 7).map((step) => {
    return Array.from({ length: Math.ceil(20_000 / step) }, (_, index) => index * step);
  }),
);

describe('receiver', () => {
  test('any cutting of any stream gives the same packets', () => {
    fc.assert(
      fc.property(stream, cutting, (samples, cuts) => {
        const all = samples.flatMap((sample) => sample.bytes);
        const { events, going, memory } = receive(all, cuts);
        expect(events).toEqual(samples.map((sample) => sample.event));
        expect(going).toBe(!samples.some((sample) => sample.ends));
        expect(memory.outstandingCount).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test('every cutting in two, and byte by byte, of a stream with every case', () => {
    const [a, b, c] = [
      bytes(0x40, 2, 0, 1),
      bytes(0x32, variable(140), field('abc'), 0x12, 0x34, new Array<number>(133).fill(1)),
      bytes(0x30, 5, field('t'), 0x21, 0x22),
    ];
    const all = bytes(a, b, c, a);
    const hex = (list: readonly number[]) => `packet ${Buffer.from(list).toString('hex')}`;
    const expected = [hex(a), 'oversize 1 4660', hex(c), hex(a)];
    for (let cut = 0; cut <= all.length; cut += 1) {
      expect(receive(all, [cut]).events).toEqual(expected);
    }
    const everywhere = all.map((_, index) => index);
    expect(receive(all, everywhere).events).toEqual(expected);
  });

  test('whole packets in one piece take no memory', () => {
    const all = bytes(0x40, 2, 0, 1, 0x30, 5, field('t'), 1, 2);
    expect(receive(all, []).memory.allocateCount).toBe(0);
  });

  test('at most two views at a time, and half a packet is let go at a reset', () => {
    fc.assert(
      fc.property(stream, fc.nat(400), fc.nat(400), (samples, cut, from) => {
        const all = samples.filter((one) => !one.ends).flatMap((sample) => sample.bytes);
        const notes = new Notes();
        const memory = new VirtualMemory(16, 16, 16);
        const receiver = new Receiver(memory, SIZE_MAX, notes);
        const end = Math.min(cut, all.length);
        const middle = Math.min(from, end);
        receiver.take(Uint8Array.from(all), middle);
        receiver.take(Uint8Array.from(all.slice(middle)), end - middle);
        expect(memory.outstandingCountMax).toBeLessThanOrEqual(2);
        receiver.reset();
        expect(memory.outstandingCount).toBe(0);
        expect(receiver.idle).toBe(true);
        // What comes next is another connection's.
        const count = notes.events.length;
        receiver.take(Uint8Array.of(0xd0, 0), 2);
        expect(notes.events.slice(count)).toEqual(['packet d000']);
      }),
      { numRuns: 300 },
    );
  });

  test('stops where the target says so, and forgets the rest', () => {
    const ping = bytes(0xd0, 0);
    const large = bytes(0x32, variable(60), field('a'), 0, 9, new Array<number>(55).fill(0));
    for (const cuts of [[], [1], [3], [5], [30], [66]]) {
      const notes = new Notes();
      notes.stopAt = 2;
      const { events, going } = receive(bytes(ping, large, ping, ping), cuts, notes);
      expect(events).toEqual(['packet d000', 'oversize 1 9']);
      expect(going).toBe(false);
    }
  });

  test('a handler may reset the receiver: the connection is over', () => {
    const all = bytes(0x40, 2, 0, 1, 0xd0, 0);
    for (let cut = 0; cut < 4; cut += 1) {
      const memory = new VirtualMemory(16, 16, 16);
      const notes = new Notes();
      notes.stopAt = 1;
      const receiver = new Receiver(memory, SIZE_MAX, notes);
      notes.onEvent = () => receiver.reset();
      const going =
        receiver.take(Uint8Array.from(all.slice(0, cut)), cut) &&
        receiver.take(Uint8Array.from(all.slice(cut)), all.length - cut);
      expect(going).toBe(false);
      expect(notes.events).toHaveLength(1);
      expect(memory.outstandingCount).toBe(0);
    }
  });

  test('is idle between packets only', () => {
    const memory = new VirtualMemory(16, 16, 16);
    const receiver = new Receiver(memory, SIZE_MAX, new Notes());
    const all = bytes(0x40, 2, 0, 1, 0x30, variable(60), field('a'), new Array<number>(57).fill(0));
    const idle: boolean[] = [];
    for (const byte of all) {
      idle.push(receiver.idle);
      receiver.take(Uint8Array.of(byte), 1);
    }
    expect(idle.flatMap((one, index) => (one ? [index] : []))).toEqual([0, 4]);
    expect(receiver.idle).toBe(true);
  });
});

describe('found by this test', () => {
  test('an oversize PUBLISH that ends within its packet id has none', () => {
    // Topic of 45 bytes in a body of 48: one byte of an id is there.
    const all = bytes(0x32, 48, 0, 45, new Array<number>(45).fill(0x61), 0x01);
    expect(receive(all, []).events).toEqual(['oversize 1 0']);
  });
});
