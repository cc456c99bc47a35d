import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatRoughly, parseDuration } from '../src/quantities.ts';

describe('formatting', () => {
  it('gives what is parsed as the same again', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it('takes the largest unit that is exact', () => {
    const durations = [90_000, 300_000, 86_400_000, 1_500, 0].map(formatDuration);
    expect(durations).toEqual(['90s', '5m', '1d', '1500ms', '0ms']);
  });

  it('roughly takes the two largest units', () => {
    const durations = [0, 999, 5_400_000, 90_061_000, 172_800_000].map(formatRoughly);
    expect(durations).toEqual(['0s', '0s', '1h30m', '1d1h', '2d']);
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
