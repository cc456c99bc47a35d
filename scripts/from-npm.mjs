// Packages of npm that stand apart from any project, each in a folder of its own in the user's
// cache: what every checkout and every installed command of this user shares.
// Plain JavaScript, because an older Node has to be able to read it.

import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

const QUIET = ['--loglevel=error', '--no-json', '--no-audit', '--no-fund', '--no-update-notifier'];
/** npm's own pauses add up to 70 s, before it tells that there is no network. */
const RETRIES = [
  '--fetch-retries=3',
  '--fetch-retry-mintimeout=2000',
  '--fetch-retry-maxtimeout=8000',
];
/** What a user's .npmrc may say otherwise, and then npm installs nothing, elsewhere, or half of it. */
const AS_MEANT = [
  '--no-dry-run',
  '--no-global',
  '--location=project',
  '--workspaces=null',
  '--package-lock',
  '--bin-links',
  '--install-strategy=hoisted',
];
/** What an outer npm tells its scripts about what it works on, which is not what ours works on. */
const SCOPE =
  /^npm_config_(workspaces?|include_workspace_root|global|location|omit|include|dry_run)$/i;
/** Output that is no terminal gets a line so often, a terminal one that is redrawn each second. */
const PLAIN_INTERVAL_MS = 10_000;
const REDRAWN_INTERVAL_MS = 1_000;

/** In the names of folders that are being filled. */
const UNFINISHED = '.unfinished-';
const UNFINISHED_MS_MAX = 3_600_000;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const windows = process.platform === 'win32';

/** A problem with a cause that a person can mend: `message` says what, and `fixes` how. */
export class InstallError extends Error {
  constructor(message, fixes = []) {
    super(message);
    this.fixes = fixes;
  }
}

/** Somebody stopped it, by `signal`, and knows why: to be ended by, and not to be explained. */
export class Interrupted extends Error {
  constructor(signal) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

/** Where this user's programs keep what they can fetch again. */
export function cacheFolder() {
  const { LOCALAPPDATA, XDG_CACHE_HOME = '' } = process.env;
  // A relative one is invalid and to be ignored (XDG Base Directory Specification).
  if (isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'flotilla');
  if (windows) return join(LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'flotilla');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'flotilla');
  return join(homedir(), '.cache', 'flotilla');
}

/**
 * The npm that runs us, else the one that came with this Node, else the one on the PATH; under
 * `node`, where it is given: npm leaves out optional packages that ask for a later Node.
 */
function npmCommand(node = process.execPath) {
  const home = dirname(process.execPath);
  const own = windows
    ? join(home, 'node_modules/npm/bin/npm-cli.js')
    : join(home, '../lib/node_modules/npm/bin/npm-cli.js');
  const { npm_execpath: outer = '' } = process.env;
  if (outer.endsWith('npm-cli.js')) return [node, outer];
  return existsSync(own) ? [node, own] : [windows ? 'npm.cmd' : 'npm'];
}

/**
 * Runs npm, under `node` or this Node, in `cwd`, and meanwhile shows `text` with what `progress`
 * answers, or with the seconds. Throws InstallError with what npm said.
 * @param {readonly string[]} args
 * @param {{ cwd: string, text: string, progress?: () => string, node?: string }} options
 */
export async function runNpm(args, { cwd, text, progress, node }) {
  const [program, ...first] = npmCommand(node);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SCOPE.test(name)));
  const child = spawn(program, [...first, ...args, ...AS_MEANT, ...RETRIES, ...QUIET], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Node starts a .cmd file in a shell only; no argument of ours needs quoting.
    shell: program === 'npm.cmd',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => {
      said += part;
    });
  }
  const stopShowing = show(text, progress);
  // Who stops us stops npm; what it has left is cleared away before we end of the same signal.
  let stoppedBy;
  const stop = (signal) => {
    stoppedBy = signal;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  const outcome = await new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  for (const signal of SIGNALS) process.off(signal, stop);
  stopShowing();
  if (stoppedBy ?? outcome.signal) throw new Interrupted(stoppedBy ?? outcome.signal);
  if (outcome.code !== 0) throw explain(said.trim(), outcome.error, cwd);
}

