import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Asked, implicitThresholds, isImplicit } from '../../src/metrics/implicit.ts';
import { METRIC_NAMES, METRICS } from '../../src/metrics/names.ts';
import { Registry } from '../../src/metrics/registry.ts';
import { evaluate, parseExpression, parseMetric } from '../../src/metrics/thresholds.ts';
import { wholeOf } from '../../src/metrics/wholes.ts';

const STEADY = [{ name: 'x', model: { kind: 'constant', value: 1 } }] as const;

function asked(names: readonly string[], more: Partial<Asked['fleets'][number]> = {}): Asked {
  const fleets = names.map((name): Asked['fleets'][number] => {
    return { name, kind: 'device', intervalMs: 1_000, sensors: STEADY, ...more };
  });
  return { fleets, rampMs: 0, durationMs: 10_000 };
}

function askedOf(named: readonly string[], of: Asked): string[] {
  return implicitThresholds(named, of).map(({ expression, metric }) => `${metric}: ${expression}`);
}

const ALL = [
  'devices_connected: share == 1',
  'messages_observed: share > 0',
  'messages_lost: count == 0',
  'messages_unseen: count == 0',
  'messages_dropped: count == 0',
  'messages_pending: count == 0',
];

describe('what every run is asked', () => {
  it('is this, where the scenario says nothing', () => {
    expect(askedOf([], asked(['a', 'b']))).toEqual(expect.arrayContaining(ALL));
    expect(implicitThresholds([], asked(['a'])).every(({ implicit }) => implicit)).toBe(true);
  });

  it('are expressions on metrics that there are', () => {
    for (const { expression, metric } of implicitThresholds([], asked(['a']))) {
      const parsed = parseMetric(metric);
      if (!parsed.ok) throw new Error(parsed.message);
      expect(isImplicit(parsed.name)).toBe(true);
      const { kind } = METRICS[parsed.name];
      const hasWhole = wholeOf(parsed.name) !== undefined;
      expect(parseExpression(expression, kind, hasWhole).ok).toBe(true);
    }
    expect(METRIC_NAMES.filter(isImplicit).length).toBeGreaterThanOrEqual(ALL.length);
  });

  it('leaves out each metric that the scenario names, and a fleet that it names there', () => {
    const names = ['a', 'b', 'c'];
    fc.assert(
      fc.property(fc.subarray(METRIC_NAMES.filter(isImplicit)), fc.subarray(names), (own, some) => {
        const whole = askedOf(own, asked(names));
        expect(whole).toEqual(
          askedOf([], asked(names)).filter((line) => !own.some((name) => line.startsWith(name))),
        );
        const tagged = own.flatMap((name) => some.map((fleet) => `${name}{fleet:${fleet}}`));
        const left = implicitThresholds(tagged, asked(names));
        for (const name of own) {
          const rest = names.filter((fleet) => !some.includes(fleet));
          const expected =
            some.length === 0 ? [name] : rest.map((fleet) => `${name}{fleet:${fleet}}`);
          const metrics = left.map(({ metric }) => metric);
          expect(metrics.filter((metric) => metric.startsWith(name))).toEqual(expected);
        }
      }),
    );
  });

  it('asks nobody who sleeps to be connected', () => {
    const [day, night] = [
      asked(['day']),
      asked(['night'], { wake: { intervalMs: 60_000 } as never }),
    ];
    const both = { ...day, fleets: [...day.fleets, ...night.fleets] };
    expect(askedOf([], both)[0]).toBe('devices_connected{fleet:day}: share == 1');
    expect(askedOf([], night)[0]).toBe('messages_observed: share > 0');
  });

  it.each<[string, Asked, boolean]>([
    ['as long as an interval', asked(['a'], { intervalMs: 10_000 }), false],
    ['shorter than an interval', asked(['a'], { intervalMs: 10_001 }), true],
    ['with a ramp that leaves no interval', { ...asked(['a']), rampMs: 9_001 }, true],
    ['of clients that only listen', asked(['a'], { intervalMs: Number.POSITIVE_INFINITY }), true],
    ['of sensors that may rest', asked(['a'], { sensors: [{ ...STEADY[0], every: 60 }] }), true],
    ['of plain clients', asked(['a'], { kind: 'plain', sensors: [] }), false],
  ])('of a run %s: something must come of it, or may', (_, of, mayRest) => {
    const nothing = new Registry(['a']).snapshot();
    const silent = implicitThresholds(['devices_connected'], of);
    expect(evaluate(silent, nothing, 1).every(({ ok }) => ok)).toBe(mayRest);
    // What was produced, and never seen, is crossed either way.
    const registry = new Registry(['a']);
    registry.counter('messages_produced', 0).add(1);
    const crossed = evaluate(silent, registry.snapshot(), 1).filter(({ ok }) => !ok);
    expect(crossed.map(({ metric }) => metric)).toEqual(['messages_observed']);
  });
});
