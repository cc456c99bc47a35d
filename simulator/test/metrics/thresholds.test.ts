import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Registry } from '../../src/metrics/registry.ts';
import type { MetricValue, Snapshot } from '../../src/metrics/snapshot.ts';
import {
  abortingThreshold,
  evaluate,
  parseExpression,
  parseMetric,
  type Threshold,
  thresholdPercentiles,
} from '../../src/metrics/thresholds.ts';

function threshold(metric: string, expression: string, more: Partial<Threshold> = {}): Threshold {
  return { metric, expression, abortOnFail: false, delayAbortMs: 0, ...more };
}

function judge(metric: string, expression: string, snapshot: Snapshot, seconds = 10) {
  const [result] = evaluate([threshold(metric, expression)], snapshot, seconds);
  return { value: result!.value, ok: result!.ok };
}

/** JavaScript's own operators are the oracle. */
const OPERATORS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '===': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

const TREND: MetricValue = {
  kind: 'trend',
  count: 7,
  min: 1,
  avg: 2,
  med: 3,
  p90: 4,
  p95: 5,
  p99: 6,
  max: 9,
  'p(99.9)': 8,
  'p(0)': 1,
};

const SNAPSHOT: Snapshot = {
  publish_latency_ms: TREND,
  reconnects: { kind: 'counter', value: 30 },
  devices: { kind: 'gauge', value: 5 },
  messages_delivered: { kind: 'rate', value: 0.75, passes: 3, fails: 1 },
};

/** Metric, left side, and the value that it means in SNAPSHOT over 10 seconds. */
const SIDES = [
  ['publish_latency_ms', 'avg', 2],
  ['publish_latency_ms', 'min', 1],
  ['publish_latency_ms', 'med', 3],
  ['publish_latency_ms', 'max', 9],
  ['publish_latency_ms', 'count', 7],
  ['publish_latency_ms', 'p(50)', 3],
  ['publish_latency_ms', 'p(90)', 4],
  ['publish_latency_ms', 'p(95)', 5],
  ['publish_latency_ms', 'p(95.0)', 5],
  ['publish_latency_ms', 'p( 99 )', 6],
  ['publish_latency_ms', 'p(99.9)', 8],
  ['publish_latency_ms', 'p(0)', 1],
  ['reconnects', 'count', 30],
  ['reconnects', 'value', 30],
  ['reconnects', 'rate', 3],
  ['devices', 'value', 5],
  ['messages_delivered', 'rate', 0.75],
] as const;

