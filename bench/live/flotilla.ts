// Our side: the SDK as the simulator runs it. Workers of a live run are tasks that are loaded by
// file name; here they run on the main thread of this process, ledger and metrics included.

import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { batchName, scenarioOverrides } from './fleet.ts';
import { type Load, type LoadOptions, serveLoad, type Totals } from './load.ts';

/** What of the simulator is used; the scenario passes through unread. */
interface Simulator {
  loadScenario(file: string, overrides: { set: readonly string[] }): { scenario: unknown };
  startRun(): object;
  RunClock: new (start: object) => { monotonicMs(): number };
  default(task: object): Promise<Result>;
}

interface Result {
  readonly report: { readonly missedSamples: number };
  readonly accounts: readonly Account[];
}

interface Account {
  readonly produced: number;
  /** Ranges of sequences. */
  readonly pending: readonly number[];
  readonly dropped: readonly number[];
}

const SCENARIO = fileURLToPath(new URL('./scenario.yaml', import.meta.url));

async function simulator(path: string): Promise<Simulator> {
  return (await import(new URL(`../../simulator/src/${path}`, import.meta.url).href)) as Simulator;
}

const { loadScenario } = await simulator('scenario/load.ts');
const { startRun, RunClock } = await simulator('live/run-clock.ts');
const { default: runWorker } = await simulator('live/device-worker.ts');

class FlotillaLoad implements Load {
  private readonly options: LoadOptions;
  private readonly start = startRun();
  private readonly clock = new RunClock(this.start);
  private readonly ports: MessagePort[] = [];
  private readonly results: Promise<Result>[] = [];

  constructor(options: LoadOptions) {
    this.options = options;
  }

  /** Each batch is a worker of its own. */
  connect(count: number): void {
    const { port, protocol, qos, intervalMs } = this.options;
    const set = scenarioOverrides({ count, qos, intervalMs, protocol });
    const { port1, port2 } = new MessageChannel();
    const task = {
      scenario: loadScenario(SCENARIO, { set }).scenario,
      run: batchName(this.ports.length),
      start: this.start,
      target: { host: '127.0.0.1', port },
      worker: 0,
      workerCount: 1,
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
      dropped: accounts.reduce((sum, { dropped }) => sum + dropped.length, 0),
      missed: results.reduce((sum, { report }) => sum + report.missedSamples, 0),
    };
  }

  private tell(kind: string): void {
    for (const port of this.ports) port.postMessage({ kind });
  }
}

serveLoad((options) => new FlotillaLoad(options));
