// One file by HTTP ranges (RFC 9110 §14): goes on where it was cut, reads only as fast as its
// owner takes bytes, and never past the size that was told. Retries are the owner's.

import { assert } from '../assert.ts';
import type { HttpHandlers, HttpRequest, Platform, TlsOptions } from '../platform.ts';
import { openRequest, withTls } from './open-request.ts';
import { ETAG_LENGTH_MAX } from './update-state.ts';

/** Bytes taken in one turn, so that other work of the device comes between. */
export const TURN_SIZE_MAX = 4096;
/** Over how long the rate of a download is judged, ms. */
export const RATE_WINDOW_MS = 30000;

/** What ended a request before its end; or 'status {code}', or the platform's reason. */
export type DownloadFault =
  /** 403: the URL is not valid any more. */
  | 'forbidden'
  /** The file has another ETag, or does not reach as far as was read. */
  | 'changed'
  /** Another size than was told, or another range than was asked for. */
  | 'wrong-size'
  /** The body ended too early. */
  | 'short'
  /** Slower than the profile's minimum. */
  | 'slow'
  | 'bad-url';

export interface DownloadOwner {
  /** Takes source bytes[start, end); a code when they cannot be right. */
  onDownloadBytes(bytes: Uint8Array, start: number, end: number): string | undefined;
  /** The source begins anew from its first byte. */
  onDownloadRestart(): void;
  /** The request is over; `reason` is absent when all up to `end` was taken. */
  onDownloadEnd(reason?: string): void;
  /** The source is at fault, by a code of `onDownloadBytes`. */
  onDownloadCorrupt(code: string): void;
  /** `dueMs` has changed. */
  onDownloadDue(): void;
  /** Asked once in RATE_WINDOW_MS: false ends the request with 'paused'. */
  mayDownload(): boolean;
}

const HANDLERS: HttpHandlers = {
  onHeaders(this: HttpRequest, status: number): void {
    (this.target as Download).onHeaders(status);
  },
  onReadable(this: HttpRequest): void {
    (this.target as Download).onReadable();
  },
  onDone(this: HttpRequest, reason?: string): void {
    (this.target as Download).onDone(reason);
  },
};

export class Download {
  /** Bytes of the source taken so far. */
  offset = 0;
  /** The size of the source. */
  readonly size: number;
  /** Where to stop. */
  end: number;
  /** Strong ETag of what was read; '' = not known. */
  etag = '';
  /** Bytes read from the network. */
  byteCount = 0;
  /** Monotonic ms at which `tick` is wanted; Infinity = never. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly platform: Platform;
  private readonly owner: DownloadOwner;
  private readonly bytesPerSMin: number;
  private request: HttpRequest | undefined = undefined;
  private windowEndMs = 0;
  private windowCount = 0;

  constructor(platform: Platform, size: number, bytesPerSMin: number, owner: DownloadOwner) {
    this.platform = platform;
    this.size = size;
    this.end = size;
    this.bytesPerSMin = bytesPerSMin;
    this.owner = owner;
  }

  get isRunning(): boolean {
    return this.request !== undefined;
  }

  /** Asks for what is missing. `token` is absent where the URL alone has to do. */
  start(url: string, token: string | undefined, tls: TlsOptions | undefined): void {
    assert(this.request === undefined && this.offset < this.end, 'download: start');
    const headers = ['range', `bytes=${this.offset}-${this.end - 1}`];
    if (token !== undefined) headers.push('authorization', `Bearer ${token}`);
    if (this.etag !== '' && this.offset > 0) headers.push('if-range', this.etag);
    const options = { method: 'GET' as const, url, headers };
    this.request = openRequest(this.platform, withTls(options, tls), HANDLERS, this);
    if (this.request === undefined) {
      this.owner.onDownloadEnd('bad-url');
      return;
    }
    this.windowEndMs = this.platform.clock.monotonicMs() + RATE_WINDOW_MS;
    this.windowCount = 0;
    this.setDue(this.windowEndMs);
  }

