import { type ChildProcess, spawn } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LAUNCHER_FILES } from '../scripts/build.ts';
import { isSupported } from '../scripts/find-node.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The files of the commands, which differ in the name that they give to the launcher. */
const COMMANDS = ['simulator/bin/flotilla.mjs', 'bootloader-sim/bin/flotilla-boot.mjs'];
const OLD = `Object.defineProperty(process, 'versions', { value: { node: '18.0.0' } })`;

/** Stands in for npm: tells that it was called, and installs what the lock file names, or fails. */
const NPM = `
const { mkdirSync, readFileSync, symlinkSync } = require('node:fs');
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
console.error('npm', ...process.argv.slice(2, 4));
if (process.env.NPM_FAILS) {
  console.error(process.env.NPM_FAILS);
  process.exit(1);
}
for (const path of Object.keys(packages).filter((each) => each !== '')) {
  mkdirSync(path + '/bin', { recursive: true });
  symlinkSync(process.env.NPM_NODE || process.execPath, path + '/bin/node');
}`;

/** Stands in for the CLI: does what its first argument says. */
const CLI = `
export async function main([action, ...rest]) {
  if (action === 'say') console.log(process.versions.node, rest.join(' '));
  if (action === 'exit') process.exit(Number(rest[0]));
  if (action === 'fall') process.kill(process.pid, rest[0]);
  if (action === 'wait') {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => { console.log(signal); process.exit(130); });
    }
    console.log('waiting');
  }
  if (action !== 'say') setTimeout(() => process.exit(77), 10_000);
}`;

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla launcher '));
  mkdirSync(join(folder, 'scripts'));
  for (const name of LAUNCHER_FILES) {
    copyFileSync(join(root, 'scripts', name), join(folder, 'scripts', name));
  }
  writeFileSync(join(folder, 'npm-cli.js'), NPM);
  for (const name of ['package', 'checkout']) {
    mkdirSync(join(folder, name, 'bin'), { recursive: true });
    mkdirSync(join(folder, name, 'src'));
    for (const command of COMMANDS) {
      copyFileSync(join(root, command), join(folder, name, 'bin', basename(command)));
    }
    writeFileSync(join(folder, name, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, name, 'src/cli.js'), CLI);
  }
  writeFileSync(
    join(folder, 'checkout/src/cli.ts'),
    "export const main = async (): Promise<void> => console.log('typed' as string);",
  );
});

afterAll(() => rmSync(folder, { recursive: true }));

interface StartOptions {
  /** Folders of the PATH. */
  readonly path?: string;
  /** Name of a folder of ours that serves as the user's cache. */
  readonly cache?: string;
  readonly command?: string;
  readonly env?: NodeJS.ProcessEnv;
}

