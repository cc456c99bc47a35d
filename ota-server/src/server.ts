// The update server, put together: store, blobs, control, the HTTP edge, and the MQTT edge where
// there is a broker. Nothing of it is global: a process can have several.

import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import { Control } from './control/control.ts';
import { randomKey } from './control/secrets.ts';
import { HttpEdge } from './http/http-edge.ts';
import { MqttEdge } from './mqtt/mqtt-edge.ts';
import { OtaError } from './ota-error.ts';
import type { BrokerAddress } from './shadow/connection.ts';
import { FileBlobs, MemoryBlobs } from './store/blobs.ts';
import { IN_MEMORY, Store } from './store/store.ts';

export interface ServerOptions {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: 8080; 0 = a free one. */
  readonly port?: number;
  /** Default: ./data; ':memory:' = nothing outlives the server. */
  readonly dataDir?: string;
  /** Public keys of which one has to have signed each release. */
  readonly trustedKeys: readonly TrustedKey[];
  /** How often rollouts are evaluated; default: 1,000. 0 = only by `control.tick()`. */
  readonly evaluateMs?: number;
  /** When devices are told to check again; default: 300. */
  readonly pollS?: number;
  /** Where the MQTT edge connects; none = no MQTT edge. */
  readonly broker?: BrokerAddress;
  /** Topics of devices on that broker; default: 'devices/{id}/{topic}'. */
  readonly topics?: string;
  /** Client id of the MQTT edge; default: one of its own, as several servers may share the work. */
  readonly mqttClientId?: string;
  /** Ms since 1970; default: the machine's clock. */
  readonly nowMs?: () => number;
  /** Errors behind answers of status 500, and those that no request waits for. */
  readonly onError?: (error: unknown) => void;
}

export interface OtaServer {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  /** What operators can do, without HTTP. */
  readonly control: Control;
  /** An admin key for the HTTP API: the one of this start, where it was made now. */
  readonly adminKey: string | undefined;
  /** The file that holds the admin key; undefined in memory. */
  readonly adminKeyFile: string | undefined;
  /** Cuts downloads, which devices resume elsewhere or later; stores what is left. */
  close(): Promise<void>;
}

export const PORT_DEFAULT = 8080;
export const EVALUATE_MS_DEFAULT = 1000;
export const POLL_S_DEFAULT = 300;
const ADMIN_KEY_NAME = 'default';

/** Starts a server; rejects with an OtaError about the data or the broker, or an error of the port. */
export async function startServer(options: ServerOptions): Promise<OtaServer> {
  const {
    dataDir = './data',
    evaluateMs = EVALUATE_MS_DEFAULT,
    host = '127.0.0.1',
    onError = () => undefined,
    pollS = POLL_S_DEFAULT,
    port = PORT_DEFAULT,
    nowMs = Date.now,
    trustedKeys,
  } = options;
  const isInMemory = dataDir === IN_MEMORY;
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const store = await Store.open(dataDir);
    closers.push(() => store.close());
    const blobs = isInMemory ? new MemoryBlobs() : await FileBlobs.open(join(dataDir, 'blobs'));
    const control = await Control.open({ store, blobs, trustedKeys, pollS, nowMs, onError });
    closers.push(() => control.close());
    const adminKeyFile = isInMemory ? undefined : join(dataDir, 'admin.key');
    const adminKey = await firstAdminKey(control, adminKeyFile);
    const http = new HttpEdge({ control, blobs, onError });
    closers.push(() => http.close());
    const url = await http.listen(host, port);
    if (options.broker !== undefined) {
      const mqtt = new MqttEdge({
        control,
        broker: options.broker,
        topics: options.topics ?? 'devices/{id}/{topic}',
        clientId: options.mqttClientId ?? `flotilla-ota-${randomUUID().slice(0, 8)}`,
        onError,
      });
      closers.push(() => mqtt.stop());
      await mqtt.start().catch((error: Error) => {
        const { host: name, port: number } = options.broker!;
        throw new OtaError(`the broker at ${name}:${number} cannot be used: ${error.message}`);
      });
    }
    if (evaluateMs > 0) {
      const timer = setInterval(() => control.tick(), evaluateMs);
      closers.push(async () => clearInterval(timer));
    }
    return { url, control, adminKey, adminKeyFile, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The admin key of a data directory that has none yet; its file is for its owner alone. */
async function firstAdminKey(
  control: Control,
  file: string | undefined,
): Promise<string | undefined> {
  if (control.secrets.adminKeyNames.length > 0) return undefined;
  const key = randomKey();
  // The file first: a key that is stored but told to nobody would lock everybody out.
  if (file !== undefined) await writeFile(file, `${key}\n`, { mode: 0o600 });
  await control.secrets.setAdminKey(ADMIN_KEY_NAME, key);
  return key;
}
