// The summary as people read it in a terminal: verdicts first, then the ledger, then numbers.

import { styleText } from 'node:util';
import { columns } from '@flotilla/command-line/columns';
import { METRICS, type MetricDefinition, type MetricName } from '../metrics/names.ts';
import { type MetricValue, taggedName } from '../metrics/snapshot.ts';
import { parseMetric, type ThresholdResult } from '../metrics/thresholds.ts';
import { wholeOf } from '../metrics/wholes.ts';
import { describeFanOut } from './fan-out.ts';
import {
  formatBytes,
  formatInteger,
  formatMs,
  formatPerDevice,
  formatPerSecond,
  formatReasons,
  formatShare,
  formatTrend,
} from './format.ts';
import { fitColumns, widthOf, wrapLine } from './layout.ts';
import { type Ledger, reproduceCommand, type Summary, type Verdict, verdictOf } from './summary.ts';
import { describeAttacks, describeRollout, type RolloutSummary } from './updates.ts';

type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow';
type Paint = (style: Style, text: string) => string;

/** Reasons of lost connections that are told: the commonest. */
const REASONS_SHOWN_MAX = 3;

/** Of all lines. */
const INDENT = '  ';
/** It is copied, and so stays in one line. */
const REPRODUCE = 'reproduce: ';

export interface SummaryDisplay {
  readonly color: boolean;
  /** Of the terminal; absent: lines may be as long as they are. */
  readonly columns?: number;
}

/** The whole summary, ending in a line break. */
export function renderSummary(summary: Summary, display: SummaryDisplay): string {
  const { color, columns: columnCount = Number.POSITIVE_INFINITY } = display;
  const width = columnCount - INDENT.length;
  const paint: Paint = (style, text) =>
    color ? styleText(style, text, { validateStream: false }) : text;
  const sections = [
    heading(summary, paint),
    thresholds(summary, width, paint),
    ledger(summary, paint),
    applicationErrors(summary, paint),
    ...(summary.rollouts ?? []).map((rollout) => rolloutSection(rollout, paint)),
    attacks(summary, width, paint),
    fanOut(summary, paint),
    fleets(summary, width, paint),
    metrics(summary, width, paint),
    verdict(summary, paint),
  ];
  const text = sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.flatMap((line) => (isCopied(line) ? [line] : wrapLine(line, width))))
    .map((lines) => lines.map((line) => `${INDENT}${line}`.trimEnd()).join('\n'))
    .join('\n\n');
  return `\n${text}\n`;
}

