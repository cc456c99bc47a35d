// Installs what is missing in this checkout, and says nothing when nothing is.
// Plain JavaScript, because the Node that runs it may be 18.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMusl } from './find-node.mjs';
import { cacheFolder, InstallError, installApart, runNpm } from './from-npm.mjs';

/** The first npm that reads our lock file and knows `--omit`. */
const NPM_MAJOR_MIN = 8;

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');

function readPackages(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {};
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
  return Object.entries(readPackages(join(root, 'package-lock.json'))).filter(
    ([path, entry]) =>
      path.startsWith('node_modules/') &&
      (withDev || !(entry.dev || entry.devOptional)) &&
      (entry.os ? isForThisPlatform(entry) : !entry.optional && !entry.devOptional),
  );
}

/** True when node_modules holds what the lock file names, whoever installed it. */
function isInstalled(withDev) {
  const present = readPackages(join(modules, '.package-lock.json'));
  return wantedPackages(withDev).every(
    ([path, { version }]) => present[path]?.version === version && existsSync(join(root, path)),
  );
}

function requireNpm() {
  const version = /npm\/(\d+)/.exec(process.env.npm_config_user_agent ?? '')?.[1];
  if (version !== undefined && Number(version) < NPM_MAJOR_MIN) {
    throw new InstallError(`npm ${version} is too old.`, [
      'Update it with:  npm install -g npm@10',
    ]);
  }
}

/**
 * The dependencies of the commands, and for `dev` those of tests and checks as well, as `node`
 * will run them.
 */
export async function installDependencies(node, dev) {
  if (isInstalled(dev)) return;
  requireNpm();
  // Packages of the tests that are there stay there: `npm start` must not undo `npm test`.
  const withDev = dev || existsSync(join(modules, 'vitest'));
  // What an interrupted first install left may look complete, package by package.
  if (!existsSync(join(modules, '.package-lock.json'))) {
    rmSync(modules, { recursive: true, force: true });
  }
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
}

/** The lock file of the XS engine, which stands apart: it alone is compiled where it is installed. */
const ENGINE_LOCK = join(root, 'scripts/xs/engine-lock.json');

/** The cache's folder of the XS engine. */
export function engineFolder() {
  const { version } = readPackages(ENGINE_LOCK)['node_modules/@agoric/xsnap'];
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
