// A live run: real sockets to a real broker. This thread starts broker, observer and workers,
// keeps the timeline, and puts their reports together.

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { Registry, withTrends } from '../metrics/registry.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import {
  abortingThreshold,
  type ThresholdResult,
  thresholdPercentiles,
} from '../metrics/thresholds.ts';
import type { Outcome } from '../report/summary.ts';
import type { LoadedScenario } from '../scenario/load.ts';
import { deviceCount, hasFirmware } from '../scenario/schema.ts';
import { Child, moduleUrl } from './child.ts';
import { cleanCommandOf } from './clean-command.ts';
import { commonest, sumReasons } from './disconnect-reasons.ts';
import { healthWarnings, worstHealth } from './health.ts';
import { checkHost } from './host-guard.ts';
import { Leftovers } from './leftovers.ts';
import type {
  FromBroker,
  FromObserver,
  FromWorker,
  ObserverReport,
  OtaUrls,
  Reasons,
  Target,
  ToObserver,
  ToWorker,
  WorkerReport,
  WorkerResult,
  WorkerTask,
} from './messages.ts';
import { checkDuration, checkOpenFiles, RunError, resolveTarget } from './preflight.ts';
import { RunClock, type RunStart, startRun } from './run-clock.ts';
import { runId } from './run-id.ts';
import { settleLedger } from './settle-ledger.ts';
import { needsShadow, ShadowPart } from './shadow-part.ts';
import type { RemoteServer, UpdatePart } from './update-part.ts';
import { pendingIn, protocolName, spokenIn } from './worker-reports.ts';

export interface LiveRunOptions {
  /** Worker threads; default: all cores but one. */
  readonly workers?: number;
  /** First part of all client ids; default: derived from the seed. */
  readonly run?: string;
  /** Host with a public address that may be loaded. */
  readonly allowedHost?: string;
  /** The OTA server of a scenario with firmware; absent = the run starts its own. */
  readonly otaServer?: RemoteServer;
  /** Called several times a second with the metrics so far; elapsed since the scenario began. */
  onProgress(snapshot: Snapshot, elapsedMs: number): void;
  /** Told what the run is at, in words; `running` while devices sample. */
  onPhase?(phase: string): void;
}

/** How long no device at all may manage to connect before the run is given up. */
const FIRST_CONNECT_MS_MAX = 12_000;
/** After Ctrl-C and the like: how long messages on their way may take. */
const EARLY_SETTLE_MS = 2000;
/**
 * The observer counts as done when so many of its reports, of four a second, tell nothing new. Not
 * after a time: on a busy machine that goes by without the observer having run at all.
 */
const QUIET_REPORTS = 6;
const POLL_MS = 50;
const CUT_WARNING = 'the rollouts had not come to their end when the duration was over';

export class LiveRun {
  private readonly loaded: LoadedScenario;
  private readonly options: LiveRunOptions;
  private readonly workerCount: number;
  private readonly run: string;
  private readonly start: RunStart = startRun();
  private readonly clock = new RunClock(this.start);
  private readonly startedAt = new Date().toISOString();
  private beginMs = 0;
  private pool: Piscina | undefined;
  private broker: Child<never, FromBroker> | undefined;
  private observer: Child<ToObserver, FromObserver> | undefined;
  private shadow: ShadowPart | undefined;
  private updates: UpdatePart | undefined;
  private readonly ports: MessagePort[] = [];
  private readonly reports: (WorkerReport | undefined)[] = [];
  private reportCount = 0;
  private observerReport: ObserverReport | undefined;
  private observerReportCount = 0;
  private readonly warnings: string[] = [];
  /** When somebody interrupted it. */
  private interruptedMs: number | undefined;
  private failed = false;
  /** No device got through. */
  private isRefused = false;
  private leftovers: Leftovers | undefined;
  private abortedBy: ThresholdResult | undefined;
  /** Settles when sampling shall end early. */
  private readonly ending = Promise.withResolvers<void>();
  /** Rejects when the run cannot go on. */
  private readonly failing = Promise.withResolvers<never>();
  private readyCount = 0;
  private readonly workersReady = Promise.withResolvers<void>();
  private readonly observerReady = Promise.withResolvers<void>();
  private readonly observerSeen = Promise.withResolvers<readonly (readonly number[])[]>();

