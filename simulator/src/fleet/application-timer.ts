// A timer beside a device's own, which is on the wheel: few applications have any.

import type { Timer, TimerTarget } from '@flotilla/sdk';

export class ApplicationTimer implements Timer {
  private readonly target: TimerTarget;
  private handle: NodeJS.Timeout | undefined;

  constructor(target: TimerTarget) {
    this.target = target;
  }

  start(delayMs: number): void {
    clearTimeout(this.handle);
    this.handle = setTimeout(() => this.target.onTimer(), delayMs);
  }

  stop(): void {
    clearTimeout(this.handle);
  }
}
