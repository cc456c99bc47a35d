import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatCount,
  formatDuration,
  formatSize,
  parseCount,
  parseDuration,
  parseSize,
} from '../../src/scenario/units.ts';

const whole = fc.maxSafeNat();

describe('round trips', () => {
  it('parses every duration, count and size as it is formatted', () => {
    fc.assert(
      fc.property(whole, (value) => {
        expect(parseDuration(formatDuration(value))).toBe(value);
        expect(parseCount(formatCount(value))).toBe(value);
        expect(parseSize(formatSize(value))).toBe(value);
      }),
    );
  });

  it('formats in the largest unit that is exact', () => {
    expect([90_000, 300_000, 86_400_000, 1_500, 0].map(formatDuration)).toEqual([
      '90s',
      '5m',
      '1d',
      '1500ms',
      '0ms',
    ]);
    expect([10_000, 1_000_000, 1_500, 0].map(formatCount)).toEqual(['10k', '1M', '1500', '0']);
    expect([4_096, 1_048_576, 1_000].map(formatSize)).toEqual(['4KB', '1MB', '1000B']);
  });
});

describe('durations', () => {
  it.each([
    ['250ms', 250],
    ['90s', 90_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5s', 1_500],
    ['0.001s', 1],
    [' 2 s ', 2_000],
    ['0s', 0],
  ])('reads %j', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '5',
    5,
    '0',
    0,
    '-5s',
    '1e3s',
    '5S',
    '5 seconds',
    '.5s',
    '5.s',
    '0.5ms',
    '1,5s',
    null,
    [],
  ])('refuses %j', (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it('takes a fraction exactly or not at all', () => {
    // 1.001 * 1000 is 1000.9999999999999 in floating point.
    expect(parseDuration('1.001s')).toBe(1_001);
    fc.assert(
      fc.property(fc.nat(1_000_000), (ms) => {
        const text = `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}s`;
        expect(parseDuration(text)).toBe(ms);
      }),
    );
  });
});

describe('counts and sizes', () => {
  it.each([
    ['500', 500],
    ['10k', 10_000],
    ['1M', 1_000_000],
    ['1.5k', 1_500],
    [7, 7],
  ])('reads the count %j', (text, count) => {
    expect(parseCount(text)).toBe(count);
  });

  it.each(['1.5', '0.0001k', '1K', '1m', 1.5, -1, Number.NaN, 2 ** 53, '9007199254740993', true])(
    'refuses the count %j',
    (value) => {
      expect(parseCount(value)).toBeUndefined();
    },
  );

  it.each([
    ['512B', 512],
    ['4KB', 4_096],
    ['1.5KB', 1_536],
    ['1MB', 1_048_576],
    ['100', 100],
    [100, 100],
  ])('reads the size %j', (text, size) => {
    expect(parseSize(text)).toBe(size);
  });

  it.each(['4kb', '4GB', '0.5B', -1])('refuses the size %j', (value) => {
    expect(parseSize(value)).toBeUndefined();
  });
});