  /** Gives the request up without telling the owner. */
  close(): void {
    const { request } = this;
    this.request = undefined;
    this.dueMs = Number.POSITIVE_INFINITY;
    if (request !== undefined) request.close();
  }

  tick(nowMs: number): void {
    if (this.request === undefined || nowMs < this.dueMs) return;
    if (nowMs >= this.windowEndMs) {
      const isSlow = this.windowCount < (this.bytesPerSMin * RATE_WINDOW_MS) / 1000;
      if (isSlow || !this.owner.mayDownload()) {
        this.finish(isSlow ? 'slow' : 'paused');
        return;
      }
      this.windowEndMs = nowMs + RATE_WINDOW_MS;
      this.windowCount = 0;
    }
    this.onReadable();
  }

  onHeaders(status: number): void {
    if (this.request === undefined) return;
    const fault = this.faultOf(status, this.request);
    if (fault !== undefined) this.finish(fault);
  }

  /** Takes what waits, at most TURN_SIZE_MAX; the rest in the next turn. */
  onReadable(): void {
    for (let taken = 0; this.request !== undefined; ) {
      const { receive } = this.platform.memory;
      const sizeMax = Math.min(receive.length, this.end - this.offset, TURN_SIZE_MAX - taken);
      if (sizeMax === 0) {
        this.setDue(this.platform.clock.monotonicMs());
        return;
      }
      const count = this.request.read(receive, sizeMax);
      if (count === 0) {
        this.setDue(this.windowEndMs);
        return;
      }
      taken += count;
      this.take(receive, count);
    }
  }

  onDone(reason: string | undefined): void {
    this.finish(reason === undefined ? 'short' : reason);
  }

  private take(bytes: Uint8Array, count: number): void {
    this.offset += count;
    this.byteCount += count;
    this.windowCount += count;
    const code = this.owner.onDownloadBytes(bytes, 0, count);
    if (code !== undefined) {
      this.close();
      this.owner.onDownloadCorrupt(code);
    } else if (this.offset === this.end) {
      // Whatever a server sends on is never read.
      this.finish(undefined);
    }
  }

  private faultOf(status: number, request: HttpRequest): string | undefined {
    if (status === 403) return 'forbidden';
    if (status === 416) return 'changed';
    if (status !== 200 && status !== 206) return `status ${status}`;
    const etag = strongEtag(request.header('etag'));
    const isOther = this.etag !== '' && etag !== '' && etag !== this.etag;
    if (status === 206) {
      if (isOther) return 'changed';
      if (!this.isRange(request.header('content-range'))) return 'wrong-size';
    } else {
      const length = request.header('content-length');
      if (length !== undefined && Number(length) !== this.size) return 'wrong-size';
      if (this.offset > 0) {
        // The whole of it: another file by now, or a server without ranges.
        this.offset = 0;
        this.owner.onDownloadRestart();
      }
    }
    if (etag !== '') this.etag = etag;
    return undefined;
  }

  private isRange(header: string | undefined): boolean {
    const parts = header === undefined ? null : /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header);
    if (parts === null || Number(parts[1]) !== this.offset) return false;
    const total = parts[3] === '*' ? this.size : Number(parts[3]);
    return total === this.size && Number(parts[2]) < this.size;
  }

  private finish(reason: string | undefined): void {
    if (this.request === undefined) return;
    this.close();
    this.owner.onDownloadEnd(reason);
  }

  private setDue(dueMs: number): void {
    if (this.dueMs === dueMs) return;
    this.dueMs = dueMs;
    this.owner.onDownloadDue();
  }
}

/** '' for none, a weak one (RFC 9110 §13.1.5 does not take it), or one that is too long. */
function strongEtag(header: string | undefined): string {
  if (header === undefined || header.length > ETAG_LENGTH_MAX) return '';
  return /^"[!#-~]*"$/.test(header) ? header : '';
}
