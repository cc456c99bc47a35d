// The run's side of its observer: starts the process, passes on what it tells, keeps its reports.

import { type Registry, withTrends } from '../metrics/registry.ts';
import { Child } from './child.ts';
import type {
  Blindness,
  FromObserver,
  ObserverHealth,
  ObserverReport,
  ObserverTask,
  ToObserver,
  ToWorker,
  WorkerReport,
} from './messages.ts';

/** What an observer needs of the run around it. */
export interface ObserverHost {
  tellWorkers(message: ToWorker): void;
  /** Ends the run, with the reason. */
  fail(message: string): void;
}

/** Its own check of what it sees takes less. */
const ANSWER_MS_MAX = 40_000;

/** Ranges of observed sequences, by device index. */
export type Seen = readonly (readonly number[])[];

export class ObserverPart {
  /** Reports so far, of four a second. */
  reportCount = 0;
  private readonly task: ObserverTask;
  private readonly host: ObserverHost;
  private readonly child: Child<ToObserver, FromObserver>;
  private readonly ready = Promise.withResolvers<void>();
  private readonly seen = Promise.withResolvers<Seen>();
  private readonly checked = Promise.withResolvers<Blindness | undefined>();
  private checkTimer: NodeJS.Timeout | undefined;
  private latest: ObserverReport | undefined;

  constructor(task: ObserverTask, host: ObserverHost) {
    this.task = task;
    this.host = host;
    this.child = new Child<ToObserver, FromObserver>(
      'observer-process',
      (message) => this.take(message),
      (reason) => host.fail(`the observer ended: ${reason}`),
    );
    this.child.send({ kind: 'start', task });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Resolves when it sees what is acknowledged; never when it cannot, for then the run fails. */
  untilReady(): Promise<void> {
    return this.ready.promise;
  }

  get health(): ObserverHealth | undefined {
    return this.latest?.health;
  }

  /** Passes on what a worker reports of its devices' connections. */
  connected(worker: number, { connections, upToMs }: WorkerReport): void {
    this.child.send({ kind: 'connections', worker, connections, upToMs });
  }

  /**
   * Resolves when the workers know what it could not see of what was acknowledged so far; with how
   * long it has been blind where it is now.
   */
  check(): Promise<Blindness | undefined> {
    this.child.send({ kind: 'check' });
    this.checkTimer = setTimeout(() => {
      this.host.fail('the observer does not answer, so that nothing could be judged');
    }, ANSWER_MS_MAX);
    return this.checked.promise;
  }

  addTo(registry: Registry): void {
    if (this.latest !== undefined) registry.merge(this.latest.registry);
  }

  /** Resolves with what it saw; its last report is here by then. */
  finish(): Promise<Seen> {
    this.child.send({ kind: 'finish' });
    return this.seen.promise;
  }

  /** Resolves when it is gone. */
  stop(): Promise<void> {
    clearTimeout(this.checkTimer);
    // Without this it would take the run for killed, and clean up.
    this.child.send({ kind: 'finish' });
    return this.child.stop();
  }

  private take(message: FromObserver): void {
    switch (message.kind) {
      case 'ready':
        this.ready.resolve();
        break;
      case 'unreachable':
        this.host.fail(
          `${this.task.scenario.broker?.url ?? 'embedded broker'}: ${message.reason}\n` +
            'The observer cannot see what is delivered there, so nothing was started.',
        );
        break;
      case 'gap':
        this.host.tellWorkers(message);
        break;
      case 'checked':
        clearTimeout(this.checkTimer);
        this.checked.resolve(message.blind);
        break;
      case 'report':
        this.keep(message);
        break;
      case 'seen':
        this.seen.resolve(message.seen);
        break;
    }
  }

  private keep(report: ObserverReport): void {
    this.reportCount += 1;
    const { isBlind } = report;
    // While it is, again and again: workers may have started meanwhile.
    if (isBlind || this.latest?.isBlind === true) {
      this.host.tellWorkers({ kind: 'observer', isBlind });
    }
    const registry = withTrends(report.registry, this.latest?.registry);
    this.latest = { ...report, registry };
  }
}
