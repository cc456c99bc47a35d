import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { POSITION_END, positionOf } from '../../src/rollout/index.ts';
import { waveAt, waveEnds } from '../../src/rollout/order.ts';
import { fleet, wave } from './fleet.ts';

const SIGMAS = 5;
const POSITIONS = [3472677585, 3737001307];

describe('the order of devices', () => {
  test('is a position in range, the same each time, other with another salt', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (salt, id) => {
        const position = positionOf(salt, id);
        expect(Number.isInteger(position) && position >= 0 && position < POSITION_END).toBe(true);
        expect(positionOf(salt, id)).toBe(position);
      }),
    );
    expect(positionOf('a', 'bc')).not.toBe(positionOf('ab', 'c'));
    // Stored rollouts depend on it: these values never change.
    expect(positionOf('salt', 'device-000001')).toBe(POSITIONS[0]);
    expect(positionOf('', '')).toBe(POSITIONS[1]);
  });

  test('fills waves by their percentages, whatever the shape of the ids', () => {
    const shapes = [
      (index: number) => `device-${String(index).padStart(6, '0')}`,
      (index: number) => `${index}`,
      (index: number) => `urn:dev:mac:${(0x0024befffe000000 + index).toString(16)}`,
      (index: number) => String.fromCharCode(33 + (index % 90)) + Math.floor(index / 90),
    ];
    const count = 10_000;
    for (const shape of shapes) {
      for (const salt of ['', 'r1', 'r2', 'a-long-salt-0123456789']) {
        for (const percent of [0.5, 5, 25, 50, 90]) {
          const expected = (count * percent) / 100;
          const sigma = Math.sqrt(expected * (1 - percent / 100));
          let inside = 0;
          for (let index = 0; index < count; index += 1) {
            if (positionOf(salt, shape(index)) < (percent / 100) * POSITION_END) inside += 1;
          }
          expect(Math.abs(inside - expected)).toBeLessThan(SIGMAS * sigma);
        }
      }
    }
  });

  test('picks other canaries for another salt', () => {
    const devices = fleet(20_000);
    const inBoth = devices.filter(
      ({ id }) =>
        positionOf('r1', id) < POSITION_END / 10 && positionOf('r2', id) < POSITION_END / 10,
    );
    expect(Math.abs(inBoth.length - 200)).toBeLessThan(SIGMAS * Math.sqrt(200 * 0.99));
  });

  test('never takes a device out of a wave when percentages rise', () => {
    const percents = fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 63 });
    fc.assert(
      fc.property(percents, fc.integer({ min: 0, max: POSITION_END - 1 }), (tenths, position) => {
        const rising = [...tenths.sort((a, b) => a - b), 1000].map((tenth) => tenth / 10);
        const ends = waveEnds(rising.map((percent) => wave(percent)));
        const index = waveAt(ends, position);
        expect(position).toBeLessThan(ends[index]!);
        if (index > 0) expect(position).toBeGreaterThanOrEqual(ends[index - 1]!);
        // A wave that grows (of the same order) keeps whom it has.
        const wider = waveEnds(rising.map((percent) => wave(Math.min(100, percent * 1.5))));
        expect(waveAt(wider, position)).toBeLessThanOrEqual(index);
      }),
    );
  });
});
