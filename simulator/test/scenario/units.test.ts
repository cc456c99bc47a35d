import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCount, formatSize, parseCount, parseSize } from '../../src/scenario/units.ts';

const whole = fc.maxSafeNat();

describe('round trips', () => {
  it('parses every count and size as it is formatted', () => {
    fc.assert(
      fc.property(whole, (value) => {
        expect(parseCount(formatCount(value))).toBe(value);
        expect(parseSize(formatSize(value))).toBe(value);
      }),
    );
  });

  it('formats in the largest unit that is exact', () => {
    expect([10_000, 1_000_000, 1_500, 0].map(formatCount)).toEqual(['10k', '1M', '1500', '0']);
    expect([4_096, 1_048_576, 1_000].map(formatSize)).toEqual(['4KB', '1MB', '1000B']);
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
