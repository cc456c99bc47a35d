import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COUNTER_NAMES, GAUGE_NAMES, METRIC_NAMES, TREND_NAMES } from '../../src/metrics/names.ts';
import { Registry, type RegistryWire, TREND_US_MAX, Trend } from '../../src/metrics/registry.ts';
import { type TrendValue, taggedName } from '../../src/metrics/snapshot.ts';

const FLEETS = ['a', 'b'];

type Event = readonly ['counter' | 'gauge' | 'trend', name: number, fleet: number, value: number];

const event: fc.Arbitrary<Event> = fc.tuple(
  fc.constantFrom('counter', 'gauge', 'trend'),
  fc.nat(20),
  fc.nat(FLEETS.length - 1),
  fc.oneof(fc.nat(100), fc.double({ min: 0, max: 4e6, noNaN: true })),
);

function record(registry: Registry, events: readonly Event[]): Registry {
  for (const [kind, index, fleet, value] of events) {
    if (kind === 'counter') {
      registry.counter(COUNTER_NAMES[index % COUNTER_NAMES.length]!, fleet).add(Math.round(value));
    } else if (kind === 'gauge') {
      registry.gauge(GAUGE_NAMES[index % GAUGE_NAMES.length]!, fleet).add(Math.round(value));
    } else {
      registry.trend(TREND_NAMES[index % TREND_NAMES.length]!, fleet).record(value);
    }
  }
  return registry;
}

describe('merging', () => {
  it('gives exactly what one registry would hold, in any order and any grouping', () => {
    const shards = fc.array(fc.array(event, { maxLength: 30 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(shards, fc.infiniteStream(fc.nat()), (parts, order) => {
        const whole = record(new Registry(FLEETS), parts.flat());
        const wires = parts.map((part) => record(new Registry(FLEETS), part).toWire());
        const shuffled = wires
          .map((wire) => [order.next().value, wire] as const)
          .sort(([a], [b]) => a - b)
          .map(([, wire]) => wire);
        const merged = new Registry(FLEETS);
        for (const wire of shuffled) merged.merge(wire);
        expect(merged.toWire()).toEqual(whole.toWire());
        expect(merged.snapshot([99.9, 1])).toEqual(whole.snapshot([99.9, 1]));
        // Merging is associative too: first some, then the rest.
        const half = Math.floor(wires.length / 2);
        const left = new Registry(FLEETS);
        for (const wire of wires.slice(0, half)) left.merge(wire);
        const right = new Registry(FLEETS);
        for (const wire of wires.slice(half)) right.merge(wire);
        left.merge(right.toWire());
        expect(left.toWire()).toEqual(whole.toWire());
      }),
      { numRuns: 40 },
    );
  });

  it('survives a message port', async () => {
    const registry = record(new Registry(FLEETS), [
      ['counter', 0, 1, 5],
      ['trend', 1, 0, 1.5],
    ]);
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(registry.toWire());
    const [wire] = (await once(port2, 'message')) as [RegistryWire];
    port1.close();
    expect(Registry.fromWire(wire).snapshot()).toEqual(registry.snapshot());
  });

  it('refuses the registry of other fleets', () => {
    expect(() => new Registry(['a']).merge(new Registry(['b']).toWire())).toThrow(
      'registries of different scenarios',
    );
  });
});

describe('trends', () => {
  function valueFrom(samples: readonly number[], percentiles: readonly number[] = []): TrendValue {
    const trend = new Trend();
    for (const ms of samples) trend.record(ms);
    return trend.value(percentiles);
  }

  it('agree with sorting the samples, within 0.1 % and 1 µs', () => {
    const sample = fc.oneof(
      fc.double({ min: 0, max: 5, noNaN: true }),
      fc.double({ min: 0, max: 3.6e6, noNaN: true }),
    );
    const percentile = fc.constantFrom(0, 1, 25, 50, 90, 95, 99, 99.9, 100);
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 200 }), percentile, (samples, p) => {
        const sorted = samples.map((ms) => Math.round(ms * 1000)).sort((a, b) => a - b);
        const rank = Math.max(1, Math.ceil((p * sorted.length) / 100 - 1e-9));
        const expected = sorted[rank - 1]! / 1000;
        const value = valueFrom(samples, [p]);
        const measured = value[`p(${p})`]!;
        expect(Math.abs(measured - expected)).toBeLessThanOrEqual(expected * 0.001 + 0.001);
        expect(value.min).toBe(sorted[0]! / 1000);
        expect(value.max).toBe(sorted.at(-1)! / 1000);
        const sum = sorted.reduce((left, right) => left + right, 0);
        expect(value.avg).toBeCloseTo(sum / sorted.length / 1000, 6);
        expect(value.count).toBe(samples.length);
      }),
    );
  });

  it('are ordered: min ≤ med ≤ p90 ≤ p95 ≤ p99 ≤ max', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 1 }),
        (all) => {
          const { min, med, p90, p95, p99, max } = valueFrom(all);
          const values = [min, med, p90, p95, p99, max];
          expect(values.toSorted((a, b) => a - b)).toEqual(values);
        },
      ),
    );
  });

  it('clamp what is negative, no number or beyond an hour', () => {
    expect(valueFrom([-5, Number.NaN])).toMatchObject({ count: 2, min: 0, max: 0 });
    expect(valueFrom([Number.POSITIVE_INFINITY])).toMatchObject({ max: TREND_US_MAX / 1000 });
  });

  it('are all zero without samples', () => {
    expect(valueFrom([])).toEqual({
      kind: 'trend',
      count: 0,
      min: 0,
      avg: 0,
      med: 0,
      p90: 0,
      p95: 0,
      p99: 0,
      max: 0,
    });
  });
});

