// Cuts the power at every flash operation of workloads of the log, in every way that the chip
// model has, then once more while the log recovers from that, and holds every promise after it.
//
//   node test/flash-log/campaign.ts --seed N [--quick] [--replay CASE]
//   node test/flash-log/campaign.ts --seed N --every-fault mixed-4
//
// The full campaign cuts every operation in every kind of fault, of each kind by chance in one of
// its ways; with --every-fault one workload's operations are cut in all ways there are.

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  type Fault,
  type FlashOperation,
  faultsOf,
  formatFault,
  parseFault,
} from '@flotilla/bootloader-sim';
import type { FullPolicy, Priority } from '../../sdk/src/buffer/outbox.ts';
import { Random, seedOf } from '../../sdk/test/support/random.ts';
import { newChip, runsIntoCut, Scene, type Step } from './scene.ts';

/** Boots after the last cut: the longest lag of a weak bit, and one more. */
const BOOT_COUNT = 4;
const SECTOR_COUNT = 8;

interface Workload {
  readonly name: string;
  readonly writeAlignment: number;
  readonly policy: FullPolicy;
  /** Of 10 steps, so many are releases. */
  readonly releases: number;
  /** Steps between two boots. */
  readonly bootSteps: number;
  /** Weights of the priorities. */
  readonly mix: readonly Priority[];
}

const SHAPES: readonly Omit<Workload, 'writeAlignment'>[] = [
  { name: 'mixed', policy: 'drop-oldest', releases: 5, bootSteps: 24, mix: [0, 1, 1, 2] },
  { name: 'full', policy: 'drop-oldest', releases: 1, bootSteps: 24, mix: [0, 1, 1, 1, 2] },
  { name: 'sleepy', policy: 'drop-lowest-priority', releases: 4, bootSteps: 4, mix: [0, 1, 2] },
  { name: 'telemetry', policy: 'drop-newest', releases: 5, bootSteps: 30, mix: [1] },
];

const WORKLOADS: readonly Workload[] = [1, 4, 8, 16, 32].flatMap((writeAlignment) =>
  SHAPES.map((shape) => ({ ...shape, name: `${shape.name}-${writeAlignment}`, writeAlignment })),
);

/** What is between two boots; it begins with the mount. */
interface Segment {
  readonly start: Scene;
  readonly steps: readonly Step[];
  readonly operationCount: number;
}

export interface CampaignOptions {
  readonly seed: number;
  /** Flash operations per workload, at least. */
  readonly operations: number;
  /** Faults tried per operation, at most. */
  readonly faultsPerOperation: number;
  /** Of so many operations one is cut. */
  readonly stride: number;
  /** The only workload, instead of all. */
  readonly workload?: string;
}

export interface CampaignResult {
  readonly workloads: number;
  readonly operations: number;
  readonly cases: number;
  readonly secondCuts: number;
  readonly findings: readonly string[];
}

export const FULL = { operations: 320, faultsPerOperation: 16, stride: 1 };
export const QUICK = { operations: 320, faultsPerOperation: 5, stride: 13 };

function stepsOf(workload: Workload, random: Random): Step[] {
  return Array.from({ length: workload.bootSteps }, () => {
    if (random.below(10) < workload.releases) return { kind: 'release', nth: random.below(8) };
    const size = random.oneIn(4) ? random.below(200) : random.below(70);
    return { kind: 'append', priority: random.pick(workload.mix), size };
  });
}

function segmentsOf(workload: Workload, options: CampaignOptions): Segment[] {
  const { writeAlignment } = workload;
  const random = new Random(seedOf(options.seed, writeAlignment));
  const scene = new Scene(newChip({ sectorCount: SECTOR_COUNT, writeAlignment }), workload.policy);
  const segments: Segment[] = [];
  for (let count = 0; count < options.operations; ) {
    const start = scene.clone();
    const steps = stepsOf(workload, random);
    scene.boot();
    scene.check();
    for (const step of steps) scene.take(step);
    const { operationCount } = scene.flash;
    segments.push({ start, steps, operationCount });
    count += operationCount;
  }
  return segments;
}

/** Faults of an operation: all, or of every kind some by chance. */
function pickFaults(all: readonly Fault[], countMax: number, random: Random): readonly Fault[] {
  if (all.length <= countMax) return all;
  const byKind = new Map<string, Fault[]>();
  for (const fault of all) {
    const kind = 'weak' in fault ? `${fault.kind}:${fault.weak}` : fault.kind;
    byKind.set(kind, [...(byKind.get(kind) ?? []), fault]);
  }
  const kinds = [...byKind.values()];
  const first = random.below(kinds.length);
  const picked: Fault[] = [];
  for (let index = 0; index < Math.max(countMax, 1); index += 1) {
    const kind = kinds[(first + index) % kinds.length] as Fault[];
    const fault = random.pick(kind);
    if (!picked.includes(fault)) picked.push(fault);
  }
  return picked;
}