describe('evaluation', () => {
  it('is that of the operators, with any white space', () => {
    const space = fc.constantFrom('', ' ', '  ', '\t');
    // A limit is often the value itself: there the operators differ.
    const limit = fc.oneof(
      fc.constantFrom(...SIDES.map(([, , value]) => value)),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...SIDES),
        fc.constantFrom(...Object.keys(OPERATORS)),
        limit,
        fc.tuple(space, space, space, space),
        ([metric, side, value], operator, number, [a, b, c, d]) => {
          const expression = `${a}${side}${b}${operator}${c}${number}${d}`;
          const ok = OPERATORS[operator]!(value, number);
          expect(judge(metric, expression, SNAPSHOT)).toEqual({ value, ok });
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('fails on a metric without data, whatever is demanded: nothing measured is no success', () => {
    const snapshot = new Registry(['a']).snapshot([99.9]);
    const nothing = { value: null, ok: false };
    for (const expression of ['avg<1', 'p(95)<1', 'p(99.9)<1', 'max==0', 'min>=0']) {
      expect(judge('publish_latency_ms', expression, snapshot)).toEqual(nothing);
    }
    expect(judge('messages_delivered', 'rate<1', snapshot)).toEqual(nothing);
    expect(judge('devices{fleet:gone}', 'value==0', snapshot)).toEqual(nothing);
    expect(judge('reconnects', 'rate==0', snapshot, 0)).toEqual(nothing);
    // That nothing was counted is data.
    expect(judge('publish_latency_ms', 'count==0', snapshot)).toEqual({ value: 0, ok: true });
    expect(judge('messages_lost', 'count==0', snapshot)).toEqual({ value: 0, ok: true });
  });

  it('reads the value of a fleet, spaces in the tag or not', () => {
    const registry = new Registry(['a', 'b']);
    registry.counter('messages_lost', 1).add(2);
    expect(judge('messages_lost{fleet:b}', 'count==2', registry.snapshot()).ok).toBe(true);
    expect(judge('messages_lost{ fleet: a }', 'count==0', registry.snapshot()).ok).toBe(true);
  });

  it('takes a share of its whole: that of all devices, or of a fleet', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.nat(50), fc.nat(50)),
        fc.tuple(fc.nat(50), fc.nat(50)),
        (connected, away) => {
          const registry = new Registry(['a', 'b']);
          for (const fleet of [0, 1] as const) {
            registry.gauge('devices_connected', fleet).set(connected[fleet]);
            registry.gauge('devices', fleet).set(connected[fleet] + away[fleet]);
          }
          const snapshot = registry.snapshot();
          const check = (metric: string, part: number, whole: number) => {
            const [result] = evaluate([threshold(metric, 'share == 1')], snapshot, 1);
            const value = whole === 0 ? null : part / whole;
            expect(result).toMatchObject({ value, whole, ok: whole > 0 && part === whole });
          };
          const both = connected[0] + connected[1];
          check('devices_connected', both, both + away[0] + away[1]);
          check('devices_connected{fleet:b}', connected[1], connected[1] + away[1]);
        },
      ),
    );
    const messages: Snapshot = {
      messages_produced: { kind: 'counter', value: 400 },
      messages_dropped: { kind: 'counter', value: 1 },
    };
    expect(judge('messages_dropped', 'share < 0.01', messages)).toEqual({
      value: 0.0025,
      ok: true,
    });
  });

  it('names of an implicit one the fleets that cross it, and passes over nothing where it may', () => {
    const registry = new Registry(['quiet', 'reporters']);
    registry.gauge('devices', 0).set(1);
    registry.counter('messages_dropped', 1).add(740_242);
    const implicit = { implicit: true } as const;
    const asked = [
      threshold('messages_dropped', 'count == 0', implicit),
      threshold('messages_observed', 'share > 0', implicit),
      threshold('messages_observed', 'share > 0', { ...implicit, vacuous: true }),
    ];
    expect(evaluate(asked, registry.snapshot(), 1)).toEqual([
      {
        metric: 'messages_dropped',
        expression: 'count == 0',
        value: 740_242,
        ok: false,
        implicit: true,
        fleets: ['reporters'],
      },
      {
        metric: 'messages_observed',
        expression: 'share > 0',
        value: null,
        whole: 0,
        ok: false,
        implicit: true,
        fleets: ['quiet', 'reporters'],
      },
      {
        metric: 'messages_observed',
        expression: 'share > 0',
        value: null,
        whole: 0,
        ok: true,
        implicit: true,
      },
    ]);
  });

  it('names the percentiles that a snapshot must be taken with', () => {
    const expressions = ['p(99.9)<1', 'p(95)<1', 'p(10)<1', 'p(99.90)<1', 'avg<1'];
    const thresholds = expressions.map((text) => threshold('publish_latency_ms', text));
    expect(thresholdPercentiles(thresholds)).toEqual([10, 99.9]);
    const registry = new Registry(['a']);
    registry.trend('publish_latency_ms', 0).record(0.5);
    const results = evaluate(thresholds, registry.snapshot(thresholdPercentiles(thresholds)), 1);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true, true]);
    expect(() => evaluate(thresholds, registry.snapshot(), 1)).toThrow('taken without p(99.9)');
  });
});

