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

/**
 * Starts a module as a process that ends with this one. `onExit` is called when it ends before
 * it was stopped, with the reason.
 */
export class Child<In, Out> {
  private readonly process: ChildProcess;
  private stopped = false;

  constructor(name: string, onMessage: (message: Out) => void, onExit: (reason: string) => void) {
    // 'advanced' passes typed arrays as they are.
    this.process = fork(fileURLToPath(moduleUrl(name)), [], { serialization: 'advanced' });
    this.process.on('message', (message) => onMessage(message as Out));
    // It could not be started, or went while it was told something: its end tells better why.
    this.process.on('error', (error) => {
      const report = () => {
        if (!this.stopped) onExit(error.message);
      };
      if (this.process.pid === undefined) report();
      else setTimeout(report, EXIT_MS_MAX).unref();
    });
    this.process.on('exit', (code, signal) => {
      if (!this.stopped) onExit(signal === null ? `exit code ${code}` : `signal ${signal}`);
    });
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  send(message: In): void {
    if (!this.stopped && this.process.connected) this.process.send(message as object);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    if (this.process.connected) this.process.disconnect();
  }
}
