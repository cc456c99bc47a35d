// Live progress: on a terminal a few lines, redrawn in place; elsewhere (CI logs, pipes, a dumb
// terminal) one plain line every few seconds.

import type { MetricName } from '../metrics/names.ts';
import { type Snapshot, taggedName } from '../metrics/snapshot.ts';
import type { OutputStream } from './display.ts';
import { formatInteger, formatPerSecond } from './format.ts';

interface ProgressFleet {
  readonly name: string;
  readonly count: number;
}

/** What the run goes on for: until `metric` is as large as the number of devices concerned. */
export interface Goal {
  readonly metric: MetricName;
  /** `updated`. */
  readonly word: string;
  /** Names of the fleets that it is about. */
  readonly fleets: readonly string[];
}

export interface ProgressOptions {
  readonly stream: OutputStream;
  /** False: plain lines. */
  readonly redraws: boolean;
  readonly fleets: readonly ProgressFleet[];
  readonly durationMs: number;
  /** Absent: the run goes on for its duration. */
  readonly goal?: Goal;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** One line of a screen: a fleet, or all of them. */
interface Row {
  readonly label: string;
  readonly fleet: string | undefined;
  readonly count: number;
}

/** What a run is at while devices sample; whatever it is at else is told in words. */
const RUNNING = 'running';
/** A start that takes longer is told. */
const PATIENCE_MS = 2_000;
/** Between two plain lines. */
const PLAIN_INTERVAL_MS = 5_000;
const TICK_MS = 500;
/** Few, so that a bar does not change its width with every digit beside it. */
const BAR_WIDTHS = [20, 10, 5];
const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;
const GAP = '  ';

const CURSOR_UP = (count: number) => (count > 0 ? `\u001b[${count}A` : '');
const CLEAR_REST_OF_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/**
 * `start`, `phase` and `update` as often as wanted, then `stop`, which leaves a terminal clean.
 * Goes on by itself where neither comes.
 */
export class Progress {
  private readonly options: ProgressOptions;
  private readonly startMs: number;
  private ticker: NodeJS.Timeout | undefined;
  /** What is on the screen. */
  private drawn: readonly string[] = [];
  private nextPlainMs = PATIENCE_MS;
  private what = '';
  private whatSinceMs: number;
  /** Since the scenario began, at `updatedMs`; before that no snapshot came. */
  private elapsedMs = 0;
  private updatedMs: number | undefined;
  private snapshot: Snapshot = {};
  /** What rates are counted from. */
  private previous: Snapshot = {};
  private previousMs = 0;
  /** Acknowledged per second, by label of a row. */
  private readonly rates = new Map<string, number>();

  constructor(options: ProgressOptions) {
    this.options = options;
    this.startMs = options.nowMs();
    this.whatSinceMs = this.startMs;
  }

  start(): void {
    this.ticker ??= setInterval(() => this.show(), TICK_MS).unref();
  }

  /** What the run is at from now on: `running`, or words such as `starting the observer`. */
  phase(what: string): void {
    this.what = what;
    this.whatSinceMs = this.options.nowMs();
    if (what === RUNNING) {
      this.nextPlainMs = PLAIN_INTERVAL_MS;
      this.updatedMs = this.whatSinceMs;
    }
    this.show();
  }

  /** `elapsedMs` since the scenario began. */
  update(snapshot: Snapshot, elapsedMs: number): void {
    this.snapshot = snapshot;
    this.elapsedMs = elapsedMs;
    this.updatedMs = this.options.nowMs();
    if (this.options.redraws) this.measure();
    this.show();
  }

  /** Takes what is drawn off the screen, so that something else can be written. */
  clear(): void {
    if (this.drawn.length > 0) this.options.stream.write(`${this.home()}${CLEAR_BELOW}`);
    this.drawn = [];
  }

  stop(): void {
    clearInterval(this.ticker);
    this.ticker = undefined;
    this.clear();
  }

  private show(): void {
    if (this.options.redraws) this.draw();
    else this.writePlain();
  }

  // A terminal.

  private draw(): void {
    const lines = this.lines();
    const text = lines.map((line) => `${line}${CLEAR_REST_OF_LINE}\n`).join('');
    this.options.stream.write(`${this.home()}${text}${CLEAR_BELOW}`);
    this.drawn = lines;
  }

  /** To where the drawn lines begin: a terminal that became narrower has wrapped them. */
  private home(): string {
    const { columns } = this;
    const rows = this.drawn.map((line) => Math.max(1, Math.ceil(line.length / columns)));
    return `\r${CURSOR_UP(rows.reduce((sum, count) => sum + count, 0))}`;
  }

  private get columns(): number {
    return this.options.stream.columns || COLUMNS_DEFAULT;
  }

  /** Lines that do not wrap, and no more than the screen has: others could not be drawn over. */
  private lines(): string[] {
    const width = this.columns - 1;
    const room = Math.max(1, (this.options.stream.rows || ROWS_DEFAULT) - 2);
    let lines = [`${this.what}  ${seconds(this.options.nowMs() - this.whatSinceMs)}`];
    if (this.updatedMs !== undefined) {
      const { fleets } = this.options;
      lines = this.fit(
        fleets.map(({ name, count }) => ({ label: name, fleet: name, count })),
        width,
      );
      if (lines.length > room) lines = this.fit([this.total], width);
    }
    return lines.slice(0, room).map((line) => line.slice(0, width));
  }

