// A live run: real sockets to a real broker. This thread starts broker, observer and workers,
// keeps the timeline, and puts their reports together.

import { availableParallelism } from 'node:os';
import { DevicePlaces } from '../fleet/device-places.ts';
import { Registry } from '../metrics/registry.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import {
  abortingThreshold,
  type ThresholdResult,
  thresholdPercentiles,
} from '../metrics/thresholds.ts';
import type { Outcome } from '../report/summary.ts';
import { TOPICS_DEFAULT } from '../scenario/file-schema.ts';
import type { LoadedScenario } from '../scenario/load.ts';
import { hasFirmware, type Scenario } from '../scenario/schema.ts';
import { Child } from './child.ts';
import { Cleaner } from './cleaner.ts';
import { healthWarnings, worstHealth } from './health.ts';
import { checkHost } from './host-guard.ts';
import type {
  FromBroker,
  FromObserver,
  ObserverReport,
  OtaUrls,
  Target,
  ToObserver,
  ToWorker,
  WorkerResult,
} from './messages.ts';
import { checkDuration, checkOpenFiles, RunError, resolveTarget } from './preflight.ts';
import { commonest } from './reason-counts.ts';
import { RunClock, type RunStart, startRun } from './run-clock.ts';
import { runId } from './run-id.ts';
import { leaveOut, settleLedger } from './settle-ledger.ts';
import { needsShadow, ShadowPart } from './shadow-part.ts';
import type { RemoteServer, UpdatePart } from './update-part.ts';
import { Workers, withTrends } from './workers.ts';

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
}

/** How long no device at all may manage to connect before the run is given up. */
const FIRST_CONNECT_MS_MAX = 12_000;
/** After Ctrl-C: how long messages on their way may take. */
const INTERRUPTED_SETTLE_MS = 2000;
/** The observer counts as done when it saw nothing new for this long. */
const QUIET_MS = 1500;
const POLL_MS = 50;

export class LiveRun {
  private readonly loaded: LoadedScenario;
  private readonly options: LiveRunOptions;
  private readonly workerCount: number;
  private readonly run: string;
  private readonly start: RunStart = startRun();
  private readonly clock = new RunClock(this.start);
  private readonly startedAt = new Date().toISOString();
  private beginMs = 0;
  private workers: Workers | undefined;
  private broker: Child<never, FromBroker> | undefined;
  private observer: Child<ToObserver, FromObserver> | undefined;
  private shadow: ShadowPart | undefined;
  private updates: UpdatePart | undefined;
  private observerReport: ObserverReport | undefined;
  private readonly warnings: string[] = [];
  private interrupted = false;
  private failed = false;
  private abortedBy: ThresholdResult | undefined;
  /** Settles when sampling shall end early. */
  private readonly ending = Promise.withResolvers<void>();
  /** Rejects when the run cannot go on. */
  private readonly failing = Promise.withResolvers<never>();
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
   * cannot start or a part of it dies.
   */
  async execute(): Promise<Outcome> {
    const { scenario } = this.loaded;
    try {
      checkDuration(scenario.durationMs);
      checkOpenFiles(deviceCount(scenario));
      const target = await this.orFail(this.findBroker());
      this.startObserver(target);
      await this.orFail(this.observerReady.promise);
      await this.orFail(this.startShadow(target));
      const ota = await this.orFail(this.startUpdates(target));
      const workers = this.startWorkers(target, ota);
      this.workers = workers;
      await this.orFail(workers.ready);
      this.begin();
      await this.orFail(this.sample());
      const durationMs = this.clock.monotonicMs() - this.beginMs;
      await this.orFail(this.settle());
      const finished = await this.orFail(this.finish(workers));
      await this.cleanUp(target, workers, finished.results);
      this.checkAnyConnect(workers);
      return this.outcome(workers, finished.results, finished.seen, durationMs);
    } finally {
      await this.workers?.destroy();
      await this.updates?.stop();
      for (const part of [this.observer, this.shadow, this.broker]) part?.stop();
    }
  }

  /** The command that removes what a killed run leaves behind; none for an embedded broker. */
  cleanCommand(): string | undefined {
    const { broker, topics } = this.loaded.scenario;
    if (broker === undefined) return undefined;
    const template = topics === TOPICS_DEFAULT ? '' : ` --topics '${topics}'`;
    return `npx flotilla clean --run ${this.run} --broker ${broker.url}${template}`;
  }

