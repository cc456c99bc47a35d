import { type ChildProcess, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LAUNCHER_FILES } from '../scripts/build.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const LOCK = {
  packages: {
    '': { name: 'checkout' },
    'node_modules/one': { version: '1.0.0' },
    'node_modules/two': { version: '2.0.0' },
    'node_modules/@own/member': { link: true },
  },
};

/**
 * Stands in for npm: installs, slowly, what the lock file names and is not there, and believes the
 * list in node_modules, as npm does. Two at once are a fault, and so are folders that go meanwhile.
 */
const NPM = `
const { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
writeFileSync('../npm.json', JSON.stringify(process.argv.slice(2)));
console.error('npm', process.argv[2]);
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
mkdirSync('node_modules/busy', { recursive: true });
process.on('SIGTERM', () => { writeFileSync('../stopped', ''); process.exit(1); });
setTimeout(() => {
  if (process.env.NPM_OMITS) delete packages['node_modules/' + process.env.NPM_OMITS];
  for (const [path, { version }] of Object.entries(packages)) {
    if (path === '' || existsSync(path)) continue;
    mkdirSync(path, { recursive: true });
    writeFileSync(path + '/package.json', JSON.stringify({ version }));
  }
  writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }));
  rmSync('node_modules/busy', { recursive: true });
}, Number(process.env.NPM_MS || 0));
`;

let folder: string;
let checkout: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla install '));
  checkout = join(folder, 'checkout');
  mkdirSync(join(checkout, 'scripts'), { recursive: true });
  for (const name of [...LAUNCHER_FILES, 'install.mjs', 'run.mjs']) {
    copyFileSync(join(root, 'scripts', name), join(checkout, 'scripts', name));
  }
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify(LOCK));
  writeFileSync(join(checkout, 'say.mjs'), "console.log('runs')");
  writeFileSync(join(folder, 'npm-cli.js'), NPM);
});

afterEach(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

function spawnStart(env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [join(checkout, 'scripts/run.mjs'), 'say.mjs'], {
    env: { ...process.env, npm_execpath: join(folder, 'npm-cli.js'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (text) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

function start(env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return outcomeOf(spawnStart(env));
}

/** How often `outcome` tells that something is installed. */
function installations({ output }: Outcome): number {
  return output.split('\n').filter((line) => line.startsWith('Installing')).length;
}

async function expectRepair(): Promise<void> {
  const repaired = await start();
  expect(repaired).toMatchObject({ code: 0 });
  expect(installations(repaired)).toBe(1);
  expect(await start()).toMatchObject({ code: 0, output: 'runs\n' });
}

describe('a first start', () => {
  test('installs once, and leaves nothing else in the checkout', async () => {
    const before = readdirSync(checkout);
    await expectRepair();
    expect(readdirSync(checkout).sort()).toEqual([...before, 'node_modules'].sort());
  });

  test("is not changed by what a user's .npmrc says about other projects", async () => {
    await start();
    const args = JSON.parse(readFileSync(join(folder, 'npm.json'), 'utf8'));
    for (const flag of [
      '--no-dry-run',
      '--no-global',
      '--workspaces=null',
      '--package-lock',
      '--bin-links',
      '--install-strategy=hoisted',
    ]) {
      expect(args).toContain(flag);
    }
  });

  test('beside another one waits for it', async () => {
    const first = spawnStart({ NPM_MS: '1500' });
    const firstEnd = outcomeOf(first);
    while (!existsSync(join(checkout, 'node_modules/busy'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const second = await start();
    expect(second).toMatchObject({ code: 0 });
    expect(second.output).toContain('Waiting for another installation');
    expect(installations(second)).toBe(0);
    expect(await firstEnd).toMatchObject({ code: 0 });
  });

  test.each(['4194305', ''])('after one that was killed does not wait (id "%s")', async (id) => {
    writeFileSync(join(checkout, '.installing'), id);
    expect(await start()).toMatchObject({ code: 0 });
    expect(existsSync(join(checkout, '.installing'))).toBe(false);
  });

  test('that is stopped stops npm, ends of the signal, and the next one works', async () => {
    const child = spawnStart({ NPM_MS: '20000' });
    const end = outcomeOf(child);
    while (!existsSync(join(checkout, 'node_modules/busy'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill('SIGTERM');
    const { signal, output } = await end;
    expect(signal).toBe('SIGTERM');
    expect(output).not.toMatch(/\n {4}at /);
    expect(existsSync(join(folder, 'stopped'))).toBe(true);
    expect(existsSync(join(checkout, '.installing'))).toBe(false);
    await expectRepair();
  });
});

describe('a later start', () => {
  beforeEach(async () => {
    await start();
  });

  test.each([
    ['a package is cut short', 'node_modules/one/package.json', '{"vers'],
    ['a package is another version', 'node_modules/one/package.json', '{"version":"0.9.0"}'],
    ['the list of packages is cut short', 'node_modules/.package-lock.json', '{'],
  ])('installs again where %s', async (_, path, text) => {
    writeFileSync(join(checkout, path), text);
    await expectRepair();
  });

  test('installs again where a workspace is not linked', async () => {
    rmSync(join(checkout, 'node_modules/@own'), { recursive: true });
    await expectRepair();
  });

  test('installs what a pull has changed in the lock file', async () => {
    const packages = { ...LOCK.packages, 'node_modules/two': { version: '2.1.0' } };
    writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify({ packages }));
    await expectRepair();
  });

  test('names what npm left out, where it ended well without it', async () => {
    rmSync(join(checkout, 'node_modules'), { recursive: true });
    const { code, output } = await start({ NPM_OMITS: 'two' });
    expect(code).toBe(1);
    expect(output).toContain('missing: node_modules/two');
    expect(output).toContain('again');
    expect(output).not.toContain('runs');
  });

  test('tells what to do about a lock file in conflict', async () => {
    writeFileSync(join(checkout, 'package-lock.json'), '<<<<<<< HEAD\n{}');
    const { code, output } = await start();
    expect(code).toBe(1);
    expect(output).toContain('git checkout');
    expect(output).not.toMatch(/\n {4}at /);
  });
});