describe('snapshots', () => {
  it('refuse a gauge below zero: what would make it fall so is a bug', () => {
    const gauge = new Registry(['a']).gauge('devices_connected', 0);
    gauge.add(1);
    gauge.add(-1);
    expect(() => gauge.add(-1)).toThrow('a gauge of -1');
  });

  it('hold every metric, in total and of each fleet, totals first', () => {
    const tagged = FLEETS.flatMap((fleet) => METRIC_NAMES.map((name) => taggedName(name, fleet)));
    const keys = Object.keys(new Registry(FLEETS).snapshot());
    expect(keys.toSorted()).toEqual([...METRIC_NAMES, ...tagged].toSorted());
    expect(keys.slice(0, METRIC_NAMES.length)).not.toContain('devices{fleet:a}');
  });

  it('add fleets up', () => {
    const registry = new Registry(FLEETS);
    registry.gauge('devices', 0).set(3);
    registry.gauge('devices', 1).set(4);
    registry.gauge('devices', 1).add(-1);
    registry.trend('connect_latency_ms', 0).record(1);
    registry.trend('connect_latency_ms', 1).record(3);
    const snapshot = registry.snapshot();
    expect(snapshot.devices).toEqual({ kind: 'gauge', value: 6 });
    expect(snapshot['devices{fleet:b}']).toEqual({ kind: 'gauge', value: 3 });
    expect(snapshot.connect_latency_ms).toMatchObject({ count: 2, min: 1, avg: 2, max: 3 });
    expect(snapshot['connect_latency_ms{fleet:a}']).toMatchObject({ count: 1, max: 1 });
    expect([registry.total('devices'), registry.total('messages_lost')]).toEqual([6, 0]);
  });

  it.each([
    [100, 90, 0, { value: 0.9, passes: 90, fails: 10 }],
    [100, 90, 10, { value: 1, passes: 90, fails: 0 }],
    // The observer may be ahead of what workers have reported.
    [5, 6, 0, { value: 1, passes: 6, fails: 0 }],
    [0, 0, 0, { value: 0, passes: 0, fails: 0 }],
  ])(
    'derive what was delivered: %j produced, %j observed, %j unobservable',
    (produced, observed, unobservable, rate) => {
      const registry = new Registry(['a']);
      registry.counter('messages_produced', 0).add(produced);
      registry.counter('messages_observed', 0).add(observed);
      registry.counter('messages_unobservable', 0).add(unobservable);
      expect(registry.snapshot().messages_delivered).toEqual({ kind: 'rate', ...rate });
    },
  );
});
