// A connection of the service, or of a command that talks to it, by package `mqtt`: MQTT 5 first,
// 3.1.1 where the broker refuses it; once made it reconnects by itself.

import type { Socket } from 'node:net';
import type { IClientOptions, MqttClient } from 'mqtt';

/** Where to connect to. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** Until CONNACK; default: 5,000. */
  readonly connectMsMax?: number;
  /** Present = TLS. PEM text; `serverName` is what the certificate must name, default: host. */
  readonly tls?: {
    readonly ca?: string;
    readonly certificate?: string;
    readonly key?: string;
    readonly verify: boolean;
    readonly serverName?: string;
  };
}

/** What came with a message. */
export interface MessageFlags {
  /** Left by somebody long ago, not said now. */
  readonly retain: boolean;
  readonly properties?: {
    readonly responseTopic?: string;
    readonly correlationData?: Buffer;
  };
}

/**
 * A connection to a broker: what is used of the library's client.
 *
 * The client's own type stays inside, because it names types of a browser: programs without them
 * could not compile against ours.
 */
export interface Connection {
  readonly connected: boolean;
  readonly options: { readonly protocolVersion?: 3 | 4 | 5 };
  /** `done` is called when the broker has acknowledged. */
  publish(topic: string, payload: Buffer, options: { qos: 1 }, done: () => void): unknown;
  publishAsync(
    topic: string,
    payload: Buffer | string,
    options: { qos: 1; properties?: { correlationData: Buffer } },
  ): Promise<unknown>;
  /** Resolves with what was granted: from 128 on it is a refusal. */
  subscribeAsync(
    filters: string[],
    options: { qos: 1 },
  ): Promise<readonly { readonly topic: string; readonly qos: number }[]>;
  unsubscribeAsync(filters: string[]): Promise<unknown>;
  /** `force` does not wait for what is not acknowledged yet. */
  endAsync(force?: boolean): Promise<void>;
}

export interface ConnectionOptions {
  readonly clientId: string;
  /** False: the broker keeps the session, and with it what arrives while we are away. */
  readonly clean: boolean;
  /** From the first moment on: a resumed session delivers before the promise resolves. */
  onMessage(connection: Connection, topic: string, payload: Buffer, flags: MessageFlags): void;
}

const CONNECT_MS_MAX = 10_000;
const RECONNECT_MS = 500;
const KEEP_ALIVE_S = 30;
/** How long a broker keeps our session while we are away. */
const SESSION_EXPIRY_S = 3600;
/**
 * Said aloud, which the default of 65,535 would not be: mosquitto then has only 20 in flight to us
 * and drops what it cannot queue.
 */
const RECEIVE_MAX = 65534;
const VERSIONS = [5, 4] as const;

/** Resolves with an open connection; rejects with the error of the last attempt. */
export async function openConnection(
  address: BrokerAddress,
  options: ConnectionOptions,
): Promise<Connection> {
  // Loaded when it is needed: whoever imports the core only does not wait for it.
  const { default: mqtt } = await import('mqtt');
  let failure: Error | undefined;
  for (const version of VERSIONS) {
    const client = mqtt.connect(clientOptions(address, options, version));
    client.on('message', (topic, payload, packet) => {
      options.onMessage(client, topic, payload, packet);
    });
    client.on('connect', () => {
      // An answer is several small packets: Nagle's algorithm would hold the second back 40 ms.
      (client.stream as Partial<Socket>).setNoDelay?.(true);
    });
    failure = await firstConnect(client);
    if (failure === undefined) {
      // Without a listener an error of a later attempt would end the process.
      client.on('error', () => undefined);
      return client;
    }
    await client.endAsync(true);
  }
  throw failure;
}

function clientOptions(
  { connectMsMax = CONNECT_MS_MAX, host, password, port, tls, username }: BrokerAddress,
  { clean, clientId }: ConnectionOptions,
  version: 4 | 5,
): IClientOptions {
  return {
    protocol: tls === undefined ? 'mqtt' : 'mqtts',
    protocolVersion: version,
    host,
    port,
    clientId,
    clean,
    keepalive: KEEP_ALIVE_S,
    connectTimeout: connectMsMax,
    reconnectPeriod: RECONNECT_MS,
    ...(version === 5
      ? {
          properties: {
            receiveMaximum: RECEIVE_MAX,
            ...(clean ? {} : { sessionExpiryInterval: SESSION_EXPIRY_S }),
          },
        }
      : {}),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined
      ? {}
      : {
          rejectUnauthorized: tls.verify,
          ...(tls.ca === undefined ? {} : { ca: tls.ca }),
          ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
          ...(tls.key === undefined ? {} : { key: tls.key }),
          ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
        }),
  };
}

/** Resolves with undefined, or with why it failed. */
function firstConnect(client: MqttClient): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const listeners = {
    connect: () => resolve(undefined),
    error: (error: Error) => resolve(error),
    close: () => resolve(new Error('the broker closed the connection before CONNACK')),
  };
  client.once('connect', listeners.connect);
  client.on('error', listeners.error);
  client.once('close', listeners.close);
  return promise.finally(() => {
    client.off('connect', listeners.connect);
    client.off('close', listeners.close);
    // 'error' stays: a client that is being ended may still report one.
  });
}

/** Subscribes at QoS 1; rejects when the broker refuses one of the filters. */
export async function subscribe(connection: Connection, filters: readonly string[]): Promise<void> {
  const grants = await connection.subscribeAsync([...filters], { qos: 1 });
  const refused = grants.find(({ qos }) => qos >= 128);
  if (refused !== undefined) {
    throw new Error(`the broker refused a subscription to ${refused.topic}`);
  }
}
