import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Registry } from '../../src/metrics/registry.ts';
import type { Snapshot } from '../../src/metrics/snapshot.ts';
import { Progress } from '../../src/report/progress.ts';

const FLEETS = [
  { name: 'thermometers', count: 800 },
  { name: 'doors', count: 200 },
];

function snapshot(connected: number, acknowledged: number): Snapshot {
  const registry = new Registry(FLEETS.map(({ name }) => name));
  for (const fleet of FLEETS.keys()) {
    registry.gauge('devices_connected', fleet).set(connected);
    registry.counter('messages_produced', fleet).add(acknowledged + 1);
    registry.counter('messages_acknowledged', fleet).add(acknowledged);
  }
  return registry.snapshot();
}

/** A terminal that understands the three sequences in use; `screen` is what one sees. */
class Terminal {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows: number;
  readonly screen: string[] = [''];
  row = 0;

  constructor(columns = 120, rows = 24) {
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
    for (const [part, up, rest] of text.matchAll(/\u001b\[(\d*)([AKJ])|\n|[^\u001b\n]+/g)) {
      if (rest === 'A') this.row -= Number(up);
      else if (rest === 'K') this.screen[this.row] = '';
      else if (rest === 'J') this.screen.splice(this.row, Number.POSITIVE_INFINITY, '');
      else if (part === '\n') this.screen[++this.row] ??= '';
      else this.screen[this.row] += part;
      expect(this.row).toBeGreaterThanOrEqual(0);
    }
  }
}

class Log {
  text = '';
  write(text: string): void {
    this.text += text;
  }
}

describe('on a terminal', () => {
  it('redraws one line per fleet and leaves nothing behind', () => {
    const terminal = new Terminal();
    terminal.write('before\n');
    const progress = new Progress({ stream: terminal, fleets: FLEETS, durationMs: 20_000 });
    progress.start();
    expect(terminal.screen).toEqual([
      'before',
      'thermometers ░░░░░░░░░░░░░░░░░░░░  0/20s  connected 0/800  produced 0  acknowledged 0  0.00/s',
      'doors        ░░░░░░░░░░░░░░░░░░░░  0/20s  connected 0/200  produced 0  acknowledged 0  0.00/s',
      '',
    ]);
    progress.update(snapshot(100, 1_000), 2_000);
    progress.update(snapshot(200, 4_000), 5_000);
    expect(terminal.screen).toEqual([
      'before',
      'thermometers █████░░░░░░░░░░░░░░░  5/20s  connected 200/800  produced 4,001  acknowledged 4,000  1,000/s',
      'doors        █████░░░░░░░░░░░░░░░  5/20s  connected 200/200  produced 4,001  acknowledged 4,000  1,000/s',
      '',
    ]);
    progress.update(snapshot(200, 4_000), 23_000);
    expect(terminal.screen[1]).toContain('████████████████████ settling 3s');
    progress.stop();
    progress.stop();
    expect(terminal.screen).toEqual(['before', '']);
    expect(terminal.row).toBe(1);
  });

  it('never wraps nor scrolls, however small the window', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.integer({ min: 3, max: 6 }),
        (columns, rows) => {
          const terminal = new Terminal(columns, rows);
          const progress = new Progress({ stream: terminal, fleets: FLEETS, durationMs: 20_000 });
          progress.start();
          progress.update(snapshot(1, 1), 500);
          expect(Math.max(...terminal.screen.map((line) => line.length))).toBeLessThan(columns);
          expect(terminal.screen.length).toBeLessThan(rows);
        },
      ),
    );
  });

  it('sums the fleets up when they are more than the lines of the window', () => {
    const terminal = new Terminal(120, 3);
    const progress = new Progress({ stream: terminal, fleets: FLEETS, durationMs: 20_000 });
    progress.update(snapshot(100, 1_000), 2_000);
    expect(terminal.screen).toEqual([
      'all fleets ██░░░░░░░░░░░░░░░░░░  2/20s  connected 200/1,000  produced 2,002  acknowledged 2,000  1,000/s',
      '',
    ]);
  });
});

describe('elsewhere', () => {
  it('writes one plain line every five seconds, with the rate since the last one', () => {
    const log = new Log();
    const progress = new Progress({ stream: log, fleets: FLEETS, durationMs: 12_000 });
    progress.start();
    for (let ms = 500; ms <= 15_500; ms += 500) progress.update(snapshot(100, ms ** 2 / 1_000), ms);
    progress.stop();
    expect(log.text).toBe(
      [
        ' 5/12s  connected 200/1,000  produced 50,002  acknowledged 50,000  10,000/s',
        '10/12s  connected 200/1,000  produced 200,002  acknowledged 200,000  30,000/s',
        'settling 3s  connected 200/1,000  produced 450,002  acknowledged 450,000  50,000/s',
        '',
      ].join('\n'),
    );
  });

  it('catches up after a pause with one line', () => {
    const log = new Log();
    const progress = new Progress({ stream: log, fleets: FLEETS, durationMs: 60_000 });
    progress.update(snapshot(1, 1), 17_000);
    progress.update(snapshot(1, 1), 19_900);
    progress.update(snapshot(1, 1), 20_000);
    expect(log.text.split('\n').map((line) => line.slice(0, 6))).toEqual(['17/60s', '20/60s', '']);
  });
});
