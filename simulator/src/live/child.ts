// Child processes of a run: started from a module beside this one, stopped with the run.

import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The module `name` beside this one, whether it runs from source or from a build. */
export function moduleUrl(name: string): URL {
  return new URL(`./${name}${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}

/** From a pipe that broke to the end of the process behind it. */
const EXIT_MS_MAX = 2000;
/** How long a child may take to leave. */
const LEAVE_MS_MAX = 5000;

/**
 * Starts a module as a process that ends with this one. `onExit` is called when it ends before
 * it was stopped, with the reason.
 */
export class Child<In, Out> {
  private readonly process: ChildProcess;
  private readonly gone = Promise.withResolvers<void>();
  private stopped = false;

  constructor(name: string, onMessage: (message: Out) => void, onExit: (reason: string) => void) {
    this.process = fork(fileURLToPath(moduleUrl(name)), [], {
      // Passes typed arrays as they are.
      serialization: 'advanced',
      // A group of its own: Ctrl-C, `timeout` and a closed terminal tell the whole group of the run,
      // which needs its parts until it has cleaned up. Windows would open a window.
      detached: process.platform !== 'win32',
    });
    this.process.on('message', (message) => onMessage(message as Out));
    // It could not be started, or went while it was told something: its end tells better why.
    this.process.on('error', (error) => {
      const report = () => {
        if (!this.stopped) onExit(error.message);
      };
      if (this.process.pid === undefined) {
        this.gone.resolve();
        report();
      } else setTimeout(report, EXIT_MS_MAX).unref();
    });
    this.process.on('exit', (code, signal) => {
      this.gone.resolve();
      if (!this.stopped) onExit(signal === null ? `exit code ${code}` : `signal ${signal}`);
    });
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  send(message: In): void {
    if (!this.stopped && this.process.connected) this.process.send(message as object);
  }

  /** Lets it go; resolves when it is gone. */
  async stop(): Promise<void> {
    if (!this.stopped) {
      this.stopped = true;
      if (this.process.connected) this.process.disconnect();
      // One that hangs would keep its place at the broker.
      const timer = setTimeout(() => this.process.kill('SIGKILL'), LEAVE_MS_MAX);
      void this.gone.promise.then(() => clearTimeout(timer));
    }
    await this.gone.promise;
  }
}
