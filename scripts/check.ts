// `npm run check`: format, lint, types and growth of the SDK, in seconds. Runs as many checks at
// once as there are cores, and every check also after a failed one.
// `--counts FILE` writes {passed, failed, skipped} for a caller that adds up.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export interface Check {
  readonly name: string;
  /** Arguments of Node. */
  readonly command: readonly string[];
}

export interface Verdict {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** All that it printed, and why it could not run. */
  readonly output: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = 'node_modules/.cache/check';
const tsc = 'node_modules/typescript/bin/tsc';
const biome = 'node_modules/@biomejs/biome/bin/biome';
/** What did not change since the last run is not looked at again; the other cores have checks too. */
const thrifty = [
  '--singleThreaded',
  '--incremental',
  '--tsBuildInfoFile',
  join(cache, 'types.tsbuildinfo'),
];

const CHECKS: readonly Check[] = [
  { name: 'format and lint', command: [biome, 'check', '--error-on-warnings', '.'] },
  { name: 'types of sdk/src, with what a device has', command: [tsc, '-p', 'sdk/src'] },
  { name: 'types', command: [tsc, '-p', '.', ...thrifty] },
  { name: 'sizes of sdk/src, as recorded', command: ['scripts/size.ts', '--bytes', '--growth'] },
];

/** Biome and tsc are scripts that start programs: a group of processes ends as one. */
const hasGroups = process.platform !== 'win32';

export class Runner {
  private readonly running = new Set<ChildProcess>();
  private stopped = false;

  /** Runs at most `lanes` checks at once. Yields the verdicts in the order of `checks`. */
  async *run(checks: readonly Check[], lanes: number): AsyncGenerator<Verdict> {
    const waiting = checks.map((check) => ({ check, ...Promise.withResolvers<Verdict>() }));
    const queue = waiting.values();
    const work = async (): Promise<void> => {
      for (const { check, resolve } of queue) resolve(await this.runOne(check));
    };
    const all = Promise.all(Array.from({ length: lanes }, work));
    for (const { promise } of waiting) yield await promise;
    await all;
  }

  /** Ends all that run, with what they started; those that wait fail at once. */
  stop(): void {
    this.stopped = true;
    for (const child of this.running) end(child);
  }

  private runOne({ name, command }: Check): Promise<Verdict> {
    const startMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    let output = '';
    const settle = (passed: boolean): void => {
      resolve({ name, passed, seconds: (performance.now() - startMs) / 1000, output });
    };
    if (this.stopped) {
      settle(false);
      return promise;
    }
    const child = spawn(process.execPath, command, {
      cwd: root,
      detached: hasGroups,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.running.add(child);
    const onOutput = (text: string): void => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', onOutput);
    child.stderr.setEncoding('utf8').on('data', onOutput);
    child.on('error', (error) => onOutput(error.message));
    child.on('close', (code) => {
      this.running.delete(child);
      settle(code === 0);
    });
    return promise;
  }
}

function end(child: ChildProcess): void {
  if (!hasGroups || child.pid === undefined) {
    child.kill();
    return;
  }
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It has just ended.
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { counts: { type: 'string' } } });
  const runner = new Runner();
  let interruptedBy: NodeJS.Signals | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, (signal) => {
      interruptedBy = signal;
      runner.stop();
    });
  }
  mkdirSync(join(root, cache), { recursive: true });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const verdict of runner.run(CHECKS, availableParallelism())) {
    if (interruptedBy !== undefined) continue;
    const { name, output, passed, seconds } = verdict;
    console.log(`${passed ? 'passed' : 'FAILED'}  ${name} (${seconds.toFixed(1)} s)`);
    if (!passed) console.log(output);
    counts[passed ? 'passed' : 'failed']++;
  }
  if (interruptedBy !== undefined) {
    process.exitCode = 128 + constants.signals[interruptedBy];
    return;
  }
  if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

// `import.meta.main` is of Node 24.2.
if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
