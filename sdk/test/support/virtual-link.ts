// The network of one device in virtual time: byte streams with bounded room, delivered in chunks
// of any size, cut after any byte of either direction, stalled, or silently dead.
//
// The contract of platform.ts is enforced on whoever uses a stream, and kept towards it: no
// handler before `connect` returned or after `close`; unread bytes stay and are announced with
// the next ones; an orderly end comes after all was read.

import type { Stream, StreamHandlers } from '../../src/platform.ts';
import type { VirtualWorld } from './virtual-world.ts';

export type Direction = 'up' | 'down';

/** The server's end of a connection. */
export class ServerSocket {
  /** Set by the server when it accepts. */
  onBytes: (bytes: Uint8Array) => void = () => undefined;
  /** The device closed, or the connection broke. */
  onClose: () => void = () => undefined;
  private readonly stream: VirtualStream;

  constructor(stream: VirtualStream) {
    this.stream = stream;
  }

  write(bytes: Uint8Array): void {
    this.stream.send(bytes);
  }

  /** Ends the connection after what was written. */
  close(): void {
    this.stream.end();
  }

  /** Ends it at once, as a process that dies does. */
  reset(): void {
    this.stream.reset();
  }
}

/** What watches the bytes at the device's end. */
export interface LinkTap {
  opened(stream: VirtualStream): void;
  wrote(stream: VirtualStream, bytes: Uint8Array): void;
  read(stream: VirtualStream, bytes: Uint8Array): void;
  closed(stream: VirtualStream): void;
}

export class VirtualLink {
  readonly world: VirtualWorld;
  /** Bytes that a stream takes before it must wait. */
  roomMax = 4096;
  /** Below this room the owner is told when there is more. */
  roomLow = 1024;
  openDelayMs = 1;
  delayMs: (direction: Direction) => number = () => 1;
  /** How late the owner hears of room that came back. */
  announceMs: () => number = () => 0;
  /** Size of the next delivery, of `waiting` bytes. */
  chunk: (direction: Direction, waiting: number) => number = (_, waiting) => waiting;
  /** Reason for which attempts to connect fail; undefined = they succeed. */
  refusal: string | undefined = undefined;
  /** True: attempts to connect are never answered. */
  mute = false;
  /** Nothing moves before this time. */
  stalledUntilMs = 0;
  /** Bytes until the cut, by direction; undefined = none is planned. */
  cutAfter: { up: number | undefined; down: number | undefined } = {
    up: undefined,
    down: undefined,
  };
  /** When each side notices a cut; undefined = never. */
  deviceNoticesMs: number | undefined = 1;
  serverNoticesMs: number | undefined = 1;
  listener: (socket: ServerSocket) => void = () => undefined;
  readonly taps: LinkTap[] = [];
  streams: VirtualStream[] = [];
  /** Bytes that arrived so far. */
  movedCount = { up: 0, down: 0 };
  connectCount = 0;
  cutCount = 0;

  constructor(world: VirtualWorld) {
    this.world = world;
  }

  connect(handlers: StreamHandlers, target: unknown): VirtualStream {
    const stream = new VirtualStream(this, handlers, target);
    this.connectCount += 1;
    this.streams.push(stream);
    if (!this.mute) this.world.after(this.openDelayMs, () => stream.settle());
    return stream;
  }

  /** Breaks every connection now. */
  cut(): void {
    this.cutAfter = { up: undefined, down: undefined };
    for (const stream of [...this.streams]) stream.cut();
    this.cutCount += 1;
  }

  /** The device was reset: it does not hear of its connections again, the server may. */
  abandon(): void {
    for (const stream of [...this.streams]) stream.abandon();
  }

  /** No faults from now on; with `tells`, whoever sits on a dead connection hears of it. */
  heal(tells: boolean): void {
    if (tells) for (const stream of [...this.streams]) stream.tell();
    this.cutAfter = { up: undefined, down: undefined };
    this.refusal = undefined;
    this.mute = false;
    this.stalledUntilMs = 0;
    this.deviceNoticesMs = 1;
    this.serverNoticesMs = 1;
  }
}

