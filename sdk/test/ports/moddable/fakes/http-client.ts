// embedded:network/http/client: names of response headers come in lower case, redirects are not
// followed, and the body is read when it was announced.

import { world } from './world.ts';

interface Request {
  readonly path: string;
  readonly method: string;
  readonly headers: Map<string, string>;
  onHeaders(status: number, headers: Map<string, string>): void;
  onReadable(count: number): void;
  onWritable?(room: number): void;
  onDone(error: unknown): void;
}

export default class HTTPClient {
  static last: HTTPClient | undefined = undefined;
  readonly options: Record<string, unknown>;
  sent: Request | undefined = undefined;
  body: number[] = [];
  private waiting: number[] = [];

  constructor(options: Record<string, unknown>) {
    this.options = options;
    HTTPClient.last = this;
  }

  request(request: Request) {
    this.sent = request;
    return {
      read: (buffer: Uint8Array): number | undefined => {
        if (this.waiting.length === 0) return undefined;
        if (buffer.length > this.waiting.length) throw new Error('more than is there');
        buffer.set(this.waiting.splice(0, buffer.length));
        return buffer.length;
      },
      write: (data?: Uint8Array): number => {
        this.body.push(...(data ?? []));
        return 0;
      },
    };
  }

  answer(bytes: readonly number[]): void {
    this.waiting.push(...bytes);
    (this.sent as Request).onReadable(this.waiting.length);
  }

  close(): void {
    world.calls.push('http close');
  }
}
