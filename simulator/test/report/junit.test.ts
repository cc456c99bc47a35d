import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeXml, renderJunit } from '../../src/report/junit.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { outcome } from './example.ts';

/** What an XML parser makes of character data: references resolved (XML 1.0 §4.1). */
function resolveReferences(text: string): string {
  return text.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

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

/** Reads our own subset strictly: throws on anything that is not properly nested. */
function parse(xml: string): { name: string; attributes: Record<string, string>; text: string }[] {
  const elements: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const open: typeof elements = [];
  const token = /<(\/?)([a-z]+)((?: [a-zA-Z]+="[^"<]*")*)(\/?)>|([^<]+)/gy;
  const body = xml.replace('<?xml version="1.0" encoding="UTF-8"?>\n', '');
  let consumed = 0;
  for (const [whole, close, name, attributes, empty, text] of body.matchAll(token)) {
    consumed += whole.length;
    if (text !== undefined) {
      const owner = open.at(-1);
      if (owner !== undefined) owner.text += resolveReferences(text);
    } else if (close === '/') {
      expect(open.pop()?.name).toBe(name);
    } else {
      const pairs = [...attributes!.matchAll(/ ([a-zA-Z]+)="([^"]*)"/g)];
      const values = Object.fromEntries(
        pairs.map(([, key, value]) => [key, resolveReferences(value!)]),
      );
      const element = { name: name!, attributes: values, text: '' };
      elements.push(element);
      if (empty !== '/') open.push(element);
    }
  }
  expect(consumed).toBe(body.length);
  expect(open).toEqual([]);
  return elements;
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
    const errors = parse(renderJunit(broken)).filter(({ name }) => name === 'error');
    expect(errors.map(({ attributes }) => attributes.message)).toEqual([
      'produced 8400 is not observed 8399 + lost 0 + unseen 0 + unobservable 0 + dropped 0 + volatile 0 + pending 0',
      'interrupted',
    ]);
    const aborted = parse(renderJunit({ ...good, abortedBy: 'devices: value<1' }));
    expect(aborted.at(-1)?.attributes.message).toBe('ended early by devices: value<1');
    expect(parse(renderJunit(good)).filter(({ name }) => name === 'testcase')).toHaveLength(1);
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

  it('stays well-formed and counts right, whatever the names are', () => {
    const result = fc.record({
      metric: fc.string({ unit: 'binary' }),
      expression: fc.string({ unit: 'binary' }),
      value: fc.oneof(fc.double(), fc.constant(null)),
      ok: fc.boolean(),
    });
    const good = buildSummary(outcome(0, []));
    fc.assert(
      fc.property(fc.array(result), fc.string({ unit: 'binary' }), (thresholds, scenario) => {
        const elements = parse(renderJunit({ ...good, thresholds, scenario }));
        const cases = elements.filter(({ name }) => name === 'testcase');
        const failures = elements.filter(({ name }) => name === 'failure');
        const [suites] = elements;
        expect(cases).toHaveLength(thresholds.length + 1);
        expect(failures).toHaveLength(thresholds.filter(({ ok }) => !ok).length);
        expect(suites!.attributes).toMatchObject({
          tests: String(cases.length),
          failures: String(failures.length),
        });
      }),
    );
  });
});
