// A live run: real sockets to a real broker. This thread starts broker, observer and workers,
// keeps the timeline, and puts their reports together.

import { availableParallelism } from 'node:os';
import { FanOutPlan, hasSubscribers, planWarnings } from '../ledger/fan-out-plan.ts';
import { Registry } from '../metrics/registry.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import {
  abortingThreshold,
  type ThresholdResult,
  thresholdPercentiles,
} from '../metrics/thresholds.ts';
import type { Outcome } from '../report/summary.ts';
import type { LoadedScenario } from '../scenario/load.ts';
import { deviceCount, hasFirmware } from '../scenario/schema.ts';
import { Child } from './child.ts';
import { cleanCommandOf } from './clean-command.ts';
import { healthWarnings } from './health.ts';
import { checkHost } from './host-guard.ts';
import { judge, observerWarnings } from './judge.ts';
import { Leftovers } from './leftovers.ts';
import type {
  Blindness,
  FromBroker,
  OtaUrls,
  Target,
  WorkerReport,
  WorkerResult,
} from './messages.ts';
import { ObserverPart, type Seen } from './observer-part.ts';
import { checkDuration, checkOpenFiles, RunError, resolveTarget } from './preflight.ts';
import { commonest, warningsOf } from './reasons.ts';
import { RunClaim } from './run-claim.ts';
import { RunClock, type RunStart, startRun } from './run-clock.ts';
import { newRunId } from './run-id.ts';
import { FanOutSettlement } from './settle-fan-out.ts';
import { leaveOutHanging, settleLedger } from './settle-ledger.ts';
import { needsShadow, ShadowPart } from './shadow-part.ts';
import { takeOverWarnings } from './take-over.ts';
import type { RemoteServer, UpdatePart } from './update-part.ts';
import { WorkersPart } from './workers-part.ts';

export interface LiveRunOptions {
  /** Worker threads; default: all cores but one. */
  readonly workers?: number;
  /** First part of all client ids; default: a new one. */
  readonly run?: string;
  /** `run` was made for this run alone: nobody else has it. */
  readonly isRunNew?: boolean;
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
const INTERRUPTED_SETTLE_MS = 2000;
/**
 * The observer counts as done when so many of its reports, of four a second, tell nothing new. Not
 * after a time: on a busy machine that goes by without the observer having run at all.
 */
const QUIET_REPORTS = 6;
const POLL_MS = 50;
const CUT_WARNING = 'the rollouts had not come to their end when the duration was over';
/** Beyond the ramp and one connect: how long subscribers are waited for. */
const SUBSCRIBE_MS_MAX = 10_000;

export class LiveRun {
  private readonly loaded: LoadedScenario;
  private readonly options: LiveRunOptions;
  private readonly workerCount: number;
  /** The id of the run: the first part of all client ids. */
  readonly run: string;
  private readonly start: RunStart = startRun();
  private readonly clock = new RunClock(this.start);
  private readonly startedAt = new Date().toISOString();
  /** When the first devices connected, and when the scenario began. */
  private startMs = 0;
  private beginMs = 0;
  private workers: WorkersPart | undefined;
  private broker: Child<never, FromBroker> | undefined;
  private observer: ObserverPart | undefined;
  private blindness: Blindness | undefined;
  private claim: RunClaim | undefined;
  private shadow: ShadowPart | undefined;
  private updates: UpdatePart | undefined;
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

  constructor(loaded: LoadedScenario, options: LiveRunOptions) {
    this.loaded = loaded;
    this.options = options;
    this.workerCount = options.workers ?? Math.max(1, availableParallelism() - 1);
    this.run = options.run ?? newRunId();
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
      await this.orFail(this.claimId(target));
      phase('starting the observer');
      await this.orFail(this.startObserver(target));
      this.leftovers = new Leftovers({ scenario, run: this.run, target });
      if (needsShadow(scenario)) phase('starting the shadow service');
      await this.orFail(this.startShadow(target));
      if (hasFirmware(scenario)) phase('starting the update server');
      const ota = await this.orFail(this.startUpdates(target));
      phase('starting the devices');
      await this.orFail(this.startWorkers(target, ota));
      if (hasSubscribers(scenario)) await this.orFail(this.subscribeFirst());
      this.begin();
      phase('running');
      await this.orFail(this.sample());
      const durationMs = this.clock.monotonicMs() - this.beginMs;
      phase('settling');
      await this.orFail(this.settle());
      phase('closing the accounts');
      const finished = await this.orFail(this.finish());
      await this.cleanUp(this.leftovers, finished.results);
      this.checkAnyConnect();
      return this.outcome(finished.results, finished.seen, durationMs);
    } catch (error) {
      phase('cleaning up');
      await this.endParts();
      throw await this.cleanAfter(error);
    } finally {
      await this.endParts();
      // Until all is removed the id is ours: the next one with it would be cleaned up after too.
      await this.claim?.release();
    }
  }

