// The worker threads of a live run, as the main thread sees them: their start, what they report,
// what they end with.

import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { type ApplicationError, addError } from '../fleet/application-errors.ts';
import type { Registry, RegistryWire } from '../metrics/registry.ts';
import type { FleetDrops } from '../report/summary.ts';
import { moduleUrl } from './child.ts';
import { Heartbeat } from './heartbeat.ts';
import type {
  FromWorker,
  Reasons,
  ToWorker,
  WorkerReport,
  WorkerResult,
  WorkerTask,
} from './messages.ts';
import { sumReasons } from './reason-counts.ts';

export interface WorkersOptions {
  /** What they are all told. */
  readonly task: Pick<WorkerTask, 'scenario' | 'run' | 'start' | 'target' | 'ota'>;
  readonly count: number;
  /** A worker reported. */
  onReport(): void;
  /** The run cannot go on. */
  fail(message: string): void;
}

export class Workers {
  readonly count: number;
  /** Of each worker; they live in memory that it shares. */
  readonly heartbeats: readonly Heartbeat[];
  /** Reports that came, of all workers together. */
  reportCount = 0;
  /** Resolves when all wait for the begin. */
  readonly ready: Promise<void>;
  /** What each ended with. */
  readonly results: Promise<WorkerResult[]>;
  private readonly options: WorkersOptions;
  private readonly pool: Piscina;
  private readonly ports: MessagePort[] = [];
  private readonly reports: (WorkerReport | undefined)[] = [];
  private readyCount = 0;
  private readonly allReady = Promise.withResolvers<void>();

  /** Starts them, one task per worker for the whole run. */
  constructor(options: WorkersOptions) {
    const { count, fail } = options;
    this.options = options;
    this.count = count;
    this.ready = this.allReady.promise;
    this.heartbeats = Array.from({ length: count }, () => new Heartbeat());
    this.pool = new Piscina({
      filename: fileURLToPath(moduleUrl('device-worker')),
      minThreads: count,
      maxThreads: count,
    });
    // A worker that dies while another's death ends the run has no task left to reject.
    this.pool.on('error', (error: Error) => fail(`a worker died: ${error.message}`));
    const tasks = this.heartbeats.map((heartbeat, worker) => this.startWorker(worker, heartbeat));
    for (const [worker, task] of tasks.entries()) {
      task.catch((error: Error) => fail(`worker ${worker} of ${count} died: ${error.message}`));
    }
    this.results = Promise.all(tasks);
    // A run that fails ends its workers, and then nobody waits for their results.
    this.results.catch(() => undefined);
  }

  tell(message: ToWorker): void {
    for (const port of this.ports) port.postMessage(message);
  }

  /** What they ended with stands in place of their last reports. */
  take(results: readonly WorkerResult[]): void {
    for (const [worker, { report }] of results.entries()) this.reports[worker] = report;
  }

  async destroy(): Promise<void> {
    await this.pool.destroy();
  }

  addTo(registry: Registry): void {
    for (const report of this.reports) if (report !== undefined) registry.merge(report.registry);
  }

  /** Messages that wait in devices. */
  get pending(): number {
    return this.reports.reduce((sum, report) => sum + (report?.pending ?? 0), 0);
  }

  /** Connections accepted, by MQTT version. */
  get versions(): Record<4 | 5, number> {
    const counts = { 4: 0, 5: 0 };
    for (const report of this.reports) {
      counts[4] += report?.versions[4] ?? 0;
      counts[5] += report?.versions[5] ?? 0;
    }
    return counts;
  }

  /** Why connections ended or failed. */
  get reasons(): Reasons {
    return sumReasons(this.reports.map((report) => report?.reasons));
  }

  /** By fleet, where messages were dropped. */
  get drops(): FleetDrops[] {
    return this.options.task.scenario.fleets.flatMap(({ name }, fleet) => {
      const causes = sumReasons(this.reports.map((report) => report?.dropCauses[fleet]));
      return Object.keys(causes).length === 0 ? [] : [{ fleet: name, causes }];
    });
  }

  /** The first exceptions of applications. */
  get applicationErrors(): readonly ApplicationError[] {
    const shown: ApplicationError[] = [];
    for (const report of this.reports) {
      for (const error of report?.applicationErrors ?? []) addError(shown, error);
    }
    return shown;
  }

  private startWorker(worker: number, heartbeat: Heartbeat): Promise<WorkerResult> {
    const { port1, port2 } = new MessageChannel();
    const task: WorkerTask = {
      ...this.options.task,
      worker,
      workerCount: this.count,
      port: port2,
      heartbeat: heartbeat.shared,
    };
    port1.on('message', (message: FromWorker) => this.onMessage(worker, message));
    this.ports.push(port1);
    return this.pool.run(task, { transferList: [port2] }) as Promise<WorkerResult>;
  }

  private onMessage(worker: number, message: FromWorker): void {
    if (message.kind === 'ready') {
      this.readyCount += 1;
      if (this.readyCount === this.count) this.allReady.resolve();
      return;
    }
    const { registry: previous } = this.reports[worker] ?? message;
    this.reports[worker] = { ...message, registry: withTrends(message.registry, previous) };
    this.reportCount += 1;
    this.options.onReport();
  }
}

/** A report without trends leaves those of the one before it standing. */
export function withTrends(wire: RegistryWire, previous: RegistryWire): RegistryWire {
  return wire.trends.length > 0 ? wire : { ...wire, trends: previous.trends };
}
