// What a run asks of an OTA server: of one that it starts itself, in this process and in memory, or
// of one that is there, over its HTTP API.

import type { SignedRelease } from '@flotilla/ota-server/releases';
import { type OtaServer, startServer } from '@flotilla/ota-server/server';
import type { RunKey } from '../firmware/keys.ts';
import type { Target } from './messages.ts';
import { RunError } from './preflight.ts';

type Control = OtaServer['control'];
export type RolloutInput = Parameters<Control['createRollout']>[0];
export type RolloutStatus = Awaited<ReturnType<Control['createRollout']>>;
export type DeviceInput = Parameters<Control['registerDevices']>[0][number];

export interface OtaAdmin {
  /** Base of the device API, without a slash at its end. */
  readonly url: string;
  register(devices: readonly DeviceInput[]): Promise<void>;
  /** Resolves with its id. */
  addRelease(release: SignedRelease): Promise<string>;
  /** Resolves with its id. */
  createRollout(input: RolloutInput): Promise<string>;
  status(rollout: string): Promise<RolloutStatus>;
  stop(): Promise<void>;
}

export interface LocalOptions {
  readonly key: RunKey;
  readonly broker: Target;
  /** Until that broker accepts the server. */
  readonly connectMsMax: number;
  readonly topics: string;
  readonly clientId: string;
  /** When devices are told to check again. */
  readonly pollMs: number;
  readonly evaluateMs: number;
}

/** A server on loopback that keeps nothing. */
export async function startOtaAdmin(options: LocalOptions): Promise<OtaAdmin> {
  const { broker, clientId, connectMsMax, evaluateMs, key, pollMs, topics } = options;
  const { host, password, port, tls, username } = broker;
  const server = await startServer({
    port: 0,
    dataDir: ':memory:',
    trustedKeys: [{ algorithm: 'ed25519', key: key.publicKey }],
    evaluateMs,
    pollS: Math.max(1, Math.round(pollMs / 1000)),
    broker: {
      host,
      port,
      connectMsMax,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls: { ...tls, verify: tls.verify !== false } }),
    },
    topics,
    mqttClientId: clientId,
  });
  const { control, url } = server;
  return {
    url,
    async register(devices) {
      await control.registerDevices(devices);
    },
    async addRelease({ deltas, envelope, images }) {
      const bytesOf = (files: readonly { readonly bytes: Uint8Array }[]) =>
        files.map(({ bytes }) => bytes);
      const files = { envelope, images: bytesOf(images), deltas: bytesOf(deltas) };
      return (await control.addRelease(files)).id;
    },
    async createRollout(input) {
      return (await control.createRollout(input)).rollout;
    },
    async status(rollout) {
      return control.rolloutStatus(rollout);
    },
    stop: () => server.close(),
  };
}

/** Devices in one registration over HTTP: the server's own bound. */
const REGISTRATION_COUNT = 10_000;

/** A server that somebody else runs; `adminKey` is of its HTTP API. */
export function remoteOtaAdmin(url: string, adminKey: string): OtaAdmin {
  const base = url.replace(/\/+$/, '');
  const ask = async (method: string, path: string, body?: unknown, type = 'application/json') => {
    const isBytes = body instanceof Uint8Array;
    const init: RequestInit = {
      method,
      headers: {
        authorization: `Bearer ${adminKey}`,
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
    };
    let answer: Response;
    try {
      answer = await fetch(`${base}${path}`, init);
    } catch (error) {
      const { cause, message } = error as Error;
      throw new RunError(
        `--ota-server ${base}: ${(cause as Error | undefined)?.message ?? message}`,
      );
    }
    const text = await answer.text();
    if (answer.ok) return text === '' ? undefined : (JSON.parse(text) as unknown);
    throw new RunError(
      `--ota-server ${base}: ${method} ${path}: ${problemOf(text, answer.status)}`,
    );
  };
  return {
    url: base,
    async register(devices) {
      for (let start = 0; start < devices.length; start += REGISTRATION_COUNT) {
        const part = devices.slice(start, start + REGISTRATION_COUNT);
        await ask('POST', '/v1/devices', { devices: part });
      }
    },
    async addRelease({ deltas, envelope, images }) {
      const type = 'application/suit-envelope+cose';
      const { id } = (await ask('POST', '/v1/releases', envelope, type)) as { id: string };
      for (const { bytes } of images) {
        await ask('PUT', `/v1/releases/${id}/image`, bytes, 'application/octet-stream');
      }
      for (const { bytes } of deltas) {
        await ask('POST', `/v1/releases/${id}/deltas`, bytes, 'application/flotilla-delta');
      }
      return id;
    },
    async createRollout(input) {
      return ((await ask('POST', '/v1/rollouts', input)) as { rollout: string }).rollout;
    },
    async status(rollout) {
      return (await ask('GET', `/v1/rollouts/${rollout}`)) as RolloutStatus;
    },
    async stop() {
      // It goes on without us.
    },
  };
}

/** What a problem document says (RFC 9457), or the status. */
function problemOf(text: string, status: number): string {
  try {
    const { detail, title } = JSON.parse(text) as { detail?: string; title?: string };
    return detail ?? title ?? `status ${status}`;
  } catch {
    return `status ${status}`;
  }
}
