// The other end of a `Child`: how a process of a run speaks to the run.

/** Tells the run; one that is gone, or goes meanwhile, is told nothing. */
export function tellParent(message: object): void {
  // Without a callback a failure ends the process, with a stack trace.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
