// The summary as JUnit XML, which every CI reads: a test case per threshold, one for the ledger,
// and one more when the run could not be judged or ended early. A threshold that was crossed is a
// failure; that nothing can be said is an error, and then no threshold is told either way.

import type { ThresholdResult } from '../metrics/thresholds.ts';
import { formatReasons } from './format.ts';
import { type Ledger, reproduceCommand, type Summary, type Verdict, verdictOf } from './summary.ts';

interface TestCase {
  readonly name: string;
  /** Absent = passed. */
  readonly finding?: {
    readonly kind: 'failure' | 'error' | 'skipped';
    readonly type: string;
    readonly message: string;
  };
}

/** The whole document. */
export function renderJunit(summary: Summary): string {
  const { scenario, seed, devices, broker, performance } = summary;
  const verdict = verdictOf(summary);
  const cases = [
    ...summary.thresholds.map((result) => thresholdCase(result, verdict, summary.ledger)),
    ledgerCase(summary.ledger),
    ...judgeCase(summary),
    ...endCase(summary, verdict),
  ];
  const count = (kind: string) => cases.filter(({ finding }) => finding?.kind === kind).length;
  const totals = {
    tests: cases.length,
    failures: count('failure'),
    errors: count('error'),
    time: (performance.wallMs / 1000).toFixed(3),
  };
  const suite = {
    name: scenario,
    ...totals,
    // Of a suite alone: the schema of Jenkins's xunit plugin, junit-10.xsd, refuses it elsewhere.
    skipped: count('skipped'),
    // The schema of Jenkins and others: no fraction, no zone.
    timestamp: performance.startedAt.replace(/(\.\d+)?Z$/, ''),
  };
  const properties = {
    seed,
    devices,
    broker,
    scenarioDigest: summary.run.scenarioDigest,
    ...named('dropped', summary.ledger.droppedBy),
    ...named('not connected', performance.failedConnects),
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'flotilla', ...totals })}>`,
    `  <testsuite${attributes(suite)}>`,
    '    <properties>',
    ...Object.entries(properties).map(
      ([name, value]) => `      <property${attributes({ name, value })}/>`,
    ),
    '    </properties>',
    ...cases.flatMap((testCase) => renderCase(testCase, summary)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/** Counts by cause as properties. */
function named(what: string, causes: Readonly<Record<string, number>> = {}) {
  return Object.fromEntries(
    Object.entries(causes).map(([cause, count]) => [`${what}: ${cause}`, count]),
  );
}

function renderCase({ name, finding }: TestCase, summary: Summary): string[] {
  // The suite's time is the run's; a threshold takes none of its own.
  const open = `    <testcase${attributes({ name, classname: summary.scenario, time: '0.000' })}`;
  if (finding === undefined) return [`${open}/>`];
  const { kind, message, type } = finding;
  const text = escapeXml(`${message}\nreproduce: ${reproduceCommand(summary)}`);
  const element = `${kind}${attributes({ type, message })}`;
  return [`${open}>`, `      <${element}>${text}</${kind}>`, '    </testcase>'];
}

function thresholdCase(result: ThresholdResult, verdict: Verdict, { droppedBy }: Ledger): TestCase {
  const { metric, expression, fleets = [], implicit, value, whole, ok } = result;
  const name = `${metric}: ${expression}${implicit === undefined ? '' : ' (implicit)'}`;
  if (verdict === 'not judged' || verdict === 'interrupted') {
    return { name, finding: { kind: 'skipped', type: verdict, message: verdict } };
  }
  if (ok) return { name };
  const causes = metric.startsWith('messages_dropped') ? `: ${formatReasons(droppedBy)}` : '';
  const measured = value === null ? 'nothing was measured' : `it is ${value}${causes}`;
  const size = whole === undefined ? '' : `, of ${whole}`;
  const crossing = fleets.length === 0 ? '' : `: ${fleets.join(', ')}`;
  const message = `${name}: ${measured}${size}${crossing}`;
  return { name, finding: { kind: 'failure', type: 'threshold', message } };
}

function ledgerCase({ produced, balanced, duplicated: _, ...rest }: Ledger): TestCase {
  const name = 'the ledger balances';
  if (balanced) return { name };
  const { droppedBy, ...terms } = rest;
  const causes = Object.keys(droppedBy).length > 0 ? ` (${formatReasons(droppedBy)})` : '';
  const sum = Object.entries(terms).map(([term, count]) => {
    return `${term} ${count}${term === 'dropped' ? causes : ''}`;
  });
  const message = `produced ${produced} is not ${sum.join(' + ')}`;
  return { name, finding: { kind: 'error', type: 'ledger', message } };
}

function judgeCase({ judged }: Summary): TestCase[] {
  if (judged.ok) return [];
  const finding = { kind: 'error', type: 'judge', message: judged.reason } as const;
  return [{ name: 'the run could be judged', finding }];
}

function endCase({ interrupted, abortedBy }: Summary, verdict: Verdict): TestCase[] {
  const name = 'the run came to its end';
  if (interrupted === true) {
    return [{ name, finding: { kind: 'error', type: 'end', message: 'interrupted' } }];
  }
  if (abortedBy === undefined) return [];
  const kind = verdict === 'not judged' ? 'skipped' : 'failure';
  return [{ name, finding: { kind, type: 'end', message: `ended early by ${abortedBy}` } }];
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(String(value))}"`)
    .join('');
}

/**
 * Text for an attribute or an element of XML 1.0. What no escape can carry (§2.2: most control
 * characters, lone surrogates, U+FFFE, U+FFFF) becomes U+FFFD; white space survives as a
 * reference, which the normalisation of attributes (§3.3.3) leaves alone.
 */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(FORBIDDEN, '\uFFFD')
    .replaceAll(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are to be found.
const FORBIDDEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g;
