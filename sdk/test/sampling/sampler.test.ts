// The sampler as a whole: random profiles against a model, and what one sees best in examples.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PRIORITY_HIGH, PRIORITY_NORMAL } from '../../src/buffer/outbox.ts';
import type { Sensor } from '../../src/device-profile.ts';
import { PowerLoss } from '../../src/platform.ts';
import type { AnomalyOptions } from '../../src/sampling/anomaly.ts';
import { Sampler } from '../../src/sampling/sampler.ts';
import { checkSensor } from '../../src/sampling/sensor-state.ts';
import { VirtualPlatform } from '../support/virtual-platform.ts';
import { adaptiveOptions } from './arbitraries.ts';
import { type Reading, SamplerModel } from './sampler-model.ts';
import { SamplingScene } from './sampling-scene.ts';

type Ways = Omit<Sensor, 'name' | 'read'>;

const anomalyOptions: fc.Arbitrary<AnomalyOptions> = fc.record({
  zScoreMax: fc.double({ min: 1, max: 4 }),
  weight: fc.double({ min: 0.05, max: 0.5 }),
  warmupCount: fc.integer({ min: 2, max: 8 }),
  intervalMsMin: fc.integer({ min: 0, max: 9000 }),
});

const windowOptions = fc
  .record({ sampleMs: fc.integer({ min: 1, max: 2000 }), more: fc.integer({ min: 0, max: 9000 }) })
  .map(({ sampleMs, more }) => ({ sampleMs, intervalMs: sampleMs + more }));

const way: fc.Arbitrary<Ways> = fc.oneof(
  fc.constant({}),
  fc.record({ every: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ adaptive: adaptiveOptions }),
  fc.record({ window: windowOptions }),
);

const ways: fc.Arbitrary<Ways> = fc
  .tuple(way, fc.option(anomalyOptions, { nil: undefined }))
  .map(([each, anomaly]) => (anomaly === undefined ? each : { ...each, anomaly }));

const reading: fc.Arbitrary<Reading> = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 3, arbitrary: fc.double({ min: -50, max: 50, noNaN: true }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Reading>(
      ...[Number.NaN, Number.POSITIVE_INFINITY, -Infinity, undefined, new Error('broken')],
      ...[1e151, 'text', true, false],
    ),
  },
);

/** What each sensor says, reading after reading, over and over. */
function script(readings: readonly Reading[]): (sensor: number) => Reading {
  const counts: number[] = [];
  return (sensor) => {
    counts[sensor] = (counts[sensor] ?? sensor * 7) + 1;
    return readings[counts[sensor]! % readings.length];
  };
}

function sensorsOf(all: readonly Ways[], read: (sensor: number) => Reading): Sensor[] {
  return all.map((each, index) => ({
    ...each,
    name: `s${index}`,
    read: () => {
      const value = read(index);
      if (value instanceof Error) throw value;
      return value;
    },
  }));
}

describe('a sampler', () => {
  test('does what its model does, also when its turns come late', () => {
    const turns = fc.array(
      fc.record({
        count: fc.integer({ min: 1, max: 20 }),
        lateMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(5000), fc.nat(100_000)),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const profiles = fc.array(ways, { minLength: 1, maxLength: 8 });
    const intervals = fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 3000 }) },
      { weight: 1, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
    );
    const readings = fc.array(reading, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(profiles, readings, intervals, turns, (profile, said, intervalMs, steps) => {
        const startMs = 5000;
        const options = { intervalMs, startMs, scratchSize: 4096 };
        const sensors = sensorsOf(profile, script(said));
        const scene = new SamplingScene(sensors, options);
        const model = new SamplerModel(sensors, script(said), intervalMs, startMs);
        scene.start();
        for (const { count, lateMs } of steps) {
          for (let turn = 0; turn < count && scene.sampler.dueMs < Infinity; turn += 1) {
            // The first turn of each step is late, and those after it follow at once.
            const nowMs = Math.max(scene.nowMs, scene.sampler.dueMs + (turn === 0 ? lateMs : 0));
            scene.turn(nowMs);
            model.turn(nowMs);
          }
        }
        expect(scene.packs.map(({ sequence }) => sequence)).toEqual([...scene.packs.keys()]);
        expect(
          scene.packs.map(({ scheduledMs, priority, values }) => {
            return { scheduledMs, priority, values: rounded(values) };
          }),
        ).toEqual(model.packs.map((pack) => ({ ...pack, values: rounded(pack.values) })));
        const { anomalyCount, anomalyHeldCount, faultCount, missedCount } = scene.sampler;
        expect({ anomalyCount, anomalyHeldCount, faultCount, missedCount }).toEqual({
          anomalyCount: model.anomalies,
          anomalyHeldCount: model.held,
          faultCount: model.faults,
          missedCount: model.missed,
        });
      }),
      { numRuns: 300 },
    );
  });
});

