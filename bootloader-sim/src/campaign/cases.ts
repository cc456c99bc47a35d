// The cases of one flow: at every operation of its update, every way to be cut there; and for
// double cuts, at every operation of what follows, a second one.

import { PowerLoss } from '@flotilla/sdk/platform';
import { type Fault, type FlashOperation, formatFault } from '../flash/faults.ts';
import { mix } from '../flash/mix.ts';
import type { FuseFault } from '../fuses.ts';
import { type FlowOptions, FlowRun, Violation } from './flow-run.ts';
import type { Flow } from './flows.ts';
import { faultsOf, fuseFaults, secondFaultsOf } from './variants.ts';
import { type CampaignWorld, fieldMachine, LAYOUT } from './world.ts';

/** What was broken, and the name of the case that repeats it. */
export interface Finding {
  readonly caseId: string;
  readonly invariant: string;
  readonly text: string;
}

export interface FlowResult {
  readonly flow: string;
  /** Cases by kind of fault. */
  readonly counts: Readonly<Record<string, number>>;
  readonly violationCounts: Readonly<Record<string, number>>;
  /** The first ones. */
  readonly findings: readonly Finding[];
}

/** A flow has more violations than anyone reads; so many sorts of them are kept with a case. */
const FINDINGS_MAX = 40;

/** Sectors (4 KB each) and verdicts that are remembered between cases. */
const POOL_COUNT_MAX = 8192;
const VERDICT_COUNT_MAX = 50_000;

/** Where a run can be cut: before this operation, on this state. */
interface Point {
  readonly name: string;
  readonly run: FlowRun;
  readonly operation: FlashOperation | undefined;
  readonly isRecord: boolean;
}

export interface CaseOptions extends FlowOptions {
  readonly seed: number;
  readonly double: boolean;
  /** One case in so many, chosen by the seed; 1 = all. */
  readonly stride: number;
  /** Only the case with this id. */
  readonly only: string | undefined;
}

/** Runs the cases of a flow; `tick` is called now and then with how many were done since. */
export function runFlow(
  world: CampaignWorld,
  flow: Flow,
  options: CaseOptions,
  tick: (count: number) => void,
): FlowResult {
  return new FlowCases(world, flow, options, tick).run();
}

class FlowCases {
  private readonly world: CampaignWorld;
  private readonly flow: Flow;
  private readonly options: CaseOptions;
  private readonly tick: (count: number) => void;
  private readonly counts: Record<string, number> = {};
  private readonly violationCounts: Record<string, number> = {};
  private readonly findings: Finding[] = [];
  private readonly sorts = new Set<string>();
  private caseCount = 0;
  private untold = 0;

  constructor(
    world: CampaignWorld,
    flow: Flow,
    options: CaseOptions,
    tick: (count: number) => void,
  ) {
    this.world = world;
    this.flow = flow;
    this.options = options;
    this.tick = tick;
  }

  run(): FlowResult {
    const base = new FlowRun(
      this.world,
      this.flow,
      fieldMachine(this.world, this.flow),
      this.options,
    );
    const points = record(
      base,
      () => base.update(),
      (text) => this.note(`${this.flow.id}`, text),
    );
    for (const point of points) {
      if (this.options.double) this.cutTwice(point);
      else this.cutOnce(point);
    }
    this.tick(this.untold);
    return {
      flow: this.flow.id,
      counts: this.counts,
      violationCounts: this.violationCounts,
      findings: this.findings,
    };
  }

  private cutOnce(point: Point): void {
    for (const { apply, kind, name } of this.faultsAt(point)) {
      const id = `${this.flow.id}/${point.name}/${name}`;
      if (!this.begin(id, kind)) continue;
      const run = point.run.fork();
      this.judge(id, () => {
        apply(run);
        run.recover();
      });
    }
  }

  /** A clean first cut at this point, then a second one at every operation that follows. */
  private cutTwice(point: Point): void {
    const first = `${this.flow.id}/${point.name}/cut-before`;
    if (this.options.only !== undefined && !this.options.only.startsWith(`${first}+`)) return;
    const run = point.run.fork();
    const points = record(
      run,
      () => run.recover(),
      (text) => this.note(first, text),
    );
    for (const second of points) {
      const faults =
        second.operation === undefined
          ? fuseCuts(this.options.seed)
          : secondFaultsOf(second.operation, second.isRecord, this.options.seed).map((fault) =>
              flashCut(second.operation!, fault),
            );
      for (const { apply, kind, name } of faults) {
        const id = `${first}+${second.name}/${name}`;
        if (!this.begin(id, kind)) continue;
        const again = second.run.fork();
        this.judge(id, () => {
          apply(again);
          again.recover();
        });
      }
    }
  }

