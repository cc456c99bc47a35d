// `npm run bench -- live`: our SDK as the simulator runs it against MQTT.js with cbor-x, on one
// mosquitto on loopback, in turns, so that what disturbs the machine disturbs both.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findMosquitto, HOW_TO_GET_MOSQUITTO } from '../../simulator/test/support/mosquitto.ts';
import {
  allMet,
  computeFigures,
  type Figure,
  formatTable,
  type Sample,
  type Samples,
} from './figures.ts';
import {
  BUFFER_SIZE,
  CONNECTS_IN_FLIGHT,
  INTERVAL_MS,
  KEEP_ALIVE_S,
  MESSAGE_BUFFER_SIZE,
  type Side,
} from './fleet.ts';
import { tidyMemory } from './machine.ts';
import {
  InvalidRun,
  type Measurement,
  measure,
  measureHeap,
  PHASES,
  type Phase,
  type Plan,
} from './measure.ts';
import { formatSelfTimes, readProfile, selfTimes } from './profile.ts';

export const LIVE_USAGE = `live: the SDK in the simulator against MQTT.js, on mosquitto
  --devices N      connections of each side, default 5,000
  --runs N         runs of each side, of which the median counts, default 3
  --protocol P     5 (default) or 3.1.1
  --quick          one run with short windows, to try a change
  --json FILE      where the figures go, default bench/results/live.json
  --profile WHAT   one CPU profile and no figures: {ours,mqttjs}-{memory,connect,qos0,qos1}, ours-whole`;

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const RESULTS = new URL('../results/', import.meta.url);
const SIDES: readonly Side[] = ['ours', 'mqttjs'];
const SIDE_NAMES: Readonly<Record<Side, string>> = { ours: 'ours', mqttjs: 'MQTT.js' };
const DEVICES_MIN = 100;
/** A process may open 20,000 files where nobody raised the limit. */
const DEVICES_MAX = 19_000;
const RUNS_MAX = 20;
/** A run with losses does not count; a machine that loses again and again is the finding. */
const ATTEMPTS_MAX = 5;
const PROFILE_ROWS = 25;

interface Options {
  readonly plan: Plan;
  readonly runs: number;
  readonly json: string;
  readonly profile: { readonly side: Side; readonly phase: Phase } | undefined;
}

function readOptions(argv: string[]): Options {
  const { devices, runs, protocol, quick, json, profile } = parse(argv);
  if (protocol !== '5' && protocol !== '3.1.1') {
    throw new UsageError(`--protocol: expected 5 or 3.1.1, got ${protocol}`);
  }
  const plan = {
    devices: readCount('--devices', devices ?? '5000', DEVICES_MIN, DEVICES_MAX),
    protocol,
    warmMs: quick ? 2000 : 3000,
    windowMs: quick ? 4000 : 10000,
    idleMs: quick ? 1000 : 3000,
  } as const;
  return {
    plan,
    runs: readCount('--runs', runs ?? (quick ? '1' : '3'), 1, RUNS_MAX),
    json: json ?? fileURLToPath(new URL('live.json', RESULTS)),
    profile: profile === undefined ? undefined : readProfileName(profile),
  };
}

