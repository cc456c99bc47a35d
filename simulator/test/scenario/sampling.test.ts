// How a sensor is sampled, from the file to the SDK's sensor.

import type { Device } from '@flotilla/sdk';
import { describe, expect, it } from 'vitest';
import { createSensors } from '../../src/world/sensors.ts';
import { GOOD, load, mistakes } from './scenario-file.ts';

const ADAPTIVE = 'intervalMin: 1s, intervalMax: 1m, deadband: 0.2, sampleMin: 250ms, sampleMax: 5s';

/** GOOD with these members of its sensor. */
function withSensor(members: string, fleet = GOOD): string {
  return fleet.replace('value: 1 }', `value: 1, ${members} }`);
}

function sensorOf(text: string) {
  return load(text).scenario.fleets[0]!.sensors[0]!;
}

const NO_INTERVAL = GOOD.replace('    interval: 1s\n', '');

describe('how a sensor is sampled', () => {
  it.each([
    [
      `adaptive: { ${ADAPTIVE} }`,
      {
        adaptive: {
          intervalMsMin: 1000,
          intervalMsMax: 60_000,
          deadband: 0.2,
          sampleMsMin: 250,
          sampleMsMax: 5000,
        },
      },
    ],
    [
      `adaptive: { ${ADAPTIVE.replace('deadband', 'deadbandRelative')} }`,
      {
        adaptive: {
          intervalMsMin: 1000,
          intervalMsMax: 60_000,
          deadbandRelative: 0.2,
          sampleMsMin: 250,
          sampleMsMax: 5000,
        },
      },
    ],
    ['window: { interval: 1m, sample: 1s }', { window: { intervalMs: 60_000, sampleMs: 1000 } }],
    [
      'anomaly: { intervalMin: 5m }',
      { anomaly: { zScoreMax: 4, weight: 0.02, warmupCount: 50, intervalMsMin: 300_000 } },
    ],
    [
      'every: 3, anomaly: { intervalMin: 0s, zScoreMax: 2.5, weight: 0.1, warmup: 1k, deviationMin: 2 }',
      {
        every: 3,
        anomaly: {
          zScoreMax: 2.5,
          weight: 0.1,
          warmupCount: 1000,
          intervalMsMin: 0,
          deviationMin: 2,
        },
      },
    ],
  ])('%s is what the SDK is told', (members, expected) => {
    const sensor = sensorOf(withSensor(members));
    expect(sensor).toEqual({ name: 'x', model: { kind: 'constant', value: 1 }, ...expected });
    const place = () => ({ deviceIndex: 0, localIndex: 0, elapsedMs: 0 });
    const [created] = createSensors([sensor], 1, 1, place);
    const { read, ...rest } = created!;
    expect(rest).toEqual({ name: 'x', ...expected });
    expect(read(undefined as unknown as Device)).toBe(1);
  });

  it('needs no interval of the fleet where it has one of its own', () => {
    for (const members of [`adaptive: { ${ADAPTIVE} }`, 'window: { interval: 1m, sample: 1s }']) {
      expect(mistakes(withSensor(members, NO_INTERVAL))).toEqual([]);
    }
    expect(load(withSensor(`adaptive: { ${ADAPTIVE} }`, NO_INTERVAL)).scenario.fleets[0]).toEqual(
      expect.objectContaining({ intervalMs: Number.POSITIVE_INFINITY }),
    );
  });
});

describe('mistakes of sampling', () => {
  it.each([
    [`every: 2, adaptive: { ${ADAPTIVE} }`, 'every: give adaptive or every, not both'],
    ['window: { interval: 1m, sample: 1s }, every: 2', 'every: give window or every, not both'],
    [
      `adaptive: { ${ADAPTIVE.replace('1m', '500ms')} }`,
      'adaptive.intervalMax: expected at least intervalMin 1s, got 500ms',
    ],
    [
      `adaptive: { ${ADAPTIVE.replace('5s', '1ms')} }`,
      'adaptive.sampleMax: expected at least sampleMin 250ms, got 1ms',
    ],
    [
      `adaptive: { ${ADAPTIVE.replace(' deadband: 0.2,', '')} }`,
      'adaptive: needs a deadband: deadband or deadbandRelative',
    ],
    [
      'window: { interval: 1s, sample: 1m }',
      'window.interval: expected at least sample 1m, got 1s',
    ],
    ['every: 0', 'every: expected at least 1, got 0'],
    ['anomaly: { intervalMin: 1s, weight: 1 }', 'anomaly.weight: expected less than 1, got 1'],
    ['anomaly: { intervalMin: 1s, zScoreMax: 0 }', 'anomaly.zScoreMax: expected at least 1, got 0'],
    ['anomaly: { intervalMin: 1s, warmup: 1 }', 'anomaly.warmup: expected at least 2, got 1'],
    [
      'window: { interval: 1s, samples: 1s }',
      'window.samples: unknown member; did you mean "sample"?',
    ],
  ])('%s', (members, message) => {
    const found = mistakes(withSensor(members)).join('\n');
    expect(found).toContain('fleets[0].sensors[0].');
    expect(found).toContain(message);
  });

  it('a sensor that nothing reads', () => {
    const two = NO_INTERVAL.replace(
      'sensors: [',
      `sensors: [{ name: y, model: constant, value: 1, adaptive: { ${ADAPTIVE} } }, `,
    );
    expect(mistakes(two).join()).toContain(
      'fleets[0].sensors[1]: is never read: give the fleet an interval',
    );
  });
});
