// The platform for tests keeps the contract of platform.ts, and catches who breaks it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PowerLoss, type Stream, type StreamHandlers } from '../../src/platform.ts';
import type { ServerSocket } from './virtual-link.ts';
import { VirtualPlatform } from './virtual-platform.ts';

/** Both ends of one connection, and all that each was told. */
class Ends {
  readonly platform = new VirtualPlatform();
  readonly told: string[] = [];
  readonly arrived: number[] = [];
  readonly read: number[] = [];
  socket: ServerSocket | undefined = undefined;
  serverClosed = false;
  /** Bytes that the owner reads of what is announced. */
  appetite = Number.POSITIVE_INFINITY;
  readonly stream: Stream;

  constructor(prepare: (platform: VirtualPlatform) => void = () => undefined) {
    const { link, world } = this.platform;
    link.listener = (socket) => {
      this.socket = socket;
      socket.onBytes = (bytes) => {
        this.arrived.push(...bytes);
      };
      socket.onClose = () => {
        this.serverClosed = true;
      };
    };
    prepare(this.platform);
    const handlers: StreamHandlers = {
      onWritable: (room) => {
        this.told.push(`writable ${room}`);
      },
      onReadable: (count) => {
        this.told.push(`readable ${count}`);
        const { receive } = this.platform.memory;
        const taken = this.stream.read(receive, Math.min(this.appetite, receive.length));
        this.read.push(...receive.subarray(0, taken));
      },
      onError: (reason) => {
        this.told.push(`error ${reason}`);
      },
    };
    const target = {};
    this.stream = world.turn(() => {
      const stream = this.platform.connect({ host: 'x', port: 1 }, handlers, target);
      expect(this.told).toEqual([]);
      return stream;
    });
    expect(this.stream.target).toBe(target);
  }

  write(...bytes: number[]): number {
    return this.stream.write(Uint8Array.from(bytes), 0, bytes.length);
  }
}

describe('a stream', () => {
  test('opens, refuses, or stays silent', () => {
    const open = new Ends();
    open.platform.world.advance(5);
    expect(open.told).toEqual(['writable 4096']);
    const refused = new Ends(({ link }) => {
      link.refusal = 'no route';
    });
    refused.platform.world.advance(5);
    expect(refused.told).toEqual(['error no route']);
    const mute = new Ends(({ link }) => {
      link.mute = true;
    });
    mute.platform.world.advance(100_000);
    expect(mute.told).toEqual([]);
  });

  test('carries all bytes both ways, in any chunks', () => {
    const bytes = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 1, max: 9 }), (up, down, chunk) => {
        const ends = new Ends(({ link }) => {
          link.chunk = () => chunk;
        });
        const { world } = ends.platform;
        world.advance(5);
        ends.stream.write(up, 0, up.length);
        ends.socket?.write(down);
        world.advance(500);
        expect(ends.arrived).toEqual([...up]);
        expect(ends.read).toEqual([...down]);
      }),
    );
  });

  test('throws for what breaks its contract', () => {
    const ends = new Ends(({ link }) => {
      link.roomMax = 3;
    });
    expect(() => ends.write(1)).toThrow('while opening');
    ends.platform.world.advance(5);
    expect(() => ends.write(1, 2, 3, 4)).toThrow('past the room');
    expect(ends.write(1, 2)).toBe(1);
    expect(() => ends.write(1, 2)).toThrow('past the room');
    expect(() => ends.stream.read(new Uint8Array(1), 2)).toThrow('past the buffer');
    ends.stream.close();
    expect(() => ends.write(1)).toThrow('while closed');
    expect(() => ends.stream.read(new Uint8Array(1), 1)).toThrow('while closed');
  });

  test('tells of room that came back', () => {
    const ends = new Ends(({ link }) => {
      link.roomMax = 4;
    });
    ends.platform.world.advance(5);
    expect(ends.write(1, 2, 3, 4)).toBe(0);
    ends.platform.world.advance(5);
    expect(ends.told).toEqual(['writable 4', 'writable 4']);
  });

  test('keeps unread bytes and announces them with the next ones only', () => {
    const ends = new Ends();
    const { world } = ends.platform;
    world.advance(5);
    ends.appetite = 1;
    ends.socket?.write(Uint8Array.of(1, 2, 3));
    world.advance(1000);
    expect(ends.told.slice(1)).toEqual(['readable 3']);
    ends.socket?.write(Uint8Array.of(4));
    world.advance(1000);
    expect(ends.told.slice(2)).toEqual(['readable 3']);
    expect(ends.read).toEqual([1, 2]);
  });

  test("tells of the server's end after all was read, and then no more", () => {
    const ends = new Ends();
    const { world } = ends.platform;
    world.advance(5);
    ends.appetite = 1;
    ends.socket?.write(Uint8Array.of(1, 2));
    ends.socket?.close();
    world.advance(1000);
    expect(ends.told.slice(1)).toEqual(['readable 2']);
    world.turn(() => ends.stream.read(new Uint8Array(8), 8));
    world.advance(10);
    expect(ends.told.slice(2)).toEqual(['error undefined']);
  });

  test('sends out what was written before its owner closed, and calls no handler after', () => {
    const ends = new Ends(({ link }) => {
      link.chunk = () => 1;
    });
    const { world } = ends.platform;
    world.advance(5);
    ends.write(1, 2, 3);
    ends.socket?.write(Uint8Array.of(9));
    ends.stream.close();
    world.advance(100);
    expect(ends.arrived).toEqual([1, 2, 3]);
    expect(ends.serverClosed).toBe(true);
    expect(ends.told).toEqual(['writable 4096']);
  });

  test.each([0, 1, 2, 3])('is cut after %i bytes, and not one later', (after) => {
    for (const direction of ['up', 'down'] as const) {
      const ends = new Ends();
      const { link, world } = ends.platform;
      world.advance(5);
      link.cutAfter[direction] = after;
      ends.write(1, 2, 3, 4);
      ends.socket?.write(Uint8Array.of(1, 2, 3, 4));
      world.advance(100);
      expect((direction === 'up' ? ends.arrived : ends.read).length).toBe(after);
      expect(ends.told[ends.told.length - 1]).toBe('error connection reset');
      expect(ends.serverClosed).toBe(true);
    }
  });

  test('may die unnoticed by either side', () => {
    const ends = new Ends();
    const { link, world } = ends.platform;
    world.advance(5);
    link.deviceNoticesMs = undefined;
    link.serverNoticesMs = undefined;
    link.cut();
    ends.write(1);
    world.advance(1_000_000);
    expect(ends.told).toEqual(['writable 4096']);
    expect(ends.serverClosed).toBe(false);
    expect(ends.arrived).toEqual([]);
  });
});