  constructor(loaded: LoadedScenario, options: LiveRunOptions) {
    this.loaded = loaded;
    this.options = options;
    this.workerCount = options.workers ?? Math.max(1, availableParallelism() - 1);
    this.run = options.run ?? runId(loaded.scenario.seed);
    // Every await races this promise; between two of them nobody listens.
    this.failing.promise.catch(() => undefined);
  }

  /**
   * Runs the scenario to its end and accounts for every message. Rejects with `RunError` when it
   * cannot start or a part of it dies; what can be removed from the broker is removed then too.
   */
  async execute(): Promise<Outcome> {
    const { scenario } = this.loaded;
    const phase = (what: string) => this.options.onPhase?.(what);
    try {
      checkDuration(scenario.durationMs);
      checkOpenFiles(deviceCount(scenario));
      phase(scenario.broker === undefined ? 'starting a broker' : 'looking for the broker');
      const target = await this.orFail(this.findBroker());
      phase('starting the observer');
      this.startObserver(target);
      await this.orFail(this.observerReady.promise);
      this.leftovers = new Leftovers({ scenario, run: this.run, target });
      if (needsShadow(scenario)) phase('starting the shadow service');
      await this.orFail(this.startShadow(target));
      if (hasFirmware(scenario)) phase('starting the update server');
      const ota = await this.orFail(this.startUpdates(target));
      phase('starting the devices');
      const results = this.startWorkers(target, ota);
      await this.orFail(this.workersReady.promise);
      this.begin();
      phase('running');
      await this.orFail(this.sample());
      const durationMs = this.clock.monotonicMs() - this.beginMs;
      phase('settling');
      await this.orFail(this.settle());
      phase('closing the accounts');
      const finished = await this.orFail(this.finish(results));
      await this.cleanUp(this.leftovers, finished.results);
      this.checkAnyConnect();
      return this.outcome(finished.results, finished.seen, durationMs);
    } catch (error) {
      phase('cleaning up');
      await this.endParts();
      throw await this.cleanAfter(error);
    } finally {
      await this.endParts();
    }
  }

  private async endParts(): Promise<void> {
    await this.pool?.destroy();
    await this.updates?.stop();
    // Without this it would take the run for killed, and clean up.
    this.observer?.send({ kind: 'finish' });
    await Promise.all([this.observer, this.shadow, this.broker].map((part) => part?.stop()));
  }

  /** The command that removes what a killed run leaves behind; none for an embedded broker. */
  cleanCommand(): string | undefined {
    return cleanCommandOf(this.loaded, this.run);
  }

  /** True once the run ended and has removed all of its own from the broker. */
  get isClean(): boolean {
    return (this.leftovers?.count ?? 0) === 0;
  }

  /** Ends the run early and cleanly; its outcome says so. `exitCode` is for one that had not begun. */
  interrupt(exitCode = 130): void {
    this.interruptedMs ??= this.clock.monotonicMs();
    this.ending.resolve();
    // Before it began there is nothing to sum up, and a silent broker to wait for perhaps.
    if (this.beginMs === 0) {
      this.failing.reject(new RunError('interrupted before the first device connected', exitCode));
    }
  }

