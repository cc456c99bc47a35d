// Installs what is missing and says nothing when nothing is. `node scripts/install.mjs [--dev]`
// Runs before the npm scripts, so that a fresh clone needs no other command. Plain JavaScript,
// because the Node that runs it may be 18: the Node 24 of everything else comes with the install.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
/** The first npm that reads our lock file and knows `--omit`. */
const NPM_MAJOR_MIN = 8;

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const windows = process.platform === 'win32';
const wantsDev = process.argv.includes('--dev');

/** The Node 24 that npm scripts find first, or this very Node when it is recent enough. */
function hasNode() {
  const bin = join(modules, '.bin', windows ? 'node.cmd' : 'node');
  return existsSync(bin) || Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN;
}

function hasCommand() {
  return existsSync(join(modules, '.bin', windows ? 'flotilla.cmd' : 'flotilla'));
}

function readPackages(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {};
}

/** True when node_modules holds what the lock file names, whoever installed it. */
function isInstalled() {
  const present = readPackages(join(modules, '.package-lock.json'));
  return Object.entries(readPackages(join(root, 'package-lock.json'))).every(([path, wanted]) => {
    if (!path.startsWith('node_modules/') || wanted.optional || wanted.devOptional) return true;
    if (wanted.dev && !wantsDev) return true;
    return present[path]?.version === wanted.version && existsSync(join(root, path));
  });
}

function fail(problem, ...fixes) {
  console.error([`Cannot install the dependencies: ${problem}`, ...fixes].join('\n  '));
  process.exit(1);
}

function requireNpm() {
  const version = /npm\/(\d+)/.exec(process.env.npm_config_user_agent ?? '')?.[1];
  if (version !== undefined && Number(version) < NPM_MAJOR_MIN) {
    fail(`npm ${version} is too old.`, `Update it with:  npm install -g npm@10`);
  }
}

function runNpm(args) {
  const cli = process.env.npm_execpath ?? '';
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
  // The npm that runs this script; started directly, the one on the PATH.
  return cli.endsWith('npm-cli.js')
    ? spawnSync(process.env.npm_node_execpath ?? process.execPath, [cli, ...args], options)
    : spawnSync('npm', args, { ...options, shell: windows });
}

/** What npm said, and for the common causes what to do. */
function explain({ error, stderr, stdout, signal }) {
  if (signal) process.exit(1); // Interrupted: whoever did it knows why.
  if (error) fail(error.message, 'Is npm installed, and on the PATH?');
  const said = `${stdout}${stderr}`.trim();
  console.error(said);
  if (/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH/.test(said)) {
    fail(
      'the npm registry was not reached.',
      'Check the network, or behind a proxy:  npm config set proxy http://HOST:PORT',
      'then run the same command again.',
    );
  }
  if (/EACCES|EPERM|EROFS/.test(said)) fail('files here cannot be written.', `Folder: ${root}`);
  if (/ENOSPC/.test(said)) fail('the disk is full.', 'About 500 MB are needed.');
  fail('npm failed (above).', 'Delete node_modules and run the same command again.');
}

/** A binary for another C library is installed all the same, and shows only when it is run. */
function requireNode() {
  const bin = join(modules, '.bin', windows ? 'node.cmd' : 'node');
  if (existsSync(bin) && spawnSync(bin, ['--version'], { shell: windows }).status !== 0) {
    fail(
      'the Node 24 that came from npm does not run on this machine.',
      `Install Node ${NODE_MAJOR_MIN} (https://nodejs.org), delete ${bin}`,
      'and run the same command again.',
    );
  }
  if (!hasNode()) {
    fail(
      `npm has no Node ${NODE_MAJOR_MIN} for ${process.platform}-${process.arch}.`,
      `Install Node ${NODE_MAJOR_MIN} (https://nodejs.org) and run the same command again.`,
    );
  }
}

function install() {
  requireNpm();
  // Packages of the tests that are there stay there: `npm start` must not undo `npm test`.
  const withDev = wantsDev || existsSync(join(modules, 'vitest'));
  console.log(`Installing dependencies${withDev ? ', those of the tests included' : ''} (once) …`);
  // What an interrupted first install left may look complete, package by package.
  if (!existsSync(join(modules, '.package-lock.json'))) {
    rmSync(modules, { recursive: true, force: true });
  }
  // Not `npm ci`: it refuses a lock file without the binaries of every platform, and would take
  // away the Node that may be running this. The versions are those of the lock file here too.
  const parts = [withDev ? '--include=dev' : '--omit=dev', '--include=optional'];
  const quiet = ['--loglevel=error', '--no-audit', '--no-fund'];
  const result = runNpm(['install', '--no-save', ...parts, ...quiet]);
  if (result.status !== 0) explain(result);
  requireNode();
}

if (!hasNode() || !hasCommand() || !isInstalled()) install();
