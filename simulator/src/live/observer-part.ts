// The run's side of its observer: starts the process, passes on what it tells, keeps its reports.

import { type Registry, withTrends } from '../metrics/registry.ts';
import { Child } from './child.ts';
import type {
  FromObserver,
  ObserverReport,
  ObserverTask,
  ToObserver,
  ToWorker,
} from './messages.ts';

/** What an observer needs of the run around it. */
export interface ObserverHost {
  tellWorkers(message: ToWorker): void;
  /** Ends the run, with the reason. */
  fail(message: string): void;
}

/** Ranges of observed sequences, by device index. */
export type Seen = readonly (readonly number[])[];

export class ObserverPart {
  private readonly task: ObserverTask;
  private readonly host: ObserverHost;
  private readonly child: Child<ToObserver, FromObserver>;
  private readonly ready = Promise.withResolvers<void>();
  private readonly seen = Promise.withResolvers<Seen>();
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

  /** Since when it is away; ms of the run, undefined = it is not. */
  get awayFromMs(): number | undefined {
    return this.latest?.openGapFromMs;
  }

  addTo(registry: Registry): void {
    if (this.latest !== undefined) registry.merge(this.latest.registry);
  }

  /** Resolves with what it saw; its last report is here by then. */
  finish(): Promise<Seen> {
    this.child.send({ kind: 'finish' });
    return this.seen.promise;
  }

  stop(): void {
    this.child.stop();
  }

  private take(message: FromObserver): void {
    switch (message.kind) {
      case 'ready':
        this.ready.resolve();
        break;
      case 'unreachable':
        this.host.fail(
          `${this.task.scenario.broker?.url ?? 'embedded broker'}: ${message.reason}\n` +
            'The observer could not subscribe there, so nothing was started.',
        );
        break;
      case 'gap':
        this.host.tellWorkers(message);
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
    const isAway = report.openGapFromMs !== undefined;
    if (isAway !== (this.awayFromMs !== undefined)) {
      this.host.tellWorkers({ kind: 'observer', isAway });
    }
    const registry = withTrends(report.registry, this.latest?.registry);
    this.latest = { ...report, registry };
  }
}
