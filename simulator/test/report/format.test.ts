import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatInteger,
  formatMs,
  formatPerSecond,
  formatShare,
} from '../../src/report/format.ts';

describe('numbers for people', () => {
  it.each([
    [0, '0ms'],
    [0.001, '1µs'],
    [0.4214, '421µs'],
    [0.9994, '999µs'],
    [0.9996, '1.00ms'],
    [4.214, '4.21ms'],
    [9.996, '10.0ms'],
    [42.14, '42.1ms'],
    [99.96, '100ms'],
    [999.4, '999ms'],
    [999.6, '1.00s'],
    [21_400, '21.4s'],
    [59_940, '59.9s'],
    [59_990, '1m 0s'],
    [125_000, '2m 5s'],
    [3_599_900, '1h 0m'],
    [90_000_000, '25h 0m'],
  ])('%j ms is %s', (ms, text) => {
    expect(formatMs(ms)).toBe(text);
  });

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.00 kB'],
    [999_499, '999 kB'],
    [184_000_000, '184 MB'],
    [18_400_000_000, '18.4 GB'],
  ])('%j bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('groups digits', () => {
    expect([0, 999, 10_000, 1_234_567].map(formatInteger)).toEqual([
      '0',
      '999',
      '10,000',
      '1,234,567',
    ]);
    expect([0, 2.5, 490, 12_345].map(formatPerSecond)).toEqual([
      '0.00/s',
      '2.50/s',
      '490/s',
      '12,345/s',
    ]);
  });

  it('shows 100% for all and for nothing less', () => {
    expect([0, 0.5, 0.9995, 0.999999, 1].map(formatShare)).toEqual([
      '0%',
      '50%',
      '99.95%',
      '99.99%',
      '100%',
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.integer({ min: 1, max: 1e6 }),
        (all, missing) => {
          fc.pre(missing <= all);
          expect(formatShare((all - missing) / all)).not.toBe('100%');
        },
      ),
    );
  });
});
