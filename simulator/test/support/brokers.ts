// The brokers of the conformance suite: how each is started and ended, and what it is expected to
// do. Every server lives in a temporary folder, listens on free loopback ports only, and is ended
// by its process id. docs/brokers.md has the same facts in words.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  canRun,
  findMosquitto,
  findProgram,
  freePort,
  HOW_TO_GET_MOSQUITTO,
  startMosquitto,
} from './mosquitto.ts';

/** RabbitMQ needs 9 s on two idle cores, 3-6 of them to wait for a cluster. */
const START_MS_MAX = 300_000;
const STOP_MS_MAX = 5_000;
/** The default of 30 s is long for a test to wait; an answer on a busy machine is faster than this. */
export const NATS_ACK_WAIT_MS = 8_000;
/** Of a log the end is kept, for the message when a broker does not start. */
const LOG_LENGTH_MAX = 8_192;
/** Between finding a free port and listening on it, somebody else may take it. */
const START_TRIES = 3;
/** What Debian's scripts of RabbitMQ start, without becoming the user of its service. */
const RABBITMQ_FOLDERS = ['/usr/lib/rabbitmq/bin'];

/** What a broker does where they differ; the suite fails when it does otherwise. */
export interface BrokerTraits {
  /** How it answers a CONNECT of MQTT 5; undefined = accepts it. */
  readonly refusesVersion5?: 'return code 1' | 'close';
  /** Most that a subscription is granted. */
  readonly qosGrantedMax: 1 | 2;
  /** What becomes of a PUBLISH at QoS 2. */
  readonly publishQos2: 'taken' | 'taken as QoS 1' | 'disconnected';
  /** Says Session Present also for a session that never subscribed. */
  readonly keepsEmptySessions: boolean;
  /** When it sends again what a client had not acknowledged. */
  readonly sendsAgain: 'on resume' | 'after ack_wait';
  /** Sets DUP when it does (MQTT-3.3.1-1). */
  readonly setsDup: boolean;
  /** QoS 1 messages that wait for a client that is away; what is more it drops silently. */
  readonly queuedMax: number;
  /** QoS 1 messages that it has in flight to one client of 3.1.1. */
  readonly inflightMax: number;
  /** A subscription with wildcards brings retained messages. */
  readonly retainedForWildcards: boolean;
  /** Versions in which it publishes the will of a connection that a second client takes over. */
  readonly willAtTakeover: readonly (4 | 5)[];
  /** `$share/…` works; otherwise it is granted and nothing ever comes. */
  readonly sharedSubscriptions: boolean;
  /** What becomes of a `.` in a topic. */
  readonly dotInTopic: 'kept' | 'arrives as /' | 'disconnected';
  /** Keep-alives of silence after which a client counts as gone (MQTT-3.1.2-24 says 1.5). */
  readonly silentKeepAlivesMax: number;
}

export interface BrokerKind {
  readonly name: 'mosquitto' | 'rabbitmq' | 'nats' | 'aedes';
  readonly howToGet: string;
  readonly traits: BrokerTraits;
  isFound(): boolean;
  start(): Promise<Broker>;
}