function spawnCommand(
  preload: readonly string[],
  name: string,
  args: readonly string[],
  { path = '', cache = 'cache', command = 'flotilla', env = {} }: StartOptions,
): ChildProcess {
  const file = join(folder, name, 'bin', `${command}.mjs`);
  return spawn(process.execPath, [...preload, file, ...args], {
    env: {
      ...process.env,
      PATH: path,
      XDG_CACHE_HOME: join(folder, cache),
      npm_execpath: join(folder, 'npm-cli.js'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function start(name: string, args: readonly string[], options: StartOptions = {}): ChildProcess {
  return spawnCommand([], name, args, options);
}

/** Under a Node that takes itself for 18. */
function startOld(args: readonly string[], options: StartOptions = {}): ChildProcess {
  return spawnCommand(['--import', `data:text/javascript,${OLD}`], 'package', args, options);
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  child.stderr?.on('data', (text) => {
    output += text;
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

describe('the launcher', () => {
  test('runs the CLI at once under a recent Node: its TypeScript where that is', async () => {
    const compiled = await outcomeOf(start('package', ['say', 'a b', '--c']));
    expect(compiled).toMatchObject({ code: 0, output: `${process.versions.node} a b --c\n` });
    const typed = await outcomeOf(start('checkout', []));
    expect(typed).toMatchObject({ code: 0, output: 'typed\n' });
  });

  test('under an older Node takes a recent one of the PATH', async () => {
    const old = join(folder, 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho v18.0.0\n', { mode: 0o755 });
    // The Node that runs the test is the one that pretends to be old: it must be another path.
    symlinkSync(process.execPath, join(folder, 'node'));
    const said = await outcomeOf(startOld(['say', 'it'], { path: `${old}:${folder}` }));
    expect(said).toMatchObject({ code: 0, output: `${process.versions.node} it\n` });
  });

  test('otherwise gets one from npm, once, and says so', async () => {
    const first = await outcomeOf(startOld(['say', 'a b', '--c'], { cache: 'new' }));
    expect(first.code).toBe(0);
    expect(first.output).toMatch(/Getting Node \d+\.\d+\.\d+ from npm, as 18\.0\.0 is too old/);
    expect(first.output).toContain(`${process.versions.node} a b --c\n`);
    const second = await outcomeOf(startOld(['say', 'it'], { cache: 'new' }));
    expect(second).toMatchObject({ code: 0, output: `${process.versions.node} it\n` });
    expect(readdirSync(join(folder, 'new/flotilla'))).toHaveLength(1);
  });

  test('removes what one that was killed has left, and not what another is filling', async () => {
    const cached = join(folder, 'killed/flotilla');
    const [old, young] = ['node-1.unfinished-a', 'node-1.unfinished-b'];
    for (const name of [old, young]) mkdirSync(join(cached, name), { recursive: true });
    const hoursAgo = new Date(Date.now() - 7_200_000);
    utimesSync(join(cached, old), hoursAgo, hoursAgo);
    expect((await outcomeOf(startOld(['say'], { cache: 'killed' }))).code).toBe(0);
    expect(readdirSync(cached)).not.toContain(old);
    expect(readdirSync(cached)).toContain(young);
  });

  test('gets it again where what is there does not run', async () => {
    const cached = join(folder, 'half/flotilla');
    await outcomeOf(startOld(['say'], { cache: 'half' }));
    const [name = ''] = readdirSync(cached);
    const [found = ''] = readdirSync(join(cached, name, 'node_modules'));
    const node = join(cached, name, 'node_modules', found, 'bin/node');
    rmSync(node);
    writeFileSync(node, 'half of it', { mode: 0o755 });
    const again = await outcomeOf(startOld(['say', 'it'], { cache: 'half' }));
    expect(again.output).toContain(`${process.versions.node} it\n`);
    expect(again.code).toBe(0);
  });

  test('two that get it at once are both served', async () => {
    const both = [1, 2].map(() => outcomeOf(startOld(['say', 'it'], { cache: 'both' })));
    for (const { code } of await Promise.all(both)) expect(code).toBe(0);
    expect(readdirSync(join(folder, 'both/flotilla'))).toHaveLength(1);
  });

  test.each([
    ['npm cannot reach its registry', { NPM_FAILS: 'npm error code ENOTFOUND' }, 'proxy'],
    ['the disk is full', { NPM_FAILS: 'npm error ENOSPC: no space left' }, 'disk is full'],
    ['what came does not run', { NPM_NODE: '/nonexistent' }, 'does not run on this machine'],
    [
      "npm's own cache cannot be written",
      { NPM_FAILS: 'npm error code EACCES\nnpm error path /home/me/.npm' },
      'npm_config_cache',
    ],
    ['npm takes no recent versions', { NPM_FAILS: 'npm error code ETARGET' }, 'min-release-age'],
    ['the cache cannot be written', { XDG_CACHE_HOME: '/dev/null' }, 'Set XDG_CACHE_HOME'],
  ])('says what to do when %s, and leaves nothing behind', async (_, env, remedy) => {
    // Its name holds no remedy: a message names the folder too.
    const cache = basename(mkdtempSync(join(folder, 'fails-')));
    for (const command of ['flotilla', 'flotilla-boot']) {
      const started = startOld(['say'], { cache, command, env });
      const { code, output } = await outcomeOf(started);
      expect(code).toBe(1);
      expect(output).toContain(`${command}: `);
      expect(output).toContain(remedy);
      expect(output).not.toMatch(/\n {4}at /);
    }
    if ('NPM_FAILS' in env) {
      expect(readdirSync(join(folder, cache, 'flotilla'))).toEqual([]);
    }
  });

  test('tells why what came does not run', async () => {
    const broken = join(folder, 'broken');
    writeFileSync(broken, '#!/bin/sh\necho GLIBC_2.28 not found >&2; exit 1\n', { mode: 0o755 });
    const env = { NPM_NODE: broken };
    const { output } = await outcomeOf(startOld(['say'], { cache: 'broken-one', env }));
    expect(output).toContain('GLIBC_2.28 not found');
  });

  test('takes a relative XDG_CACHE_HOME for none', async () => {
    const env = { XDG_CACHE_HOME: 'relative', HOME: join(folder, 'home') };
    expect((await outcomeOf(startOld(['say'], { env }))).code).toBe(0);
    expect(readdirSync(join(folder, 'home'))).not.toEqual([]);
  });

  test.each([0, 1, 2, 99, 130])('passes on the exit code %i', async (code) => {
    await outcomeOf(startOld(['say'])); // Gets it.
    const ended = await outcomeOf(startOld(['exit', String(code)]));
    expect(ended).toMatchObject({ code, signal: null, output: '' });
  });

  test('dies of the signal that its child died of', async () => {
    const ended = await outcomeOf(startOld(['fall', 'SIGKILL']));
    expect(ended).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'passes on %s, and waits for what the CLI does about it',
    async (signal) => {
      const child = startOld(['wait']);
      const ended = outcomeOf(child);
      child.stdout?.once('data', () => child.kill(signal));
      expect(await ended).toEqual({ code: 130, signal: null, output: `waiting\n${signal}\n` });
    },
  );
});

test('supported are the Nodes that strip types without a flag or a warning', () => {
  const supported = ['22.18.0', 'v22.23.3', '24.0.0', '24.21.0', '25.1.0', '26.12.1', 'v30.0.0'];
  const others = ['', '18.20.8', '20.20.2', '21.7.3', '22.17.1', '23.11.1'];
  expect(supported.filter((version) => !isSupported(version))).toEqual([]);
  expect(others.filter(isSupported)).toEqual([]);
});