function isCopied(line: string): boolean {
  return line.startsWith(REPRODUCE);
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

function thresholds(summary: Summary, width: number, paint: Paint): string[] {
  const verdict = verdictOf(summary);
  const isJudged = verdict === 'passed' || verdict === 'failed';
  // What every run is asked is told where it was crossed, and counts only for a whole run.
  const results = summary.thresholds.filter(({ implicit, ok }) => {
    return implicit === undefined || (isJudged && !ok);
  });
  const held = summary.thresholds.filter(({ implicit, ok }) => implicit && isJudged && ok);
  if (results.length + held.length === 0) return [];
  const hasNotes = results.some(({ implicit }) => implicit);
  const cells = results.map((result) => {
    const note = hasNotes ? [noteOf(result)] : [];
    return [result.metric, result.expression, measured(result), ...note];
  });
  let rows = columns(cells, 4);
  if (Math.max(...rows.map(widthOf)) + 4 > width) {
    // The name above, what is said of it below.
    const below = columns(
      cells.map(([, ...rest]) => rest),
      3,
    );
    rows = cells.map(([name], index) => `${name}\n      ${below[index]}`);
  }
  const lines = rows.map((row, index) =>
    results[index]!.ok ? `${paint('green', '✓')} ${row}` : paint('red', `✗ ${row}`),
  );
  if (held.length > 0) {
    lines.push(paint('dim', `✓ implicit: ${held.map(({ metric }) => metric).join(', ')}`));
  }
  return [paint('bold', 'THRESHOLDS'), ...lines.flatMap((line) => `  ${line}`.split('\n'))];
}

/** Of one that the scenario does not name, with the fleets that cross it. */
function noteOf({ fleets: crossing = [], implicit }: ThresholdResult): string {
  if (implicit === undefined) return '';
  return crossing.length === 0 ? 'implicit' : `implicit: ${crossing.join(', ')}`;
}

/** The value that a threshold was judged by, in the unit of its metric. */
function measured({ metric, expression, value, whole }: ThresholdResult): string {
  if (value === null) return 'nothing was measured';
  const parsed = parseMetric(metric);
  const definition = parsed.ok ? METRICS[parsed.name] : undefined;
  if (parsed.ok && whole !== undefined) return share(parsed.name, value, whole);
  if (definition?.kind === 'rate') return formatShare(value);
  if (definition?.kind === 'counter' && expression.trim().startsWith('rate')) {
    return formatPerSecond(value);
  }
  if (definition?.kind === 'trend' && !expression.trim().startsWith('count')) {
    return formatTrend(value, definition.unit);
  }
  return formatInteger(value);
}

/** A part of the same as its whole, or so much of another kind for each. */
function share(metric: MetricName, value: number, whole: number): string {
  if (METRICS[wholeOf(metric)!].unit !== METRICS[metric].unit) return formatPerDevice(value);
  const part = formatInteger(Math.round(value * whole));
  return `${formatShare(value)} (${part} of ${formatInteger(whole)})`;
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
function attacks({ attacks: all = [] }: Summary, width: number, paint: Paint): string[] {
  if (all.length === 0) return [];
  const head = ['ATTACKS', 'devices', 'stopped', 'succeeded'];
  const rows = describeAttacks(all);
  const cells = [head, ...rows.map(([name, ...rest]) => [`  ${name}`, ...rest.slice(0, 3)])];
  const table = columns(fitColumns(cells, [1, 2], width), 1);
  return boldHead(
    table.map((line, index) => {
      return index === 0 ? `${line}  stopped by` : `${line}  ${rows[index - 1]!.at(-1)}`.trimEnd();
    }),
    paint,
  );
}

/** What subscribers of the fleet received. */
function fanOut({ fanOut: all = [] }: Summary, paint: Paint): string[] {
  return all.length === 0 ? [] : boldHead(columns(describeFanOut(all), 1), paint);
}

/** The terms that follow `observed`, and what each says when it is not zero; '' = its causes. */
const LEDGER_TERMS = [
  ['lost', 'never acknowledged by the broker, never received'],
  ['unseen', 'acknowledged by the broker, yet never delivered by it'],
  ['unobservable', 'acknowledged while that subscriber could not see what was delivered'],
  ['dropped', ''],
  ['volatile', 'held in RAM only when a device restarted'],
  ['pending', 'still in a buffer on the device when the run ended'],
] as const satisfies readonly (readonly [keyof Ledger, string])[];

/** Terms that are no loss of a message. */
const HARMLESS: readonly string[] = ['unobservable', 'pending'];

function ledger(summary: Summary, paint: Paint): string[] {
  const { ledger: entries } = summary;
  const rows: [string, string, number, string][] = [
    [' ', 'produced', entries.produced, 'put into their buffers by the devices'],
    ['=', 'observed', entries.observed, 'received from the broker by an independent subscriber'],
    ...LEDGER_TERMS.map(([term, meaning]): [string, string, number, string] => [
      '+',
      term,
      entries[term],
      entries[term] === 0 ? '' : meaning || formatReasons(entries.droppedBy),
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
    ...dropNotes(summary, paint),
    ...ledgerNotes(entries, paint),
  ];
}

/** What each fleet dropped, where there is more than one. */
function dropNotes({ drops = [], metrics: snapshot }: Summary, paint: Paint): string[] {
  if (fleetNames(snapshot).length < 2) return [];
  return drops.map(({ causes, fleet }) => {
    return `  ${paint('red', `dropped by ${fleet}: ${formatReasons(causes)}`)}`;
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

function ledgerNotes(entries: Ledger, paint: Paint): string[] {
  const { produced, duplicated, droppedBy, balanced, ...rest } = entries;
  const notes: string[] = [];
  if (duplicated > 0) {
    const note = `${plural(duplicated, 'message')} arrived more than once, as QoS 1 allows`;
    notes.push(`  ${paint('dim', note)}`);
  }
  if (!balanced) {
    const sum = Object.values(rest).reduce((left, right) => left + right, 0);
    const note =
      sum === produced
        ? `the causes of what was dropped are ${formatReasons(droppedBy)}`
        : `the terms add up to ${formatInteger(sum)}, not to ${formatInteger(produced)}`;
    notes.push(`  ${paint('red', `✗ ${note}: please report this, it is a bug of flotilla`)}`);
  }
  return notes;
}

/** One row per fleet, where there is more than one. */
function fleets({ metrics: snapshot }: Summary, width: number, paint: Paint): string[] {
  const names = fleetNames(snapshot);
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
  // Whether all came through is what matters most.
  return boldHead(columns(fitColumns([head, ...rows], [3, 1, 7, 6, 4, 2], width), 1), paint);
}

function fleetNames(snapshot: Summary['metrics']): string[] {
  return Object.keys(snapshot).flatMap((key) => /^devices\{fleet:(.*)\}$/.exec(key)?.[1] ?? []);
}

function countOf(metric: MetricValue | undefined): number {
  return metric?.kind === 'counter' || metric?.kind === 'gauge' ? metric.value : 0;
}

/** The word in capitals is bold, the names of the columns are dim. */
function boldHead([head = '', ...rest]: readonly string[], paint: Paint): string[] {
  const [title = ''] = /^[A-Z-]+/.exec(head) ?? [];
  return [`${paint('bold', title)}${paint('dim', head.slice(title.length))}`, ...rest];
}

/** Counters with their rates, then trends in a table. The ledger's terms are not repeated. */
function metrics({ metrics: snapshot, run }: Summary, width: number, paint: Paint): string[] {
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
  // Of the times p95, median and maximum stay longest, of the counts the sums.
  return [
    ...boldHead(columns(fitColumns([head, ...trends], [4, 1, 2, 6, 7, 3], width), 1), paint),
    '',
    ...boldHead(columns(fitColumns([['METRICS'], ...counts], [2], width), 1), paint),
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
  const { performance } = summary;
  const { workers, cpuMs, rssBytes, versions } = performance;
  const cost = [
    plural(workers, 'worker'),
    `${formatMs(cpuMs)} CPU`,
    formatBytes(rssBytes),
    ...(versions.node === undefined ? [] : [`Node ${versions.node.replace(/^v/, '')}`]),
  ].join(' · ');
  const { disconnectReasons = {}, failedConnects = {}, warnings = [] } = performance;
  const lines = [paint('dim', cost), '', ...warnings.map((text) => paint('yellow', `! ${text}`))];
  const ends = Object.entries(disconnectReasons).sort(([, a], [, b]) => b - a);
  for (const [reason, count] of ends.slice(0, REASONS_SHOWN_MAX)) {
    lines.push(paint('dim', `disconnected: ${reason} (${formatInteger(count)})`));
  }
  const failures = formatReasons(failedConnects);
  if (failures !== '') lines.push(paint('dim', `not connected: ${failures}`));
  if (warnings.length > 0 || ends.length > 0 || failures !== '') lines.push('');
  const word = verdictOf(summary);
  const text = paint(VERDICT_STYLES[word], paint('bold', word.toUpperCase()));
  if (word === 'passed') return [...lines, text];
  const reasons = reasonsOf(summary).join(', ');
  return [
    ...lines,
    reasons === '' ? text : `${text}: ${reasons}`,
    `${REPRODUCE}${reproduceCommand(summary)}`,
  ];
}

const VERDICT_STYLES = {
  passed: 'green',
  failed: 'red',
  'not judged': 'yellow',
  interrupted: 'yellow',
} as const satisfies Record<Verdict, Style>;

/** Why the verdict is not that the run passed. */
function reasonsOf(summary: Summary): string[] {
  const { abortedBy, judged, ledger, thresholds: results } = summary;
  const unjudged = [
    ...(judged.ok ? [] : [judged.reason]),
    ...(ledger.balanced ? [] : ['the ledger does not balance']),
  ];
  const verdict = verdictOf(summary);
  // What else it seems to say is no evidence then.
  if (verdict === 'not judged') return unjudged;
  const isWhole = verdict === 'failed';
  const crossed = results.filter(({ implicit, ok }) => !ok && (isWhole || !implicit)).length;
  return [
    ...(judged.ok ? [] : [judged.reason]),
    ...(abortedBy === undefined ? [] : [`ended early by ${abortedBy}`]),
    ...(crossed === 0 ? [] : [`${plural(crossed, 'threshold')} crossed`]),
  ];
}

/** Of a run that could not start or go on; why is told where errors are. */
export function renderUnjudged(summary: Summary, display: SummaryDisplay): string {
  const word = verdictOf(summary);
  const text = word.toUpperCase();
  const shown = display.color
    ? styleText(VERDICT_STYLES[word], text, { validateStream: false })
    : text;
  return `\n${INDENT}${shown}\n${INDENT}${REPRODUCE}${reproduceCommand(summary)}\n\n`;
}
