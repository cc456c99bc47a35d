// Starts real brokers of four kinds on free loopback ports, for the conformance suite. Each lives
// in a temporary folder and is ended by its process id.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findMosquitto, HOW_TO_GET_MOSQUITTO, isCi, startMosquitto } from './mosquitto.ts';

/** RabbitMQ waits 3-6 s, at random, for peers that could form a cluster with it. */
const START_MS_MAX = 40_000;
const STOP_MS_MAX = 5_000;
/** Of a log the end is kept, for the message when a broker does not start. */
const LOG_LENGTH_MAX = 8_192;
/** Between finding a free port and listening on it, somebody else may take it. */
const START_TRIES = 3;

export interface Broker {
  readonly port: number;
  /** `mqtt://127.0.0.1:port`. */
  readonly url: string;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** A program that is started and ended by its process id. */
class Server {
  log = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  private running = true;
  /** A test that dies leaves no broker behind. */
  private readonly onExit = (): void => {
    this.child.kill('SIGKILL');
  };

  constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.log = (this.log + text).slice(-LOG_LENGTH_MAX);
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.running = false;
        resolve();
      };
      child.once('error', end);
      child.once('exit', end);
    });
    process.on('exit', this.onExit);
  }

  /** Resolves when its log says these words: a connect could reach another owner of the port. */
  async saying(words: RegExp): Promise<RegExpExecArray> {
    const deadlineMs = performance.now() + START_MS_MAX;
    for (;;) {
      const found = words.exec(this.log);
      if (found !== null) return found;
      if (!this.running || performance.now() > deadlineMs) {
        throw new Error(`${this.child.spawnfile} did not start\n${this.log}`);
      }
      await delay(10);
    }
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const patience = new AbortController();
    const late = delay(STOP_MS_MAX, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.ended, late]);
    patience.abort();
    this.child.kill('SIGKILL');
    await this.ended;
    process.off('exit', this.onExit);
  }
}

function createFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `flotilla-${name}-`));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function brokerAt(port: number, stop: () => Promise<void>): Broker {
  return { port, url: `mqtt://127.0.0.1:${port}`, stop };
}

async function startNats(): Promise<Broker> {
  const folder = createFolder('nats');
  const config = join(folder, 'nats.conf');
  const lines = [
    // MQTT needs JetStream, and that a name that stays the same.
    'server_name: flotilla',
    'listen: "127.0.0.1:-1"',
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`,
    'mqtt { listen: "127.0.0.1:-1" }',
  ];
  writeFileSync(config, lines.join('\n'));
  const program = findProgram('nats-server') as string;
  const server = new Server(spawn(program, ['-c', config], { stdio: ['ignore', 'pipe', 'pipe'] }));
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [, port] = await server.saying(/MQTT clients on mqtt:\/\/127\.0\.0\.1:(\d+)[^]*is ready/);
    return brokerAt(Number(port), stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startRabbitmq(): Promise<Broker> {
  const folder = createFolder('rabbitmq');
  const [port, distributionPort, epmdPort] = await freePorts(3);
  const path = (name: string): string => join(folder, name);
  const config = [
    'listeners.tcp = none',
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    'log.console = true',
    'log.file = false',
  ];
  writeFileSync(path('rabbitmq.conf'), `${config.join('\n')}\n`);
  writeFileSync(path('enabled_plugins'), '[rabbitmq_mqtt].\n');
  writeFileSync(path('environment.conf'), '');
  mkdirSync(path('home'));
  // Names of Erlang nodes are kept by epmd. A node without one would leave a daemon behind.
  const epmdEnvironment = {
    PATH: process.env.PATH,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  };
  const epmd = new Server(
    spawn(findProgram('epmd') as string, [], { env: epmdEnvironment, stdio: 'ignore' }),
  );
  const environment = {
    ...epmdEnvironment,
    HOME: path('home'),
    RABBITMQ_CONF_ENV_FILE: path('environment.conf'),
    RABBITMQ_CONFIG_FILE: path('rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: path('enabled_plugins'),
    RABBITMQ_MNESIA_BASE: path('mnesia'),
    RABBITMQ_LOG_BASE: path('log'),
    RABBITMQ_PID_FILE: path('pid'),
    RABBITMQ_NODENAME: `flotilla-${epmdPort}@localhost`,
    RABBITMQ_DIST_PORT: String(distributionPort),
    // The script then becomes the server instead of its parent, so that a signal reaches it …
    RABBITMQ_ALLOW_INPUT: 'true',
    // … and this takes the shell away that would end with its input.
    RABBITMQ_SERVER_START_ARGS: '-noinput +B i -kernel inet_dist_use_interface {127,0,0,1}',
  };
  const server = new Server(
    spawn(findRabbitmq() as string, [], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  const stop = async (): Promise<void> => {
    await server.stop();
    await epmd.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await server.saying(/Server startup complete/);
    return brokerAt(port as number, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The broker that `flotilla run` brings, in a process of its own. */
async function startAedes(): Promise<Broker> {
  const module = fileURLToPath(new URL('../../src/live/broker-process.ts', import.meta.url));
  const child = fork(module, [], { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const server = new Server(child);
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message: { readonly port: number }) => resolve(message.port));
    child.once('exit', () => reject(new Error(`aedes did not start\n${server.log}`)));
  });
  return brokerAt(port, () => server.stop());
}

function findRabbitmq(): string | undefined {
  // Debian's command for all hands over to the user that its service runs as.
  return findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin']);
}

const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'];
function findProgram(name: string, first: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter);
  for (const folder of [...first, ...path, ...MORE_FOLDERS]) {
    if (folder === '') continue;
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
  return ports;
}
void findMosquitto; void HOW_TO_GET_MOSQUITTO; void isCi;
export const starts = { mosquitto: startMosquitto, nats: startNats, rabbitmq: startRabbitmq, aedes: startAedes };
