// The run's side of its workers: starts a thread for each, passes on what they are told and tell,
// keeps their reports, and ends one that hangs.

import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { type ApplicationError, addError } from '../fleet/application-errors.ts';
import { DevicePlaces } from '../fleet/device-places.ts';
import { type Registry, withTrends } from '../metrics/registry.ts';
import { moduleUrl } from './child.ts';
import { type Health, worstHealth } from './health.ts';
import { Heartbeat } from './heartbeat.ts';
import type {
  FromWorker,
  Reasons,
  ToWorker,
  WorkerReport,
  WorkerResult,
  WorkerTask,
} from './messages.ts';
import { addReasons } from './reasons.ts';
import { placeOf } from './thread-place.ts';
import { Watchdog } from './watchdog.ts';

/** What all workers of a run are told. */
export type WorkersTask = Omit<WorkerTask, 'worker' | 'port' | 'connectedMs' | 'heartbeat'>;

/** Connections accepted, by MQTT version. */
export type Spoken = Readonly<Record<4 | 5, number>>;

/** What the workers need of the run around them. */
export interface WorkersHost {
  onReport(worker: number, report: WorkerReport): void;
  /** A worker hangs: the run ends with what the others have. */
  onHang(): void;
  /** Ends the run, with the reason. */
  fail(message: string): void;
}

/** Settles when every worker has said so. */
class Roll {
  readonly all = Promise.withResolvers<void>();
  private missing: number;

  constructor(workerCount: number) {
    this.missing = workerCount;
  }

  call(): void {
    this.missing -= 1;
    if (this.missing === 0) this.all.resolve();
  }
}

export class WorkersPart {
  /** Reports so far, of all of them. */
  reportCount = 0;
  /** Why a worker hangs, the first that does: the device, and where its application is. */
  hangReason: string | undefined;
  private readonly task: WorkersTask;
  private readonly host: WorkersHost;
  private readonly pool: Piscina;
  private readonly ports: MessagePort[] = [];
  private readonly reports: (WorkerReport | undefined)[] = [];
  private readonly ready: Roll;
  private readonly subscribed: Roll;
  /** By worker; undefined = it hangs, and was ended. */
  private readonly results: Promise<(WorkerResult | undefined)[]>;
  /** By worker; they live in memory that it shares. */
  private readonly heartbeats: readonly Heartbeat[];
  private readonly hangs: readonly PromiseWithResolvers<undefined>[];
  private readonly hanging = new Set<number>();
  private watchdog: Watchdog | undefined;

  /** One task per worker for the whole run. */
  constructor(task: WorkersTask, deviceCount: number, host: WorkersHost) {
    const { workerCount } = task;
    this.task = task;
    this.host = host;
    this.heartbeats = Array.from({ length: workerCount }, () => new Heartbeat());
    this.hangs = this.heartbeats.map(() => Promise.withResolvers<undefined>());
    this.ready = new Roll(workerCount);
    this.subscribed = new Roll(workerCount);
    this.pool = new Piscina({
      filename: fileURLToPath(moduleUrl('device-worker')),
      minThreads: workerCount,
      maxThreads: workerCount,
    });
    // A worker that dies while another's death ends the run has no task left to reject.
    this.pool.on('error', (error: Error) => {
      if (this.hanging.size === 0) host.fail(`a worker died: ${error.message}`);
    });
    const shared = new SharedArrayBuffer(deviceCount * Int32Array.BYTES_PER_ELEMENT);
    const connectedMs = new Int32Array(shared).fill(-1);
    const tasks = this.heartbeats.map(({ shared: heartbeat }, worker) =>
      this.start({ ...task, connectedMs, heartbeat }, worker),
    );
    for (const [worker, running] of tasks.entries()) {
      running
        .catch((error: Error) => {
          if (this.hanging.has(worker)) return;
          host.fail(`worker ${worker} of ${workerCount} died: ${error.message}`);
        })
        .finally(() => this.watchdog?.release(worker));
    }
    this.results = Promise.all(
      tasks.map((running, worker) => Promise.race([running, this.hangs[worker]!.promise])),
    );
    // A run that fails ends its workers, and then nobody waits for their results.
    this.results.catch(() => undefined);
  }

  untilReady(): Promise<void> {
    return this.ready.all.promise;
  }

  /** Resolves when everybody who subscribes is subscribed, after they were told to. */
  untilSubscribed(): Promise<void> {
    return this.subscribed.all.promise;
  }

  /** Who subscribes connects. */
  subscribe(fromMs: number): void {
    this.tell({ kind: 'subscribe', fromMs });
    this.watch();
  }

  /** The scenario begins. */
  begin(beginMs: number): void {
    this.tell({ kind: 'begin', beginMs });
    this.watch();
  }

  tell(message: ToWorker): void {
    for (const port of this.ports) port.postMessage(message);
  }