/** Shows that something goes on; standard output stays that of the command. */
function show(text, progress) {
  const { stderr } = process;
  const redrawn = stderr.isTTY === true && process.env.TERM !== 'dumb' && !process.env.CI;
  const startMs = Date.now();
  const line = () => `${text} ${progress?.() ?? `${Math.round((Date.now() - startMs) / 1000)} s`}`;
  stderr.write(redrawn ? text : `${text}\n`);
  const timer = setInterval(
    () =>
      stderr.write(redrawn ? `\r${line().slice(0, (stderr.columns ?? 80) - 1)}` : `${line()}\n`),
    redrawn ? REDRAWN_INTERVAL_MS : PLAIN_INTERVAL_MS,
  );
  return () => {
    clearInterval(timer);
    if (redrawn) stderr.write('\r\u001b[K');
  };
}

/** What npm said, and for the common causes what to do. */
function explain(said, error, folder) {
  if (error) return new InstallError(`npm: ${error.message}`, ['Is npm installed, on the PATH?']);
  if (/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|ENOTCACHED/.test(said)) {
    return new InstallError(`${said}\nThe npm registry was not reached.`, [
      'Check the network, or behind a proxy:  npm config set proxy http://HOST:PORT',
      'then run the same command again.',
    ]);
  }
  if (/EACCES|EPERM|EROFS/.test(said)) {
    // Where npm says it, the path; in a home that is read-only it is that of npm's own cache.
    const path = /npm \S+ path (.+)/.exec(said)?.[1] ?? folder;
    const fixes = path.startsWith(folder)
      ? ['Its files may be those of another user:  ls -l shows whose they are.']
      : ["If that is npm's cache, give it another:  export npm_config_cache=/A/FOLDER/OF/YOURS"];
    return new InstallError(`${said}\nThis cannot be written: ${path}`, fixes);
  }
  if (/ENOSPC|EDQUOT/.test(said)) {
    return new InstallError(`The disk is full.`, [
      `About 500 MB are needed, in ${folder}`,
      'and in the cache of npm:  npm config get cache',
    ]);
  }
  if (/ETARGET/.test(said)) {
    return new InstallError(`${said}\nnpm found no such version.`, [
      'If it takes none that is recent (before, min-release-age in a .npmrc):',
      'npm_config_min_release_age=0 before the command asks for what the lock file names.',
    ]);
  }
  return new InstallError(`${said}\nnpm failed (above).`, []);
}

/** What an installation that was killed has left; one that goes on is younger. */
function removeInterrupted() {
  for (const name of readdirSync(cacheFolder()).filter((each) => each.includes(UNFINISHED))) {
    const path = join(cacheFolder(), name);
    const ageMs = Date.now() - statSync(path).mtimeMs;
    if (ageMs > UNFINISHED_MS_MAX) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * The folder `name` of the cache with the packages of `lock` (the text of a package-lock.json) in
 * its node_modules, installed if it is not there. A version and an integrity of everything stand
 * in the lock, so what is there is what was asked for. `scripts`: whether theirs are run.
 */
export async function installApart({ name, lock, text, scripts = false }) {
  const folder = join(cacheFolder(), name);
  if (existsSync(folder)) return folder;
  let temporary;
  try {
    mkdirSync(cacheFolder(), { recursive: true });
    removeInterrupted();
    temporary = mkdtempSync(`${folder}${UNFINISHED}`);
    const [, root] = Object.entries(JSON.parse(lock).packages).find(([path]) => path === '');
    writeFileSync(join(temporary, 'package.json'), JSON.stringify(root));
    writeFileSync(join(temporary, 'package-lock.json'), lock);
  } catch (error) {
    throw new InstallError(`${cacheFolder()} cannot be written: ${error.message}`, [
      'Set XDG_CACHE_HOME to a folder of yours.',
    ]);
  }
  try {
    const run = scripts ? '--no-ignore-scripts' : '--ignore-scripts';
    await runNpm(['ci', run], { cwd: temporary, text });
    // At once or not at all: whoever looks meanwhile finds no half of it.
    if (!existsSync(folder)) renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
