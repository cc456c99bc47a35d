// Moddable's timer.

import { world } from './world.ts';

export default {
  set(callback: () => void, delayMs: number): object {
    const timer = { callback, delayMs, cleared: false };
    world.timers.push(timer);
    return timer;
  },
  clear(timer: { cleared: boolean }): void {
    timer.cleared = true;
  },
};
