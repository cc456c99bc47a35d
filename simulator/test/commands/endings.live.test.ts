// What is left when a run is ended from outside, whoever is told: nothing at the broker, no process,
// and outputs that say so.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { afterAll, describe, expect, test } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import {
  CommandLine,
  descendantsOf,
  isAlive,
  LAUNCHER,
  survivorsOf,
} from '../support/command-line.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { folder, writeScenario } from '../support/scenario.ts';
import { retainedAt } from '../support/subscriber.ts';

const COUNT = 20;
/** A machine under load takes its time. */
const PATIENCE = { timeout: 600_000 };
const OLD = `Object.defineProperty(process, 'versions', { value: { node: '18.0.0' } })`;

const brokers: Mosquitto[] = [];
/** Process groups that a failed test leaves. */
const groups = new Set<number>();

afterAll(async () => {
  for (const pid of groups) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It is gone, as it should be.
    }
  }
  for (const broker of brokers) await broker.stop();
});

let shared: Promise<Mosquitto> | undefined;

/** For runs that leave it alone. */
function sharedBroker(): Promise<Mosquitto> {
  shared ??= startBroker();
  return shared;
}

async function startBroker(): Promise<Mosquitto> {
  const broker = await startMosquitto();
  brokers.push(broker);
  return broker;
}

/** A run that leads a process group, as a shell, `timeout` or a CI's agent starts it. */
class GroupRun {
  readonly state: string;
  readonly process: ChildProcess;
  readonly closed: Promise<unknown>;
  output = '';

