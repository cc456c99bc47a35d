import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { RunClock, startRun } from '../../src/live/run-clock.ts';

describe('the clock of a run', () => {
  test('stands still while it is held, and then shows the true time again', async () => {
    const clock = new RunClock(startRun());
    clock.hold();
    const heldMs = clock.monotonicMs();
    await sleep(20);
    expect(clock.monotonicMs()).toBe(heldMs);
    expect(clock.epochMs() - heldMs).toBeGreaterThan(1.7e12);
    clock.letGo();
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(heldMs + 15);
  });
});