  private faultsAt(point: Point): Cut[] {
    const { operation } = point;
    if (operation === undefined) return fuseCuts(this.options.seed);
    return faultsOf(operation, point.isRecord, this.options.seed).map((fault) =>
      flashCut(operation, fault),
    );
  }

  /** Counts a case; false when it is not to be run. */
  private begin(id: string, kind: string): boolean {
    const { only, seed, stride } = this.options;
    this.caseCount += 1;
    if (only !== undefined ? only !== id : !isSampled(seed, this.caseCount, stride)) return false;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.untold += 1;
    if (this.untold >= 500) {
      this.tick(this.untold);
      this.untold = 0;
    }
    return true;
  }

  private judge(id: string, act: () => void): void {
    this.world.pool.trim(POOL_COUNT_MAX);
    if (this.world.verdicts.size > VERDICT_COUNT_MAX) this.world.verdicts.clear();
    try {
      act();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.note(id, error);
    }
  }

  private note(caseId: string, { invariant, text }: Violation): void {
    this.violationCounts[invariant] = (this.violationCounts[invariant] ?? 0) + 1;
    // One of each sort: neighbouring bits of one operation all tell the same.
    const sort = `${invariant} ${caseId.replaceAll(/:\d+/g, '')}`;
    if (this.findings.length === FINDINGS_MAX || this.sorts.has(sort)) return;
    this.sorts.add(sort);
    this.findings.push({ caseId, invariant, text });
  }
}

/**
 * True for one case in `stride`. By chance and not by counting: the faults of an operation come in
 * a fixed order, and every n-th of them would leave out whole kinds.
 */
function isSampled(seed: number, index: number, stride: number): boolean {
  return ((mix(seed, index) << 8) | mix(seed + 1, index)) % stride === 0;
}

interface Cut {
  readonly kind: string;
  readonly name: string;
  /** Carries out the operation with its fault, which ends in a power cut. */
  apply(run: FlowRun): void;
}

function flashCut(operation: FlashOperation, fault: Fault): Cut {
  return {
    kind: `${operation.kind === 'erase' ? 'erase' : 'program'}: ${fault.kind}`,
    name: formatFault(fault),
    apply: ({ machine: { flash } }) => {
      flash.hook = () => fault;
      try {
        if (operation.kind === 'erase') flash.erase(operation.address);
        else flash.program(operation.address, operation.bytes!);
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
      } finally {
        flash.hook = undefined;
      }
    },
  };
}

function fuseCuts(seed: number): Cut[] {
  return fuseFaults(seed).map((fault) => ({
    kind: `fuse: ${fault.kind}`,
    name: `fuse-${fault.kind}:${fault.seed}`,
    apply: (run) => burn(run, fault),
  }));
}

/** The burn that the run was about to make, cut as `fault` says. */
function burn({ machine: { flash, fuses } }: FlowRun, fault: FuseFault): void {
  fuses.hook = () => fault;
  try {
    fuses.raiseCounter(fuses.rollbackCounter + 1);
  } catch (error) {
    if (!(error instanceof PowerLoss)) throw error;
  } finally {
    fuses.hook = undefined;
  }
  flash.cut();
}

/** Runs `act` and returns the state before each of its operations. */
function record(run: FlowRun, act: () => void, fail: (violation: Violation) => void): Point[] {
  const points: Point[] = [];
  const { flash, fuses } = run.machine;
  const { record: region } = LAYOUT;
  let index = 0;
  flash.hook = (operation) => {
    const isRecord =
      operation.address >= region.start && operation.address < region.start + region.size;
    const copy =
      operation.bytes === undefined ? operation : { ...operation, bytes: operation.bytes.slice() };
    points.push({ name: String(index), run: run.fork(), operation: copy, isRecord });
    index += 1;
    return undefined;
  };
  fuses.hook = () => {
    points.push({ name: String(index), run: run.fork(), operation: undefined, isRecord: false });
    index += 1;
    return undefined;
  };
  try {
    act();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    fail(error);
  } finally {
    flash.hook = undefined;
    fuses.hook = undefined;
  }
  return points;
}
