// The model test at length: node sdk/test/mqtt/model-campaign.ts --sequences 200000 [--seed S]
//
// Prints its seed first, a table at the end, and for a failure the command that repeats it with
// the shortest sequence that still fails. --sequence I runs only the one with that index.

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { cutEverywhere } from '../support/model-cuts.ts';
import { type Plan, planOf } from '../support/model-plan.ts';
import { Counts, runPlan } from '../support/model-run.ts';
import { shrink } from '../support/model-shrink.ts';

const BATCH = 500;

interface Share {
  readonly seed: number;
  readonly first: number;
  readonly stride: number;
  readonly sequences: number;
}

/** From a worker to the main thread. */
interface Report {
  done: number;
  counts: Counts;
  /** Index of the first sequence that failed, or -1. */
  failed: number;
}

function add(sum: Counts, counts: Counts): void {
  for (const key of Object.keys(counts) as (keyof Counts)[]) sum[key] += counts[key];
}

/** Every `stride`th sequence, reported in batches, until one fails. */
function work(share: Share): void {
  let report: Report = { done: 0, counts: new Counts(), failed: -1 };
  for (let index = share.first; index < share.sequences; index += share.stride) {
    const run = runPlan(planOf(share.seed, index));
    report.done += 1;
    add(report.counts, run.counts);
    if (run.failures.length > 0) report.failed = index;
    if (report.failed >= 0 || report.done === BATCH) {
      parentPort?.postMessage(report);
      if (report.failed >= 0) return;
      report = { done: 0, counts: new Counts(), failed: -1 };
    }
  }
  parentPort?.postMessage(report);
}

/** What a failing plan is, and how to see it again. */
function explain(plan: Plan, failures: readonly string[], command: string): void {
  console.log(`FAIL ${failures.slice(0, 5).join('\n     ')}`);
  console.log(`reproduce: ${command}`);
  const small = shrink(plan, failures);
  console.log(`shrunk to ${small.steps.length} steps of ${plan.steps.length}:`);
  console.log(`  ${JSON.stringify(small.setup)}`);
  for (const step of small.steps) console.log(`  ${JSON.stringify(step)}`);
  console.log(`  => ${runPlan(small).failures.slice(0, 5).join('\n     ')}`);
}

function printTable(rows: [string, number | string][]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) {
    const text = typeof value === 'number' ? value.toLocaleString('en') : value;
    console.log(`${name.padEnd(width)}  ${text.padStart(15)}`);
  }
}

function explainSequence(seed: number, index: number): boolean {
  const command = `node sdk/test/mqtt/model-campaign.ts --seed ${seed} --sequence ${index}`;
  const plan = planOf(seed, index);
  const { counts, failures } = runPlan(plan);
  if (failures.length > 0) explain(plan, failures, command);
  else console.log('PASS', counts);
  return failures.length === 0;
}

function cutPart(): boolean {
  const startMs = performance.now();
  const result = cutEverywhere(['both', 'server-late', 'server-never', 'device-never']);
  if (result.plan !== undefined) {
    explain(result.plan, result.failures, 'npx vitest run sdk/test/mqtt/model.test.ts');
    return false;
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`cut after every byte: ${result.count.toLocaleString('en')} runs, ${seconds} s`);
  return true;
}

/** Shares the sequences out and adds up what comes back; returns a failing index, or -1. */
async function randomPart(seed: number, sequences: number, workers: number): Promise<number> {
  const startMs = performance.now();
  const sum = new Counts();
  let done = 0;
  let failed = -1;
  let toldMs = startMs;
  const shares = Array.from({ length: workers }, (_, first) => {
    const share: Share = { seed, first, stride: workers, sequences };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: share });
    return new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', () => resolve());
      worker.on('message', (report: Report) => {
        done += report.done;
        add(sum, report.counts);
        if (report.failed >= 0 && (failed < 0 || report.failed < failed)) failed = report.failed;
        if (performance.now() - toldMs < 10_000) return;
        toldMs = performance.now();
        const seconds = Math.round((toldMs - startMs) / 1000);
        console.log(`${done.toLocaleString('en')} sequences, ${seconds} s`);
      });
    });
  });
  await Promise.all(shares);
  printTable([
    ['sequences', done],
    ['virtual hours', Math.round(sum.virtualMs / 3_600_000)],
    ['connects', sum.connects],
    ['sessions resumed', sum.resumed],
    ['cuts', sum.cuts],
    ['packets from the client', sum.packets],
    ['bytes both ways', sum.bytes],
    ['messages from the client', sum.published],
    ['taken by the broker', sum.taken],
    ['taken more than once', sum.takenTwice],
    ['messages to the client', sum.sent],
    ['received', sum.received],
    ['workers', workers],
    ['seconds', ((performance.now() - startMs) / 1000).toFixed(1)],
  ]);
  return failed;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sequences: { type: 'string', default: '200000' },
      seed: { type: 'string' },
      sequence: { type: 'string' },
      workers: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`SEED=${seed}`);
  let passed: boolean;
  if (values.sequence !== undefined) {
    passed = explainSequence(seed, Number(values.sequence));
  } else {
    passed = cutPart();
    const failed = await randomPart(seed, Number(values.sequences), Number(values.workers));
    if (failed >= 0) passed = explainSequence(seed, failed) && passed;
  }
  console.log(passed ? 'PASS' : 'FAIL');
  process.exitCode = passed ? 0 : 1;
}

if (isMainThread) await main();
else work(workerData as Share);