  private async endParts(): Promise<void> {
    await this.workers?.stop();
    await this.updates?.stop();
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
    if (this.startMs === 0) {
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

  /** Two runs with one id would take each other's sessions over; throws when it is in use. */
  private async claimId(target: Target): Promise<void> {
    const { broker, topics } = this.loaded.scenario;
    // Nobody else is at a broker of our own.
    if (broker === undefined) return;
    const isNew = this.options.run === undefined || this.options.isRunNew === true;
    this.claim = new RunClaim(target, topics, this.run, isNew);
    const verdict = isNew ? 'held' : await this.claim.acquired();
    if (verdict === 'in use') {
      throw new RunError(
        `--run ${this.run}: a run with this id is going on at ${broker.url}\n` +
          `Give this one another, such as --run ${newRunId()}; without --run each has its own.`,
      );
    }
    if (verdict === 'unknown') {
      this.warnings.push(`the broker takes no claim: whether run ${this.run} was alone is unknown`);
    }
  }

  private async startObserver(target: Target): Promise<void> {
    const { run, start, workerCount } = this;
    const task = { scenario: this.loaded.scenario, run, start, target, workerCount };
    this.observer = new ObserverPart(task, {
      tellWorkers: (message) => this.workers?.tell(message),
      fail: (message) => this.fail(message),
    });
    await this.observer.untilReady();
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

  private async startWorkers(target: Target, ota: OtaUrls | undefined): Promise<void> {
    const { loaded, run, start, workerCount } = this;
    const { scenario } = loaded;
    const task = { scenario, run, start, target, ota, workerCount };
    this.workers = new WorkersPart(task, deviceCount(scenario), {
      onReport: (worker, report) => this.onReport(worker, report),
      onHang: () => this.ending.resolve(),
      fail: (message) => this.fail(message),
    });
    await this.workers.untilReady();
  }

  // The course of a run.

  /** Who subscribes is subscribed before anyone publishes. */
  private async subscribeFirst(): Promise<void> {
    this.startMs = this.clock.monotonicMs();
    this.workers?.subscribe(this.startMs);
    let isLate = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { connect, rampMs } = this.loaded.scenario;
    const timer = setTimeout(
      () => {
        isLate = true;
        resolve();
      },
      rampMs + connect.timeoutMs + SUBSCRIBE_MS_MAX,
    );
    await Promise.race([this.workers?.untilSubscribed(), promise, this.ending.promise]);
    clearTimeout(timer);
    if (isLate) this.warnings.push('not all subscribers were subscribed when publishing began');
  }

  private begin(): void {
    this.beginMs = this.clock.monotonicMs();
    if (this.startMs === 0) this.startMs = this.beginMs;
    this.workers?.begin(this.beginMs);
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
    this.observer?.connected(worker, report);
    const nowMs = this.clock.monotonicMs();
    const elapsedMs = this.beginMs === 0 ? 0 : nowMs - this.beginMs;
    const registry = this.merged();
    this.options.onProgress(registry.snapshot(), elapsedMs);
    this.checkFirstConnect(registry, nowMs - this.startMs);
    this.checkAbort(registry, elapsedMs);
  }

  /** A run in which nobody gets through is over; what the devices were told is the finding. */
  private checkFirstConnect(registry: Registry, elapsedMs: number): void {
    const { timeline } = this.loaded.scenario;
    if (elapsedMs < FIRST_CONNECT_MS_MAX || timeline.length > 0) return;
    const workers = this.workers!;
    if (workers.isAnyConnected || registry.total('connect_failures') === 0) return;
    this.isRefused = true;
    this.fail(
      `no device could connect in ${Math.floor(elapsedMs / 1000)} s: ${commonest(workers.failures)}`,
    );
  }

  /** A run in which nobody got through measured nothing, whatever its thresholds say. */
  private checkAnyConnect(): void {
    const { applicationErrors, failures, hangReason, isAnyConnected } = this.workers!;
    // Where applications crash or hang before they connect, that is the finding.
    const isTold = applicationErrors.length > 0 || hangReason !== undefined;
    if (this.interruptedMs !== undefined || isTold || isAnyConnected) return;
    this.isRefused = true;
    throw new RunError(`no device could connect: ${commonest(failures)}`);
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
    this.workers?.tell({ kind: 'stop-sampling' });
    const beginMs = this.clock.monotonicMs();
    // Also an interruption or a hang while it settles leaves little time.
    const endMs = () => {
      const { settleMs } = this.loaded.scenario;
      if (this.workers?.hangReason !== undefined) return beginMs + INTERRUPTED_SETTLE_MS;
      const fromMs = Math.max(beginMs, this.interruptedMs ?? Number.POSITIVE_INFINITY);
      return Math.min(beginMs + settleMs, fromMs + INTERRUPTED_SETTLE_MS);
    };
    const observer = this.observer!;
    const workers = this.workers!;
    // A report may have been under way when sampling ended, the one after it was not.
    const reportsNeeded = workers.reportCount + 2 * workers.turningCount;
    let arrived = 0;
    let quietSince = observer.reportCount;
    while (!this.failed && this.clock.monotonicMs() < endMs()) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const registry = this.merged();
      const observed = registry.total('messages_observed');
      const received = registry.total('fanout_received');
      if (observed + received !== arrived) quietSince = observer.reportCount;
      arrived = observed + received;
      if (workers.reportCount < reportsNeeded || workers.pending > 0) continue;
      // A short run can be over while the first devices still connect.
      if (!workers.isAnyConnected && registry.total('connect_failures') === 0) continue;
      // How much subscribers are still to receive is known only at the end.
      const isAll = observed >= registry.total('messages_produced');
      if (isAll && !hasSubscribers(this.loaded.scenario)) return;
      if (observer.reportCount - quietSince >= QUIET_REPORTS) return;
    }
  }

  private async finish(): Promise<{ results: (WorkerResult | undefined)[]; seen: Seen }> {
    // What it could not see, the workers must know before they settle their accounts.
    this.blindness = await this.observer?.check();
    const results = (await this.workers?.finish()) ?? [];
    for (const [worker, result] of results.entries()) {
      if (result !== undefined) this.observer?.connected(worker, result.report);
    }
    await Promise.all([this.shadow?.finish(), this.updates?.finish()]);
    const seen = (await this.observer?.finish()) ?? [];
    return { results, seen };
  }

  /** Removes from the broker what the devices could not remove themselves. */
  private async cleanUp(
    leftovers: Leftovers,
    results: readonly (WorkerResult | undefined)[],
  ): Promise<void> {
    const workers = this.workers!;
    const ids = results.flatMap((result, worker) => result?.leftovers ?? workers.idsOf(worker));
    await leftovers.removeOf(ids, workers.versions);
    this.warnings.push(...leftovers.hints(this.cleanCommand()));
  }

  /** Of a run that failed: all of its connections have ended, some not as they should have. */
  private async cleanAfter(error: unknown): Promise<unknown> {
    if (this.isRefused || this.leftovers === undefined) return error;
    await this.leftovers.removeAll(this.startMs > 0, this.workers?.versions ?? { 4: 0, 5: 0 });
    if (!(error instanceof RunError)) return error;
    const lines = [error.message, ...this.leftovers.hints(this.cleanCommand())];
    return new RunError(lines.join('\n'), error.exitCode);
  }

  // What came of it.

  private merged(): Registry {
    const registry = new Registry(this.loaded.scenario.fleets.map(({ name }) => name));
    this.workers?.addTo(registry);
    this.observer?.addTo(registry);
    this.shadow?.addTo(registry);
    this.updates?.addTo(registry);
    return registry;
  }

  private outcome(
    results: readonly (WorkerResult | undefined)[],
    seen: Seen,
    durationMs: number,
  ): Outcome {
    const registry = this.merged();
    const { loaded, run, updates, workerCount } = this;
    const workers = this.workers!;
    const lastOf = (worker: number) => workers.reportOf(worker)?.registry;
    const ended = leaveOutHanging(registry, loaded.scenario.fleets, results, lastOf, seen);
    const drops = settleLedger(registry, loaded.scenario.fleets, ended, seen);
    const plan = new FanOutPlan(loaded.scenario, run);
    // What subscribers of a worker that hangs received is unknown, and so what was lost.
    const isWhole = ended.length === results.length;
    const fanOut = isWhole
      ? new FanOutSettlement(loaded.scenario, run, plan, ended, seen).settle(registry)
      : [];
    const { failures, findings, health, missedSamples, reasons, thrownOut } = workers;
    const { thresholds, broker } = loaded.scenario;
    const { system, user } = process.cpuUsage();
    const observer = this.observer?.health;
    const unobservable = registry.total('messages_unobservable');
    return {
      loaded,
      runId: this.run,
      mode: 'live',
      broker: broker?.url ?? 'embedded',
      protocol: workers.protocol,
      snapshot: registry.snapshot(thresholdPercentiles(thresholds)),
      drops,
      durationMs,
      ...(fanOut.length === 0 ? {} : { fanOut }),
      applicationErrors: workers.applicationErrors,
      ...updates?.results(),
      performance: {
        workers: workerCount,
        versions: { node: process.version },
        startedAt: this.startedAt,
        wallMs: Math.round(this.clock.monotonicMs()),
        cpuMs: Math.round((user + system) / 1000),
        rssBytes: process.resourceUsage().maxRSS * 1024,
        ...(observer === undefined ? {} : { observer }),
        generator: { ...health, missedSamples },
        warnings: [
          ...healthWarnings(health, missedSamples),
          ...(observer === undefined ? [] : observerWarnings(observer, unobservable)),
          ...warningsOf(findings),
          ...takeOverWarnings(reasons, thrownOut, this.claim?.isContested === true),
          ...planWarnings(plan),
          ...this.warnings,
        ],
        disconnectReasons: reasons,
        failedConnects: failures,
      },
      judged: judge({
        hang: workers.hangReason,
        blindness: this.blindness,
        beginMs: this.beginMs,
        unobservable,
        connected: registry.total('devices_connected'),
      }),
      ...(this.interruptedMs === undefined ? {} : { interrupted: true }),
      ...(this.abortedBy === undefined ? {} : { abortedBy: this.abortedBy }),
    };
  }
}
