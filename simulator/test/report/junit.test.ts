import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeXml, renderJunit } from '../../src/report/junit.ts';
import { buildSummary, verdictOf } from '../../src/report/summary.ts';
import {
  elementsOf,
  junitMistakes,
  parseXml,
  resolveReferences,
  type XmlElement,
} from '../support/junit-10.ts';
import { outcome } from './example.ts';

/** XML 1.0 §2.2, as the standard writes it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the standard's own table.
const CHARACTERS = /^[\u0009\u000A\u000D\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u;

describe('escaping', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes)),
    fc.constantFrom(
      ']]>',
      '<!--',
      '&amp;',
      '&#0;',
      '"\'>',
      '\r\n\t',
      '\ud800',
      '\udc00\ud800',
      '\ufffe',
    ),
  );

  it('gives text without markup, of allowed characters only, that reads as it was', () => {
    fc.assert(
      fc.property(fc.array(hostile), (parts) => {
        const text = parts.join('');
        const escaped = escapeXml(text);
        expect(escaped).not.toMatch(/[<>"'\t\n\r]|&(?!#\d+;)/);
        expect(escaped).toMatch(CHARACTERS);
        const possible = Array.from(text, (character) =>
          CHARACTERS.test(character) ? character : '\ufffd',
        );
        expect(resolveReferences(escaped)).toBe(possible.join(''));
      }),
      { numRuns: 1_000 },
    );
  });
});

function parse(xml: string): XmlElement[] {
  return elementsOf(parseXml(xml));
}

describe('the document', () => {
  it('is this, for a run that failed', () => {
    const summary = buildSummary(outcome(3));
    const why = `&#10;reproduce: npx flotilla run scenarios/telemetry.yaml --seed 1058653044 --devices 1k --set &#39;fleets[0].qos=1&#39;`;
    expect(renderJunit(summary)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="flotilla" tests="5" failures="2" errors="0" time="21.400">
  <testsuite name="telemetry" tests="5" failures="2" errors="0" time="21.400" skipped="0" timestamp="2026-01-02T03:04:05">
    <properties>
      <property name="seed" value="1058653044"/>
      <property name="devices" value="1000"/>
      <property name="broker" value="mqtt://127.0.0.1:1883"/>
      <property name="scenarioDigest" value="${'d1'.repeat(32)}"/>
    </properties>
    <testcase name="messages_lost: count==0" classname="telemetry" time="0.000">
      <failure type="threshold" message="messages_lost: count==0: it is 6">messages_lost: count==0: it is 6${why}</failure>
    </testcase>
    <testcase name="messages_delivered: rate &#62; 0.999" classname="telemetry" time="0.000"/>
    <testcase name="messages_produced: rate&#62;1000" classname="telemetry" time="0.000">
      <failure type="threshold" message="messages_produced: rate&#62;1000: it is 420">messages_produced: rate&#62;1000: it is 420${why}</failure>
    </testcase>
    <testcase name="delivery_latency_ms{fleet:thermometers}: p(99.9)&#60;500" classname="telemetry" time="0.000"/>
    <testcase name="the ledger balances" classname="telemetry" time="0.000"/>
  </testsuite>
</testsuites>
`);
  });

  it('has a case for a ledger that does not balance and for a run that ended early', () => {
    const good = buildSummary(outcome(0, []));
    const broken = {
      ...good,
      interrupted: true,
      ledger: { ...good.ledger, observed: 8_399, duplicated: 7, balanced: false },
    };
    const dropped = {
      ...good.ledger,
      dropped: 3,
      droppedBy: { 'buffer full': 3 },
      balanced: false,
    };
    expect(renderJunit({ ...good, ledger: dropped })).toContain('dropped 3 (buffer full (3)) + ');
    const errors = parse(renderJunit(broken)).filter(({ name }) => name === 'error');
    expect(errors.map(({ attributes }) => attributes.message)).toEqual([
      'produced 8400 is not observed 8399 + lost 0 + unseen 0 + unobservable 0 + dropped 0 + volatile 0 + pending 0',
      'interrupted',
    ]);
    const aborted = parse(renderJunit({ ...good, abortedBy: 'devices: value<1' }));
    expect(aborted.at(-1)?.attributes.message).toBe('ended early by devices: value<1');
    expect(parse(renderJunit(good)).filter(({ name }) => name === 'testcase')).toHaveLength(1);
  });

  it('tells the causes of drops and of failed connects', () => {
    const thresholds = [
      { metric: 'messages_dropped', expression: 'count==0', value: 3, ok: false },
    ];
    const good = buildSummary(outcome(0, []));
    const ledger = { ...good.ledger, droppedBy: { 'Not authorized': 3 } };
    const failedConnects = { 'connect timed out': 2 };
    const performance = { ...good.performance, failedConnects };
    const elements = parse(renderJunit({ ...good, thresholds, ledger, performance }));
    expect(elements.find(({ name }) => name === 'failure')?.attributes.message).toBe(
      'messages_dropped: count==0: it is 3: Not authorized (3)',
    );
    const properties = elements.filter(({ name }) => name === 'property');
    expect(properties.map(({ attributes }) => attributes)).toEqual(
      expect.arrayContaining([
        { name: 'dropped: Not authorized', value: '3' },
        { name: 'not connected: connect timed out', value: '2' },
      ]),
    );
  });

  it('tells of a run that was not judged an error, and of no threshold that it failed', () => {
    const blind = { ...outcome(3), judged: { ok: false, reason: 'blind\u0007' } as const };
    const elements = parse(renderJunit(buildSummary(blind)));
    expect(elements[0]?.attributes).toMatchObject({ tests: '6', failures: '0', errors: '1' });
    expect(elements[1]?.attributes).toMatchObject({ skipped: '4' });
    const [error] = elements.filter(({ name }) => name === 'error');
    // XML 1.0 has no control characters.
    expect(error?.attributes).toEqual({ type: 'judge', message: 'blind\ufffd' });
  });

  it('says of a threshold that it is implicit, of what its share is, and which fleets cross it', () => {
    const good = buildSummary(outcome(0, []));
    const thresholds = [
      {
        metric: 'devices_connected',
        expression: 'share == 1',
        value: 0.2,
        whole: 500,
        ok: false,
        implicit: true,
        fleets: ['meters'],
      },
    ] as const;
    const elements = parse(renderJunit({ ...good, thresholds }));
    const [failure] = elements.filter(({ name }) => name === 'failure');
    expect(failure?.attributes.message).toBe(
      'devices_connected: share == 1 (implicit): it is 0.2, of 500: meters',
    );
  });

  it('is one that Jenkins takes, whatever the verdict and the names are', () => {
    const text = fc.string({ unit: 'binary' });
    const result = fc.record({
      metric: text,
      expression: text,
      value: fc.oneof(fc.double(), fc.constant(null)),
      ok: fc.boolean(),
    });
    const good = buildSummary(outcome(0, []));
    const ends = fc.record({
      thresholds: fc.array(result),
      scenario: text,
      judged: fc.oneof(
        fc.constant({ ok: true } as const),
        text.map((reason) => ({ ok: false, reason }) as const),
      ),
      isCut: fc.boolean(),
      abortedBy: fc.option(text, { nil: undefined }),
      balanced: fc.boolean(),
    });
    fc.assert(
      fc.property(ends, ({ abortedBy, balanced, isCut, ...more }) => {
        const summary = {
          ...good,
          ...more,
          ledger: { ...good.ledger, balanced },
          ...(isCut ? { interrupted: true } : {}),
          ...(abortedBy === undefined ? {} : { abortedBy }),
        };
        const xml = renderJunit(summary);
        expect(junitMistakes(xml)).toEqual([]);
        const elements = parse(xml);
        const has = (kind: string) => elements.some(({ name }) => name === kind);
        const verdict = verdictOf(summary);
        // A failure is a finding; without a verdict there is none.
        expect(has('failure')).toBe(verdict === 'failed');
        expect(has('error')).toBe(verdict === 'not judged' || verdict === 'interrupted');
        const cases = elements.filter(({ name }) => name === 'testcase');
        expect(cases.length).toBeGreaterThan(summary.thresholds.length);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the rules of junit-10.xsd', () => {
  const report = (inside: string, attributes = 'name="a"') =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${attributes}>${inside}</testsuites>`;
  const suite = (inside: string, sums = 'tests="1" failures="0" errors="0"') =>
    `<testsuite name="a" ${sums}>${inside}</testsuite>`;

  it.each([
    ['skipped of all suites', report('', 'name="a" skipped="0"'), '<testsuites> has skipped'],
    [
      'a suite without a name',
      report('<testsuite tests="0" failures="0" errors="0"/>'),
      '<testsuite> has no name',
    ],
    [
      'a case with an assertion count',
      report(suite('<testcase name="a" assertions="1"/>')),
      '<testcase> has assertions',
    ],
    ['a case out of a suite', report('<testcase name="a"/>'), '<testsuites> holds <testcase>'],
    [
      'a finding out of a case',
      report(suite('<testcase name="a"/><error/>', 'tests="1" failures="0" errors="1"')),
      '<testsuite> holds <error>',
    ],
    ['text in a case', report(suite('<testcase name="a">x</testcase>')), '<testcase> holds text'],
    [
      'a wrong sum',
      report(suite('<testcase name="a"><failure/></testcase>')),
      'failures is 0, not 1',
    ],
    ['a time with a unit', report('', 'name="a" time="3s"'), '<testsuites> takes 3s'],
    [
      'an unknown element',
      report(suite('<testcase name="a"><info/></testcase>')),
      '<info> is no element of a report',
    ],
  ])('refuse %s', (_, xml, mistake) => {
    expect(junitMistakes(xml)).toContain(mistake);
  });
});
