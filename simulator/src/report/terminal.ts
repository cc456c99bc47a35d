// The summary as people read it in a terminal: verdicts first, then the ledger, then numbers.

import { styleText } from 'node:util';
import { METRICS, type MetricDefinition, type MetricName } from '../metrics/names.ts';
import { type MetricValue, taggedName } from '../metrics/snapshot.ts';
import { parseMetric, type ThresholdResult } from '../metrics/thresholds.ts';
import {
  formatBytes,
  formatInteger,
  formatMs,
  formatPerSecond,
  formatShare,
  formatTrend,
} from './format.ts';
import { type Ledger, reproduceCommand, type Summary } from './summary.ts';
import { describeAttacks, describeRollout, type RolloutSummary } from './updates.ts';

type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow';
type Paint = (style: Style, text: string) => string;

/** Reasons of lost connections that are told: the commonest. */
const REASONS_SHOWN_MAX = 3;

/** Whether a stream shows colours: a terminal, and no NO_COLOR (no-color.org). */
export function hasColor(stream: { isTTY?: boolean; hasColors?: () => boolean }): boolean {
  return stream.isTTY === true && stream.hasColors?.() === true;
}

/** The whole summary, ending in a line break. */
export function renderSummary(summary: Summary, color: boolean): string {
  const paint: Paint = (style, text) =>
    color ? styleText(style, text, { validateStream: false }) : text;
  const sections = [
    heading(summary, paint),
    thresholds(summary, paint),
    ledger(summary, paint),
    applicationErrors(summary, paint),
    ...(summary.rollouts ?? []).map((rollout) => rolloutSection(rollout, paint)),
    attacks(summary, paint),
    fleets(summary, paint),
    metrics(summary, paint),
    verdict(summary, paint),
  ];
  const text = sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `  ${line}`.trimEnd()).join('\n'))
    .join('\n\n');
  return `\n${text}\n`;
}

function plural(count: number, thing: string): string {
  return `${formatInteger(count)} ${thing}${count === 1 ? '' : 's'}`;
}

function heading(summary: Summary, paint: Paint): string[] {
  const { scenario, seed, devices, broker, protocol, mode, performance } = summary;
  const first = [paint('bold', scenario), plural(devices, 'device'), `seed ${seed}`];
  const server = broker === 'embedded' ? 'embedded broker' : broker;
  const time = mode === 'live' ? formatMs(performance.wallMs) : 'virtual time';
  return [first.join(' · '), paint('dim', [server, protocol, time].join(' · '))];
}

/** Cells in columns; the first `left` columns are aligned to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[], left: number): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, index) =>
    Math.max(...rows.map((row) => (row[index] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, index) =>
        index < left ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!),
      )
      .join('  ')
      .trimEnd(),
  );
}

function thresholds({ thresholds: results }: Summary, paint: Paint): string[] {
  if (results.length === 0) return [];
  const rows = columns(
    results.map((result) => [result.metric, result.expression, measured(result)]),
    3,
  );
  const lines = rows.map((row, index) =>
    results[index]!.ok ? `${paint('green', '✓')} ${row}` : paint('red', `✗ ${row}`),
  );
  return [paint('bold', 'THRESHOLDS'), ...lines.map((line) => `  ${line}`)];
}

/** The value that a threshold was judged by, in the unit of its metric. */
function measured({ metric, expression, value }: ThresholdResult): string {
  if (value === null) return 'nothing was measured';
  const parsed = parseMetric(metric);
  const definition = parsed.ok ? METRICS[parsed.name] : undefined;
  if (definition?.kind === 'rate') return formatShare(value);
  if (definition?.kind === 'counter' && expression.trim().startsWith('rate')) {
    return formatPerSecond(value);
  }
  if (definition?.kind === 'trend' && !expression.trim().startsWith('count')) {
    return formatTrend(value, definition.unit);
  }
  return formatInteger(value);
}

