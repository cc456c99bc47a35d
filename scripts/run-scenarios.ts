// `npm run test:scenarios [-- NAME…]`: every scenario at the scale of its `ci:` block, on the
// embedded broker and on mosquitto, one after another: two cores bear no more at once.
// `--counts FILE` writes {passed, failed, skipped} for a caller that adds up.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  findMosquitto,
  HOW_TO_GET_MOSQUITTO,
  isCi,
  type Mosquitto,
  startMosquitto,
} from '../simulator/test/support/mosquitto.ts';

/** A scenario's own `ci:` scale takes seconds; whatever runs this long hangs. */
const RUN_MS_MAX = 180_000;
/** From the request to stop, with which a run still prints its summary, to the end by force. */
const STOP_MS_MAX = 10_000;

/** How the `flotilla` command ends. */
const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  1: 'failed',
  2: 'usage, or a mistake in the file',
  99: 'a threshold was crossed',
  130: 'interrupted',
};

type BrokerKind = 'embedded' | 'mosquitto';

interface Run {
  /** Undefined when it passed. */
  readonly problem: string | undefined;
  readonly output: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const launcher = join(root, 'simulator/bin/flotilla.mjs');
const temporary = mkdtempSync(join(tmpdir(), 'flotilla-scenarios-'));
let child: ChildProcess | undefined;
let interruptedBy: NodeJS.Signals | undefined;

/** Ends the present run, softly and then by force; the loop sees `interruptedBy` and stops. */
function interrupt(signal: NodeJS.Signals): void {
  interruptedBy = signal;
  stop(child);
}

function stop(process: ChildProcess | undefined): void {
  if (process === undefined) return;
  process.kill('SIGINT');
  setTimeout(() => process.kill('SIGKILL'), STOP_MS_MAX).unref();
}

/** What is wrong with a run that has ended, if anything. */
function problemOf(
  code: number | null,
  signal: string | null,
  summaryPath: string,
): string | undefined {
  if (code !== 0) {
    const meaning = code === null ? undefined : EXIT_MEANINGS[code];
    return `exit ${code ?? signal}${meaning === undefined ? '' : ` (${meaning})`}`;
  }
  if (!existsSync(summaryPath)) return 'exit 0, but no summary was written';
  const { passed } = JSON.parse(readFileSync(summaryPath, 'utf8')) as { passed?: unknown };
  return passed === true ? undefined : `exit 0, but the summary says passed: ${passed}`;
}

function run(name: string, kind: BrokerKind, url: string | undefined): Promise<Run> {
  if (interruptedBy !== undefined) return Promise.resolve({ problem: interruptedBy, output: '' });
  const summaryPath = join(temporary, `${name}-${kind}.json`);
  const broker = url === undefined ? [] : ['--broker', url];
  const args = ['run', `scenarios/${name}.yaml`, '--ci', ...broker];
  const command = [launcher, ...args, '--summary-export', summaryPath];
  return new Promise((resolve) => {
    const started = spawn(process.execPath, command, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    let output = '';
    let isLate = false;
    const onOutput = (text: string): void => {
      output += text;
    };
    started.stdout.setEncoding('utf8').on('data', onOutput);
    started.stderr.setEncoding('utf8').on('data', onOutput);
    const timer = setTimeout(() => {
      isLate = true;
      stop(started);
    }, RUN_MS_MAX);
    started.on('error', (error) => onOutput(error.message));
    started.on('close', (code, signal) => {
      clearTimeout(timer);
      child = undefined;
      const problem = problemOf(code, signal, summaryPath);
      const late = `no end within ${RUN_MS_MAX / 1000} s`;
      resolve({ problem: isLate ? late : problem, output });
    });
  });
}

/** One run with a broker of its own, so that no session or retained message is left from before. */
async function runWith(name: string, kind: BrokerKind): Promise<Run> {
  if (kind === 'embedded') return run(name, kind, undefined);
  let mosquitto: Mosquitto | undefined;
  try {
    mosquitto = await startMosquitto();
    return await run(name, kind, mosquitto.url);
  } catch (error) {
    return { problem: (error as Error).message, output: '' };
  } finally {
    await mosquitto?.stop();
  }
}

function namesOf(wanted: readonly string[]): string[] {
  const all = readdirSync(join(root, 'scenarios'))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
  const unknown = wanted.filter((name) => !all.includes(name));
  if (all.length === 0 || unknown.length > 0) {
    console.error(`No scenario ${unknown.join(', ')} in scenarios/: ${all.join(', ')}`);
    process.exit(2);
  }
  return wanted.length > 0 ? [...wanted] : all;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { counts: { type: 'string' } },
    allowPositionals: true,
  });
  const names = namesOf(positionals);
  const width = Math.max(...names.map((name) => name.length));
  const kinds: BrokerKind[] =
    findMosquitto() === undefined ? ['embedded'] : ['embedded', 'mosquitto'];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const startMs = performance.now();
  const secondsSince = (sinceMs: number): string =>
    ((performance.now() - sinceMs) / 1000).toFixed(1);
  if (kinds.length === 1) {
    counts.skipped = names.length;
    console.log(`skipped  all on mosquitto: needs mosquitto (${HOW_TO_GET_MOSQUITTO})`);
  }
  for (const name of names) {
    for (const kind of kinds) {
      if (interruptedBy !== undefined) break;
      const runStartMs = performance.now();
      const { problem, output } = await runWith(name, kind);
      if (interruptedBy !== undefined) break;
      counts[problem === undefined ? 'passed' : 'failed']++;
      const line = `${name.padEnd(width)}  ${kind.padEnd(9)}  ${secondsSince(runStartMs)} s`;
      console.log(problem === undefined ? `passed   ${line}` : `FAILED   ${line}  ${problem}`);
      if (problem !== undefined) console.log(output.trimEnd().replace(/^/gm, '    '));
    }
  }
  const { passed, failed, skipped } = counts;
  const outcome = interruptedBy === undefined ? '' : 'interrupted: ';
  const parts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  console.log(`${outcome}${parts} in ${secondsSince(startMs)} s`);
  if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
  if (interruptedBy !== undefined) process.exitCode = 128 + constants.signals[interruptedBy];
  else process.exitCode = failed > 0 || (skipped > 0 && isCi()) ? 1 : 0;
}

process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
await main();