function parse(argv: string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: argv,
      options: {
        devices: text,
        runs: text,
        protocol: { type: 'string', default: '5' },
        quick: { type: 'boolean', default: false },
        json: text,
        profile: text,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readCount(flag: string, value: string, min: number, max: number): number {
  const count = Number(value);
  if (Number.isInteger(count) && count >= min && count <= max) return count;
  throw new UsageError(`${flag}: expected ${min}-${max}, got ${value}`);
}

function readProfileName(name: string): Options['profile'] {
  const [sideName, phaseName] = name.split('-');
  const side = SIDES.find((each) => each === sideName);
  const phase = PHASES.find((each) => each === phaseName);
  if (side !== undefined && phase !== undefined) return { side, phase };
  throw new UsageError(`--profile: expected a side and a phase such as ours-qos1, got ${name}`);
}

/** Runs the benchmark; true when all figures are met. */
export async function runLive(argv: string[]): Promise<boolean> {
  const options = readOptions(argv);
  if (findMosquitto() === undefined) {
    throw new Error(`needs the mosquitto broker, which is not here: ${HOW_TO_GET_MOSQUITTO}`);
  }
  return options.profile === undefined
    ? await compare(options)
    : await profile(options, options.profile);
}

async function compare({ plan, runs, json }: Options): Promise<boolean> {
  const startMs = performance.now();
  printConditions(plan, runs);
  if (!tidyMemory()) {
    console.log('not root: memory is not put in order between measurements, so figures vary more');
  }
  const samples: Record<Side, Sample[]> = { ours: [], mqttjs: [] };
  samples.ours.push(await measureHeap(plan.devices));
  let invalidCount = 0;
  for (let run = 1; run <= runs; run += 1) {
    for (const phase of PHASES) {
      for (const side of SIDES) {
        // MQTT.js has no sampler and no shadow.
        if (phase === 'whole' && side === 'mqttjs') continue;
        const name = `run ${run}/${runs}  ${phase.padEnd(7)}  ${SIDE_NAMES[side].padEnd(7)}`;
        tidyMemory();
        const { sample, attempts } = await measureValid({ side, phase, plan }, name);
        invalidCount += attempts - 1;
        samples[side].push(sample);
      }
    }
  }
  const figures = computeFigures(samples);
  const tookS = Math.round((performance.now() - startMs) / 1000);
  console.log(`\n${formatTable(figures)}\n`);
  if (invalidCount > 0) console.log(`${invalidCount} runs were invalid and repeated`);
  writeResult(json, plan, samples, figures, invalidCount);
  const met = allMet(figures);
  console.log(`${met ? 'all figures met' : 'figures NOT met'} after ${tookS} s; ${shown(json)}`);
  return met;
}

async function measureValid(
  measurement: Measurement,
  name: string,
): Promise<{ sample: Sample; attempts: number }> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      const sample = await measure(measurement);
      console.log(`${name}  ${progress(sample)}`);
      return { sample, attempts };
    } catch (error) {
      if (!(error instanceof InvalidRun) || attempts === ATTEMPTS_MAX) throw error;
      console.log(`${name}  invalid: ${error.message}`);
    }
  }
}

/** The demanded figure of one sample, for the impatient. */
function progress(sample: Sample): string {
  const { connectUs, qos0Us, qos1Us } = sample;
  const bytes = sample.memoryBytes ?? sample.wholeBytes;
  if (bytes !== undefined) return `${(bytes / 1024).toFixed(2)} KB per device`;
  if (connectUs !== undefined) return `${connectUs.toFixed(0)} µs per connect`;
  return `${(qos0Us ?? qos1Us ?? Number.NaN).toFixed(1)} µs per message`;
}

function printConditions({ devices, protocol, windowMs }: Plan, runs: number): void {
  const rate = (devices * 1000) / INTERVAL_MS;
  console.log(
    `${devices.toLocaleString('en')} devices, MQTT ${protocol}, QoS 1 and 0 at ` +
      `${rate.toLocaleString('en')} messages/s for ${windowMs / 1000} s, ` +
      `${CONNECTS_IN_FLIGHT} connects in flight,\n` +
      `keep-alive ${KEEP_ALIVE_S} s, ring ${BUFFER_SIZE} B (messages: ${MESSAGE_BUFFER_SIZE} B), median of ${runs}; ` +
      `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}`,
  );
}

function writeResult(
  file: string,
  plan: Plan,
  samples: Samples,
  figures: readonly Figure[],
  invalidCount: number,
): void {
  const result = {
    benchmark: 'live',
    met: allMet(figures),
    settings: {
      ...plan,
      intervalMs: INTERVAL_MS,
      keepAliveS: KEEP_ALIVE_S,
      bufferSize: BUFFER_SIZE,
      messageBufferSize: MESSAGE_BUFFER_SIZE,
      connectsInFlight: CONNECTS_IN_FLIGHT,
    },
    machine: { node: process.version, cores: cpus().length, model: cpus()[0]?.model },
    invalidCount,
    figures: figures.map(({ digits: _, ...figure }) => figure),
    samples,
  };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
}

async function profile(
  { plan }: Options,
  { side, phase }: { readonly side: Side; readonly phase: Phase },
): Promise<boolean> {
  const file = fileURLToPath(new URL(`${side}-${phase}.cpuprofile`, RESULTS));
  mkdirSync(dirname(file), { recursive: true });
  console.log(`profiling ${SIDE_NAMES[side]}, ${phase}, ${plan.devices} devices`);
  const onBegin = (pid: number) => console.log(`process ${pid} is being measured`);
  const sample = await measure({ side, phase, plan, profiling: { file, onBegin } });
  console.log(`${progress(sample)}, the profiler's own time included\n`);
  console.log(formatSelfTimes(selfTimes(readProfile(file)), PROFILE_ROWS));
  console.log(`\n${shown(file)}`);
  return true;
}

function shown(file: string): string {
  return relative('.', file);
}