  constructor(name: string, args: readonly string[], isOld = false) {
    this.state = join(folder, `state-${name}`);
    const old = isOld ? ['--import', `data:text/javascript,${OLD}`] : [];
    this.process = spawn(process.execPath, [...old, LAUNCHER, 'run', ...args], {
      detached: true,
      env: {
        ...process.env,
        ...(isOld ? { PATH: folderWithNode() } : {}),
        NO_COLOR: '1',
        FORCE_COLOR: undefined,
        XDG_STATE_HOME: this.state,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const pid = this.process.pid!;
    groups.add(pid);
    this.process.once('close', () => groups.delete(pid));
    const take = (chunk: unknown) => {
      this.output += String(chunk);
    };
    this.process.stdout!.on('data', take);
    this.process.stderr!.on('data', take);
    this.closed = once(this.process, 'close');
  }

  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      if (this.process.exitCode !== null) throw new Error(`it ended: ${this.output}`);
      await sleep(20);
    }
  }

  /** Tells all of its group. */
  tell(signal: NodeJS.Signals): void {
    process.kill(-this.process.pid!, signal);
  }

  async code(): Promise<number | null> {
    await this.closed;
    return this.process.exitCode;
  }

  /** Names of the files that say which runs there are. */
  records(): string[] {
    try {
      return readdirSync(join(this.state, 'flotilla/runs'));
    } catch {
      return [];
    }
  }
}

/** The Node that runs the test is the one that pretends to be old: it must be another path. */
function folderWithNode(): string {
  const path = join(folder, 'bin');
  mkdirSync(path, { recursive: true });
  if (!existsSync(join(path, 'node'))) symlinkSync(process.execPath, join(path, 'node'));
  return path;
}

/** Those of the clients `ids` whose session the broker keeps. */
async function sessionsAt(broker: Mosquitto, ids: readonly string[]): Promise<string[]> {
  const kept: string[] = [];
  for (const clientId of ids) {
    const client = mqtt.connect(broker.url, { clientId, clean: false, reconnectPeriod: 0 });
    const isKept = await new Promise((resolve) => {
      client.once('connect', ({ sessionPresent }) => resolve(sessionPresent));
    });
    if (isKept) kept.push(clientId);
    await client.endAsync();
  }
  return kept;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

/** What the broker keeps of the run `run`. */
async function statusesAt(broker: Mosquitto, run: string): Promise<string[]> {
  const all = await retainedAt(broker.url, 'devices/+/status');
  return all.filter((topic) => topic.startsWith(`devices/${run}-`));
}

const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;
const VERSIONS = ['3.1.1', '5'];
const CASES = VERSIONS.flatMap((version) => SIGNALS.map((each) => [...each, version] as const));

/** Fleet, observer and whoever else had the ids of the run `run`. */
function idsOf(run: string): string[] {
  const devices = Array.from({ length: COUNT }, (_, index) => `${run}-meters-${index}`);
  return [...devices, `${run}-observer`];
}

interface Options {
  readonly version?: string;
  readonly duration?: string;
  readonly more?: readonly string[];
  readonly args?: readonly string[];
  /** Through the launcher, under a Node that takes itself for 18. */
  readonly isOld?: boolean;
}

/** Starts a run of `COUNT` devices; its id is its name. */
function startRun(name: string, broker: Mosquitto, options: Options = {}): GroupRun {
  const { version = '5', duration = '200s', more = [], args = [], isOld = false } = options;
  const fleet = [`protocol: ${version}`];
  const file = writeScenario({ name, broker: broker.url, count: COUNT, fleet, duration, more });
  return new GroupRun(name, [file, '--run', name, ...args], isOld);
}

describe.skipIf(!hasMosquitto('runs whose process group is told to end'))('a group told', () => {
  test.each(CASES)(
    '%s ends a run with %i and leaves nothing over MQTT %s',
    PATIENCE,
    async (signal, code, version) => {
      const broker = await sharedBroker();
      const name = `g${code}v${version.slice(0, 1)}`;
      const [json, junit] = [join(folder, `${name}.json`), join(folder, `${name}.xml`)];
      const args = ['--summary-export', json, '--junit', junit];
      const run = startRun(name, broker, { version, args });
      await run.until(async () => (await statusesAt(broker, name)).length === COUNT);
      const children = descendantsOf(run.process.pid!);
      expect(children.length).toBeGreaterThan(0);
      expect(run.records()).toHaveLength(1);
      run.tell(signal);
      expect(await run.code()).toBe(code);
      expect(await statusesAt(broker, name)).toEqual([]);
      expect(await sessionsAt(broker, idsOf(name))).toEqual([]);
      expect(await survivorsOf(children)).toEqual([]);
      expect(run.records()).toEqual([]);
      const summary = JSON.parse(readFileSync(json, 'utf8')) as Summary;
      expect(summary).toMatchObject({ interrupted: true, ledger: { balanced: true } });
      expect(readFileSync(junit, 'utf8')).toContain('message="interrupted"');
    },
  );

  test.each(VERSIONS)('SIGTERM while a run starts over MQTT %s', PATIENCE, async (version) => {
    const broker = await startBroker();
    const name = `start${version.slice(0, 1)}`;
    const [json, junit] = [join(folder, `${name}.json`), join(folder, `${name}.xml`)];
    // It accepts connections, and then hears nothing any more.
    await broker.kill('SIGSTOP');
    const args = ['--summary-export', json, '--junit', junit];
    const run = startRun(name, broker, { version, args });
    await run.until(() => {
      return run.output.includes('If it is killed') && descendantsOf(run.process.pid!).length > 0;
    });
    const children = descendantsOf(run.process.pid!);
    run.tell('SIGTERM');
    expect(await run.code()).toBe(143);
    expect(await survivorsOf(children)).toEqual([]);
    expect(run.records()).toEqual([]);
    await broker.kill('SIGCONT');
    expect(await statusesAt(broker, name)).toEqual([]);
    expect(await sessionsAt(broker, idsOf(name))).toEqual([]);
    const reason = 'interrupted before the first device connected';
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
      verdict: 'interrupted',
      judged: { ok: false, reason },
    });
    expect(readFileSync(junit, 'utf8')).toContain(`<error type="judge" message="${reason}">`);
  });

  test.each(VERSIONS)('SIGTERM while a run settles over MQTT %s', PATIENCE, async (version) => {
    const broker = await sharedBroker();
    const name = `settle${version.slice(0, 1)}`;
    // What is buffered in an outage that lasts cannot be sent.
    const more = ['settle: 200s', 'timeline: [{ at: 1s, outage: { for: 200s } }]'];
    const run = startRun(name, broker, { version, duration: '3s', more });
    await run.until(() => run.output.includes('settling'));
    const children = descendantsOf(run.process.pid!);
    run.tell('SIGTERM');
    expect(await run.code()).toBe(143);
    expect(run.output).toContain('INTERRUPTED');
    expect(await statusesAt(broker, name)).toEqual([]);
    expect(await sessionsAt(broker, idsOf(name))).toEqual([]);
    expect(await survivorsOf(children)).toEqual([]);
  });

  test('SIGTERM under an older Node, where it comes twice', PATIENCE, async () => {
    const broker = await sharedBroker();
    const run = startRun('older', broker, { isOld: true });
    await run.until(async () => (await statusesAt(broker, 'older')).length === COUNT);
    const children = descendantsOf(run.process.pid!);
    run.tell('SIGTERM');
    expect(await run.code()).toBe(143);
    expect(run.output).toContain('INTERRUPTED');
    expect(await statusesAt(broker, 'older')).toEqual([]);
    expect(await sessionsAt(broker, idsOf('older'))).toEqual([]);
    expect(await survivorsOf(children)).toEqual([]);
  });
});