/** Aggregates are summed in another order here: 9 digits must agree. */
function rounded(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(values).map(([name, value]) => {
    return [name, typeof value === 'number' ? Math.round(value * 1e7) / 1e7 + 0 : value];
  });
  return Object.fromEntries(entries);
}

const ADAPTIVE = {
  intervalMsMin: 1000,
  intervalMsMax: 10_000,
  deadband: 0.5,
  sampleMsMin: 500,
  sampleMsMax: 1000,
};
const ANOMALY = { zScoreMax: 4, weight: 0.1, warmupCount: 5, intervalMsMin: 3000 };

/** Values of sensor `t` of all packs, with their times and priorities. */
function valuesOf(scene: SamplingScene): [number, unknown, number][] {
  return scene.packs.map(({ scheduledMs, values, priority }) => [scheduledMs, values.t, priority]);
}

describe('sensors of one moment', () => {
  test('share a pack, and those of others do not disturb it', () => {
    const sensors: Sensor[] = [
      { name: 'plain', read: () => 'on' },
      { name: 'w', read: () => 3, window: { intervalMs: 2000, sampleMs: 500 } },
      { name: 'thin', read: () => 1, every: 3 },
      { name: 'a', read: () => scene.nowMs / 1000, adaptive: { ...ADAPTIVE, sampleMsMin: 1000 } },
    ];
    const scene: SamplingScene = new SamplingScene(sensors);
    scene.start();
    scene.run(4000);
    expect(
      scene.packs.map(({ scheduledMs, values }) => [scheduledMs, Object.keys(values)]),
    ).toEqual([
      [0, ['plain', 'thin', 'a']],
      [1000, ['plain', 'a']],
      [2000, ['plain', 'w/count', 'w/mean', 'w/min', 'w/max', 'w/stddev', 'a']],
      [3000, ['plain', 'thin', 'a']],
      [4000, ['plain', 'w/count', 'w/mean', 'w/min', 'w/max', 'w/stddev', 'a']],
    ]);
  });

  test('go out in several packs when one cannot hold them', () => {
    const window = { intervalMs: 1000, sampleMs: 500 };
    const sensors = [...Array(20).keys()].map((index) => {
      return { name: `sensor-${index}`, read: () => index, window };
    });
    for (const scratchSize of [256, 4096]) {
      const scene = new SamplingScene(sensors, {
        intervalMs: Infinity,
        scratchSize,
        epochMs: 1e12,
      });
      scene.start();
      scene.run(1000);
      const all = Object.assign({}, ...scene.packs.map(({ values }) => values));
      expect(Object.keys(all)).toHaveLength(100);
      expect(all['sensor-19/max']).toBe(19);
      for (const { size, values } of scene.packs) {
        expect(size).toBeLessThanOrEqual(scratchSize);
        expect(Object.keys(values).length).toBeLessThanOrEqual(22);
      }
      expect(scene.packs.length).toBe(scratchSize === 256 ? 10 : 5);
      expect(scene.sampler.faultCount).toBe(0);
    }
  });

  test('leave out what fits no pack at all, and count it', () => {
    const long = { name: 'long', read: () => 'x'.repeat(300), every: 1 };
    const sensors = [{ name: 'a', read: () => 1 }, long, { name: 'b', read: () => 2 }];
    const scene = new SamplingScene(sensors, { scratchSize: 256 });
    scene.start();
    scene.run(0);
    expect(scene.packs.map(({ values }) => values)).toEqual([{ a: 1 }, { b: 2 }]);
    expect(scene.sampler.faultCount).toBe(1);
  });

  test('tell how uncertain the clock is, in every pack', () => {
    const sensor = { name: 't', read: () => 1, every: 1 };
    const scene = new SamplingScene([sensor], { epochMs: 1e12, uncertaintyMs: 2000 });
    scene.start();
    scene.run(0);
    expect(scene.packs[0]?.values).toEqual({ uncertainty: 2, t: 1 });
  });
});

