// `flotilla-ota serve`: the update server, until Ctrl-C.

import { join } from 'node:path';
import {
  type Command,
  CommandError,
  checkWhole,
  filesIn,
  repeatable,
  untilInterrupted,
} from '@flotilla/command-line';
import { parseDuration } from '@flotilla/command-line/quantities';
import { OtaError } from '../ota-error.ts';
import {
  EVALUATE_MS_DEFAULT,
  type OtaServer,
  POLL_S_DEFAULT,
  PORT_DEFAULT,
  startServer,
} from '../server.ts';
import type { BrokerAddress } from '../shadow/connection.ts';
import { readTrustedKeys } from './keys.ts';

interface ServeArguments {
  host: string;
  port: number;
  data: string;
  key?: string[];
  broker?: string;
  topics: string;
  poll: string;
  json: boolean;
}

const MS_PER_S = 1000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;
const PORT_MAX = 65535;
const MQTT_PORT = 1883;
const MQTTS_PORT = 8883;

export const serveCommand: Command<ServeArguments> = {
  command: 'serve',
  describe: 'Serve updates: releases, devices and rollouts over HTTP, devices over MQTT too',
  builder: (command) =>
    command
      .option('host', {
        type: 'string',
        default: '127.0.0.1',
        describe: 'Address to listen at; 0.0.0.0 = all',
      })
      .option('port', {
        type: 'number',
        default: PORT_DEFAULT,
        describe: '0 = a free one',
      })
      .option('data', {
        type: 'string',
        default: './data',
        describe: 'Folder of the database and the images',
      })
      .option(
        'key',
        repeatable('Trusted public key (PEM), besides those in DATA/trusted-keys; repeatable'),
      )
      .option('broker', {
        type: 'string',
        describe: 'mqtt://[user:password@]host[:port] or mqtts://…: the MQTT edge',
      })
      .option('topics', {
        type: 'string',
        default: 'devices/{id}/{topic}',
        describe: 'Topic template of the devices',
      })
      .option('poll', {
        type: 'string',
        default: `${POLL_S_DEFAULT}s`,
        describe: 'How often devices should check',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the address as JSON' })
      .check(({ broker, poll, port }) => {
        checkWhole('port', port, 0, PORT_MAX);
        if ((parseDuration(poll) ?? 0) < MS_PER_S) {
          throw new Error(`--poll: expected 1s or more, as 300s or 5m, got ${poll}`);
        }
        if (broker !== undefined && parseBroker(broker) === undefined) {
          throw new Error(`--broker: expected mqtt://host[:port], got ${broker}`);
        }
        return true;
      })
      .example('$0 serve', 'on 127.0.0.1:8080, with ./data')
      .example('$0 serve --key release.pub.pem --broker mqtt://127.0.0.1', '')
      .epilogue('Plain HTTP: for other machines put it behind a proxy that speaks TLS.'),
  handler: serve,
};

async function serve(args: ServeArguments): Promise<void> {
  const server = await start(args);
  const stopped = untilInterrupted();
  const keyFile = join(args.data, 'admin.key');
  if (args.json) {
    console.log(JSON.stringify({ url: server.url, adminKeyFile: keyFile, data: args.data }));
  } else {
    console.log(`flotilla-ota serves ${server.url}, with its data in ${args.data}`);
    console.log(`The admin key is in ${keyFile}. Ctrl-C stops.`);
    if (!LOOPBACK.test(args.host)) {
      console.error(`${args.host}: tokens travel in clear; let only a TLS proxy reach this port`);
    }
  }
  await stopped;
  await server.close();
}

async function start(args: ServeArguments): Promise<OtaServer> {
  const { broker, data, host, key = [], poll, port, topics } = args;
  const folder = join(data, 'trusted-keys');
  const stored = filesIn(folder).filter((name) => name.endsWith('.pem'));
  const trustedKeys = readTrustedKeys([...key, ...stored.map((name) => join(folder, name))]);
  if (trustedKeys.length === 0) {
    const fix = `give --key release.pub.pem, or put it into ${folder}`;
    console.error(`No trusted key: every release will be refused; ${fix}`);
  }
  const address = broker === undefined ? undefined : parseBroker(broker);
  try {
    return await startServer({
      host,
      port,
      dataDir: data,
      trustedKeys,
      evaluateMs: EVALUATE_MS_DEFAULT,
      pollS: Math.floor(parseDuration(poll)! / MS_PER_S),
      topics,
      ...(address === undefined ? {} : { broker: address }),
      onError: (error) => console.error(`flotilla-ota: ${(error as Error).message}`),
    });
  } catch (error) {
    throw explain(error, args);
  }
}

function explain(error: unknown, { host, port }: ServeArguments): unknown {
  if (error instanceof OtaError) return new CommandError(error.message);
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return new CommandError(`port ${port} is in use: stop what uses it, or give --port`);
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new CommandError(`cannot listen on ${host}:${port} (${code}): give --host or --port`);
  }
  return error;
}

/** Undefined where the text is no broker's URL. */
export function parseBroker(text: string): BrokerAddress | undefined {
  if (!URL.canParse(text)) return undefined;
  const { hostname, password, pathname, port, protocol, search, username } = new URL(text);
  const isTls = protocol === 'mqtts:';
  if (!isTls && protocol !== 'mqtt:') return undefined;
  if (hostname === '' || search !== '' || !['', '/'].includes(pathname)) return undefined;
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (isTls ? MQTTS_PORT : MQTT_PORT) : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(isTls ? { tls: { verify: true } } : {}),
  };
}