describe.skipIf(!hasMosquitto('Ctrl-C pressed twice'))('Ctrl-C', () => {
  test('that npm passes on at once counts once', PATIENCE, async () => {
    const broker = await sharedBroker();
    const run = startRun('twice', broker);
    await run.until(async () => (await statusesAt(broker, 'twice')).length === COUNT);
    run.tell('SIGINT');
    run.process.kill('SIGINT');
    expect(await run.code()).toBe(130);
    expect(run.output).toContain('INTERRUPTED');
    expect(await statusesAt(broker, 'twice')).toEqual([]);
  });

  test('pressed again ends the run at once, and says how to clean up', PATIENCE, async () => {
    const broker = await startBroker();
    const run = startRun('again', broker);
    await run.until(async () => (await statusesAt(broker, 'again')).length === COUNT);
    // Nobody can take leave of it.
    await broker.kill('SIGSTOP');
    const children = descendantsOf(run.process.pid!);
    while (run.process.exitCode === null) {
      run.tell('SIGINT');
      await sleep(1200);
    }
    expect(await run.code()).toBe(130);
    expect(run.output).not.toContain('INTERRUPTED');
    const command = `npx flotilla clean --run again --broker ${broker.url}`;
    expect(run.output).toContain(`What is left at the broker: ${command}\n`);
    await broker.kill('SIGCONT');
    await until(() => !children.some(isAlive));
  });
});

describe.skipIf(!hasMosquitto('runs that are killed'))('a run that is killed', () => {
  test.each(VERSIONS)('is cleaned up after by its observer: MQTT %s', PATIENCE, async (version) => {
    const broker = await sharedBroker();
    const name = `kill${version.slice(0, 1)}`;
    const run = startRun(name, broker, { version });
    await run.until(async () => (await statusesAt(broker, name)).length === COUNT);
    const children = descendantsOf(run.process.pid!);
    run.tell('SIGKILL');
    await run.closed;
    await until(() => !children.some(isAlive));
    expect(await statusesAt(broker, name)).toEqual([]);
    expect(await sessionsAt(broker, idsOf(name))).toEqual([]);
    expect(run.records()).toEqual([]);
  });

  test('with all of its processes is named by `flotilla clean`', PATIENCE, async () => {
    const broker = await sharedBroker();
    const run = startRun('named', broker);
    await run.until(async () => (await statusesAt(broker, 'named')).length === COUNT);
    const command = `npx flotilla clean --run named --broker ${broker.url}`;
    expect(run.output.split('\n').slice(0, 2)).toEqual([
      expect.stringMatching(/, run named$/),
      `If it is killed: ${command}`,
    ]);
    const env = { XDG_STATE_HOME: run.state };
    // While it goes on it is none of those.
    expect((await new CommandLine(['clean'], undefined, env).ended()).stdout).toContain('No run');
    const all = [...descendantsOf(run.process.pid!), run.process.pid!];
    for (const pid of all) process.kill(pid, 'SIGKILL');
    await run.closed;
    await until(async () => (await statusesAt(broker, 'named')).length > 0);
    const named = await new CommandLine(['clean'], undefined, env).ended();
    expect(named).toMatchObject({ code: 0 });
    expect(named.stdout).toContain(`named at ${broker.url}, started 2`);
    expect(named.stdout).toContain(`\n  ${command}\n`);
    const args = command.split(' ').slice(2);
    expect(await new CommandLine(args, undefined, env).ended()).toMatchObject({ code: 0 });
    expect(await statusesAt(broker, 'named')).toEqual([]);
    expect(run.records()).toEqual([]);
    const json = await new CommandLine(['clean', '--json'], undefined, env).ended();
    expect(JSON.parse(json.stdout)).toEqual([]);
  });

  test('whose clients left sessions alone is cleaned up after', PATIENCE, async () => {
    const broker = await sharedBroker();
    const file = join(folder, 'plain.yaml');
    const fleet = `{ name: meters, kind: plain, count: ${COUNT}, interval: 500ms, protocol: 3.1.1 }`;
    const url = `broker: { url: '${broker.url}' }`;
    writeFileSync(file, `name: plain\nfleets: [${fleet}]\n${url}\nduration: 200s\n`);
    const run = new GroupRun('plain', [file, '--run', 'plain']);
    await run.until(() => run.output.includes(`connected ${COUNT}/${COUNT}`));
    const command = `npx flotilla clean --run plain --scenario ${file}`;
    expect(run.output).toContain(`If it is killed: ${command}\n`);
    const all = [...descendantsOf(run.process.pid!), run.process.pid!];
    for (const pid of all) process.kill(pid, 'SIGKILL');
    await run.closed;
    const args = command.split(' ').slice(2);
    const env = { XDG_STATE_HOME: run.state };
    expect(await new CommandLine(args, undefined, env).ended()).toMatchObject({ code: 0 });
    expect(await sessionsAt(broker, idsOf('plain'))).toEqual([]);
    expect(run.records()).toEqual([]);
  });
});