describe('memory', () => {
  test('counts what is out and catches what is released twice, or never was there', () => {
    const { memory } = new VirtualPlatform();
    const view = memory.allocate(10);
    expect([...view]).toEqual(new Array(10).fill(0));
    expect(memory.outstandingCount).toBe(1);
    memory.release(view);
    expect(memory.outstandingCount).toBe(0);
    expect(() => memory.release(view)).toThrow('released twice');
    expect(() => memory.release(new Uint8Array(1))).toThrow('released twice');
    expect(view.every((byte) => byte === 0xdd)).toBe(true);
  });

  test('shared buffers are garbage, and others, after every turn', () => {
    const { memory, world } = new VirtualPlatform();
    const { transmit } = memory;
    world.turn(() => transmit.fill(7));
    expect(memory.transmit).not.toBe(transmit);
    expect(transmit.includes(7)).toBe(false);
    world.turn(() => memory.scratch.fill(7));
    expect(memory.scratch.includes(7)).toBe(false);
  });
});

describe('time and power', () => {
  test('events run in the order of their time, then of their making', () => {
    const { world } = new VirtualPlatform();
    const order: number[] = [];
    for (const [number, ms] of [5, 1, 5, 0, 1].entries()) world.after(ms, () => order.push(number));
    world.advance(4);
    expect(order).toEqual([3, 1, 4]);
    world.advance(1);
    expect(order).toEqual([3, 1, 4, 0, 2]);
    expect(world.nowMs).toBe(5);
  });

  test('whoever keeps time from going on is found', () => {
    const platform = new VirtualPlatform();
    const timer = platform.createTimer({ onTimer: () => timer.start(0) });
    timer.start(0);
    expect(() => platform.world.advance(1)).toThrow('time stands still');
  });

  test('a reset keeps settings, and nothing else works any more', () => {
    const platform = new VirtualPlatform();
    platform.settings.set('key', Uint8Array.of(1));
    let fired = false;
    const timer = platform.createTimer({
      onTimer: () => {
        fired = true;
      },
    });
    timer.start(1);
    const next = platform.restart();
    next.world.advance(10);
    expect(fired).toBe(false);
    expect([...(next.settings.get('key') ?? [])]).toEqual([1]);
    expect(() => platform.random()).toThrow(PowerLoss as unknown as ErrorConstructor);
    expect(next.random()).toBeGreaterThanOrEqual(0);
  });
});
