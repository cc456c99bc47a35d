// Readers that leave: `flotilla-boot flash dump chip.bin | head`. That is no failure, and nothing is
// printed about it. A command that has something to put away is told, any other ends at once.
// An output that cannot be written (a full disk) is told once, and the command ends with 1 at best.

import { constants } from 'node:os';
import { causeOf } from './files.ts';

/** What ends a command: Ctrl-C, `kill` and `timeout`, a terminal that is closed. */
export const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type EndingSignal = (typeof ENDING_SIGNALS)[number];

/** As shells tell that a signal ended a process: 130, 143, 129. */
export function exitCodeOf(signal: EndingSignal): number {
  return 128 + constants.signals[signal];
}

const listeners = new Set<() => void>();
let watched = false;
let closed = false;

/** From now on a reader of stdout or stderr that has left ends the process, or what listens. */
export function watchOutputs(): void {
  if (watched) return;
  watched = true;
  const failed = new Set<string>();
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = process[name];
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A terminal that was closed answers with EIO.
      if (error.code === 'EPIPE' || (error.code === 'EIO' && stream.isTTY)) onClosed();
      else if (!failed.has(name)) {
        failed.add(name);
        // Where it is stderr itself, nobody can be told.
        if (name === 'stdout') console.error(`standard output: ${causeOf(error)}`);
      }
    });
  }
  process.on('exit', (code) => {
    if (failed.size > 0 && code === 0) process.exitCode = 1;
  });
}

function onClosed(): void {
  if (listeners.size === 0) process.exit();
  // Whatever is still written fails in the same way.
  if (closed) return;
  closed = true;
  for (const listener of listeners) listener();
}

/**
 * Calls `listener`, once, when a reader of stdout or stderr has left; the process goes on until the
 * caller lets it end. Returns how to stop listening.
 */
export function whenOutputCloses(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** True where nobody reads any more what a command prints. */
export function isOutputClosed(): boolean {
  return closed;
}

/** Resolves at the first signal that ends a command (the next one kills), or without a reader. */
export function untilInterrupted(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ENDING_SIGNALS) process.once(signal, () => resolve());
  whenOutputCloses(resolve);
  return promise;
}
