// What ends a run before its time: Ctrl-C, `kill` and `timeout`, a closed terminal, a reader that
// leaves.

import {
  ENDING_SIGNALS,
  type EndingSignal,
  exitCodeOf,
  whenOutputCloses,
} from '@flotilla/command-line';
import type { LiveRun } from '../live/live-run.ts';
import type { Progress } from '../report/progress.ts';

/**
 * A signal comes a second time from npm and from a launcher, which pass it on to a process that has
 * it from the terminal already; a person needs longer to press Ctrl-C again.
 */
const SECOND_MS = 1000;

/** The first signal ends the run cleanly, a later one the process. */
export class Interruption {
  /** Of the process, once it was interrupted. */
  exitCode: number | undefined;
  private readonly progress: Progress;
  private liveRun: LiveRun | undefined;
  /** When the first signal came. */
  private firstMs: number | undefined;
  private readonly stopWatching: () => void;

  /** Listens from now on. */
  constructor(progress: Progress) {
    this.progress = progress;
    for (const signal of ENDING_SIGNALS) process.on(signal, this.onSignal);
    this.stopWatching = whenOutputCloses(() => this.begin(exitCodeOf('SIGINT')));
  }

  /** What it is about; libraries are loaded before there is a run. */
  attach(liveRun: LiveRun): void {
    this.liveRun = liveRun;
    if (this.exitCode !== undefined) liveRun.interrupt(this.exitCode);
  }

  stop(): void {
    this.stopWatching();
    for (const signal of ENDING_SIGNALS) process.off(signal, this.onSignal);
  }

  private readonly onSignal = (signal: EndingSignal): void => {
    const nowMs = performance.now();
    if (this.firstMs === undefined) {
      this.firstMs = nowMs;
      this.progress.clear();
      const again = signal === 'SIGINT' ? '; press Ctrl-C again to stop at once' : '';
      process.stderr.write(`\nStopping cleanly${again}.\n`);
      this.begin(exitCodeOf(signal));
    } else if (nowMs - this.firstMs > SECOND_MS) {
      this.progress.stop();
      const hint = this.liveRun?.cleanCommand();
      if (hint !== undefined) process.stderr.write(`\nWhat is left at the broker: ${hint}\n`);
      process.exit(this.exitCode);
    }
  };

  private begin(exitCode: number): void {
    this.exitCode = exitCode;
    this.liveRun?.interrupt(exitCode);
  }
}