  private orFail<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.failing.promise]);
  }

  private fail(message: string): void {
    this.failing.reject(new RunError(message));
    // Whatever still waits, in vain now, ends: its timers would keep the process.
    this.failed = true;
    this.ending.resolve();
  }

  // The parts.

  private async findBroker(): Promise<Target> {
    const { broker } = this.loaded.scenario;
    if (broker !== undefined) {
      const devices = deviceCount(this.loaded.scenario);
      return await resolveTarget(broker, (address) => {
        checkHost(broker.host, address, devices, this.options.allowedHost);
      });
    }
    const { promise, resolve } = Promise.withResolvers<Target>();
    this.broker = new Child<never, FromBroker>(
      'broker-process',
      ({ port }) => resolve({ host: '127.0.0.1', port }),
      (reason) => this.fail(`the embedded broker ended: ${reason}`),
    );
    return await promise;
  }

  private startObserver(target: Target): void {
    const { scenario } = this.loaded;
    this.observer = new Child<ToObserver, FromObserver>(
      'observer-process',
      (message) => this.onObserver(message),
      (reason) => this.fail(`the observer ended: ${reason}`),
    );
    const { run, start } = this;
    this.observer.send({ kind: 'start', task: { scenario, run, start, target } });
  }

  private onObserver(message: FromObserver): void {
    switch (message.kind) {
      case 'ready':
        this.observerReady.resolve();
        break;
      case 'unreachable':
        this.fail(
          `${this.loaded.scenario.broker?.url ?? 'embedded broker'}: ${message.reason}\n` +
            'The observer could not subscribe there, so nothing was started.',
        );
        break;
      case 'gap':
        this.tellWorkers(message);
        break;
      case 'report':
        this.takeObserverReport(message);
        break;
      case 'seen':
        this.observerSeen.resolve(message.seen);
        break;
    }
  }

  private takeObserverReport(report: ObserverReport): void {
    this.observerReportCount += 1;
    const wasAway = this.observerReport?.openGapFromMs !== undefined;
    const isAway = report.openGapFromMs !== undefined;
    if (isAway !== wasAway) this.tellWorkers({ kind: 'observer', isAway });
    const previous = this.observerReport?.registry ?? report.registry;
    this.observerReport = { ...report, registry: withTrends(report.registry, previous) };
  }

  /** Only for a timeline that changes shadows: two services at one broker would both answer. */
  private async startShadow(target: Target): Promise<void> {
    const { scenario } = this.loaded;
    if (!needsShadow(scenario)) return;
    const { run, start } = this;
    this.shadow = new ShadowPart({ scenario, run, start, target }, (why) => this.fail(why));
    await this.shadow.untilReady();
  }

  /** Resolves with the URLs of the OTA server, where the scenario has firmware. */
  private async startUpdates(broker: Target): Promise<OtaUrls | undefined> {
    const { scenario } = this.loaded;
    if (!hasFirmware(scenario)) return undefined;
    const { otaServer: remote } = this.options;
    // A server with its libraries: other runs do not wait for them, nor hold them.
    const part = await import('./update-part.ts');
    this.updates = new part.UpdatePart({
      scenario,
      run: this.run,
      broker,
      ...(remote === undefined ? {} : { remote }),
      elapsedMs: () => this.clock.monotonicMs() - this.beginMs,
      onEnd: () => this.ending.resolve(),
      fail: (message) => this.fail(message),
    });
    return await this.updates.start();
  }

  /** One task per worker for the whole run; the result is all of theirs. */
  private startWorkers(target: Target, ota: OtaUrls | undefined): Promise<WorkerResult[]> {
    const { loaded, run, start, workerCount } = this;
    this.pool = new Piscina({
      filename: fileURLToPath(moduleUrl('device-worker')),
      minThreads: workerCount,
      maxThreads: workerCount,
    });
    // A worker that dies while another's death ends the run has no task left to reject.
    this.pool.on('error', (error: Error) => this.fail(`a worker died: ${error.message}`));
    const tasks = Array.from({ length: workerCount }, (_, worker) => {
      const { port1, port2 } = new MessageChannel();
      const task: WorkerTask = {
        scenario: loaded.scenario,
        run,
        start,
        target,
        ota,
        worker,
        workerCount,
        port: port2,
      };
      port1.on('message', (message: FromWorker) => this.onWorker(worker, message));
      this.ports.push(port1);
      return this.pool!.run(task, { transferList: [port2] }) as Promise<WorkerResult>;
    });
    for (const [worker, task] of tasks.entries()) {
      task.catch((error: Error) => {
        this.fail(`worker ${worker} of ${workerCount} died: ${error.message}`);
      });
    }
    const results = Promise.all(tasks);
    // A run that fails ends its workers, and then nobody waits for their results.
    results.catch(() => undefined);
    return results;
  }

  private tellWorkers(message: ToWorker): void {
    for (const port of this.ports) port.postMessage(message);
  }

  private onWorker(worker: number, message: FromWorker): void {
    if (message.kind === 'report') {
      this.onReport(worker, message);
      return;
    }
    this.readyCount += 1;
    if (this.readyCount === this.workerCount) this.workersReady.resolve();
  }

  // The course of a run.

  private begin(): void {
    this.beginMs = this.clock.monotonicMs();
    this.tellWorkers({ kind: 'begin', beginMs: this.beginMs });
    this.shadow?.begin(this.beginMs);
    this.updates?.begin();
  }

  private async sample(): Promise<void> {
    const { durationMs, endAfterRolloutsMs } = this.loaded.scenario;
    const { promise, resolve } = Promise.withResolvers<'cut'>();
    const timer = setTimeout(resolve, durationMs, 'cut');
    const end = await Promise.race([promise, this.ending.promise]);
    clearTimeout(timer);
    if (end === 'cut' && endAfterRolloutsMs !== undefined) this.warnings.push(CUT_WARNING);
  }

  private onReport(worker: number, report: WorkerReport): void {
    const { registry: previous } = this.reports[worker] ?? report;
    this.reports[worker] = { ...report, registry: withTrends(report.registry, previous) };
    this.reportCount += 1;
    const elapsedMs = this.clock.monotonicMs() - this.beginMs;
    const registry = this.merged();
    this.options.onProgress(registry.snapshot(), elapsedMs);
    this.checkFirstConnect(registry, elapsedMs);
    this.checkAbort(registry, elapsedMs);
  }

  /** A run in which nobody gets through is over; what the devices were told is the finding. */
  private checkFirstConnect(registry: Registry, elapsedMs: number): void {
    const { timeline } = this.loaded.scenario;
    if (elapsedMs < FIRST_CONNECT_MS_MAX || timeline.length > 0) return;
    const { 4: old, 5: present } = spokenIn(this.reports);
    if (old + present > 0 || registry.total('connect_failures') === 0) return;
    this.isRefused = true;
    this.fail(
      `no device could connect in ${Math.floor(elapsedMs / 1000)} s: ${commonest(this.reasons())}`,
    );
  }

  /** A run in which nobody got through measured nothing, whatever its thresholds say. */
  private checkAnyConnect(): void {
    const accepted = spokenIn(this.reports);
    if (this.interruptedMs !== undefined || accepted[4] + accepted[5] > 0) return;
    this.isRefused = true;
    throw new RunError(`no device could connect: ${commonest(this.reasons())}`);
  }

  private checkAbort(registry: Registry, elapsedMs: number): void {
    const { thresholds } = this.loaded.scenario;
    if (this.abortedBy !== undefined || !thresholds.some(({ abortOnFail }) => abortOnFail)) return;
    const snapshot = registry.snapshot(thresholdPercentiles(thresholds));
    this.abortedBy = abortingThreshold(thresholds, snapshot, elapsedMs / 1000);
    if (this.abortedBy !== undefined) this.ending.resolve();
  }

  /** Sampling ends; what is buffered or on its way still arrives, within a bound. */
  private async settle(): Promise<void> {
    this.tellWorkers({ kind: 'stop-sampling' });
    const beginMs = this.clock.monotonicMs();
    const boundMs = this.abortedBy === undefined ? this.loaded.scenario.settleMs : EARLY_SETTLE_MS;
    // Also an interruption while it settles leaves little time.
    const endMs = () => {
      const fromMs = Math.max(beginMs, this.interruptedMs ?? Number.POSITIVE_INFINITY);
      return Math.min(beginMs + boundMs, fromMs + EARLY_SETTLE_MS);
    };
    // A report may have been under way when sampling ended, the one after it was not.
    const reportsNeeded = this.reportCount + 2 * this.workerCount;
    let observed = 0;
    let quietSince = this.observerReportCount;
    while (!this.failed && this.clock.monotonicMs() < endMs()) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const registry = this.merged();
      if (registry.total('messages_observed') !== observed) quietSince = this.observerReportCount;
      observed = registry.total('messages_observed');
      if (this.reportCount < reportsNeeded || pendingIn(this.reports) > 0) continue;
      if (observed >= registry.total('messages_produced')) return;
      if (this.observerReportCount - quietSince >= QUIET_REPORTS) return;
    }
  }

  private async finish(
    results: Promise<WorkerResult[]>,
  ): Promise<{ results: WorkerResult[]; seen: readonly (readonly number[])[] }> {
    const fromMs = this.observerReport?.openGapFromMs;
    if (fromMs !== undefined) {
      this.tellWorkers({ kind: 'gap', gap: { fromMs, toMs: this.clock.monotonicMs() } });
    }
    this.tellWorkers({ kind: 'finish' });
    const finished = await results;
    await Promise.all([this.shadow?.finish(), this.updates?.finish()]);
    this.observer?.send({ kind: 'finish' });
    const seen = await this.observerSeen.promise;
    return { results: finished, seen };
  }

  /** Removes from the broker what the devices could not remove themselves. */
  private async cleanUp(leftovers: Leftovers, results: readonly WorkerResult[]): Promise<void> {
    await leftovers.removeOf(
      results.flatMap((each) => each.leftovers),
      spokenIn(this.reports),
    );
    this.warnings.push(...leftovers.hints(this.cleanCommand()));
  }

  /** Of a run that failed: all of its connections have ended, some not as they should have. */
  private async cleanAfter(error: unknown): Promise<unknown> {
    if (this.isRefused || this.leftovers === undefined) return error;
    await this.leftovers.removeAll(this.beginMs > 0, spokenIn(this.reports));
    if (!(error instanceof RunError)) return error;
    const lines = [error.message, ...this.leftovers.hints(this.cleanCommand())];
    return new RunError(lines.join('\n'), error.exitCode);
  }

  // What came of it.

  private merged(): Registry {
    const registry = new Registry(this.loaded.scenario.fleets.map(({ name }) => name));
    for (const report of this.reports) if (report !== undefined) registry.merge(report.registry);
    if (this.observerReport !== undefined) registry.merge(this.observerReport.registry);
    this.shadow?.addTo(registry);
    this.updates?.addTo(registry);
    return registry;
  }

  private reasons(): Reasons {
    return sumReasons(this.reports.map((report) => report?.reasons ?? {}));
  }

  private outcome(
    results: readonly WorkerResult[],
    seen: readonly (readonly number[])[],
    durationMs: number,
  ): Outcome {
    for (const [worker, { report }] of results.entries()) this.reports[worker] = report;
    const registry = this.merged();
    settleLedger(registry, this.loaded.scenario.fleets, results, seen);
    const { loaded, updates, workerCount } = this;
    const { thresholds, broker } = loaded.scenario;
    const { system, user } = process.cpuUsage();
    const missed = results.reduce((sum, { report }) => sum + report.missedSamples, 0);
    const health = worstHealth(results.map(({ report }) => report.health));
    return {
      loaded,
      mode: 'live',
      broker: broker?.url ?? 'embedded',
      protocol: protocolName(spokenIn(this.reports)),
      snapshot: registry.snapshot(thresholdPercentiles(thresholds)),
      durationMs,
      ...updates?.results(),
      performance: {
        workers: workerCount,
        versions: { node: process.version },
        startedAt: this.startedAt,
        wallMs: Math.round(this.clock.monotonicMs()),
        cpuMs: Math.round((user + system) / 1000),
        rssBytes: process.resourceUsage().maxRSS * 1024,
        generator: { ...health, missedSamples: missed },
        warnings: [...healthWarnings(health, missed), ...this.warnings],
        disconnectReasons: this.reasons(),
      },
      ...(this.interruptedMs === undefined ? {} : { interrupted: true }),
      ...(this.abortedBy === undefined ? {} : { abortedBy: this.abortedBy }),
    };
  }
}