describe('an anomaly', () => {
  /** 1 and 2 by turns, and what is said of a time instead. */
  function sceneOf(more: Ways, said: Readonly<Record<number, number>>): SamplingScene {
    const read = () => said[scene.nowMs] ?? 1 + ((scene.nowMs / 1000) % 2);
    const scene: SamplingScene = new SamplingScene([
      { name: 't', read, anomaly: ANOMALY, ...more },
    ]);
    scene.start();
    return scene;
  }

  test('of a plain sensor goes out as an alarm; one too soon after goes the usual way', () => {
    const scene = sceneOf({}, { 7000: 50, 8000: 60, 10000: 90 });
    scene.run(10_000);
    expect(valuesOf(scene).slice(7)).toEqual([
      [7000, 50, PRIORITY_HIGH],
      [8000, 60, PRIORITY_NORMAL],
      [9000, 2, PRIORITY_NORMAL],
      [10_000, 90, PRIORITY_HIGH],
    ]);
    expect([scene.sampler.anomalyCount, scene.sampler.anomalyHeldCount]).toEqual([3, 1]);
  });

  test('skips the aggregate, alarm or not', () => {
    const window = { intervalMs: 10_000, sampleMs: 1000 };
    const scene = sceneOf({ window }, { 7000: 50, 8000: 60 });
    scene.run(10_000);
    expect(
      scene.packs.map(({ scheduledMs, priority, values }) => [scheduledMs, priority, values]),
    ).toEqual([
      [7000, PRIORITY_HIGH, { t: 50 }],
      [
        10_000,
        PRIORITY_NORMAL,
        {
          't/count': 8,
          't/mean': 1.5,
          't/min': 1,
          't/max': 2,
          't/stddev': Math.sqrt(2 / 7),
        },
      ],
    ]);
  });

  test('of many sensors at once goes out in as many packs as that takes, all alarms', () => {
    const read = () => (scene.nowMs === 7000 ? 50 : 1 + ((scene.nowMs / 1000) % 2));
    const sensors = [...Array(20).keys()].map((index) => {
      return { name: `sensor-${index}`, read, anomaly: ANOMALY };
    });
    const scene: SamplingScene = new SamplingScene(sensors, { scratchSize: 256 });
    scene.start();
    scene.run(7000);
    const packs = scene.packs.filter(({ scheduledMs }) => scheduledMs === 7000);
    expect(packs.length).toBeGreaterThan(1);
    expect(packs.every(({ priority }) => priority === PRIORITY_HIGH)).toBe(true);
    expect(packs.flatMap(({ values }) => Object.keys(values))).toHaveLength(20);
  });

  test('of a thinned sensor is seen in between', () => {
    const scene = sceneOf({ every: 5 }, { 7000: 50 });
    scene.run(10_000);
    expect(valuesOf(scene)).toEqual([
      [0, 1, PRIORITY_NORMAL],
      [5000, 2, PRIORITY_NORMAL],
      [7000, 50, PRIORITY_HIGH],
      [10_000, 1, PRIORITY_NORMAL],
    ]);
  });

  test('of an adaptive sensor is its report, whatever intervalMsMin says', () => {
    const adaptive = { ...ADAPTIVE, intervalMsMin: 8000, sampleMsMin: 1000, deadband: 5 };
    const scene = sceneOf({ adaptive }, { 7000: 50, 8000: 50, 9000: 50 });
    scene.run(16_000);
    expect(valuesOf(scene)).toEqual([
      [0, 1, PRIORITY_NORMAL],
      [7000, 50, PRIORITY_HIGH],
      [15_000, 2, PRIORITY_NORMAL],
    ]);
  });
});