type StreamState = 'opening' | 'open' | 'dead' | 'closed';

/** A connection as the device sees it. */
export class VirtualStream implements Stream {
  target: unknown;
  private readonly server = new ServerSocket(this);
  private readonly link: VirtualLink;
  private readonly handlers: StreamHandlers;
  /** As the device sees it. */
  private state: StreamState = 'opening';
  private serverOpen = false;
  private serverEnding = false;
  /** No byte moves any more. */
  private broken = false;
  private readonly up = new Pipe();
  private readonly down = new Pipe();
  /** Arrived and not read. */
  private readonly inbox = new Pipe();
  private starving = false;

  constructor(link: VirtualLink, handlers: StreamHandlers, target: unknown) {
    this.link = link;
    this.handlers = handlers;
    this.target = target;
  }

  // The device's end.

  read(into: Uint8Array, size: number): number {
    if (this.state !== 'open') throw new Error(`stream: read while ${this.state}`);
    if (size > into.length) throw new Error('stream: read past the buffer');
    const bytes = this.inbox.take(size);
    into.set(bytes);
    if (bytes.length > 0) for (const tap of this.link.taps) tap.read(this, bytes);
    if (this.serverEnding) this.later(0, () => this.endOrderly());
    return bytes.length;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.state !== 'open') throw new Error(`stream: write while ${this.state}`);
    if (start < 0 || end < start || end > bytes.length) throw new Error('stream: bad range');
    if (end - start > this.room) throw new Error('stream: write past the room');
    const copy = bytes.slice(start, end);
    for (const tap of this.link.taps) tap.wrote(this, copy);
    this.up.add(copy);
    this.move('up');
    const room = this.room;
    this.starving = room < this.link.roomLow;
    return room;
  }

  close(): void {
    if (this.state === 'closed') return;
    const wasOpen = this.state === 'open';
    if (this.state !== 'dead') for (const tap of this.link.taps) tap.closed(this);
    this.state = 'closed';
    if (wasOpen) this.closeUp();
    this.leaveWhenOver();
  }

  get room(): number {
    return Math.max(0, this.link.roomMax - this.up.size);
  }

  /** The attempt to connect ends one way or the other. */
  settle(): void {
    if (this.state !== 'opening') return;
    if (this.link.refusal !== undefined) {
      this.fail(this.link.refusal);
      return;
    }
    this.state = 'open';
    this.serverOpen = true;
    this.link.listener(this.server);
    for (const tap of this.link.taps) tap.opened(this);
    this.starving = this.room < this.link.roomLow;
    this.handlers.onWritable.call(this, this.room);
  }

  // The network.

  /** The connection breaks: what is under way is lost. */
  cut(): void {
    if (this.broken) return;
    this.broken = true;
    this.down.clear();
    const { deviceNoticesMs, serverNoticesMs } = this.link;
    if (deviceNoticesMs !== undefined) {
      this.later(deviceNoticesMs, () => this.fail('connection reset'));
    }
    if (serverNoticesMs !== undefined) this.later(serverNoticesMs, () => this.leaveServer());
  }

  /** The device hears of a break that it had not noticed. */
  tell(): void {
    if (this.broken) this.later(1, () => this.fail('connection reset'));
  }

  /** The device is gone without a word. */
  abandon(): void {
    if (this.state === 'closed' || this.state === 'dead') return;
    for (const tap of this.link.taps) tap.closed(this);
    this.state = 'dead';
    this.cut();
    this.leaveWhenOver();
  }

  private later(delayMs: number, run: () => void): void {
    this.link.world.after(delayMs, run);
  }

  /** Plans the next delivery of a direction. */
  private move(direction: Direction): void {
    const pipe = this[direction];
    if (pipe.moving || pipe.size === 0 || this.broken) return;
    pipe.moving = true;
    const { link } = this;
    const { nowMs } = link.world;
    const dueMs = Math.max(nowMs + link.delayMs(direction), link.stalledUntilMs);
    this.later(dueMs - nowMs, () => {
      pipe.moving = false;
      if (this.broken || pipe.size === 0) return;
      if (link.stalledUntilMs > link.world.nowMs) this.move(direction);
      else this.deliver(direction, pipe);
    });
  }

  private deliver(direction: Direction, pipe: Pipe): void {
    const { link } = this;
    let count = Math.max(1, Math.min(pipe.size, link.chunk(direction, pipe.size)));
    const budget = link.cutAfter[direction];
    if (budget !== undefined) {
      if (budget === 0) {
        link.cut();
        return;
      }
      count = Math.min(count, budget);
      link.cutAfter[direction] = budget - count;
    }
    const bytes = pipe.take(count);
    link.movedCount[direction] += count;
    this.move(direction);
    if (direction === 'up') this.arriveUp(bytes);
    else this.arriveDown(bytes);
  }

  private arriveUp(bytes: Uint8Array): void {
    if (this.starving && this.state === 'open') {
      this.starving = false;
      this.later(this.link.announceMs(), () => this.announceRoom());
    }
    if (this.serverOpen) this.server.onBytes(bytes);
    if (this.state === 'closed') this.closeUp();
  }

  private announceRoom(): void {
    if (this.state !== 'open' || this.broken) return;
    this.starving = this.room < this.link.roomLow;
    this.handlers.onWritable.call(this, this.room);
  }

  private arriveDown(bytes: Uint8Array): void {
    if (this.state !== 'open') return;
    this.inbox.add(bytes);
    this.handlers.onReadable.call(this, this.inbox.size);
    this.endOrderly();
  }

  /** The server's orderly end reaches the device once all bytes before it were read. */
  private endOrderly(): void {
    if (!this.serverEnding || this.broken) return;
    if (this.down.size === 0 && this.inbox.size === 0) this.fail(undefined);
  }

  private fail(reason: string | undefined): void {
    if (this.state !== 'opening' && this.state !== 'open') return;
    this.state = 'dead';
    this.inbox.clear();
    for (const tap of this.link.taps) tap.closed(this);
    this.handlers.onError.call(this, reason);
    this.leaveWhenOver();
  }

  /** The device's orderly end reaches the server behind what was written. */
  private closeUp(): void {
    if (this.up.size === 0 && !this.broken) this.later(1, () => this.leaveServer());
  }

  private leaveServer(): void {
    if (!this.serverOpen) return;
    this.serverOpen = false;
    this.broken = true;
    this.server.onClose();
    this.leaveWhenOver();
  }

  private leaveWhenOver(): void {
    if (this.serverOpen || this.state === 'opening' || this.state === 'open') return;
    this.link.streams = this.link.streams.filter((stream) => stream !== this);
  }

  // The server's end.

  send(bytes: Uint8Array): void {
    if (!this.serverOpen || this.broken) return;
    this.down.add(bytes);
    this.move('down');
  }

  end(): void {
    if (!this.serverOpen) return;
    this.serverOpen = false;
    this.serverEnding = true;
    this.later(1, () => this.endOrderly());
  }

  reset(): void {
    if (!this.serverOpen) return;
    this.serverOpen = false;
    this.broken = true;
    this.down.clear();
    this.later(1, () => this.fail('connection reset'));
  }
}

class Pipe {
  size = 0;
  moving = false;
  private parts: Uint8Array[] = [];

  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.parts.push(bytes);
    this.size += bytes.length;
  }

  take(sizeMax: number): Uint8Array {
    const first = this.parts[0];
    if (first === undefined) return new Uint8Array(0);
    if (first.length <= sizeMax && this.parts.length === 1) {
      this.clear();
      return first;
    }
    const taken = new Uint8Array(Math.min(sizeMax, this.size));
    let at = 0;
    while (at < taken.length) {
      const part = this.parts[0] as Uint8Array;
      const count = Math.min(part.length, taken.length - at);
      taken.set(part.subarray(0, count), at);
      at += count;
      if (count === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(count);
    }
    this.size -= taken.length;
    return taken;
  }

  clear(): void {
    this.parts = [];
    this.size = 0;
  }
}
