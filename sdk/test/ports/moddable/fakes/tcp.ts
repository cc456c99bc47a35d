// embedded:io/socket/tcp: writing beyond the send buffer throws, reading with nothing buffered
// answers undefined, asking for more than is there throws, and onError also says that the peer
// closed, once all was read.

import { type FakeSocket, world } from './world.ts';

interface Options {
  readonly target?: unknown;
  onReadable?(this: TCP, count: number): void;
  onWritable?(this: TCP, room: number): void;
  onError?(this: TCP): void;
}

export default class TCP implements FakeSocket {
  readonly options: Record<string, unknown>;
  readonly written: number[][] = [];
  room = 0;
  closed = false;
  format: 'number' | 'buffer' = 'number';
  target: unknown;
  private readonly handlers: Options;
  private buffered: number[] = [];
  private ended = false;

  constructor(options: Options) {
    this.options = options as Record<string, unknown>;
    this.handlers = options;
    this.target = options.target;
    world.sockets.push(this);
  }

  read(buffer: Uint8Array): number | undefined {
    if (this.closed) throw new Error('closed');
    if (this.format !== 'buffer') throw new Error('format is number');
    if (this.buffered.length === 0) return undefined;
    if (buffer.length > this.buffered.length) throw new Error('more than is there');
    buffer.set(this.buffered.splice(0, buffer.length));
    if (this.ended && this.buffered.length === 0) this.handlers.onError?.call(this);
    return buffer.length;
  }

  write(buffer: Uint8Array): number {
    if (this.closed) throw new Error('closed');
    if (buffer.length > this.room) throw new Error('would block');
    this.written.push([...buffer]);
    this.room -= buffer.length;
    return this.room;
  }

  close(): void {
    this.closed = true;
  }

  open(room: number): void {
    this.room = room;
    this.handlers.onWritable?.call(this, room);
  }

  receive(bytes: readonly number[]): void {
    this.buffered.push(...bytes);
    this.handlers.onReadable?.call(this, this.buffered.length);
  }

  end(): void {
    this.ended = true;
    if (this.buffered.length === 0) this.handlers.onError?.call(this);
  }
}
