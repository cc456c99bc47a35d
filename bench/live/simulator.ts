// The simulator's parts that are measured. Nothing imports the simulator: its workers are tasks
// that a pool loads by file name, and so they are here. Only what is used of them is written down;
// a scenario passes through unread.

import type { MessagePort } from 'node:worker_threads';
import type { Platform } from '@flotilla/sdk';

/** Of one device, when it has finished. */
export interface Account {
  readonly produced: number;
  /** Ranges of sequences. */
  readonly pending: readonly number[];
  /** By cause. */
  readonly dropped: Readonly<Record<string, readonly number[]>>;
}

export interface WorkerResult {
  readonly report: { readonly missedSamples: number };
  readonly accounts: readonly Account[];
}

export interface WorkerTask {
  readonly scenario: unknown;
  readonly run: string;
  readonly start: object;
  readonly target: { readonly host: string; readonly port: number };
  readonly worker: number;
  readonly workerCount: number;
  /** By device, ms of the run; -1 = not yet. */
  readonly connectedMs: Int32Array;
  readonly port: MessagePort;
}

interface Modules {
  'scenario/load.ts': {
    loadScenario(file: string, overrides: { set: readonly string[] }): { scenario: unknown };
  };
  'live/run-clock.ts': {
    startRun(): object;
    RunClock: new (start: object) => { monotonicMs(): number };
  };
  'live/device-worker.ts': { default(task: WorkerTask): Promise<WorkerResult> };
  'fleet/simulated-platform.ts': {
    SimulatedPlatform: new (
      world: object,
      deviceIndex: number,
      localIndex: number,
      fleet: number,
    ) => Platform;
  };
}

/** Loads a module of simulator/src. */
export async function loadSimulator<Path extends keyof Modules>(
  path: Path,
): Promise<Modules[Path]> {
  const url = new URL(`../../simulator/src/${path}`, import.meta.url);
  return (await import(url.href)) as Modules[Path];
}
