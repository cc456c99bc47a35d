// Readers that leave: `flotilla-boot flash dump chip.bin | head`. That is no failure, and nothing is
// printed about it. A command that has something to put away is told, any other ends at once.

const listeners = new Set<() => void>();
let watched = false;
let closed = false;

/** From now on a reader of stdout or stderr that has left ends the process, or what listens. */
export function watchOutputs(): void {
  if (watched) return;
  watched = true;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      onClosed();
    });
  }
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

/** Resolves at the first Ctrl-C or SIGTERM (the next one kills), or when nobody reads any more. */
export function untilInterrupted(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  whenOutputCloses(resolve);
  return promise;
}
