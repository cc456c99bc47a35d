// What every command does first: runs under a supported Node, whatever Node started it. Each `bin`
// file imports this one; `npm run build` puts a copy beside it into the package.
// Plain JavaScript, because an older Node has to be able to read it.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { findNode, isSupported } from './find-node.mjs';
import { InstallError, Interrupted } from './from-npm.mjs';

/** Tells a person what `name` lacks and how to mend it, and fails. */
export function explain(name, error) {
  if (error instanceof Interrupted) return dieOf(error.signal);
  if (!(error instanceof InstallError)) throw error;
  console.error([`${name}: ${error.message}`, ...error.fixes].join('\n  '));
  process.exitCode = 1;
}

/** Ends as `signal` ends a process, which tells the caller's shell what happened. */
function dieOf(signal) {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
}

/** Runs `node file args`, and ends as that process ends. */
export function runUnder(node, file, args, options = {}) {
  const child = spawn(node, [file, ...args], { ...options, stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child as well; without one only this process was told.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`${node} cannot be started: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    dieOf(signal);
  });
}

/** Runs the CLI of the package whose `bin` file, the command `name`, has the URL `bin`. */
export async function launch(name, bin) {
  if (isSupported(process.versions.node)) {
    // The checkout holds TypeScript; the published package holds what was compiled from it.
    const source = new URL('../src/cli.ts', bin);
    const cli = existsSync(source) ? source : new URL('../src/cli.js', bin);
    const { main } = await import(cli.href);
    await main(process.argv.slice(2));
    return;
  }
  try {
    runUnder(await findNode(), fileURLToPath(bin), process.argv.slice(2));
  } catch (error) {
    explain(name, error);
  }
}
