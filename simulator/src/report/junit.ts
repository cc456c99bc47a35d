// The summary as JUnit XML, which every CI reads: a test case per threshold, one for the ledger,
// and one more when the run ended early.

import type { ThresholdResult } from '../metrics/thresholds.ts';
import { type Failure, type Ledger, reproduceCommand, type Summary } from './summary.ts';

interface TestCase {
  readonly name: string;
  /** Absent = passed. */
  readonly failure?: { readonly type: string; readonly message: string };
}

/** The whole document. */
export function renderJunit(summary: Summary): string {
  const { scenario, seed, devices, broker, performance } = summary;
  const cases = [
    ...summary.thresholds.map(thresholdCase),
    ledgerCase(summary.ledger),
    ...endCase(summary),
  ];
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const time = (performance.wallMs / 1000).toFixed(3);
  const totals = { tests: cases.length, failures, errors: 0, skipped: 0, time };
  const suite = { name: scenario, ...totals, timestamp: timestampOf(performance.startedAt) };
  const properties = { seed, devices, broker, scenarioDigest: summary.run.scenarioDigest };
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

/** The whole document of a run that came to no summary: one test case, an error. */
export function renderJunitError({ error, run, scenario, startedAt }: Failure): string {
  const totals = { tests: 1, failures: 0, errors: 1, skipped: 0, time: '0.000' };
  const suite = { name: scenario, ...totals, timestamp: timestampOf(startedAt) };
  const testCase = { name: 'the run came to its end', classname: scenario, time: '0.000' };
  const text = escapeXml(`${error}\n${run.file}`);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'flotilla', ...totals })}>`,
    `  <testsuite${attributes(suite)}>`,
    `    <testcase${attributes(testCase)}>`,
    `      <error${attributes({ type: 'run', message: error })}>${text}</error>`,
    '    </testcase>',
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/** The schema of Jenkins and others: no fraction, no zone. */
function timestampOf(iso: string): string {
  return iso.replace(/(\.\d+)?Z$/, '');
}

function renderCase({ name, failure }: TestCase, summary: Summary): string[] {
  // The suite's time is the run's; a threshold takes none of its own.
  const open = `    <testcase${attributes({ name, classname: summary.scenario, time: '0.000' })}`;
  if (failure === undefined) return [`${open}/>`];
  const text = escapeXml(`${failure.message}\nreproduce: ${reproduceCommand(summary)}`);
  return [`${open}>`, `      <failure${attributes(failure)}>${text}</failure>`, '    </testcase>'];
}

function thresholdCase({ metric, expression, value, ok }: ThresholdResult): TestCase {
  const name = `${metric}: ${expression}`;
  if (ok) return { name };
  const measured = value === null ? 'nothing was measured' : `it is ${value}`;
  return { name, failure: { type: 'threshold', message: `${name}: ${measured}` } };
}

function ledgerCase({ produced, balanced, duplicated: _, ...terms }: Ledger): TestCase {
  const name = 'the ledger balances';
  if (balanced) return { name };
  const sum = Object.entries(terms).map(([term, count]) => `${term} ${count}`);
  return {
    name,
    failure: { type: 'ledger', message: `produced ${produced} is not ${sum.join(' + ')}` },
  };
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
