// `flotilla-boot campaign`: enumerates every way to interrupt or corrupt an update.

import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, checkWhole } from '@flotilla/command-line';
import { Piscina } from 'piscina';
import { FLOWS, type Flow } from '../campaign/flows.ts';
import { type CampaignReport, collect, renderReport } from './campaign-report.ts';
import type {
  CampaignOutcome,
  CampaignProfile,
  CampaignSetup,
  CampaignTask,
} from './campaign-worker.ts';

interface CampaignArguments {
  profile: CampaignProfile;
  seed?: number;
  double: boolean;
  quick: boolean;
  replay?: string;
  without?: string[];
  workers?: number;
  json: boolean;
}

/** Shares of the full campaigns that `--quick` runs, spread over all flows and faults. */
const QUICK_STRIDE = { single: 14, double: 60, atRest: 97 };
const AT_REST_PARTS = 8;
const PROGRESS_MS = 2000;
const SEED_MAX = 0x7fff_ffff;

export const campaignCommand: Command<CampaignArguments> = {
  command: 'campaign',
  describe: 'Try every way to interrupt or corrupt an update, and check the invariants',
  builder: (command) =>
    command
      .option('profile', {
        choices: ['hardened', 'esp-idf'] as const,
        default: 'hardened' as CampaignProfile,
        describe: 'Bootloader under test',
      })
      .option('seed', { type: 'number', describe: 'Seed of the torn and weak bits' })
      .option('double', {
        type: 'boolean',
        default: false,
        describe: 'Two cuts: a clean one at each boundary, then one at every operation after it',
      })
      .option('quick', {
        type: 'boolean',
        default: false,
        describe: 'A share of the cases, spread over all flows and faults',
      })
      .option('replay', { type: 'string', describe: 'Only the case with this id' })
      .option('without', {
        choices: ['rule-4', 'rule-6'] as const,
        array: true,
        describe: 'Leave out a rule, to see what it is for',
      })
      .option('workers', { type: 'number', describe: 'Worker threads; default: all cores' })
      .option('json', { type: 'boolean', default: false, describe: 'Print the report as JSON' })
      .check(({ replay, seed, workers }) => {
        if (seed !== undefined) checkWhole('seed', seed, 0, SEED_MAX);
        if (workers !== undefined) checkWhole('workers', workers, 1);
        if (replay !== undefined && flowOf(replay) === undefined) {
          throw new Error(`--replay: ${replay} names no flow; ids look like confirm-0-same/12/…`);
        }
        return true;
      })
      .example('$0 campaign --quick', 'some 30,000 cases, in seconds')
      .example('$0 campaign --profile esp-idf --quick', 'what is wrong with the stock scheme')
      .example('$0 campaign --double', 'the double cuts')
      .epilogue('Exit codes: 0 no violation, 1 violations, 2 wrong usage.'),
  handler: run,
};

function flowOf(caseId: string): Flow | undefined {
  return FLOWS.find(({ id }) => caseId === id || caseId.startsWith(`${id}/`));
}

async function run(args: CampaignArguments): Promise<void> {
  const seed = args.seed ?? randomInt(SEED_MAX);
  const out = args.json ? process.stderr : process.stdout;
  const without = args.without ?? [];
  const parts = [
    `SEED=${seed} PROFILE=${args.profile}`,
    ...(args.double ? ['DOUBLE'] : []),
    ...(args.quick ? ['QUICK'] : []),
    ...without.map((rule) => `WITHOUT=${rule}`),
  ];
  out.write(`${parts.join(' ')}\n`);
  const startMs = performance.now();
  const { outcomes, workers } = await execute(args, seed, (line) => out.write(line));
  const seconds = (performance.now() - startMs) / 1000;
  const flags = [
    `--profile ${args.profile} --seed ${seed}`,
    ...(args.double ? ['--double'] : []),
    ...without.map((rule) => `--without ${rule}`),
  ].join(' ');
  const report = collect(outcomes, { ...args, seed, seconds, workers, flags });
  if (args.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  else process.stdout.write(renderReport(report));
  process.exitCode = report.passed ? 0 : 1;
}

async function execute(
  args: CampaignArguments,
  seed: number,
  print: (line: string) => void,
): Promise<{ outcomes: CampaignOutcome[]; workers: number }> {
  const workers = args.workers ?? availableParallelism();
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const base = fileURLToPath(import.meta.url);
  const pool = new Piscina({
    filename: fileURLToPath(new URL(`./campaign-worker${extname(base)}`, import.meta.url)),
    minThreads: workers,
    maxThreads: workers,
  });
  const started = performance.now();
  const timer = setInterval(() => {
    const count = Atomics.load(progress, 0);
    const rate = count / ((performance.now() - started) / 1000);
    print(`  ${count.toLocaleString('en')} cases, ${Math.round(rate).toLocaleString('en')}/s\n`);
  }, PROGRESS_MS);
  const onInterrupt = () => process.exit(130);
  process.once('SIGINT', onInterrupt);
  try {
    const tasks = planTasks(args, seed, progress);
    const outcomes = await Promise.all(tasks.map((task) => pool.run(task)));
    return { outcomes: outcomes as CampaignOutcome[], workers };
  } finally {
    clearInterval(timer);
    process.off('SIGINT', onInterrupt);
    await pool.destroy();
  }
}

function planTasks(args: CampaignArguments, seed: number, progress: Int32Array): CampaignTask[] {
  const { double, profile, quick, replay } = args;
  const stride = !quick || replay !== undefined ? 1 : QUICK_STRIDE[double ? 'double' : 'single'];
  const without = (args.without ?? []) as CampaignSetup['without'];
  const setup: CampaignSetup = { profile, seed, double, stride, only: replay, without, progress };
  const flows = replay === undefined ? flowsOf(profile) : [flowOf(replay)!];
  const tasks: CampaignTask[] = flows.map(({ id }) => ({ kind: 'flow', setup, flow: id }));
  if (replay !== undefined || double) return tasks;
  const atRest = { ...setup, stride: quick ? QUICK_STRIDE.atRest : 1 };
  for (let part = 0; part < AT_REST_PARTS; part += 1) {
    tasks.push({ kind: 'at-rest', setup: atRest, part, parts: AT_REST_PARTS });
  }
  if (profile === 'hardened') tasks.push({ kind: 'graph', setup });
  return tasks;
}

/** Stock images carry no signature that this profile checks: forged ones are not its matter. */
function flowsOf(profile: CampaignProfile): readonly Flow[] {
  if (profile === 'hardened') return FLOWS;
  return FLOWS.filter(({ hostile }) => hostile === undefined || ESP_IDF_HOSTILE.has(hostile));
}

const ESP_IDF_HOSTILE: ReadonlySet<string> = new Set([
  'payload-flipped',
  'downgraded',
  'truncated',
  'wrong-digest',
  'garbage',
]);

export type { CampaignReport };
