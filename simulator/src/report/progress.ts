// Live progress: on a terminal one line per fleet, redrawn in place; elsewhere (CI logs, pipes)
// one plain line every few seconds.

import type { MetricName } from '../metrics/names.ts';
import { type Snapshot, taggedName } from '../metrics/snapshot.ts';
import { formatInteger, formatPerSecond } from './format.ts';

/** Where progress goes: a terminal, or anything that takes text. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface ProgressOptions {
  readonly stream: ProgressStream;
  readonly fleets: readonly { readonly name: string; readonly count: number }[];
  readonly durationMs: number;
}

/** Between two plain lines. */
const PLAIN_INTERVAL_MS = 5_000;
const BAR_WIDTH = 20;
const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;

const CURSOR_UP = (count: number) => (count > 0 ? `\u001b[${count}A` : '');
const CLEAR_LINE = '\u001b[2K';
const CLEAR_BELOW = '\u001b[J';

/** `start`, then `update` as often as wanted, then `stop`, which leaves a terminal clean. */
export class Progress {
  private readonly stream: ProgressStream;
  private readonly fleets: ProgressOptions['fleets'];
  private readonly durationMs: number;
  private drawnCount = 0;
  private nextPlainMs = PLAIN_INTERVAL_MS;
  private previous: Snapshot = {};
  private previousMs = 0;

  constructor({ stream, fleets, durationMs }: ProgressOptions) {
    this.stream = stream;
    this.fleets = fleets;
    this.durationMs = durationMs;
  }

  start(): void {
    if (this.stream.isTTY === true) this.draw({}, 0);
  }

  /** `elapsedMs` since the start of the run; past the duration the run settles. */
  update(snapshot: Snapshot, elapsedMs: number): void {
    if (this.stream.isTTY === true) {
      this.draw(snapshot, elapsedMs);
    } else if (elapsedMs >= this.nextPlainMs) {
      this.nextPlainMs = elapsedMs - (elapsedMs % PLAIN_INTERVAL_MS) + PLAIN_INTERVAL_MS;
      this.stream.write(`${this.plainLine(snapshot, elapsedMs)}\n`);
    } else {
      return; // The next line's rate is over all the time since the last one.
    }
    this.previous = snapshot;
    this.previousMs = elapsedMs;
  }

  stop(): void {
    if (this.drawnCount > 0) this.stream.write(`${CURSOR_UP(this.drawnCount)}${CLEAR_BELOW}`);
    this.drawnCount = 0;
  }

  private draw(snapshot: Snapshot, elapsedMs: number): void {
    const width = (this.stream.columns ?? COLUMNS_DEFAULT) - 1;
    // A line that wraps, or more lines than the screen has, could not be redrawn in place.
    const lines = this.lines(snapshot, elapsedMs).map((line) => line.slice(0, width));
    const text = lines.map((line) => `${CLEAR_LINE}${line}\n`).join('');
    this.stream.write(`${CURSOR_UP(this.drawnCount)}${text}`);
    this.drawnCount = lines.length;
  }

  private lines(snapshot: Snapshot, elapsedMs: number): string[] {
    const total = this.fleets.reduce((sum, { count }) => sum + count, 0);
    const room = (this.stream.rows ?? ROWS_DEFAULT) - 2;
    const rows =
      this.fleets.length <= room
        ? this.fleets.map(({ name, count }) => ({
            label: name,
            fleet: name as string | undefined,
            count,
          }))
        : [{ label: 'all fleets', fleet: undefined, count: total }];
    const width = Math.max(...rows.map(({ label }) => label.length));
    return rows.map(({ label, fleet, count }) => {
      const counts = this.counts(snapshot, elapsedMs, count, fleet);
      return `${label.padEnd(width)} ${this.bar(elapsedMs)}  ${counts}`;
    });
  }

  /** `████░░░░ 12/20s`, then `settling` with the time that it takes. */
  private bar(elapsedMs: number): string {
    const share = Math.min(1, elapsedMs / this.durationMs);
    const filled = Math.floor(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    return `${bar} ${this.time(elapsedMs)}`;
  }

  private time(elapsedMs: number): string {
    const duration = Math.round(this.durationMs / 1000);
    if (elapsedMs > this.durationMs) {
      return `settling ${Math.floor((elapsedMs - this.durationMs) / 1000)}s`;
    }
    const elapsed = Math.floor(elapsedMs / 1000);
    return `${String(elapsed).padStart(String(duration).length)}/${duration}s`;
  }

  private plainLine(snapshot: Snapshot, elapsedMs: number): string {
    const total = this.fleets.reduce((sum, { count }) => sum + count, 0);
    return `${this.time(elapsedMs)}  ${this.counts(snapshot, elapsedMs, total)}`;
  }

  private counts(snapshot: Snapshot, elapsedMs: number, devices: number, fleet?: string): string {
    const value = (from: Snapshot, name: MetricName) => {
      const metric = from[fleet === undefined ? name : taggedName(name, fleet)];
      return metric?.kind === 'counter' || metric?.kind === 'gauge' ? metric.value : 0;
    };
    const connected = value(snapshot, 'devices_connected');
    const produced = value(snapshot, 'messages_produced');
    const acknowledged = value(snapshot, 'messages_acknowledged');
    const seconds = (elapsedMs - this.previousMs) / 1000;
    const change = acknowledged - value(this.previous, 'messages_acknowledged');
    return [
      `connected ${formatInteger(connected)}/${formatInteger(devices)}`,
      `produced ${formatInteger(produced)}`,
      `acknowledged ${formatInteger(acknowledged)}`,
      formatPerSecond(seconds > 0 ? change / seconds : 0),
    ].join('  ');
  }
}
