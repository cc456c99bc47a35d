// The HTTP link of a simulated device, against a server of Node's own.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpHandlers, HttpRequest } from '@flotilla/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HttpLink, type HttpLinkOwner } from '../../src/fleet/http-link.ts';

const SIZE = 200_000;
let server: Server;
let url = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    response.end(Buffer.alloc(SIZE, 7));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/blob`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** What happens to one request, as its owner hears of it. */
class Hearing {
  status = 0;
  size = 0;
  readonly done = Promise.withResolvers<string | undefined>();
}

const buffer = new Uint8Array(4096);

const HANDLERS: HttpHandlers = {
  onHeaders(this: HttpRequest, status: number) {
    (this.target as Hearing).status = status;
  },
  onReadable(this: HttpRequest) {
    let count = this.read(buffer, buffer.length);
    for (; count > 0; count = this.read(buffer, buffer.length)) {
      (this.target as Hearing).size += count;
    }
  },
  onDone(this: HttpRequest, reason?: string) {
    (this.target as Hearing).done.resolve(reason);
  },
};

function linkOf(owner: Partial<HttpLinkOwner> = {}): { link: HttpLink; downloaded: () => number } {
  let downloaded = 0;
  const link = new HttpLink({
    guard: (act) => act(),
    isUp: () => true,
    route: (url) => url,
    onDownloaded: (size) => {
      downloaded += size;
    },
    nextDropSize: () => Number.POSITIVE_INFINITY,
    ...owner,
  });
  return { link, downloaded: () => downloaded };
}

function get(link: HttpLink, method: 'GET' | 'POST' = 'GET'): Hearing {
  const hearing = new Hearing();
  link.request({ method, url, headers: [] }, HANDLERS, hearing);
  return hearing;
}

describe('an HTTP link', () => {
  test('counts what is read of downloads, and of nothing else', async () => {
    const { downloaded, link } = linkOf();
    const download = get(link);
    expect(await download.done.promise).toBeUndefined();
    expect(download).toMatchObject({ status: 200, size: SIZE });
    expect(downloaded()).toBe(SIZE);
    expect(await get(link, 'POST').done.promise).toBeUndefined();
    expect(downloaded()).toBe(SIZE);
  });

  test('is lost in the middle of a download, and holds until then', async () => {
    const drops = [50_000, 1e9];
    const { downloaded, link } = linkOf({ nextDropSize: () => drops.shift()! });
    const cut = get(link);
    expect(await cut.done.promise).toBe('link down');
    expect(downloaded()).toBeGreaterThanOrEqual(50_000);
    expect(downloaded()).toBeLessThan(SIZE);
    expect(await get(link).done.promise).toBeUndefined();
  });

  test('refuses requests in an outage, after the call', async () => {
    const { link } = linkOf({ isUp: () => false });
    const refused = get(link);
    expect(refused.status).toBe(0);
    expect(await refused.done.promise).toBe('link down');
  });

  test('cut tells all that is under way, reset tells nobody', async () => {
    const { link } = linkOf();
    const [first, second] = [get(link), get(link)];
    link.cut();
    expect(await Promise.all([first.done.promise, second.done.promise])).toEqual([
      'link down',
      'link down',
    ]);
    const silent = get(link);
    let isTold = false;
    void silent.done.promise.then(() => {
      isTold = true;
    });
    link.reset();
    await get(link).done.promise;
    expect(isTold).toBe(false);
  });
});