/** The operations of a segment that are cut: index and faults. */
function* cutsOf(segment: Segment, options: CampaignOptions, random: Random) {
  const scene = segment.start.clone();
  const plan: { index: number; faults: readonly Fault[] }[] = [];
  scene.flash.hook = (operation: FlashOperation) => {
    if (random.oneIn(options.stride)) {
      const all = faultsOf(operation, true, random.below(1 << 20));
      const faults = pickFaults(all, options.faultsPerOperation, random);
      plan.push({ index: operation.index, faults });
    }
    return undefined;
  };
  scene.boot();
  for (const step of segment.steps) scene.take(step);
  for (const { faults, index } of plan) for (const fault of faults) yield { index, fault };
}

export interface Case {
  readonly index: number;
  readonly fault: Fault;
  /** Chooses the second cut, and what goes on after it. */
  readonly seed: number;
}

/** Runs one case; throws a Violation. Returns true where a second cut came to pass. */
function runCase(segment: Segment, { fault, index, seed }: Case): boolean {
  const random = new Random(seed);
  const scene = segment.start.clone();
  scene.flash.hook = (operation) => (operation.index === index ? fault : undefined);
  const wasCut = runsIntoCut(scene, () => {
    scene.boot();
    for (const step of segment.steps) scene.take(step);
  });
  if (!wasCut) throw new Error(`operation ${index} was not reached`);
  scene.flash.hook = undefined;
  const hasSecond = random.oneIn(2) && cutRecovery(scene, random);
  scene.boot();
  scene.check();
  for (let boot = 1; boot < BOOT_COUNT; boot += 1) {
    // Still to be written to, boot after boot.
    for (const priority of [0, 1, 2] as const) {
      if (random.oneIn(2)) scene.take({ kind: 'append', priority, size: random.below(60) });
    }
    scene.take({ kind: 'release', nth: random.below(4) });
    scene.check();
    scene.boot();
    scene.check();
  }
  return hasSecond;
}

function cutRecovery(scene: Scene, random: Random): boolean {
  const count = scene.mountOperations();
  if (count === 0) return false;
  const index = random.below(count);
  scene.flash.hook = (operation) => {
    if (operation.index !== index) return undefined;
    return random.pick(faultsOf(operation, true, random.below(1 << 20)));
  };
  const wasCut = runsIntoCut(scene, () => scene.boot());
  scene.flash.hook = undefined;
  return wasCut;
}

/** Runs the campaign, or the one case that `replay` names. */
export function runCampaign(options: CampaignOptions, replay?: string): CampaignResult {
  const findings: string[] = [];
  let workloads = 0;
  let operations = 0;
  let cases = 0;
  let secondCuts = 0;
  for (const [number, workload] of WORKLOADS.entries()) {
    if (replay !== undefined && !replay.startsWith(`${workload.name}/`)) continue;
    if (options.workload !== undefined && options.workload !== workload.name) continue;
    workloads += 1;
    const segments = segmentsOf(workload, options);
    for (const [part, segment] of segments.entries()) {
      operations += segment.operationCount;
      const random = new Random(seedOf(options.seed, number * 1000 + part));
      const named = replay === undefined ? undefined : parseCase(replay, part);
      const cuts = named ?? cutsOf(segment, options, random);
      for (const cut of cuts) {
        const seed = 'seed' in cut ? (cut.seed as number) : random.uint32();
        cases += 1;
        try {
          if (runCase(segment, { ...cut, seed })) secondCuts += 1;
        } catch (error) {
          const name = `${workload.name}/${part}/${cut.index}/${formatFault(cut.fault)}/${seed}`;
          findings.push(`${name}: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  }
  return { workloads, operations, cases, secondCuts, findings };
}

/** The case of a name, `workload/segment/operation/fault/seed`, if it is of this segment. */
function parseCase(name: string, part: number): Case[] {
  const [, segment, index, faultText = '', seed] = name.split('/');
  const fault = parseFault(faultText);
  if (fault === undefined || Number(segment) !== part) return [];
  return [{ index: Number(index), fault, seed: Number(seed) }];
}

function main(): void {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      replay: { type: 'string' },
      'every-fault': { type: 'string' },
    },
  });
  const seed = Number(values.seed);
  const workload = values['every-fault'];
  if (workload !== undefined && !WORKLOADS.some(({ name }) => name === workload)) {
    const names = WORKLOADS.map(({ name }) => name).join(' ');
    console.error(`--every-fault: expected a workload (${names}), got ${workload}`);
    process.exitCode = 2;
    return;
  }
  const flags = `${values.quick ? ' --quick' : ''}${workload ? ` --every-fault ${workload}` : ''}`;
  console.log(`SEED=${seed} CAMPAIGN=flash-log${flags}`);
  const startMs = performance.now();
  const size = values.quick ? QUICK : FULL;
  const every = { workload, faultsPerOperation: Number.POSITIVE_INFINITY };
  const result = runCampaign({ seed, ...size, ...(workload && every) }, values.replay);
  const { cases, findings, operations, secondCuts, workloads } = result;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${workloads} workloads, ${operations} flash operations`);
  console.log(`${cases} cases, ${secondCuts} of them with a second cut while recovering`);
  for (const finding of findings.slice(0, 20)) {
    console.log(`  ${finding}`);
    const name = finding.split(': ', 1)[0];
    console.log(`  reproduce: node test/flash-log/campaign.ts --seed ${seed} --replay ${name}`);
  }
  console.log(
    `${findings.length === 0 ? 'PASS' : `FAIL: ${findings.length} findings`} ${seconds} s`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