/** A rollout, wave by wave. */
function rolloutSection(rollout: RolloutSummary, paint: Paint): string[] {
  const { alerts, head, rows } = describeRollout(rollout);
  // The stages are words, which begin at the left.
  const numbers = columns(
    rows.map((row) => row.slice(0, -1)),
    0,
  );
  const lines = rows.map((row, index) => {
    const line = `${numbers[index]}  ${row.at(-1)}`.trimEnd();
    return `  ${index === 0 ? paint('dim', line) : line}`;
  });
  return [
    `${paint('bold', 'ROLLOUT')}  ${head}`,
    ...lines,
    ...alerts.map((text) => `  ${paint('yellow', `! ${text}`)}`),
  ];
}

/** The attacks that were tried, and what stopped each. */
function attacks({ attacks: all = [] }: Summary, paint: Paint): string[] {
  if (all.length === 0) return [];
  const head = ['ATTACKS', 'devices', 'stopped', 'succeeded'];
  const rows = describeAttacks(all);
  const table = columns(
    [head, ...rows.map(([name, ...rest]) => [`  ${name}`, ...rest.slice(0, 3)])],
    1,
  );
  return boldHead(
    table.map((line, index) => {
      return index === 0 ? `${line}  stopped by` : `${line}  ${rows[index - 1]!.at(-1)}`.trimEnd();
    }),
    paint,
  );
}

/** The terms that follow `observed`, and what each says when it is not zero. */
const LEDGER_TERMS = [
  ['lost', 'never acknowledged by the broker, never received'],
  ['unseen', 'acknowledged by the broker, yet never delivered by it'],
  ['unobservable', 'acknowledged while the subscriber had lost its session'],
  ['dropped', 'given up by the device'],
  ['volatile', 'held in RAM only when a device restarted'],
  ['pending', 'still in a buffer on the device when the run ended'],
] as const satisfies readonly (readonly [keyof Ledger, string])[];

/** Terms that are no loss of a message. */
const HARMLESS: readonly string[] = ['unobservable', 'pending'];

function ledger({ drops, ledger: entries }: Summary, paint: Paint): string[] {
  const rows: [string, string, number, string][] = [
    [' ', 'produced', entries.produced, 'put into their buffers by the devices'],
    ['=', 'observed', entries.observed, 'received from the broker by an independent subscriber'],
    ...LEDGER_TERMS.map(([term, meaning]): [string, string, number, string] => [
      '+',
      term,
      entries[term],
      entries[term] === 0 ? '' : meaning,
    ]),
  ];
  const numbers = columns(
    rows.map(([, , count]) => [formatInteger(count)]),
    0,
  );
  const width = Math.max(...rows.map(([, name]) => name.length));
  const lines = rows.map(([sign, name, count, meaning], index) => {
    const text = `${sign} ${name.padEnd(width)}  ${numbers[index]}`;
    if (index < 2) return `${text}  ${paint('dim', meaning)}`;
    if (count === 0) return paint('dim', text);
    return paint(HARMLESS.includes(name) ? 'yellow' : 'red', `${text}  ${meaning}`);
  });
  return [
    `${paint('bold', 'LEDGER')}  ${paint('dim', 'where every message went')}`,
    ...lines.map((line) => `  ${line}`),
    ...dropNotes(drops, paint),
    ...ledgerNotes(entries, paint),
  ];
}

/** Which fleets dropped messages, and why: the commonest causes first. */
function dropNotes(drops: Summary['drops'] = [], paint: Paint): string[] {
  return drops.map(({ causes, fleet }) => {
    const sorted = Object.entries(causes).sort(([, left], [, right]) => right - left);
    const words = sorted.map(([cause, count]) => `${formatInteger(count)} ${cause}`);
    return `  ${paint('red', `dropped by ${fleet}: ${words.join(', ')}`)}`;
  });
}