describe('what is no value', () => {
  const NONE: readonly Reading[] = [
    ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e151],
    ...[undefined, new Error('broken'), 'text'],
  ];
  const ALL: readonly Ways[] = [
    { adaptive: ADAPTIVE },
    { window: { intervalMs: 3000, sampleMs: 1000 } },
    { anomaly: ANOMALY },
    { every: 1, anomaly: ANOMALY },
    { adaptive: ADAPTIVE, anomaly: ANOMALY },
  ];

  test.each(ALL)('is counted, not sent, and changes nothing for the others: %o', (each) => {
    // The same values with and without faults in between, at the same times of sampling.
    const run = (faulty: boolean) => {
      const read = () => {
        const step = Math.floor(scene.nowMs / 1000);
        if (step % 3 !== 2) return step % 4;
        if (!faulty) return undefined;
        const value = NONE[step % NONE.length];
        if (value instanceof Error) throw value;
        return value;
      };
      const scene: SamplingScene = new SamplingScene([{ name: 't', read, ...each }]);
      scene.start();
      scene.run(60_000);
      const { faultCount } = scene.sampler;
      return { values: scene.packs, faultCount };
    };
    expect(run(true)).toEqual(run(false));
    expect(run(true).faultCount).toBeGreaterThanOrEqual(19);
    for (const { values } of run(true).values) {
      for (const value of Object.values(values)) expect(value).toSatisfy(Number.isFinite);
    }
  });

  test('of a heartbeat is made good at the next sample', () => {
    const read = () => (scene.nowMs >= 10_000 && scene.nowMs < 11_000 ? undefined : 1);
    const scene: SamplingScene = new SamplingScene([{ name: 't', read, adaptive: ADAPTIVE }]);
    scene.start();
    scene.run(21_500);
    expect(scene.packs.map(({ scheduledMs }) => scheduledMs)).toEqual([0, 11_000, 21_000]);
  });

  test('of a thinned sensor is made good at the next interval', () => {
    const read = () => (scene.nowMs === 3000 ? undefined : 1);
    const scene: SamplingScene = new SamplingScene([{ name: 't', read, every: 3 }]);
    scene.start();
    scene.run(10_000);
    expect(scene.packs.map(({ scheduledMs }) => scheduledMs)).toEqual([0, 4000, 7000, 10_000]);
    expect(scene.sampler.faultCount).toBe(1);
  });

  test('is no loss of power: that ends everything', () => {
    for (const each of [{}, ...ALL]) {
      const read = () => {
        throw new PowerLoss();
      };
      const scene = new SamplingScene([{ name: 't', read, ...each }]);
      scene.start();
      expect(() => scene.run(0)).toThrow(PowerLoss);
    }
  });
});

describe('a thinned sensor', () => {
  test('is not even read in between', () => {
    let reads = 0;
    const read = () => {
      reads += 1;
      return 1;
    };
    const scene = new SamplingScene([{ name: 't', read, every: 7 }]);
    scene.start();
    scene.run(69_999);
    expect([reads, scene.packs.length]).toEqual([10, 10]);
  });
});

