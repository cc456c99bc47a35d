// The worker threads of a live run, as the main thread sees them: their start, what they report,
// what they end with.

import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { type ApplicationError, addError } from '../fleet/application-errors.ts';
import { DevicePlaces } from '../fleet/device-places.ts';
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
import { placeOf } from './thread-place.ts';
import { Watchdog } from './watchdog.ts';

export interface WorkersOptions {
  /** What they are all told. */
  readonly task: Pick<WorkerTask, 'scenario' | 'run' | 'start' | 'target' | 'ota'>;
  readonly count: number;
  /** A worker reported. */
  onReport(): void;
  /** A worker hangs: the run ends with what the others have. */
  onHang(): void;
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
  /** What each ended with; undefined = it hangs, and was ended. */
  readonly results: Promise<(WorkerResult | undefined)[]>;
  /** Why a worker hangs, the first that does: the device, and where its application is. */
  hangReason: string | undefined = undefined;
  private readonly options: WorkersOptions;
  private readonly pool: Piscina;
  private readonly ports: MessagePort[] = [];
  private readonly reports: (WorkerReport | undefined)[] = [];
  private readonly hangs: PromiseWithResolvers<undefined>[];
  private readonly hanging = new Set<number>();
  private watchdog: Watchdog | undefined;
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
    this.pool.on('error', (error: Error) => {
      if (this.hanging.size === 0) fail(`a worker died: ${error.message}`);
    });
    this.hangs = this.heartbeats.map(() => Promise.withResolvers<undefined>());
    const tasks = this.heartbeats.map((heartbeat, worker) => this.startWorker(worker, heartbeat));
    for (const [worker, task] of tasks.entries()) {
      task
        .catch((error: Error) => {
          if (this.hanging.has(worker)) return;
          fail(`worker ${worker} of ${count} died: ${error.message}`);
        })
        .finally(() => this.watchdog?.release(worker));
    }
    this.results = Promise.all(
      tasks.map((task, worker) => Promise.race([task, this.hangs[worker]!.promise])),
    );
    // A run that fails ends its workers, and then nobody waits for their results.
    this.results.catch(() => undefined);
  }

  /** All are ready, and begin. */
  begin(beginMs: number): void {
    this.tell({ kind: 'begin', beginMs });
    this.watchdog = new Watchdog(this.heartbeats, (worker) => void this.end(worker));
  }

  tell(message: ToWorker): void {
    for (const port of this.ports) port.postMessage(message);
  }

  /** What they ended with stands in place of their last reports. */
  take(results: readonly (WorkerResult | undefined)[]): void {
    for (const [worker, result] of results.entries()) {
      if (result !== undefined) this.reports[worker] = result.report;
    }
  }

  async destroy(): Promise<void> {
    this.watchdog?.stop();
    await this.pool.destroy();
  }

  addTo(registry: Registry): void {
    for (const report of this.reports) if (report !== undefined) registry.merge(report.registry);
  }

  /** Those that still turn. */
  get turningCount(): number {
    return this.count - this.hanging.size;
  }

  /** The last report of a worker. */
  reportOf(worker: number): WorkerReport | undefined {
    return this.reports[worker];
  }

  /** Messages that wait in devices. */
  get pending(): number {
    return this.reports.reduce((sum, report, worker) => {
      return sum + (this.hanging.has(worker) ? 0 : (report?.pending ?? 0));
    }, 0);
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

  /** A worker hangs: says where, and ends it. */
  private async end(worker: number): Promise<void> {
    const { scenario, run } = this.options.task;
    const { deviceIndex, threadId } = this.heartbeats[worker]!;
    this.hanging.add(worker);
    const place = await placeOf(threadId);
    const at = place === undefined ? '' : ` at ${place}`;
    this.hangReason ??=
      deviceIndex === undefined
        ? `worker ${worker} of ${this.count} hangs${at}`
        : `the application of ${new DevicePlaces(scenario.fleets).idOf(deviceIndex, run)} never ` +
          `returned${at}`;
    this.hangs[worker]!.resolve(undefined);
    // Its sockets close with it, as those of a machine that is switched off.
    await this.pool.threads.find((thread) => thread.threadId === threadId)?.terminate();
    this.options.onHang();
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
