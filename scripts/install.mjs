// Installs what is missing in this checkout, and says nothing when nothing is.
// Plain JavaScript, because the Node that runs it may be 18.

import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMusl } from './find-node.mjs';
import { cacheFolder, InstallError, installApart, runNpm } from './from-npm.mjs';

/** The first npm that reads our lock file and knows `--omit`. */
const NPM_MAJOR_MIN = 8;

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');

/** The file at `path`, or undefined where it is missing or, as after a power cut, no JSON. */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function readLock(path) {
  const { packages } = readJson(path) ?? {};
  if (packages !== undefined) return packages;
  throw new InstallError(`${path} cannot be read.`, [
    'If a merge left it in conflict, take one side:  git checkout HEAD -- package-lock.json',
  ]);
}

/** npm leaves out what is for another platform; of the others, `libc` tells musl from glibc. */
function isForThisPlatform({ os, cpu, libc }) {
  const has = (list, value) => list === undefined || list.includes(value);
  return (
    has(os, process.platform) && has(cpu, process.arch) && has(libc, isMusl() ? 'musl' : 'glibc')
  );
}

/** The entries of the lock file that are needed here: what may be missing is no binary of ours. */
function wantedPackages(withDev) {
  return Object.entries(readLock(join(root, 'package-lock.json'))).filter(
    ([path, entry]) =>
      path.startsWith('node_modules/') &&
      (withDev || !(entry.dev || entry.devOptional)) &&
      (entry.os ? isForThisPlatform(entry) : !entry.optional && !entry.devOptional),
  );
}

/** What of the lock file node_modules does not hold, whoever filled it: by path. */
function missingPackages(withDev) {
  const { packages: present = {} } = readJson(join(modules, '.package-lock.json')) ?? {};
  return wantedPackages(withDev)
    .filter(([path, { version, link }]) =>
      link
        ? !existsSync(join(root, path))
        : present[path]?.version !== version ||
          readJson(join(root, path, 'package.json'))?.version !== version,
    )
    .map(([path]) => path);
}

/** Takes away what npm believes to be whole and is not, and would leave as it is. */
function removeDamaged(missing) {
  const list = join(modules, '.package-lock.json');
  // What an interrupted first install left may look complete, package by package.
  if (readJson(list) === undefined) rmSync(modules, { recursive: true, force: true });
  for (const path of missing) rmSync(join(root, path), { recursive: true, force: true });
}

function requireNpm() {
  const version = /npm\/(\d+)/.exec(process.env.npm_config_user_agent ?? '')?.[1];
  if (version !== undefined && Number(version) < NPM_MAJOR_MIN) {
    throw new InstallError(`npm ${version} is too old.`, [
      'Update it with:  npm install -g npm@10',
    ]);
  }
}

/** Present while somebody installs here, with the id of that process. */
const TURN = join(root, '.installing');
const TURN_INTERVAL_MS = 300;
/** Between the file's creation and its content; longer, and its writer is gone. */
const TURN_EMPTY_MS_MAX = 5_000;

function isTurnTaken() {
  try {
    const id = Number(readFileSync(TURN, 'utf8'));
    if (id === 0) return Date.now() - statSync(TURN).mtimeMs < TURN_EMPTY_MS_MAX;
    process.kill(id, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM'; // That process is another user's.
  }
}

/** Runs `action` when nobody else installs in this checkout: two would take away each other's. */
async function inTurn(action) {
  for (let told = false; ; ) {
    try {
      writeFileSync(TURN, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw new InstallError(`${root} cannot be written: ${error.message}`, [
          'Clone it as the user who runs it, or run as its owner:  npm start',
        ]);
      }
    }
    if (!isTurnTaken()) {
      rmSync(TURN, { force: true });
      continue;
    }
    if (!told) console.error('Waiting for another installation in this folder …');
    told = true;
    await new Promise((resolve) => setTimeout(resolve, TURN_INTERVAL_MS));
  }
  try {
    await action();
  } finally {
    rmSync(TURN, { force: true });
  }
}

/**
 * The dependencies of the commands, and for `dev` those of tests and checks as well, as `node`
 * will run them.
 */
export async function installDependencies(node, dev) {
  if (missingPackages(dev).length === 0) return;
  requireNpm();
  await inTurn(async () => {
    if (missingPackages(dev).length > 0) await install(node, dev);
  });
}

async function install(node, dev) {
  // Packages of the tests that are there stay there: `npm start` must not undo `npm test`.
  const withDev = dev || existsSync(join(modules, 'vitest'));
  removeDamaged(missingPackages(withDev));
  const wanted = wantedPackages(withDev);
  const progress = () => {
    const count = wanted.filter(([path]) => existsSync(join(root, path, 'package.json'))).length;
    return `${count} of ${wanted.length} packages`;
  };
  // Not `npm ci`, which begins by taking everything away; the versions are the lock's here too.
  const parts = [withDev ? '--include=dev' : '--omit=dev', '--include=optional'];
  await runNpm(['install', '--no-save', '--ignore-scripts', ...parts], {
    node,
    cwd: root,
    text: `Installing dependencies${withDev ? ', those of the tests included' : ''} (once) …`,
    progress,
  });
  // npm is content where the download of an optional package failed, and binaries are such.
  const missing = missingPackages(withDev);
  if (missing.length === 0) return;
  throw new InstallError(`npm ended well, but this is missing: ${missing.slice(0, 5).join(', ')}`, [
    'Run the same command again; if that does not help, remove node_modules before.',
    'What npm was told otherwise:  npm config list',
  ]);
}

/** The lock file of the XS engine, which stands apart: it alone is compiled where it is installed. */
const ENGINE_LOCK = join(root, 'scripts/xs/engine-lock.json');

/** The cache's folder of the XS engine. */
export function engineFolder() {
  const { version } = readLock(ENGINE_LOCK)['node_modules/@agoric/xsnap'];
  return join(cacheFolder(), `xsnap-${version}`);
}

/** Why there is no engine here: what an earlier try found, or that none was made. */
export function engineProblem() {
  const folder = engineFolder();
  if (existsSync(folder)) return undefined;
  const file = `${folder}.problem`;
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  return 'the XS engine is not installed: npm run test:xs installs it';
}

/** The XS engine, built by make and a C compiler; without them its tests say that they did not run. */
export async function installEngine(retry) {
  const folder = engineFolder();
  const file = `${folder}.problem`;
  if (existsSync(folder) || (existsSync(file) && !retry)) return;
  try {
    if (/\s/.test(folder)) {
      throw new InstallError(`make cannot build it in a folder with a space: ${dirname(folder)}`);
    }
    await installApart({
      name: folder.slice(cacheFolder().length + 1),
      lock: readFileSync(ENGINE_LOCK, 'utf8'),
      text: 'Building the XS engine for the tests that need it (once) …',
      scripts: true,
    });
    rmSync(file, { force: true });
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    console.error(
      `The XS engine could not be built; its tests will say NOT RUN.\n${error.message}`,
    );
    if (existsSync(dirname(file))) writeFileSync(file, `${error.message}\n`);
  }
}
