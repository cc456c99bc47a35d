import { describe, expect, test } from 'vitest';
import { checkOptions } from '../../src/rollout/index.ts';
import { options, wave } from './fleet.ts';

describe('options', () => {
  test('of the tests are right, with approval, spread and a rollback release too', () => {
    expect(checkOptions(options())).toEqual([]);
    const waves = [wave(0.5, { approval: true }), wave(100, { spreadMs: 86_400_000 })];
    expect(checkOptions(options(waves, { rollbackRelease: '1.0.1' }))).toEqual([]);
  });

  test('are refused with every mistake at once, by path', () => {
    const waves = [
      wave(50, { spreadMs: 5 }),
      wave(0, { failureRatioMax: 2, sampleMin: 0 }),
      wave(90, { soakMs: 1.5 }),
    ];
    const wrong = {
      ...options(waves),
      salt: '',
      attemptsMax: 0,
      retryDelayMsMax: 1,
      onFailure: 'x',
    };
    expect(checkOptions(wrong)).toEqual([
      'salt: expected a text, got ""',
      'attemptsMax: expected an integer 1-255, got 0',
      'retryDelayMsMax: expected an integer 60000-315360000000, got 1',
      'onFailure: expected stop or roll-back, got "x"',
      'waves[0].spreadMs: only the last wave can be spread',
      'waves[1].sampleMin: expected an integer of at least 1, got 0',
      'waves[1].failureRatioMax: expected 0-1, got 2',
      'waves[1].percent: expected more than 50 and at most 100 (waves are cumulative), got 0',
      'waves[2].soakMs: expected an integer 0-315360000000, got 1.5',
      'waves[2].percent: expected 100 in the last wave, got 90',
    ]);
  });

  test('that are missing are each named, whatever the input', () => {
    for (const name of Object.keys(options())) {
      const { [name as 'salt']: _, ...rest } = options();
      expect(checkOptions(rest).some((mistake) => mistake.startsWith(name))).toBe(true);
    }
    for (const input of [undefined, null, 1, [], 'x', { waves: [] }, { waves: [null, 3] }]) {
      expect(checkOptions(input).length).toBeGreaterThan(0);
    }
  });
});