/** What the user's applications threw, with device and place. */
function applicationErrors(
  { applicationErrors: errors = [], metrics: snapshot }: Summary,
  paint: Paint,
): string[] {
  if (errors.length === 0) return [];
  const total = countOf(snapshot.application_errors);
  const lines = errors.flatMap(({ count, device, message, place }) => {
    const times = count === 1 ? '' : ` (${formatInteger(count)} times)`;
    return [
      `  ${paint('red', message)}`,
      `    ${paint('dim', `${device}${place === undefined ? '' : ` at ${place}`}${times}`)}`,
    ];
  });
  const shown = errors.reduce((sum, { count }) => sum + count, 0);
  const more = total > shown ? [`  ${paint('dim', `and ${plural(total - shown, 'other')}`)}`] : [];
  const head = `${paint('bold', 'APPLICATION ERRORS')}  ${paint('dim', plural(total, 'exception'))}`;
  return [head, ...lines, ...more];
}

function ledgerNotes({ produced, duplicated, balanced, ...rest }: Ledger, paint: Paint): string[] {
  const notes: string[] = [];
  if (duplicated > 0) {
    const note = `${plural(duplicated, 'message')} arrived more than once, as QoS 1 allows`;
    notes.push(`  ${paint('dim', note)}`);
  }
  if (!balanced) {
    const sum = Object.values(rest).reduce((left, right) => left + right, 0);
    const note = `the terms add up to ${formatInteger(sum)}, not to ${formatInteger(produced)}`;
    notes.push(`  ${paint('red', `✗ ${note}: please report this, it is a bug of flotilla`)}`);
  }
  return notes;
}

/** One row per fleet, where there is more than one. */
function fleets({ metrics: snapshot }: Summary, paint: Paint): string[] {
  const names = Object.keys(snapshot).flatMap(
    (key) => /^devices\{fleet:(.*)\}$/.exec(key)?.[1] ?? [],
  );
  if (names.length < 2) return [];
  const counts = ['devices', 'connected', 'produced', 'observed', 'lost'];
  const energies = names.map((fleet) => snapshot[taggedName('energy_mah_per_day', fleet)]);
  const hasEnergy = energies.some((energy) => energy?.kind === 'trend' && energy.count > 0);
  const head = ['FLEETS', ...counts, 'p95 delivery', ...(hasEnergy ? ['energy a day'] : [])];
  const rows = names.map((fleet) => {
    const value = (metric: MetricName) => snapshot[taggedName(metric, fleet)];
    const count = (metric: MetricName) => formatInteger(countOf(value(metric)));
    const delivery = value('delivery_latency_ms');
    const energy = value('energy_mah_per_day');
    return [
      `  ${fleet}`,
      count('devices'),
      count('devices_connected'),
      count('messages_produced'),
      count('messages_observed'),
      count('messages_lost'),
      delivery?.kind === 'trend' && delivery.count > 0 ? formatMs(delivery.p95) : '-',
      ...(hasEnergy && energy?.kind === 'trend' ? [formatTrend(energy.avg, 'mAh')] : []),
    ];
  });
  return boldHead(columns([head, ...rows], 1), paint);
}

function countOf(metric: MetricValue | undefined): number {
  return metric?.kind === 'counter' || metric?.kind === 'gauge' ? metric.value : 0;
}

/** The word in capitals is bold, the names of the columns are dim. */
function boldHead([head = '', ...rest]: readonly string[], paint: Paint): string[] {
  const [title = ''] = /^[A-Z]+/.exec(head) ?? [];
  return [`${paint('bold', title)}${paint('dim', head.slice(title.length))}`, ...rest];
}