export interface Broker {
  readonly port: number;
  /** `mqtt://127.0.0.1:port`. */
  readonly url: string;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export const BROKERS: readonly BrokerKind[] = [
  {
    name: 'mosquitto',
    howToGet: HOW_TO_GET_MOSQUITTO,
    traits: {
      qosGrantedMax: 2,
      publishQos2: 'taken',
      keepsEmptySessions: true,
      sendsAgain: 'on resume',
      setsDup: true,
      queuedMax: 1000,
      inflightMax: 20,
      retainedForWildcards: true,
      willAtTakeover: [5],
      sharedSubscriptions: true,
      dotInTopic: 'kept',
      silentKeepAlivesMax: 3,
    },
    isFound: () => findMosquitto() !== undefined,
    start: () => startMosquitto(),
  },
  {
    name: 'rabbitmq',
    howToGet: 'apt-get install rabbitmq-server',
    traits: {
      refusesVersion5: 'close',
      qosGrantedMax: 1,
      publishQos2: 'taken as QoS 1',
      keepsEmptySessions: false,
      sendsAgain: 'on resume',
      setsDup: true,
      queuedMax: Number.POSITIVE_INFINITY,
      inflightMax: 10,
      retainedForWildcards: false,
      willAtTakeover: [],
      sharedSubscriptions: false,
      dotInTopic: 'arrives as /',
      silentKeepAlivesMax: 4,
    },
    isFound: () => findRabbitmq() !== undefined && findProgram('epmd') !== undefined,
    start: () => startWithRetries(startRabbitmq),
  },
  {
    name: 'nats',
    howToGet: 'apt-get install nats-server',
    traits: {
      refusesVersion5: 'return code 1',
      qosGrantedMax: 1,
      publishQos2: 'disconnected',
      keepsEmptySessions: true,
      sendsAgain: 'after ack_wait',
      setsDup: true,
      queuedMax: Number.POSITIVE_INFINITY,
      inflightMax: 1024,
      retainedForWildcards: true,
      willAtTakeover: [],
      sharedSubscriptions: false,
      dotInTopic: 'disconnected',
      silentKeepAlivesMax: 2,
    },
    isFound: () => findProgram('nats-server') !== undefined,
    start: () => startWithRetries(startNats),
  },
  {
    name: 'aedes',
    howToGet: 'npm install',
    traits: {
      refusesVersion5: 'return code 1',
      qosGrantedMax: 2,
      publishQos2: 'taken',
      keepsEmptySessions: false,
      sendsAgain: 'on resume',
      setsDup: false,
      queuedMax: Number.POSITIVE_INFINITY,
      inflightMax: Number.POSITIVE_INFINITY,
      retainedForWildcards: true,
      willAtTakeover: [4],
      sharedSubscriptions: false,
      dotInTopic: 'kept',
      silentKeepAlivesMax: 2,
    },
    isFound: () => true,
    start: () => startWithRetries(startAedes),
  },
];

/**
 * Tells whether tests with this broker can run. Where they cannot, says so on one line with the
 * remedy; in CI throws, which fails the file.
 */
export function hasBroker({ name, howToGet, isFound }: BrokerKind, what: string): boolean {
  return canRun(what, isFound(), `${name} (${howToGet})`);
}

async function startWithRetries(start: () => Promise<Broker>): Promise<Broker> {
  for (let tries = 1; ; tries++) {
    try {
      return await start();
    } catch (error) {
      if (tries === START_TRIES) throw error;
    }
  }
}

/** The broker that `flotilla run` brings, in a process of its own. */
function startAedes(): Promise<Broker> {
  const module = fileURLToPath(new URL('../../src/live/broker-process.ts', import.meta.url));
  const child = fork(module, [], { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const server = new Server(child);
  child.on('message', ({ port }: { readonly port: number }) => {
    server.log += `listening on ${port}\n`;
  });
  return server.toBroker(/listening on (\d+)\n/, () => undefined);
}

function startNats(): Promise<Broker> {
  const folder = createFolder('nats');
  const config = join(folder, 'nats.conf');
  const lines = [
    // Its MQTT needs JetStream, and that a name that stays.
    'server_name: flotilla',
    'listen: "127.0.0.1:-1"',
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`,
    `mqtt { listen: "127.0.0.1:-1", ack_wait: "${NATS_ACK_WAIT_MS}ms" }`,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const program = findProgram('nats-server') ?? 'nats-server';
  const server = new Server(spawn(program, ['-c', config], { stdio: ['ignore', 'pipe', 'pipe'] }));
  return server.toBroker(/MQTT clients on mqtt:\/\/127\.0\.0\.1:(\d+)[\s\S]*Server is ready/, () =>
    removeFolder(folder),
  );
}

function findRabbitmq(): string | undefined {
  return findProgram('rabbitmq-server', RABBITMQ_FOLDERS);
}

async function startRabbitmq(): Promise<Broker> {
  const folder = createFolder('rabbitmq');
  const port = await freePort();
  const epmdPort = await freePort();
  // Nodes find each other by epmd. A node that finds none starts one, which then stays for good:
  // so it finds one of ours.
  const names = {
    PATH: process.env.PATH,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  };
  const epmd = new Server(spawn(findProgram('epmd') ?? 'epmd', [], { env: names }));
  const config = [
    'listeners.tcp = none',
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    'log.console = true',
    'log.file = false',
  ];
  writeFileSync(join(folder, 'rabbitmq.conf'), `${config.join('\n')}\n`);
  writeFileSync(join(folder, 'enabled_plugins'), '[rabbitmq_mqtt].\n');
  writeFileSync(join(folder, 'environment.conf'), '');
  mkdirSync(join(folder, 'home'));
  const environment = {
    ...names,
    HOME: join(folder, 'home'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'environment.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_NODENAME: `flotilla-${epmdPort}@localhost`,
    RABBITMQ_DIST_PORT: String(await freePort()),
    // The script then becomes the server instead of its parent, so a signal reaches the server …
    RABBITMQ_ALLOW_INPUT: 'true',
    // … and this leaves out the shell, which would end with its input, and lets Ctrl-C end it.
    RABBITMQ_SERVER_START_ARGS: '-noinput +B d -kernel inet_dist_use_interface {127,0,0,1}',
  };
  const program = findRabbitmq() ?? 'rabbitmq-server';
  const server = new Server(
    // Where it leaves what it says of a crash.
    spawn(program, [], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  return server.toBroker(
    new RegExp(`MQTT TCP listener on \\S+:(${port})[\\s\\S]*complete`),
    async () => {
      await epmd.stop();
      removeFolder(folder);
    },
  );
}

/** A process that is a broker, or a part of one. */
class Server {
  /** The end of what it wrote. */
  log = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  private running = true;

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
    servers.add(this);
  }

  /**
   * Resolves when its log says `words`, whose first group is the port: a connect could be answered
   * by another owner of the port. `clean` removes what it leaves behind.
   */
  async toBroker(words: RegExp, clean: () => Promise<void> | void): Promise<Broker> {
    const stop = async (): Promise<void> => {
      await this.stop();
      await clean();
    };
    const deadlineMs = performance.now() + START_MS_MAX;
    for (;;) {
      const port = words.exec(this.log)?.[1];
      if (port !== undefined) return { port: Number(port), url: `mqtt://127.0.0.1:${port}`, stop };
      if (!this.running || performance.now() > deadlineMs) {
        await stop();
        throw new Error(`${this.child.spawnargs.join(' ')} did not start\n${this.log}`);
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
    this.kill();
    await this.ended;
    servers.delete(this);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

const servers = new Set<Server>();
const folders = new Set<string>();

/** A test that dies leaves nothing behind. */
process.on('exit', () => {
  for (const server of servers) server.kill();
  for (const folder of folders) removeFolder(folder);
});

function createFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `flotilla-${name}-`));
  folders.add(folder);
  return folder;
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}
