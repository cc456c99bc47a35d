// The summary as JUnit XML, which every CI reads: a test case per threshold, one for the ledger,
// and one more when the run ended early.

import type { ThresholdResult } from '../metrics/thresholds.ts';
import { formatReasons } from './format.ts';
import { type Ledger, reproduceCommand, type Summary } from './summary.ts';

interface TestCase {
  readonly name: string;
  /** Absent = passed. */
  readonly failure?: { readonly type: string; readonly message: string };
}

/** The whole document. */
export function renderJunit(summary: Summary): string {
  const { scenario, seed, devices, broker, performance } = summary;
  const cases = [
    ...summary.thresholds.map((result) => thresholdCase(result, summary.ledger)),
    ledgerCase(summary.ledger),
    ...judgeCase(summary),
    ...endCase(summary),
  ];
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const time = (performance.wallMs / 1000).toFixed(3);
  const totals = { tests: cases.length, failures, errors: 0, skipped: 0, time };
  const suite = {
    name: scenario,
    ...totals,
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

function renderCase({ name, failure }: TestCase, summary: Summary): string[] {
  // The suite's time is the run's; a threshold takes none of its own.
  const open = `    <testcase${attributes({ name, classname: summary.scenario, time: '0.000' })}`;
  if (failure === undefined) return [`${open}/>`];
  const text = escapeXml(`${failure.message}\nreproduce: ${reproduceCommand(summary)}`);
  return [`${open}>`, `      <failure${attributes(failure)}>${text}</failure>`, '    </testcase>'];
}

function thresholdCase(
  { metric, expression, value, ok }: ThresholdResult,
  { droppedBy }: Ledger,
): TestCase {
  const name = `${metric}: ${expression}`;
  if (ok) return { name };
  const causes = metric.startsWith('messages_dropped') ? `: ${formatReasons(droppedBy)}` : '';
  const measured = value === null ? 'nothing was measured' : `it is ${value}${causes}`;
  return { name, failure: { type: 'threshold', message: `${name}: ${measured}` } };
}

function ledgerCase({ produced, balanced, duplicated: _, ...rest }: Ledger): TestCase {
  const name = 'the ledger balances';
  if (balanced) return { name };
  const { droppedBy, ...terms } = rest;
  const causes = Object.keys(droppedBy).length > 0 ? ` (${formatReasons(droppedBy)})` : '';
  const sum = Object.entries(terms).map(([term, count]) => {
    return `${term} ${count}${term === 'dropped' ? causes : ''}`;
  });
  return {
    name,
    failure: { type: 'ledger', message: `produced ${produced} is not ${sum.join(' + ')}` },
  };
}

function judgeCase({ judged }: Summary): TestCase[] {
  if (judged.ok) return [];
  const failure = { type: 'judge', message: judged.reason };
  return [{ name: 'the run could be judged', failure }];
}

function endCase({ interrupted, abortedBy }: Summary): TestCase[] {
  if (interrupted !== true && abortedBy === undefined) return [];
  const message = interrupted === true ? 'interrupted' : `ended early by ${abortedBy}`;
  return [{ name: 'the run came to its end', failure: { type: 'end', message } }];
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