describe('ending a run early', () => {
  const failing = threshold('reconnects', 'count<1', { abortOnFail: true, delayAbortMs: 5_000 });

  it('takes a threshold that may, after its delay, once it fails', () => {
    const expected = { metric: 'reconnects', expression: 'count<1', value: 30, ok: false };
    expect(abortingThreshold([failing], SNAPSHOT, 5)).toEqual(expected);
    expect(abortingThreshold([failing], SNAPSHOT, 4.999)).toBeUndefined();
    expect(abortingThreshold([{ ...failing, abortOnFail: false }], SNAPSHOT, 5)).toBeUndefined();
    expect(abortingThreshold([{ ...failing, expression: 'count>1' }], SNAPSHOT, 5)).toBeUndefined();
  });

  it('waits for data', () => {
    const early = threshold('publish_latency_ms', 'avg<1', { abortOnFail: true });
    expect(abortingThreshold([early], new Registry(['a']).snapshot(), 1)).toBeUndefined();
    expect(abortingThreshold([early], SNAPSHOT, 1)?.value).toBe(2);
  });
});

describe('wrong expressions say what is wrong', () => {
  it.each([
    ['count', 'counter', 'expected an operator (<= >= === == != < >) in "count"'],
    ['', 'counter', 'expected an operator (<= >= === == != < >) in ""'],
    ['count=0', 'counter', 'unknown operator in "count=0"; known are <= >= === == != < >'],
    ['count!0', 'counter', 'unknown operator in "count!0"; known are <= >= === == != < >'],
    ['count<', 'counter', 'expected a number after <, got ""'],
    ['count<<5', 'counter', 'expected a number after <, got "<5"'],
    ['count=<5', 'counter', 'unknown operator in "count=<5"; known are <= >= === == != < >'],
    ['count====5', 'counter', 'expected a number after ===, got "=5"'],
    ['count<5ms', 'counter', 'expected a number after <, got "5ms"'],
    ['count<Infinity', 'counter', 'expected a number after <, got "Infinity"'],
    ['count<0x10', 'counter', 'expected a number after <, got "0x10"'],
    ['<5', 'gauge', 'nothing to compare; a gauge is compared by value'],
    ['p(95)<5', 'counter', 'unknown value "p(95)"; a counter is compared by count, rate, value'],
    ['count<5', 'rate', 'unknown value "count"; a rate is compared by rate'],
    [
      'p95<5',
      'trend',
      'unknown value "p95"; a trend is compared by avg, min, med, max, p(N), count',
    ],
    ['p(N)<5', 'trend', 'p(N) takes a number from 0 to 100, got "N"'],
    ['p()<5', 'trend', 'p(N) takes a number from 0 to 100, got ""'],
    ['p(101)<5', 'trend', 'p(N) takes a number from 0 to 100, got "101"'],
    ['p(-1)<5', 'trend', 'p(N) takes a number from 0 to 100, got "-1"'],
  ] as const)('%j of a %s', (text, kind, message) => {
    expect(parseExpression(text, kind)).toEqual({ ok: false, message });
  });

  it('a share of what is no part of anything', () => {
    const message =
      'this counter has no whole that it is a share of; a counter is compared by count, rate, value';
    expect(parseExpression('share==1', 'counter')).toEqual({ ok: false, message });
    expect(parseExpression('share==1', 'counter', true)).toMatchObject({ ok: true, limit: 1 });
    expect(parseExpression('share==1', 'trend', true)).toMatchObject({ ok: false });
  });

  it.each([
    ['messages_lots', 'unknown metric "messages_lots"; did you mean "messages_lost"?'],
    ['devices{}', 'expected metric or metric{fleet:name}, got "devices{}"'],
    ['devices{fleet}', 'expected metric or metric{fleet:name}, got "devices{fleet}"'],
    ['devices{flet:a}', 'unknown tag "flet"; metrics are tagged with fleet'],
    ['constructor', /^unknown metric "constructor"/],
  ])('of the metric %j', (text, message) => {
    const parsed = parseMetric(text);
    expect(parsed).toEqual({ ok: false, message: expect.stringMatching(message) });
  });

  it('and are never another error', () => {
    const piece = fc.constantFrom(
      'p(',
      ')',
      '95',
      'avg',
      'count',
      '<',
      '=',
      '!',
      '>',
      ' ',
      '.',
      'e',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const parsed = parseExpression(pieces.join(''), 'trend');
        expect(parsed.ok || parsed.message.length > 0).toBe(true);
      }),
    );
  });
});
