// HTTP in virtual time: requests go to a scripted server, and answers come back with latency, at a
// rate, and with whatever faults the script asks for. What is not read slows the sender down.

import type { Http, HttpHandlers, HttpRequest, HttpRequestOptions } from '../../src/platform.ts';
import type { VirtualWorld, WorldEvent } from './virtual-world.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The connection breaks after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Nothing more comes after so many bytes of the body, and nobody says so. */
  readonly stallAfter?: number;
  /** The body never ends. */
  readonly endless?: boolean;
  /** Bytes per second, unless the link's. */
  readonly bytesPerS?: number;
}

/** What a server is asked; 'refused' and 'mute' are those of the connection. */
export type HttpScript = (request: HttpRequestOptions) => HttpAnswer | 'refused' | 'mute';

/** Bytes on their way that nobody has read, at most. */
const WINDOW_SIZE = 2920;

export class VirtualHttp implements Http {
  readonly world: VirtualWorld;
  script: HttpScript;
  latencyMs = 20;
  bytesPerS = 100_000;
  chunkSize = 1460;
  /** Bytes of answers to GET that were read. */
  readCount = 0;
  openCount = 0;
  /** 'GET /path' of every request. */
  readonly log: string[] = [];
  private readonly open = new Set<VirtualRequest>();

  constructor(world: VirtualWorld, script: HttpScript) {
    this.world = world;
    this.script = script;
  }

  request(options: HttpRequestOptions, handlers: HttpHandlers, target: unknown): HttpRequest {
    if (!/^https?:\/\/[^/]+\//.test(options.url)) throw new TypeError(`url '${options.url}'`);
    this.log.push(`${options.method} ${options.url}`);
    const request = new VirtualRequest(this, options, handlers, target);
    this.open.add(request);
    this.openCount = this.open.size;
    return request;
  }

  ended(request: VirtualRequest): void {
    this.open.delete(request);
    this.openCount = this.open.size;
  }

  /** The device is gone. */
  abandon(): void {
    for (const request of [...this.open]) request.close();
  }
}

class VirtualRequest implements HttpRequest {
  target: unknown;
  private readonly http: VirtualHttp;
  private readonly isGet: boolean;
  private handlers: HttpHandlers | undefined;
  private answer: HttpAnswer | undefined = undefined;
  private body: Uint8Array = new Uint8Array(0);
  private sent = 0;
  private taken = 0;
  private event: WorldEvent | undefined = undefined;

  constructor(
    http: VirtualHttp,
    options: HttpRequestOptions,
    handlers: HttpHandlers,
    target: unknown,
  ) {
    this.http = http;
    this.isGet = options.method === 'GET';
    this.handlers = handlers;
    this.target = target;
    const copy = options.body === undefined ? options : { ...options, body: options.body.slice() };
    this.plan(http.latencyMs, () => this.arrive(copy));
  }

  header(name: string): string | undefined {
    return this.answer?.headers?.[name];
  }

  read(into: Uint8Array, size: number): number {
    if (size > into.length) throw new Error('http: read past the buffer');
    if (this.handlers === undefined) throw new Error('http: read after the end');
    const count = Math.min(size, this.sent - this.taken);
    for (let at = 0; at < count; at += 1) into[at] = this.byte(this.taken + at);
    this.taken += count;
    if (this.isGet) this.http.readCount += count;
    if (count > 0 && this.event === undefined) this.plan(0, () => this.send());
    return count;
  }

  close(): void {
    this.handlers = undefined;
    if (this.event !== undefined) this.event.cancelled = true;
    this.event = undefined;
    this.http.ended(this);
  }

  private byte(at: number): number {
    return at < this.body.length ? (this.body[at] as number) : at & 255;
  }

  private plan(delayMs: number, run: () => void): void {
    this.event = this.http.world.after(delayMs, () => {
      this.event = undefined;
      run();
    });
  }

  private arrive(options: HttpRequestOptions): void {
    const answer = this.http.script(options);
    if (answer === 'mute') return;
    if (answer === 'refused') {
      this.done('connection refused');
      return;
    }
    this.answer = answer;
    this.body = answer.body ?? new Uint8Array(0);
    this.plan(this.http.latencyMs, () => {
      this.plan(0, () => this.send());
      this.handlers?.onHeaders.call(this, answer.status);
    });
  }

  private get endAt(): number {
    const { cutAfter, endless, stallAfter } = this.answer as HttpAnswer;
    const size = endless === true ? Number.POSITIVE_INFINITY : this.body.length;
    return Math.min(size, cutAfter ?? size, stallAfter ?? size);
  }

  /** The next chunk, unless the window is full: then reading goes on with it. */
  private send(): void {
    const { http } = this;
    const answer = this.answer as HttpAnswer;
    const waiting = this.sent - this.taken;
    const size = Math.min(http.chunkSize, this.endAt - this.sent, WINDOW_SIZE - waiting);
    if (size <= 0) {
      if (this.sent === this.endAt && waiting === 0) this.finish(answer);
      return;
    }
    const ms = (size * 1000) / (answer.bytesPerS ?? http.bytesPerS);
    this.plan(ms, () => {
      this.sent += size;
      this.plan(0, () => this.send());
      this.handlers?.onReadable.call(this, this.sent - this.taken);
    });
  }

  private finish(answer: HttpAnswer): void {
    if (answer.stallAfter !== undefined && answer.stallAfter <= this.sent) return;
    const isCut = answer.cutAfter !== undefined && answer.cutAfter <= this.sent;
    this.done(isCut ? 'connection lost' : undefined);
  }

  private done(reason: string | undefined): void {
    const { handlers } = this;
    this.close();
    handlers?.onDone.call(this, reason);
  }
}