  /** With the widest bar that takes no line of its own; without one where there is no such bar. */
  private fit(rows: readonly Row[], width: number): string[] {
    const labelWidth = Math.max(...rows.map(({ label }) => label.length));
    const linesOf = (row: Row, barWidth: number) => {
      const bar = barWidth === 0 ? ' ' : ` ${barOf(this.share(row), barWidth)} `;
      const head = `${row.label.padEnd(labelWidth)}${bar}${this.time()}`;
      return wrap([head, ...this.counts(row)], width);
    };
    const bare = rows.flatMap((row) => linesOf(row, 0));
    for (const barWidth of BAR_WIDTHS) {
      const lines = rows.flatMap((row) => linesOf(row, barWidth));
      if (lines.length === bare.length && lines.every(({ length }) => length <= width))
        return lines;
    }
    return bare;
  }

  // Anything else.

  private writePlain(): void {
    const nowMs = this.options.nowMs();
    const hasBegun = this.updatedMs !== undefined;
    const atMs = hasBegun ? this.elapsedNowMs : nowMs - this.startMs;
    if (atMs < this.nextPlainMs) return; // The next rate is over all the time since the last line.
    // In seconds that are easy to read, from the start of the scenario on.
    const beginMs = hasBegun ? atMs - (atMs % PLAIN_INTERVAL_MS) : atMs;
    this.nextPlainMs = beginMs + PLAIN_INTERVAL_MS;
    if (hasBegun) this.measure();
    const line = hasBegun
      ? [this.time(), ...this.counts(this.total)].join(GAP)
      : `${this.what}  ${seconds(nowMs - this.whatSinceMs)}`;
    this.options.stream.write(`${line}\n`);
  }

  // What is told.

  private get total(): Row {
    const count = this.options.fleets.reduce((sum, fleet) => sum + fleet.count, 0);
    return { label: 'all fleets', fleet: undefined, count };
  }

  /** Also while no snapshot comes. */
  private get elapsedNowMs(): number {
    const { elapsedMs, options, updatedMs } = this;
    return elapsedMs + (updatedMs === undefined ? 0 : options.nowMs() - updatedMs);
  }

  /** `12/20s`, `12s` where the duration is only a bound, or `settling 3s`. */
  private time(): string {
    if (this.what !== RUNNING) {
      return `${this.what} ${seconds(this.options.nowMs() - this.whatSinceMs)}`;
    }
    if (this.options.goal !== undefined) return seconds(this.elapsedNowMs);
    const duration = String(Math.round(this.options.durationMs / 1000));
    const elapsed = Math.floor(Math.min(this.elapsedNowMs, this.options.durationMs) / 1000);
    return `${String(elapsed).padStart(duration.length)}/${duration}s`;
  }

  /** How far the run is, 0 to 1. */
  private share(row: Row): number {
    if (this.options.goal === undefined) return this.elapsedNowMs / this.options.durationMs;
    const { done, devices } = this.reached(row) ?? this.reached(this.total)!;
    return done / devices;
  }

  /** Undefined for a fleet that the goal is not about. */
  private reached({ fleet }: Row): { done: number; devices: number } | undefined {
    const { fleets, goal } = this.options;
    if (goal === undefined || (fleet !== undefined && !goal.fleets.includes(fleet))) {
      return undefined;
    }
    const meant = fleets.filter(({ name }) => goal.fleets.includes(name));
    const devices = meant
      .filter(({ name }) => fleet === undefined || name === fleet)
      .reduce((sum, { count }) => sum + count, 0);
    return { done: countIn(this.snapshot, goal.metric, fleet), devices };
  }

  private counts(row: Row): string[] {
    const reached = this.reached(row);
    const value = (name: MetricName) => countIn(this.snapshot, name, row.fleet);
    return [
      ...(reached === undefined
        ? []
        : [`${this.options.goal!.word} ${ratio(reached.done, reached.devices)}`]),
      `connected ${ratio(value('devices_connected'), row.count)}`,
      `produced ${formatInteger(value('messages_produced'))}`,
      `acknowledged ${formatInteger(value('messages_acknowledged'))}`,
      formatPerSecond(this.rates.get(row.label) ?? 0),
    ];
  }

  private measure(): void {
    const s = (this.elapsedMs - this.previousMs) / 1000;
    if (s <= 0) return;
    const labels = [
      ...this.options.fleets.map(({ name }) => [name, name] as const),
      [this.total.label, undefined] as const,
    ];
    for (const [label, fleet] of labels) {
      const acknowledged = (of: Snapshot) => countIn(of, 'messages_acknowledged', fleet);
      this.rates.set(label, (acknowledged(this.snapshot) - acknowledged(this.previous)) / s);
    }
    this.previous = this.snapshot;
    this.previousMs = this.elapsedMs;
  }
}

function countIn(snapshot: Snapshot, name: MetricName, fleet: string | undefined): number {
  const metric = snapshot[fleet === undefined ? name : taggedName(name, fleet)];
  return metric?.kind === 'counter' || metric?.kind === 'gauge' ? metric.value : 0;
}

function barOf(share: number, width: number): string {
  const filled = Math.floor(Math.min(1, share) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

function ratio(part: number, whole: number): string {
  return `${formatInteger(part)}/${formatInteger(whole)}`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)}s`;
}

/** As many parts on a line as fit, the lines after the first indented. */
function wrap(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last === undefined) lines.push(part);
    else if (last.length + GAP.length + part.length <= width) lines.push(lines.pop() + GAP + part);
    else lines.push(GAP + part);
  }
  return lines;
}
