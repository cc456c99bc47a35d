// The attacker between devices and OTA server: answers their checks with what each attack offers,
// serves its images, and hears in their reports what stopped it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeCheck, decodeReport, encodeCheckResponse } from '@flotilla/ota-server/device-api';
import type { AttackKind } from '../scenario/update.ts';
import type { AttackLog } from './attack-log.ts';
import type { AttackOffer, Serving } from './attack-offers.ts';

/** A second of `slow` serving gives one byte. */
const SLOW_MS = 1000;
/** What a device leaves earlier was cut by something else. */
const ABANDON_MS_MIN = 5000;
const CHUNK_SIZE = 16_384;
const BODY_SIZE_MAX = 4096;
const PATH = /^\/([a-z-]+)\/v1\/devices\/([^/]+)\/(check|report|image)(\?.*)?$/;

/** Where a victim stands. */
interface Victim {
  /** Index of the present offer. */
  step: number;
  isOver: boolean;
}

export class AttackServer {
  private readonly offers: ReadonlyMap<AttackKind, readonly AttackOffer[]>;
  private readonly log: AttackLog;
  private readonly pollS: number;
  private readonly server: Server;
  private readonly victims = new Map<string, Victim>();

  constructor(
    offers: ReadonlyMap<AttackKind, readonly AttackOffer[]>,
    log: AttackLog,
    pollS: number,
  ) {
    this.offers = offers;
    this.log = log;
    this.pollS = pollS;
    this.server = createServer((request, response) => {
      this.answer(request, response).catch(() => response.destroy());
    });
  }

  /** Resolves with the base URL; `/{kind}` follows. */
  async start(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind, id, what] = PATH.exec(request.url ?? '') ?? [];
    const offers = this.offers.get(kind as AttackKind);
    if (offers === undefined || id === undefined) {
      response.writeHead(404).end();
      return;
    }
    const victim = this.victimOf(id);
    if (what === 'image') {
      this.serve(kind as AttackKind, id, offers[victim.step]!, request, response);
      return;
    }
    const body = await bodyOf(request);
    if (what === 'check') {
      this.check(kind as AttackKind, id, offers, victim, body, response);
    } else {
      this.report(kind as AttackKind, id, offers, victim, body);
      response.writeHead(204).end();
    }
  }

  private victimOf(id: string): Victim {
    let victim = this.victims.get(id);
    if (victim === undefined) {
      victim = { step: 0, isOver: false };
      this.victims.set(id, victim);
    }
    return victim;
  }

  private check(
    kind: AttackKind,
    id: string,
    offers: readonly AttackOffer[],
    victim: Victim,
    body: Uint8Array,
    response: ServerResponse,
  ): void {
    const { message } = decodeCheck(body);
    if (message === undefined) {
      response.writeHead(400).end();
      return;
    }
    const { release, version, isHostile } = offers[victim.step]!;
    if (isHostile && !victim.isOver) this.log.begun(kind, id);
    const update = {
      rollout: `${kind}-${victim.step}`,
      attempt: 1,
      version,
      envelope: release.envelope,
      sources: [{ url: `/v1/devices/${id}/image`, size: release.images[0]!.bytes.length }],
    };
    const nowMs = Date.now();
    const answer = encodeCheckResponse({
      nowMs,
      pollS: this.pollS,
      ...(victim.isOver ? {} : { update }),
    });
    response.writeHead(200, { 'content-type': 'application/cbor' }).end(answer);
  }

  private report(
    kind: AttackKind,
    id: string,
    offers: readonly AttackOffer[],
    victim: Victim,
    body: Uint8Array,
  ): void {
    const { message } = decodeReport(body);
    if (message === undefined || message.rollout !== `${kind}-${victim.step}`) return;
    const { reason = '', stage } = message;
    if (stage === 'confirmed' && !offers[victim.step]!.isHostile) {
      victim.step += 1;
    } else if (stage === 'confirmed') {
      victim.isOver = true;
      this.log.succeeded(kind, id);
    } else if (stage === 'failed' || stage === 'reverted') {
      victim.isOver = true;
      const by = stage === 'failed' ? 'update client' : 'bootloader';
      this.log.stopped(kind, id, `${by}: ${reason === '' ? stage : reason}`);
    }
  }

  private serve(
    kind: AttackKind,
    id: string,
    { release, serving }: AttackOffer,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const { bytes } = release.images[0]!;
    if (serving === 'endless' || serving === 'slow') {
      response.writeHead(200);
      const startMs = performance.now();
      response.on('close', () => {
        const isAbandoned = performance.now() - startMs > ABANDON_MS_MIN;
        if (serving === 'slow' && isAbandoned) {
          this.log.stopped(kind, id, 'update client: gave up a download of 1 byte/s');
        }
      });
      feed(response, serving);
      return;
    }
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const image = bytes.slice();
    // Somewhere in the payload: the header would be found out even sooner.
    if (serving === 'altered') image[image.length >> 1]! ^= 1;
    response
      .writeHead(206, {
        'content-range': `bytes ${start}-${image.length - 1}/${image.length}`,
        'content-length': image.length - start,
      })
      .end(image.subarray(start));
  }
}

/** Bytes without an end, as fast as they are taken or one a second. */
function feed(response: ServerResponse, serving: Serving): void {
  if (response.destroyed) return;
  if (serving === 'slow') {
    response.write(Uint8Array.of(0));
    setTimeout(() => feed(response, serving), SLOW_MS).unref();
  } else if (response.write(new Uint8Array(CHUNK_SIZE))) {
    setImmediate(() => feed(response, serving));
  } else {
    response.once('drain', () => feed(response, serving));
  }
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Uint8Array).length;
    if (size > BODY_SIZE_MAX) throw new Error('body');
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks);
}