  /** Ends the run early and cleanly; its outcome says so. */
  interrupt(): void {
    this.interrupted = true;
    this.ending.resolve();
    // Before it began there is nothing to sum up, and a silent broker to wait for perhaps.
    if (this.beginMs === 0) {
      this.failing.reject(new RunError('interrupted before the first device connected', 130));
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

  private startWorkers(target: Target, ota: OtaUrls | undefined): Workers {
    const { loaded, run, start } = this;
    return new Workers({
      task: { scenario: loaded.scenario, run, start, target, ota },
      count: this.workerCount,
      onReport: () => this.onReport(),
      onHang: () => this.ending.resolve(),
      fail: (message) => this.fail(message),
    });
  }

  private tellWorkers(message: ToWorker): void {
    this.workers?.tell(message);
  }

  // The course of a run.

  private begin(): void {
    this.beginMs = this.clock.monotonicMs();
    this.workers?.begin(this.beginMs);
    this.shadow?.begin(this.beginMs);
    this.updates?.begin();
  }

  private async sample(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.loaded.scenario.durationMs);
    await Promise.race([promise, this.ending.promise]);
    clearTimeout(timer);
  }

  private onReport(): void {
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
    const { reasons, versions } = this.workers!;
    if (versions[4] + versions[5] > 0 || registry.total('connect_failures') === 0) return;
    this.fail(
      `no device could connect in ${Math.floor(elapsedMs / 1000)} s: ${commonest(reasons)}`,
    );
  }

  /** A run in which nobody got through measured nothing, whatever its thresholds say. */
  private checkAnyConnect({ applicationErrors, reasons, versions }: Workers): void {
    // Where applications crash before they connect, that is the finding.
    if (this.interrupted || applicationErrors.length > 0 || versions[4] + versions[5] > 0) return;
    throw new RunError(`no device could connect: ${commonest(reasons)}`);
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
    const workers = this.workers!;
    const hangs = workers.hangReason !== undefined;
    const early = this.interrupted || this.abortedBy !== undefined || hangs;
    const boundMs = early ? INTERRUPTED_SETTLE_MS : this.loaded.scenario.settleMs;
    const endMs = this.clock.monotonicMs() + boundMs;
    // A report may have been under way when sampling ended, the one after it was not.
    const reportsNeeded = workers.reportCount + 2 * workers.turningCount;
    let observed = 0;
    let quietSinceMs = this.clock.monotonicMs();
    while (!this.failed && this.clock.monotonicMs() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const registry = this.merged();
      const nowMs = this.clock.monotonicMs();
      if (registry.total('messages_observed') !== observed) quietSinceMs = nowMs;
      observed = registry.total('messages_observed');
      if (workers.reportCount < reportsNeeded || workers.pending > 0) continue;
      if (observed >= registry.total('messages_produced')) return;
      if (nowMs - quietSinceMs >= QUIET_MS) return;
    }
  }

  private async finish(
    workers: Workers,
  ): Promise<{ results: (WorkerResult | undefined)[]; seen: readonly (readonly number[])[] }> {
    const fromMs = this.observerReport?.openGapFromMs;
    if (fromMs !== undefined) {
      this.tellWorkers({ kind: 'gap', gap: { fromMs, toMs: this.clock.monotonicMs() } });
    }
    this.tellWorkers({ kind: 'finish' });
    const finished = await workers.results;
    await Promise.all([this.shadow?.finish(), this.updates?.finish()]);
    this.observer?.send({ kind: 'finish' });
    const seen = await this.observerSeen.promise;
    return { results: finished, seen };
  }

  /** Removes from the broker what the devices could not remove themselves. */
  private async cleanUp(
    target: Target,
    { versions: spoken }: Workers,
    results: readonly (WorkerResult | undefined)[],
  ): Promise<void> {
    const { broker, topics } = this.loaded.scenario;
    const ids = results.flatMap((result, worker) => result?.leftovers ?? this.idsOf(worker));
    if (broker === undefined || ids.length === 0) return;
    const only = spoken[5] === 0 ? 4 : spoken[4] === 0 ? 5 : 0;
    const observer = only === 5 ? [] : [`${this.run}-observer`];
    const failed = await new Cleaner(target, topics, only).clean([...ids, ...observer]);
    if (failed > 0) {
      this.warnings.push(`${failed} clients left state at the broker: ${this.cleanCommand()}`);
    }
  }

  /** The ids of a worker's devices. */
  private idsOf(worker: number): string[] {
    const places = new DevicePlaces(this.loaded.scenario.fleets);
    const ids: string[] = [];
    for (let device = worker; device < places.total; device += this.workerCount) {
      ids.push(places.idOf(device, this.run));
    }
    return ids;
  }

  // What came of it.

  private merged(): Registry {
    const registry = new Registry(this.loaded.scenario.fleets.map(({ name }) => name));
    this.workers?.addTo(registry);
    if (this.observerReport !== undefined) registry.merge(this.observerReport.registry);
    this.shadow?.addTo(registry);
    this.updates?.addTo(registry);
    return registry;
  }

  private outcome(
    workers: Workers,
    results: readonly (WorkerResult | undefined)[],
    seen: readonly (readonly number[])[],
    durationMs: number,
  ): Outcome {
    workers.take(results);
    const registry = this.merged();
    const { fleets } = this.loaded.scenario;
    for (const [worker, result] of results.entries()) {
      if (result !== undefined) continue;
      const isIts = (device: number) => device % workers.count === worker;
      leaveOut(registry, fleets, workers.reportOf(worker)?.registry, seen, isIts);
    }
    const ended = results.filter((result) => result !== undefined);
    settleLedger(registry, fleets, ended, seen);
    const { loaded, updates, workerCount } = this;
    const { thresholds, broker } = loaded.scenario;
    const { system, user } = process.cpuUsage();
    const missed = ended.reduce((sum, { report }) => sum + report.missedSamples, 0);
    const health = worstHealth(ended.map(({ report }) => report.health));
    return {
      loaded,
      mode: 'live',
      broker: broker?.url ?? 'embedded',
      protocol: protocolOf(workers.versions),
      snapshot: registry.snapshot(thresholdPercentiles(thresholds)),
      durationMs,
      drops: workers.drops,
      applicationErrors: workers.applicationErrors,
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
        disconnectReasons: workers.reasons,
      },
      ...(workers.hangReason === undefined
        ? {}
        : { judged: { ok: false, reason: workers.hangReason } }),
      ...(this.interrupted ? { interrupted: true } : {}),
      ...(this.abortedBy === undefined ? {} : { abortedBy: this.abortedBy }),
    };
  }
}

/** What was spoken, for people. */
function protocolOf(versions: Record<4 | 5, number>): string {
  const names = [versions[5] > 0 ? '5' : '', versions[4] > 0 ? '3.1.1' : ''].filter(Boolean);
  return names.length === 0 ? 'MQTT' : `MQTT ${names.join(' and ')}`;
}

function deviceCount({ fleets }: Scenario): number {
  return fleets.reduce((sum, { count }) => sum + count, 0);
}
