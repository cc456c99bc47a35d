// One small request of the update client and its whole answer, held in memory claimed for it.

import type { HttpHandlers, HttpRequest, Platform, TlsOptions } from '../platform.ts';
import { parseHttpDate } from './http-date.ts';
import { openRequest, withTls } from './open-request.ts';

/** Bound on an exchange, ms. */
export const EXCHANGE_MS_MAX = 30000;

export interface ExchangeOwner {
  /** It is over; `reason` is absent when the whole answer came, whatever its status. */
  onExchange(exchange: Exchange, reason?: string): void;
}

const HANDLERS: HttpHandlers = {
  onHeaders(this: HttpRequest, status: number): void {
    (this.target as Exchange).onHeaders(status);
  },
  onReadable(this: HttpRequest): void {
    (this.target as Exchange).onReadable();
  },
  onDone(this: HttpRequest, reason?: string): void {
    (this.target as Exchange).end(reason);
  },
};

export class Exchange {
  /** 0 until the headers came. */
  status = 0;
  /** The answer is answer[0, size), until `release`. */
  readonly answer: Uint8Array;
  size = 0;
  /** Time between request and headers, ms. */
  roundTripMs = 0;
  /** When it is given up. */
  readonly dueMs: number;
  private readonly platform: Platform;
  private readonly owner: ExchangeOwner;
  private readonly sentMs: number;
  private request: HttpRequest | undefined = undefined;
  private isReleased = false;

  /** Takes over `answer`, a claimed view; an answer that does not fit is 'too-large'. */
  constructor(platform: Platform, answer: Uint8Array, owner: ExchangeOwner) {
    this.platform = platform;
    this.owner = owner;
    this.answer = answer;
    this.sentMs = platform.clock.monotonicMs();
    this.dueMs = this.sentMs + EXCHANGE_MS_MAX;
  }

  /** Posts CBOR; false when the request cannot be made: then the owner is told nothing. */
  post(url: string, token: string, body: Uint8Array, tls: TlsOptions | undefined): boolean {
    const headers = ['authorization', `Bearer ${token}`, 'content-type', 'application/cbor'];
    const options = { method: 'POST' as const, url, headers, body };
    this.request = openRequest(this.platform, withTls(options, tls), HANDLERS, this);
    return this.request !== undefined;
  }

  /** Gives it up, or says that the answer was read. */
  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    if (this.request !== undefined) this.request.close();
    this.platform.memory.release(this.answer);
  }

  onHeaders(status: number): void {
    const { clock } = this.platform;
    const request = this.request as HttpRequest;
    this.status = status;
    this.roundTripMs = clock.monotonicMs() - this.sentMs;
    const date = request.header('date');
    const dateMs = date === undefined ? Number.NaN : parseHttpDate(date);
    // The date was written within the round trip, and its fraction of a second cut off.
    if (isFinite(dateMs)) {
      clock.adjust(dateMs + 500 + this.roundTripMs / 2, this.roundTripMs / 2 + 1000);
    }
  }

  onReadable(): void {
    const { receive } = this.platform.memory;
    for (;;) {
      const count = (this.request as HttpRequest).read(receive, receive.length);
      if (count === 0) return;
      if (count > this.answer.length - this.size) {
        this.end('too-large');
        return;
      }
      for (let index = 0; index < count; index += 1) {
        this.answer[this.size + index] = receive[index] as number;
      }
      this.size += count;
    }
  }

  end(reason: string | undefined): void {
    if (!this.isReleased) this.owner.onExchange(this, reason);
  }
}
