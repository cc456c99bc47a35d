import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Registry } from '../../src/metrics/registry.ts';
import type { Snapshot } from '../../src/metrics/snapshot.ts';
import { type Goal, Progress, type ProgressOptions } from '../../src/report/progress.ts';
import { Screen } from '../support/screen.ts';

const FLEETS = [
  { name: 'thermometers', count: 800 },
  { name: 'doors', count: 200 },
];
const GOAL: Goal = { metric: 'devices_updated', word: 'updated', fleets: ['thermometers'] };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function snapshot(connected: number, acknowledged: number, updated = 0): Snapshot {
  const registry = new Registry(FLEETS.map(({ name }) => name));
  for (const fleet of FLEETS.keys()) {
    registry.gauge('devices_connected', fleet).set(connected);
    registry.counter('messages_produced', fleet).add(acknowledged + 1);
    registry.counter('messages_acknowledged', fleet).add(acknowledged);
  }
  registry.gauge('devices_updated', 0).set(updated);
  return registry.snapshot();
}

function progressOn(
  stream: ProgressOptions['stream'],
  more: Partial<ProgressOptions> = {},
): Progress {
  const redraws = stream.isTTY === true;
  return new Progress({
    stream,
    redraws,
    fleets: FLEETS,
    durationMs: 20_000,
    nowMs: () => Date.now(),
    ...more,
  });
}

/** A screen with something on it, which must stay. */
function screenOf(columns = 120, rows = 24): Screen {
  const screen = new Screen(columns, rows);
  screen.write('before\n');
  return screen;
}

class Log {
  text = '';
  write(text: string): void {
    this.text += text;
  }
  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

describe('on a terminal', () => {
  it('redraws one line per fleet and leaves nothing behind', () => {
    const screen = screenOf();
    const progress = progressOn(screen);
    progress.start();
    progress.phase('starting the observer');
    vi.advanceTimersByTime(3_000);
    expect(screen.lines).toEqual(['before', 'starting the observer  3s', '']);
    progress.phase('running');
    expect(screen.lines).toEqual([
      'before',
      'thermometers ░░░░░░░░░░░░░░░░░░░░  0/20s  connected 0/800  produced 0  acknowledged 0  0.00/s',
      'doors        ░░░░░░░░░░░░░░░░░░░░  0/20s  connected 0/200  produced 0  acknowledged 0  0.00/s',
      '',
    ]);
    progress.update(snapshot(100, 1_000), 2_000);
    progress.update(snapshot(200, 4_000), 5_000);
    expect(screen.lines).toEqual([
      'before',
      'thermometers █████░░░░░░░░░░░░░░░  5/20s  connected 200/800  produced 4,001  acknowledged 4,000  1,000/s',
      'doors        █████░░░░░░░░░░░░░░░  5/20s  connected 200/200  produced 4,001  acknowledged 4,000  1,000/s',
      '',
    ]);
    progress.phase('settling');
    progress.update(snapshot(200, 4_000), 20_100);
    vi.advanceTimersByTime(3_000);
    expect(screen.lines[1]).toContain('████████████████████ settling 3s  connected');
    progress.stop();
    progress.stop();
    expect(screen.lines).toEqual(['before', '']);
    vi.advanceTimersByTime(3_000);
    expect(screen.lines).toEqual(['before', '']);
  });

  it('shows in 40 columns all that it shows elsewhere', () => {
    const screen = screenOf(40);
    const progress = progressOn(screen);
    progress.phase('running');
    progress.update(snapshot(200, 4_000), 5_000);
    expect(screen.lines).toEqual([
      'before',
      'thermometers ██░░░░░░░░  5/20s',
      '  connected 200/800  produced 4,001',
      '  acknowledged 4,000  800/s',
      'doors        ██░░░░░░░░  5/20s',
      '  connected 200/200  produced 4,001',
      '  acknowledged 4,000  800/s',
      '',
    ]);
    progress.stop();
    expect(screen.lines).toEqual(['before', '']);
  });

  it('gives up the bar before any count', () => {
    const screen = screenOf(34);
    const progress = progressOn(screen, { fleets: FLEETS.slice(0, 1), goal: GOAL });
    progress.phase('running');
    progress.update(snapshot(200, 4_000, 112), 5_000);
    expect(screen.lines.slice(1)).toEqual([
      'thermometers 5s  updated 112/800',
      '  connected 200/800',
      '  produced 4,001',
      '  acknowledged 4,000  800/s',
      '',
    ]);
  });

  it('never wraps nor scrolls, however small the window', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.integer({ min: 3, max: 9 }),
        fc.boolean(),
        (columns, rows, hasGoal) => {
          const screen = new Screen(columns, rows);
          const progress = progressOn(screen, hasGoal ? { goal: GOAL } : {});
          progress.phase('starting the observer');
          progress.phase('running');
          progress.update(snapshot(1, 1), 500);
          expect(Math.max(...screen.lines.map((line) => line.length))).toBeLessThan(columns);
          expect(screen.lines.length).toBeLessThan(rows);
        },
      ),
    );
  });

  it('stays whole while the window is dragged', () => {
    const width = fc.integer({ min: 20, max: 150 });
    fc.assert(
      fc.property(width, fc.array(width, { minLength: 1, maxLength: 8 }), (first, others) => {
        const screen = screenOf(first);
        const progress = progressOn(screen, { goal: GOAL });
        progress.phase('running');
        for (const [index, columns] of others.entries()) {
          progress.update(snapshot(index, 1_000 * index, 7 * index), 1_000 * index);
          screen.resize(columns);
        }
        progress.update(snapshot(800, 9_999, 444), 9_000);
        const fresh = screenOf(others.at(-1));
        const other = progressOn(fresh, { goal: GOAL });
        other.phase('running');
        // The rate is over the time since the update before.
        const last = others.length - 1;
        other.update(snapshot(last, 1_000 * last, 7 * last), 1_000 * last);
        other.update(snapshot(800, 9_999, 444), 9_000);
        expect(screen.lines).toEqual(fresh.lines);
        expect(screen.lines[0]).toBe('before');
        progress.stop();
        expect(screen.lines).toEqual(['before', '']);
      }),
      { numRuns: 40 },
    );
  });

  it('makes room for what others write, and goes on below', () => {
    const screen = screenOf();
    const progress = progressOn(screen, { fleets: FLEETS.slice(1) });
    progress.phase('running');
    // What a terminal echoes of Ctrl-C.
    screen.write('^C');
    progress.clear();
    screen.write('\nStopping cleanly\n');
    progress.update(snapshot(1, 1), 1_000);
    expect(screen.lines).toEqual([
      'before',
      '',
      'Stopping cleanly',
      'doors █░░░░░░░░░░░░░░░░░░░  1/20s  connected 1/200  produced 2  acknowledged 1  1.00/s',
      '',
    ]);
  });

  it('sums the fleets up when they are more than the lines of the window', () => {
    const screen = new Screen(120, 3);
    const progress = progressOn(screen);
    progress.phase('running');
    progress.update(snapshot(100, 1_000), 2_000);
    expect(screen.lines).toEqual([
      'all fleets ██░░░░░░░░░░░░░░░░░░  2/20s  connected 200/1,000  produced 2,002  acknowledged 2,000  1,000/s',
      '',
    ]);
  });

  it('tells how near the goal is where the duration is only a bound', () => {
    const screen = screenOf(150);
    const progress = progressOn(screen, { durationMs: 1_800_000, goal: GOAL });
    progress.phase('running');
    progress.update(snapshot(200, 0, 400), 12_000);
    expect(screen.lines.slice(1)).toEqual([
      'thermometers ██████████░░░░░░░░░░ 12s  updated 400/800  connected 200/800  produced 1  acknowledged 0  0.00/s',
      'doors        ██████████░░░░░░░░░░ 12s  connected 200/200  produced 1  acknowledged 0  0.00/s',
      '',
    ]);
  });
});

