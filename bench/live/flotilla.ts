// Our side: the SDK as the simulator runs it. The simulator's workers run here as they are, but on
// the main thread of this process; ledger and metrics are included.

import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { batchName, scenarioOverrides } from './fleet.ts';
import { type Load, type LoadOptions, serveLoad, type Totals } from './load.ts';
import { loadSimulator, type WorkerResult } from './simulator.ts';

const SCENARIO = fileURLToPath(new URL('./scenario.yaml', import.meta.url));

const { loadScenario } = await loadSimulator('scenario/load.ts');
const { startRun, RunClock } = await loadSimulator('live/run-clock.ts');
const { default: runWorker } = await loadSimulator('live/device-worker.ts');

class FlotillaLoad implements Load {
  private readonly options: LoadOptions;
  private readonly start = startRun();
  private readonly clock = new RunClock(this.start);
  private scenario: unknown;
  private count = 0;
  private readonly ports: MessagePort[] = [];
  private readonly results: Promise<WorkerResult>[] = [];

  constructor(options: LoadOptions) {
    this.options = options;
  }

  prepare(count: number): void {
    this.count = count;
    const { port: _, isWhole = false, ...fleet } = this.options;
    const set = scenarioOverrides({ count, isWhole, ...fleet });
    this.scenario = loadScenario(SCENARIO, { set }).scenario;
  }

  /** Each batch is a worker of its own. */
  connect(): void {
    const { port1, port2 } = new MessageChannel();
    const task = {
      scenario: this.scenario,
      run: batchName(this.ports.length),
      start: this.start,
      target: { host: '127.0.0.1', port: this.options.port },
      worker: 0,
      workerCount: 1,
      connectedMs: new Int32Array(this.count).fill(-1),
      port: port2,
    };
    // Reports are taken and dropped, as the simulator's main thread would take them.
    port1.on('message', () => undefined);
    this.ports.push(port1);
    this.results.push(runWorker(task));
    port1.postMessage({ kind: 'begin', beginMs: this.clock.monotonicMs() });
  }

  stopPublishing(): void {
    this.tell('stop-sampling');
  }

  async finish(): Promise<Totals> {
    this.tell('finish');
    const results = await Promise.all(this.results);
    const accounts = results.flatMap((result) => result.accounts);
    return {
      produced: accounts.reduce((sum, { produced }) => sum + produced, 0),
      pending: accounts.reduce((sum, { pending }) => sum + pending.length, 0),
      dropped: accounts.reduce((sum, { dropped }) => sum + Object.keys(dropped).length, 0),
      missed: results.reduce((sum, { report }) => sum + report.missedSamples, 0),
    };
  }

  private tell(kind: string): void {
    for (const port of this.ports) port.postMessage({ kind });
  }
}

serveLoad((options) => new FlotillaLoad(options));
