// Who was the limit: the generator is named where its messages left late, and only there.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  healthWarnings,
  LATE_MS_MAX,
  LATE_MS_MIN,
  LATE_SHARE_MAX,
  latenessMax,
  Punctuality,
  STALL_WINDOW_MS,
  START_UP_MS,
} from '../../src/live/health.ts';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { application, loadedScenario, type ScenarioOptions } from '../support/scenario.ts';

const BEGIN_MS = 5000;
const MAX_MS = 50;

/** One message each `intervalMs`, each as late as `latenessOf` says. */
function punctuality(durationMs: number, latenessOf: (dueMs: number) => number): Punctuality {
  const counted = new Punctuality(BEGIN_MS);
  for (let dueMs = 0; dueMs < durationMs; dueMs += 10) {
    counted.add(BEGIN_MS + dueMs, BEGIN_MS + dueMs + latenessOf(dueMs), MAX_MS);
  }
  return counted;
}

describe('the share of late messages', () => {
  test('is 0 where there is none, and where all are in time', () => {
    expect(new Punctuality(0).lateShare).toBe(0);
    expect(punctuality(60_000, () => MAX_MS).lateShare).toBe(0);
  });

  test('leaves out the start', () => {
    const slowStart = (dueMs: number) => (dueMs < START_UP_MS ? 900 : 0);
    expect(punctuality(5000, slowStart).lateShare).toBe(0);
  });

  test('leaves out a single stall, wherever it falls, but not a second one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: START_UP_MS, max: 20_000 }),
        fc.integer({ min: 100, max: STALL_WINDOW_MS }),
        (atMs, forMs) => {
          // What was due in a stall leaves at its end, at once.
          const stall = (startMs: number, dueMs: number) => {
            return dueMs >= startMs && dueMs < startMs + forMs ? startMs + forMs - dueMs : 0;
          };
          const once = punctuality(40_000, (dueMs) => stall(atMs, dueMs));
          expect(once.lateShare).toBe(0);
          const twice = punctuality(40_000, (dueMs) => {
            return Math.max(stall(atMs, dueMs), stall(atMs + 5000, dueMs));
          });
          expect(twice.lateShare).toBeGreaterThan(0);
        },
      ),
    );
  });

  test('is told where the generator cannot keep up', () => {
    const halfLate = punctuality(30_000, (dueMs) => (dueMs % 1000 < 500 ? 60 : 0));
    expect(halfLate.lateShare).toBeGreaterThan(0.4);
    expect(halfLate.lateShare).toBeLessThan(0.5);
    // Later and later, without end.
    expect(punctuality(30_000, (dueMs) => dueMs / 10).lateShare).toBeGreaterThan(0.8);
  });

  test('how late is late follows the interval, within bounds', () => {
    expect(latenessMax(100)).toBe(LATE_MS_MIN);
    expect(latenessMax(1000)).toBe(100);
    expect(latenessMax(60_000)).toBe(LATE_MS_MAX);
    expect(latenessMax(Number.POSITIVE_INFINITY)).toBe(LATE_MS_MIN);
  });
});

describe('the warning', () => {
  test('is no matter of how busy a worker is', () => {
    const busy = { loopDelayP99Ms: 500, loopUtilization: 1, lateShare: LATE_SHARE_MAX };
    expect(healthWarnings(busy, 0)).toEqual([]);
    expect(healthWarnings({ ...busy, lateShare: 0.25 }, 0)).toEqual([
      expect.stringMatching(/^the generator was the limit, .*25% of its messages.*busy 100%/),
    ]);
  });
});

/** The warnings of a run, and the share of its messages that left late. */
async function warningsOf(options: ScenarioOptions): Promise<{
  warnings: readonly string[];
  lateShare: number;
}> {
  const run = new LiveRun(loadedScenario(options), { workers: 1, onProgress: () => undefined });
  const { performance } = buildSummary(await run.execute());
  const { lateShare } = performance.generator as { lateShare: number };
  return { warnings: performance.warnings ?? [], lateShare };
}

describe('a run', () => {
  test('of devices that do nothing blames nobody', async () => {
    const idle = { name: 'idle', count: 100, interval: '1h', duration: '3s' };
    expect(await warningsOf(idle)).toEqual({ warnings: [], lateShare: 0 });
  });

  test('whose worker is kept busy says that the generator was the limit', async () => {
    const file = application(
      'busy',
      `let isFirst = true;
      export function start(device, platform) {
        if (!isFirst) return;
        isFirst = false;
        const timer = platform.createTimer({
          onTimer() {
            const untilMs = performance.now() + 200;
            while (performance.now() < untilMs);
            timer.start(100);
          },
        });
        timer.start(0);
      }`,
    );
    const { lateShare, warnings } = await warningsOf({
      name: 'busy',
      count: 20,
      fleet: [`application: '${file}'`],
      duration: '7s',
      more: ['settle: 2s'],
    });
    expect(lateShare).toBeGreaterThan(0.1);
    expect(warnings[0]).toMatch(/^the generator was the limit, not the broker: /);
  });
});
