// Gathers changes and commits them in groups: one transaction serves all requests that wait.

import { type Changes, noChanges, type Store } from './store.ts';

/** Changes that nobody waits for are written at least so often. */
const LAZY_MS = 500;
/** Reports that wait for a store that fails; the oldest are dropped beyond it. */
const PENDING_REPORT_COUNT_MAX = 100_000;

export class Journal {
  /** Put changes here, then call `flushed` or `soon`. */
  pending: Changes = noChanges();
  private readonly store: Store;
  /** Adds what is gathered elsewhere; called right before each commit. */
  private readonly gather: (changes: Changes) => void;
  private readonly onError: (error: unknown) => void;
  private next: Promise<void> | undefined;
  private running: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  constructor(store: Store, gather: (changes: Changes) => void, onError: (error: unknown) => void) {
    this.store = store;
    this.gather = gather;
    this.onError = onError;
  }

  /** Resolves when all that is pending now is stored; rejects when it could not be. */
  flushed(): Promise<void> {
    this.next ??= this.afterRunning();
    return this.next;
  }

  /** Stores what is pending within LAZY_MS. */
  soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.flushed().catch(this.onError);
    }, LAZY_MS).unref();
  }

  /** Stores what is pending, and stops. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.flushed();
    clearTimeout(this.timer);
  }

  private async afterRunning(): Promise<void> {
    // Whoever comes while the last group is being written joins this one.
    await this.running;
    await new Promise((resolve) => setImmediate(resolve));
    this.next = undefined;
    this.gather(this.pending);
    const changes = this.pending;
    this.pending = noChanges();
    if (isEmpty(changes)) return;
    const commit = this.store.commit(changes);
    // What could not be written (a full disk) is tried again with what comes after it.
    this.running = commit.catch(() => {
      this.pending = merge(changes, this.pending);
    });
    await commit;
  }
}

function isEmpty(changes: Changes): boolean {
  return Object.values(changes).every((part) =>
    Array.isArray(part) ? part.length === 0 : (part as Set<unknown>).size === 0,
  );
}

function merge(earlier: Changes, later: Changes): Changes {
  return {
    settings: new Map([...earlier.settings, ...later.settings]),
    releases: new Map([...earlier.releases, ...later.releases]),
    removedReleases: new Set([...earlier.removedReleases, ...later.removedReleases]),
    deltas: [...earlier.deltas, ...later.deltas],
    devices: new Map([...earlier.devices, ...later.devices]),
    rollouts: new Map([...earlier.rollouts, ...later.rollouts]),
    events: [...earlier.events, ...later.events],
    // The disk may stay full for long: of the audit, the oldest waiting lines go first.
    reports: [...earlier.reports, ...later.reports].slice(-PENDING_REPORT_COUNT_MAX),
  };
}
