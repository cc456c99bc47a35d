// Starts real mosquitto brokers on free loopback ports, for tests and scenario runs.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** It needs a tenth of a second; on a busy machine it may wait long for its turn. */
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 1_000;
/** Of its log the end is kept, for the message when it does not start. */
const LOG_LENGTH_MAX = 4_096;
/** Between finding a free port and listening on it, somebody else may take it. */
const START_TRIES = 3;
/** Debian keeps servers out of an ordinary user's PATH. */
const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'];

export const HOW_TO_GET_MOSQUITTO = 'apt-get install mosquitto';

/** The path of a program, or undefined where there is none. Looks in `folders` first. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter);
  for (const folder of [...folders, ...path, ...MORE_FOLDERS]) {
    if (folder === '') continue;
    const program = join(folder, name);
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

export function findMosquitto(): string | undefined {
  return findProgram('mosquitto');
}

/** True where a skipped test is a failed one. */
export function isCi(): boolean {
  return process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false';
}

/**
 * Tells whether tests that need mosquitto can run: `describe.skipIf(!hasMosquitto('what'))`.
 * Where they cannot, says so on one line with the remedy; in CI throws, which fails the file.
 */
export function hasMosquitto(what: string, found = findMosquitto() !== undefined): boolean {
  return canRun(what, found, `mosquitto (${HOW_TO_GET_MOSQUITTO})`);
}

/** As `hasMosquitto`, for anything that may be missing: `need` names it and how to get it. */
export function canRun(what: string, found: boolean, need: string): boolean {
  if (found) return true;
  const line = `NOT RUN: ${what}: needs ${need}`;
  if (isCi()) throw new Error(line);
  console.log(line);
  return false;
}

export interface MosquittoOptions {
  /** A free one when absent. */
  readonly port?: number;
  /** More lines for its configuration file. */
  readonly config?: string;
}

export interface Mosquitto {
  readonly port: number;
  /** `mqtt://127.0.0.1:port`. */
  readonly url: string;
  /** Of the present process; another one after `restart`. */
  readonly pid: number;
  /** Sends a signal; resolves when the process has ended, if the signal ends it. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it if it runs, and starts it again on the same port. */
  restart(): Promise<void>;
  /** Ends it for good and removes its files. */
  stop(): Promise<void>;
}

/** Starts a broker without persistence or authentication; resolves when it listens. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const program = findMosquitto();
  if (program === undefined) throw new Error(`mosquitto not found: ${HOW_TO_GET_MOSQUITTO}`);
  for (let tries = 1; ; tries++) {
    const port = options.port ?? (await freePort());
    const broker = new MosquittoProcess(program, port, options.config ?? '');
    try {
      await broker.start();
      return broker;
    } catch (error) {
      await broker.stop();
      if (options.port !== undefined || tries === START_TRIES) throw error;
    }
  }
}

class MosquittoProcess implements Mosquitto {
  readonly port: number;
  readonly url: string;
  private readonly program: string;
  private readonly folder: string;
  private readonly configPath: string;
  private child: ChildProcess | undefined;
  private ended: Promise<void> = Promise.resolve();
  private log = '';
  /** A test that dies leaves no broker behind. */
  private readonly onExit = (): void => {
    this.child?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  };

  constructor(program: string, port: number, config: string) {
    this.program = program;
    this.port = port;
    this.url = `mqtt://127.0.0.1:${port}`;
    this.folder = mkdtempSync(join(tmpdir(), 'flotilla-mosquitto-'));
    this.configPath = join(this.folder, 'mosquitto.conf');
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
      'log_dest stderr',
      'log_type error',
      'log_type warning',
      'log_type information',
      // Started by root it would become a user who cannot read a test's certificates.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      config,
    ];
    writeFileSync(this.configPath, `${lines.join('\n')}\n`);
    process.on('exit', this.onExit);
  }

  get pid(): number {
    return this.child?.pid ?? -1;
  }

  async start(): Promise<void> {
    const child = spawn(this.program, ['-c', this.configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child = child;
    this.log = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_LENGTH_MAX);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('close', () => {
        if (this.child === child) this.child = undefined;
        resolve();
      });
    });
    const deadlineMs = performance.now() + START_MS_MAX;
    // Its own word that it listens: a connect could be answered by another owner of the port.
    while (!this.log.includes(' running')) {
      if (this.child !== child || performance.now() > deadlineMs) {
        throw new Error(`mosquitto did not start on port ${this.port}\n${this.log}`);
      }
      await delay(10);
    }
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.child?.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT' && signal !== 'SIGHUP') await this.ended;
  }

  async restart(): Promise<void> {
    await this.kill('SIGKILL');
    await this.start();
  }

  async stop(): Promise<void> {
    this.child?.kill('SIGTERM');
    const patience = new AbortController();
    const late = delay(STOP_MS_MAX, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.ended, late]);
    patience.abort();
    await this.kill('SIGKILL');
    process.off('exit', this.onExit);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