/** Counters with their rates, then trends in a table. The ledger's terms are not repeated. */
function metrics({ metrics: snapshot, run }: Summary, paint: Paint): string[] {
  const seconds = run.durationMs / 1000;
  const trends: string[][] = [];
  const counts: string[][] = [];
  for (const [name, metric] of Object.entries(snapshot)) {
    if (!Object.hasOwn(METRICS, name) || isLedgerTerm(name)) continue;
    if (isLeftOut(METRICS[name as MetricName], metric)) continue;
    if (metric.kind === 'trend') {
      const { min, avg, med, p90, p95, p99, max } = metric;
      const values = [min, avg, med, p90, p95, p99, max];
      const { unit } = METRICS[name as MetricName];
      const format = (one: number) => (metric.count > 0 ? formatTrend(one, unit) : '-');
      trends.push([`  ${name}`, ...values.map(format)]);
    } else if (metric.kind === 'rate') {
      const measuredAny = metric.passes + metric.fails > 0;
      counts.push([`  ${name}`, measuredAny ? formatShare(metric.value) : '-']);
    } else {
      const rate = metric.kind === 'counter' && metric.value > 0 && seconds > 0;
      const perSecond = rate ? [formatPerSecond(metric.value / seconds)] : [];
      counts.push([`  ${name}`, formatInteger(metric.value), ...perSecond]);
    }
  }
  const head = ['LATENCY', 'min', 'avg', 'med', 'p90', 'p95', 'p99', 'max'];
  return [
    ...boldHead(columns([head, ...trends], 1), paint),
    '',
    ...boldHead(columns([['METRICS'], ...counts], 1), paint),
  ];
}

function isLeftOut({ optional }: MetricDefinition, metric: MetricValue): boolean {
  if (optional === undefined) return false;
  if (metric.kind === 'trend') return metric.count === 0;
  return metric.kind === 'rate' ? metric.passes + metric.fails === 0 : metric.value === 0;
}

function isLedgerTerm(name: string): boolean {
  return [...LEDGER_TERMS.map(([term]) => term), 'duplicated'].includes(
    name.replace('messages_', '') as 'lost',
  );
}

function verdict(summary: Summary, paint: Paint): string[] {
  const { performance, interrupted, abortedBy, judged, passed } = summary;
  const { workers, cpuMs, rssBytes, versions } = performance;
  const cost = [
    plural(workers, 'worker'),
    `${formatMs(cpuMs)} CPU`,
    formatBytes(rssBytes),
    ...(versions.node === undefined ? [] : [`Node ${versions.node.replace(/^v/, '')}`]),
  ].join(' · ');
  const { disconnectReasons = {}, warnings = [] } = performance;
  const lines = [paint('dim', cost), '', ...warnings.map((text) => paint('yellow', `! ${text}`))];
  const ends = Object.entries(disconnectReasons).sort(([, a], [, b]) => b - a);
  for (const [reason, count] of ends.slice(0, REASONS_SHOWN_MAX)) {
    lines.push(paint('dim', `disconnected: ${reason} (${formatInteger(count)})`));
  }
  if (warnings.length > 0 || ends.length > 0) lines.push('');
  if (passed) return [...lines, paint('green', paint('bold', 'PASSED'))];
  const crossed = summary.thresholds.filter(({ ok }) => !ok).length;
  const reasons = [
    ...(interrupted === true ? ['interrupted'] : []),
    ...(judged?.ok === false ? [`not judged: ${judged.reason}`] : []),
    ...(abortedBy === undefined ? [] : [`ended early by ${abortedBy}`]),
    ...(crossed === 0 ? [] : [`${plural(crossed, 'threshold')} crossed`]),
    ...(summary.ledger.balanced ? [] : ['the ledger does not balance']),
  ].join(', ');
  const word = interrupted === true ? 'INTERRUPTED' : 'FAILED';
  const [style, rest]: [Style, string] =
    word === 'FAILED'
      ? ['red', `: ${reasons}`]
      : ['yellow', reasons === 'interrupted' ? '' : `: ${reasons}`];
  return [
    ...lines,
    `${paint(style, paint('bold', word))}${rest}`,
    `reproduce: ${reproduceCommand(summary)}`,
  ];
}
