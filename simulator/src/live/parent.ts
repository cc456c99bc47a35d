// The other end of a `Child`: how a process of a run speaks to the run, and outlives its end.

/** What may end a run: Ctrl-C, `kill` and `timeout`, a terminal that is closed. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Tells the run; one that is gone, or goes meanwhile, is told nothing. */
export function tellParent(message: object): void {
  // Without a callback a failure ends the process, with a stack trace.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/**
 * Ends this process when the run lets go of it or is gone, also after a `kill -9`: once `leave` has
 * settled. Signals that end a run may reach each of its processes; the run decides when they may go.
 */
export function endWithParent(leave: () => void | Promise<void> = () => undefined): void {
  for (const signal of ENDING_SIGNALS) process.on(signal, () => undefined);
  const end = async () => {
    try {
      await leave();
    } finally {
      process.exit();
    }
  };
  // It may have gone while our modules were loaded.
  if (process.connected) process.once('disconnect', end);
  else void end();
}
