// The watchdog of the main thread over the workers, in each of which the user's applications run: a
// worker that does not come to its next turn hangs.

import type { Heartbeat } from './heartbeat.ts';

const TICK_MS = 500;
/**
 * Ticks without a pulse after which a worker hangs, in an application and elsewhere. Ticks of this
 * thread, not time: while a machine is suspended nobody turns.
 */
const APPLICATION_TICKS_MAX = 10;
const OTHER_TICKS_MAX = 60;

/** Whether one worker still turns. */
export class Watch {
  private readonly heartbeat: Heartbeat;
  private pulse = Number.NaN;
  private stillTicks = 0;

  constructor(heartbeat: Heartbeat) {
    this.heartbeat = heartbeat;
  }

  /** True when the worker hangs. Called at every tick. */
  tick(): boolean {
    const { deviceIndex, pulse } = this.heartbeat;
    if (pulse !== this.pulse) {
      this.pulse = pulse;
      this.stillTicks = 0;
      return false;
    }
    this.stillTicks += 1;
    return this.stillTicks >= (deviceIndex === undefined ? OTHER_TICKS_MAX : APPLICATION_TICKS_MAX);
  }
}

export class Watchdog {
  /** By worker; absent when it ended, or hangs. */
  private readonly watches: (Watch | undefined)[];
  private readonly timer: NodeJS.Timeout;

  /** Begins; `onHang` is told of each worker once. */
  constructor(heartbeats: readonly Heartbeat[], onHang: (worker: number) => void) {
    this.watches = heartbeats.map((heartbeat) => new Watch(heartbeat));
    this.timer = setInterval(() => {
      for (const [worker, watch] of this.watches.entries()) {
        if (watch === undefined || !watch.tick()) continue;
        this.release(worker);
        onHang(worker);
      }
    }, TICK_MS);
  }

  /** A worker ended. */
  release(worker: number): void {
    this.watches[worker] = undefined;
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