  /**
   * Resolves with all that they have to tell, at the end of which each is gone; undefined for one
   * that hangs, whose last report stands.
   */
  async finish(): Promise<(WorkerResult | undefined)[]> {
    this.tell({ kind: 'finish' });
    const results = await this.results;
    for (const [worker, result] of results.entries()) {
      if (result !== undefined) this.reports[worker] = result.report;
    }
    return results;
  }

  async stop(): Promise<void> {
    this.watchdog?.stop();
    await this.pool.destroy();
  }

  // What they told.

  addTo(registry: Registry): void {
    for (const report of this.reports) if (report !== undefined) registry.merge(report.registry);
  }

  /** Those that still turn. */
  get turningCount(): number {
    return this.task.workerCount - this.hanging.size;
  }

  /** Of all devices of a worker. */
  idsOf(worker: number): string[] {
    const places = new DevicePlaces(this.task.scenario.fleets);
    const ids: string[] = [];
    for (let device = worker; device < places.total; device += this.task.workerCount) {
      ids.push(places.idOf(device, this.task.run));
    }
    return ids;
  }

  /** The last report of a worker. */
  reportOf(worker: number): WorkerReport | undefined {
    return this.reports[worker];
  }

  /** Messages in outboxes, of workers that turn. */
  get pending(): number {
    return this.reports.reduce((sum, report, worker) => {
      return sum + (this.hanging.has(worker) ? 0 : (report?.pending ?? 0));
    }, 0);
  }

  get missedSamples(): number {
    return this.sum(({ missedSamples }) => missedSamples);
  }

  /** See `ThrownOut`. */
  get thrownOut(): number {
    return this.sum(({ thrownOut }) => thrownOut);
  }

  get versions(): Spoken {
    return {
      4: this.sum(({ versions }) => versions[4]),
      5: this.sum(({ versions }) => versions[5]),
    };
  }

  /** Whether a broker ever accepted a device. */
  get isAnyConnected(): boolean {
    return this.versions[4] + this.versions[5] > 0;
  }

  /** What was spoken, for people. */
  get protocol(): string {
    const { 4: old, 5: present } = this.versions;
    const names = [present > 0 ? '5' : '', old > 0 ? '3.1.1' : ''].filter(Boolean);
    return names.length === 0 ? 'MQTT' : `MQTT ${names.join(' and ')}`;
  }

  /** Of the worst. */
  get health(): Health {
    return worstHealth(this.reports.flatMap((report) => report?.health ?? []));
  }

  /** Why connections ended. */
  get reasons(): Reasons {
    return addReasons(this.reports.map((report) => report?.reasons));
  }

  /** Why connects failed. */
  get failures(): Reasons {
    return addReasons(this.reports.map((report) => report?.failures));
  }

  /** What the broker did not take of what devices say and ask beside telemetry. */
  get findings(): Reasons {
    return addReasons(this.reports.map((report) => report?.findings));
  }

  /** The first exceptions of applications. */
  get applicationErrors(): readonly ApplicationError[] {
    const shown: ApplicationError[] = [];
    for (const report of this.reports) {
      for (const error of report?.applicationErrors ?? []) addError(shown, error);
    }
    return shown;
  }

  private sum(value: (report: WorkerReport) => number): number {
    return this.reports.reduce(
      (sum, report) => sum + (report === undefined ? 0 : value(report)),
      0,
    );
  }

  private start(task: Omit<WorkerTask, 'worker' | 'port'>, worker: number): Promise<WorkerResult> {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', (message: FromWorker) => this.take(worker, message));
    this.ports.push(port1);
    return this.pool.run({ ...task, worker, port: port2 }, { transferList: [port2] });
  }

  private watch(): void {
    this.watchdog ??= new Watchdog(this.heartbeats, (worker) => void this.end(worker));
  }

  /** A worker hangs: says where, and ends it. */
  private async end(worker: number): Promise<void> {
    const { run, scenario, workerCount } = this.task;
    const { deviceIndex, threadId } = this.heartbeats[worker]!;
    this.hanging.add(worker);
    const place = await placeOf(threadId);
    const at = place === undefined ? '' : ` at ${place}`;
    this.hangReason ??=
      deviceIndex === undefined
        ? `worker ${worker} of ${workerCount} hangs${at}`
        : `the application of ${new DevicePlaces(scenario.fleets).idOf(deviceIndex, run)} never ` +
          `returned${at}`;
    this.hangs[worker]!.resolve(undefined);
    // Its sockets close with it, as those of a machine that is switched off.
    await this.pool.threads.find((thread) => thread.threadId === threadId)?.terminate();
    this.host.onHang();
  }

  private take(worker: number, message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        this.ready.call();
        break;
      case 'subscribed':
        this.subscribed.call();
        break;
      case 'report': {
        const previous = this.reports[worker]?.registry;
        this.reports[worker] = { ...message, registry: withTrends(message.registry, previous) };
        this.reportCount += 1;
        this.host.onReport(worker, message);
      }
    }
  }
}