describe('elsewhere', () => {
  it('writes one plain line every five seconds, with the rate since the last one', () => {
    const log = new Log();
    const progress = progressOn(log, { durationMs: 12_000 });
    progress.phase('running');
    for (let ms = 500; ms <= 15_500; ms += 500) {
      vi.advanceTimersByTime(500);
      if (ms === 12_000) progress.phase('settling');
      progress.update(snapshot(100, ms ** 2 / 1_000), ms);
    }
    progress.stop();
    expect(log.lines).toEqual([
      ' 5/12s  connected 200/1,000  produced 50,002  acknowledged 50,000  10,000/s',
      '10/12s  connected 200/1,000  produced 200,002  acknowledged 200,000  30,000/s',
      'settling 3s  connected 200/1,000  produced 450,002  acknowledged 450,000  50,000/s',
    ]);
  });

  it('catches up after a pause with one line', () => {
    const log = new Log();
    const progress = progressOn(log, { durationMs: 60_000 });
    progress.phase('running');
    progress.update(snapshot(1, 1), 17_000);
    progress.update(snapshot(1, 1), 19_900);
    progress.update(snapshot(1, 1), 20_000);
    expect(log.lines.map((line) => line.slice(0, 6))).toEqual(['17/60s', '20/60s']);
  });

  it('tells a start that takes longer than two seconds, and what it is at', () => {
    const log = new Log();
    const progress = progressOn(log);
    progress.start();
    progress.phase('starting a broker');
    vi.advanceTimersByTime(1_500);
    progress.phase('starting the observer');
    expect(log.text).toBe('');
    vi.advanceTimersByTime(6_000);
    progress.phase('starting the devices');
    vi.advanceTimersByTime(1_000);
    expect(log.lines).toEqual(['starting the observer  0s', 'starting the observer  5s']);
    progress.phase('running');
    vi.advanceTimersByTime(4_000);
    expect(log.lines.length).toBe(2);
    progress.stop();
  });

  it('goes on while nothing is heard', () => {
    const log = new Log();
    const progress = progressOn(log, { durationMs: 1_800_000, goal: GOAL });
    progress.start();
    progress.phase('running');
    vi.advanceTimersByTime(1_000);
    progress.update(snapshot(100, 1_000, 115), 1_000);
    vi.advanceTimersByTime(10_000);
    const counts = 'updated 115/800  connected 200/1,000  produced 2,002  acknowledged 2,000';
    expect(log.lines).toEqual([`5s  ${counts}  2,000/s`, `10s  ${counts}  2,000/s`]);
    progress.stop();
    vi.advanceTimersByTime(10_000);
    expect(log.lines.length).toBe(2);
  });

  it('moves no cursor and clears nothing', () => {
    const log = new Log();
    const progress = progressOn(log);
    progress.phase('running');
    progress.update(snapshot(1, 1), 6_000);
    progress.clear();
    progress.update(snapshot(1, 1), 12_000);
    progress.stop();
    expect(log.text).not.toContain('\r');
    expect(log.text).not.toContain('\u001b');
    expect(log.lines.length).toBe(2);
  });
});
