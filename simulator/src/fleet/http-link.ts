// HTTP of a simulated device with firmware, over a link that can break: in an outage, or in the
// middle of a download. What the SDK reads of downloads is counted here.

import type { Http, HttpHandlers, HttpRequest, HttpRequestOptions } from '@flotilla/sdk';
import { nodeHttp } from '@flotilla/sdk/node';

/** What the link of a device belongs to. */
export interface HttpLinkOwner {
  /** Runs the program's code. */
  guard(act: () => void): void;
  /** False while nothing can be reached. */
  isUp(): boolean;
  /** The program read bytes of a download. */
  onDownloaded(size: number): void;
  /** Where a request goes that the program sends to `url`. */
  route(url: string): string;
  /** Bytes of downloads until the link is lost; Infinity = it holds. */
  nextDropSize(): number;
}

const LINK_DOWN = 'link down';

export class HttpLink implements Http {
  private readonly owner: HttpLinkOwner;
  private readonly open = new Set<LinkRequest>();
  private dropSize: number;

  constructor(owner: HttpLinkOwner) {
    this.owner = owner;
    this.dropSize = owner.nextDropSize();
  }

  request(options: HttpRequestOptions, handlers: HttpHandlers, target: unknown): HttpRequest {
    const request = new LinkRequest(this, options.method === 'GET', handlers, target);
    this.open.add(request);
    // It is over before anything went out, but never within this call.
    if (!this.owner.isUp()) setImmediate(() => request.fail(LINK_DOWN));
    else request.start({ ...options, url: this.owner.route(options.url) });
    return request;
  }

  /** Everything under way ends as a lost link ends it. */
  cut(): void {
    for (const request of [...this.open]) request.fail(LINK_DOWN);
  }

  /** Everything under way ends, and nobody is told. */
  reset(): void {
    for (const request of [...this.open]) request.close();
  }

  // For its requests.

  guard(act: () => void): void {
    this.owner.guard(act);
  }

  ended(request: LinkRequest): void {
    this.open.delete(request);
  }

  downloaded(request: LinkRequest, size: number): void {
    this.owner.onDownloaded(size);
    this.dropSize -= size;
    if (this.dropSize > 0) return;
    this.dropSize = this.owner.nextDropSize();
    // Not while the program reads.
    setImmediate(() => request.fail(LINK_DOWN));
  }
}

const HANDLERS: HttpHandlers = {
  onHeaders(this: HttpRequest, status: number): void {
    (this.target as LinkRequest).onHeaders(status);
  },
  onReadable(this: HttpRequest, count: number): void {
    (this.target as LinkRequest).onReadable(count);
  },
  onDone(this: HttpRequest, reason?: string): void {
    (this.target as LinkRequest).onDone(reason);
  },
};

class LinkRequest implements HttpRequest {
  target: unknown;
  private readonly link: HttpLink;
  private readonly isDownload: boolean;
  private handlers: HttpHandlers | undefined;
  /** Absent until `start`. */
  private inner: HttpRequest | undefined = undefined;

  constructor(link: HttpLink, isDownload: boolean, handlers: HttpHandlers, target: unknown) {
    this.link = link;
    this.isDownload = isDownload;
    this.handlers = handlers;
    this.target = target;
  }

  start(options: HttpRequestOptions): void {
    this.inner = nodeHttp.request(options, HANDLERS, this);
  }

  header(name: string): string | undefined {
    return this.inner?.header(name);
  }

  read(into: Uint8Array, size: number): number {
    const count = this.inner === undefined ? 0 : this.inner.read(into, size);
    if (this.isDownload && count > 0) this.link.downloaded(this, count);
    return count;
  }

  close(): void {
    this.handlers = undefined;
    this.inner?.close();
    this.link.ended(this);
  }

  fail(reason: string): void {
    if (this.handlers === undefined) return;
    this.inner?.close();
    this.onDone(reason);
  }

  onHeaders(status: number): void {
    this.link.guard(() => this.handlers?.onHeaders.call(this, status));
  }

  onReadable(count: number): void {
    this.link.guard(() => this.handlers?.onReadable.call(this, count));
  }

  onDone(reason?: string): void {
    const { handlers } = this;
    this.handlers = undefined;
    this.link.ended(this);
    this.link.guard(() => handlers?.onDone.call(this, reason));
  }
}
