// A server in this process, signed releases for it, and devices that talk HTTP to it.

import { randomBytes } from 'node:crypto';
import { generateKeys } from '@flotilla/command-line/keys';
import {
  type CheckResponse,
  decodeCheckResponse,
  encodeCheck,
  encodeReport,
  type ReportStage,
} from '../../src/device-api/index.ts';
import { readPrivateKeyPem, trustedKey } from '../../src/releases/keys.ts';
import { type SignedRelease, type SignOptions, signRelease } from '../../src/releases/sign.ts';
import { type OtaServer, type ServerOptions, startServer } from '../../src/server.ts';

export const VENDOR = new Uint8Array(16).fill(1);
export const CLASS = new Uint8Array(16).fill(2);
/** 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;

export const releaseKey = readPrivateKeyPem(generateKeys('ed25519').privatePem);
export const foreignKey = readPrivateKeyPem(generateKeys('ed25519').privatePem);

export function imageOf(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * seed + (index >> 8)) & 255);
}

/** Signs one image for both slots. */
export function release(
  version: string,
  sequence: number,
  image: Uint8Array,
  options: Partial<SignOptions> = {},
  key = releaseKey,
): SignedRelease {
  const base = { version, sequence, vendorId: VENDOR, classId: CLASS, images: [image] as const };
  return signRelease({ ...base, ...options }, key);
}

export class World {
  nowMs = START_MS;
  readonly errors: unknown[] = [];
  server!: OtaServer;
  private readonly closers: (() => Promise<void>)[] = [];

  /** A server on a free port with rollouts evaluated by `tick` alone. */
  async start(options: Partial<ServerOptions> = {}): Promise<OtaServer> {
    const server = await startServer({
      port: 0,
      dataDir: ':memory:',
      trustedKeys: [trustedKey(releaseKey)],
      evaluateMs: 0,
      nowMs: () => this.nowMs,
      onError: (error) => this.errors.push(error),
      ...options,
    });
    this.server = server;
    this.closers.push(() => server.close());
    return server;
  }

  async close(): Promise<void> {
    for (const close of this.closers.splice(0)) await close();
  }

  /** Lets time pass, evaluating once in a second. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + 1000);
      this.server.control.tick();
    }
  }

  /** As an operator; the body of the answer is its JSON. */
  async admin(
    method: string,
    path: string,
    body?: unknown,
    key = this.server.adminKey,
    // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the server sends.
  ): Promise<{ status: number; type: string | null; body: any }> {
    const isBytes = body instanceof Uint8Array;
    const response = await fetch(this.server.url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined
          ? {}
          : { 'content-type': isBytes ? typeOf(path) : 'application/json' }),
      },
      ...(body === undefined ? {} : { body: isBytes ? body.slice() : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get('content-type');
    return { status: response.status, type, body: text === '' ? undefined : JSON.parse(text) };
  }

  async devices(count: number, prefix = 'd'): Promise<TestDevice[]> {
    const ids = Array.from({ length: count }, (_, index) => ({ id: `${prefix}${index}` }));
    const registered = await this.server.control.registerDevices(ids);
    return registered.map(({ id, token }) => new TestDevice(this, id, token));
  }
}

function typeOf(path: string): string {
  if (path.endsWith('/deltas')) return 'application/flotilla-delta';
  return path.endsWith('/image') ? 'application/octet-stream' : 'application/suit-envelope+cose';
}

/** What a device says, as much of it as the server sees. */
export class TestDevice {
  version = '1.0.0';
  digest = randomBytes(32);
  sequence = 1;
  uptimeS = 100;
  abnormalResets = 0;
  world: World;
  readonly id: string;
  token: string;

  constructor(world: World, id: string, token: string) {
    this.world = world;
    this.id = id;
    this.token = token;
  }

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  async post(name: string, body: Uint8Array): Promise<Response> {
    return fetch(`${this.world.server.url}/v1/devices/${this.id}/${name}`, {
      method: 'POST',
      headers: { ...this.headers, 'content-type': 'application/cbor' },
      body: body.slice(),
    });
  }

  checkBody(): Uint8Array {
    const { abnormalResets, digest, sequence, uptimeS, version } = this;
    return encodeCheck({ version, digest, sequence, uptimeS, abnormalResets });
  }

  async check(): Promise<CheckResponse> {
    const response = await this.post('check', this.checkBody());
    if (response.status !== 200) throw new Error(`check: ${response.status}`);
    return decodeCheckResponse(new Uint8Array(await response.arrayBuffer()));
  }

  async report(rollout: string, attempt: number, stage: ReportStage): Promise<number> {
    return (await this.post('report', encodeReport({ rollout, attempt, stage }))).status;
  }

  /** Checks in process: for many devices. Confirms or fails what it is offered. */
  async follow(stage: 'confirmed' | 'failed' | 'reverted'): Promise<boolean> {
    const { control } = this.world.server;
    const device = control.device(this.id);
    const answer = decodeCheckResponse(await control.check(device, this.checkBody()));
    if (answer.update === undefined) return false;
    const { attempt, rollout } = answer.update;
    await control.report(device, encodeReport({ rollout, attempt, stage }));
    return true;
  }

  async download(url: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.world.server.url + url, { headers: { ...this.headers, ...headers } });
  }
}