describe('a start', () => {
  const half = 2 ** 31;

  test('is at a random phase; schedules of their own begin in step before it', () => {
    const sensors: Sensor[] = [
      { name: 'plain', read: () => 1 },
      { name: 'w', read: () => 1, window: { intervalMs: 300, sampleMs: 300 } },
    ];
    const scene = new SamplingScene(sensors, { startMs: 100, intervalMs: 6000, phase: half });
    scene.start();
    // 3,100 is the first sample of the plain sensor, and 10 x 300 before it is not past yet.
    expect(scene.sampler.dueMs).toBe(100);
    scene.run(3100);
    expect(scene.packs.at(-1)!.values).toMatchObject({ plain: 1, 'w/count': 1 });
  });

  test('without an interval is spread over the longest sample interval', () => {
    const adaptive = { ...ADAPTIVE, sampleMsMax: 8000 };
    const sensors: Sensor[] = [{ name: 'a', read: () => 1, adaptive }];
    const scene = new SamplingScene(sensors, { intervalMs: Infinity, phase: half });
    scene.start();
    expect(scene.sampler.dueMs).toBe(4000);
  });

  test('finds nothing to do without an interval and a schedule', () => {
    for (const each of [{}, { every: 2 }, { anomaly: ANOMALY }]) {
      const sensors = [{ name: 't', read: () => 1, ...each }];
      const scene = new SamplingScene(sensors, { intervalMs: Infinity });
      scene.start();
      expect(scene.sampler.dueMs).toBe(Infinity);
    }
  });

  test('after a stop begins anew, and an open window goes on', () => {
    const sensors: Sensor[] = [
      { name: 'w', read: () => 1, window: { intervalMs: 4000, sampleMs: 1000 } },
    ];
    const scene = new SamplingScene(sensors);
    scene.start();
    scene.run(1500);
    scene.sampler.stop();
    expect(scene.sampler.dueMs).toBe(Infinity);
    scene.run(3000);
    scene.start();
    scene.run(12_999);
    expect(scene.packs.map((pack) => [pack.scheduledMs, pack.values['w/count']])).toEqual([
      [4000, 3],
      [8000, 4],
      [12_000, 4],
    ]);
  });

  test('a stop from within a pack holds', () => {
    for (const each of [{ adaptive: ADAPTIVE }, { every: 1 }]) {
      const scene = new SamplingScene([{ name: 't', read: () => 1, ...each }]);
      scene.onPackTaken = () => scene.sampler.stop();
      scene.start();
      scene.run(20_000);
      expect([scene.packs.length, scene.sampler.dueMs]).toEqual([1, Infinity]);
    }
  });
});

describe('a device', () => {
  const plain: Sensor = { name: 't', read: () => 1 };

  /** Bytes of heap for each of many samplers. */
  function heapOf(sensors: readonly Sensor[], gc: () => void): number {
    const count = 20_000;
    const platform = new VirtualPlatform();
    const owner = { id: 'd1', platform, onPack: () => {} };
    const samplers: Sampler[] = new Array(count).fill(undefined);
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < count; index += 1) {
      const sampler = new Sampler(sensors, 1000, owner);
      sampler.start();
      for (let turn = 0; turn < 3; turn += 1) sampler.tick(sampler.dueMs, undefined as never);
      samplers[index] = sampler;
    }
    gc();
    return (process.memoryUsage().heapUsed - before) / samplers.length;
  }

  test('pays less than 150 B of heap for an adaptive sensor', async () => {
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    // A fraction keeps V8 from storing small integers first.
    const read = () => 21.5;
    heapOf([plain], gc);
    const base = heapOf([plain], gc);
    const adaptive = heapOf([{ name: 't', read, adaptive: ADAPTIVE }], gc) - base;
    const window = heapOf([{ name: 't', read, window: { intervalMs: 9, sampleMs: 9 } }], gc) - base;
    const anomaly = heapOf([{ name: 't', read, anomaly: ANOMALY }], gc) - base;
    const text = [adaptive, window, anomaly].map((bytes) => bytes.toFixed(0));
    console.log(`heap beside a plain sensor's: adaptive, window, anomaly = ${text.join(', ')} B`);
    expect(adaptive).toBeLessThan(150);
    expect(window).toBeLessThan(150);
    expect(anomaly).toBeLessThan(150);
  });

  test.each<[string, Ways]>([
    ['s: expected one of', { adaptive: ADAPTIVE, every: 2 }],
    ['s: expected one of', { window: { intervalMs: 1, sampleMs: 1 }, every: 1 }],
    ['s: expected one of', { adaptive: ADAPTIVE, window: { intervalMs: 1, sampleMs: 1 } }],
    ['s.every', { every: 0 }],
    ['s.every', { every: 1.5 }],
    ['s.every', { every: Number.NaN }],
    ['s.adaptive.sampleMsMin', { adaptive: { ...ADAPTIVE, sampleMsMin: 0 } }],
    ['s.window.sampleMs', { window: { intervalMs: 1, sampleMs: 0 } }],
    ['s.anomaly.weight', { anomaly: { ...ANOMALY, weight: 2 } }],
  ])('is refused with %s', (message, each) => {
    expect(() => checkSensor({ ...plain, ...each }, 's')).toThrow(RangeError);
    expect(() => checkSensor({ ...plain, ...each }, 's')).toThrow(message);
  });
});
