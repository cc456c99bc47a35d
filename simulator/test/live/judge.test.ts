// When a run counts as not judged, and what its reader is told of the observer.

import { describe, expect, test } from 'vitest';
import { judge, observerWarnings, type Testimony } from '../../src/live/judge.ts';

const BLIND: Testimony = {
  blindness: { fromMs: 7500, why: 'no PINGRESP in time' },
  beginMs: 2000,
  unobservable: 1200,
  connected: 20,
};

describe('a run', () => {
  test('whose observer was blind to the end, and missed messages, is not judged', () => {
    expect(judge(BLIND)).toEqual({
      ok: false,
      reason:
        'the observer was blind from 5.5 s to the end (no PINGRESP in time), and 1,200 messages ' +
        'that the broker acknowledged meanwhile did not reach it',
    });
    const unknown = judge({ ...BLIND, blindness: { fromMs: 0, why: '' } });
    expect(unknown).toMatchObject({
      reason: expect.stringContaining('from 0.0 s to the end (its'),
    });
  });

  test.each<[string, Partial<Testimony>]>([
    ['sees at the end', { blindness: undefined }],
    ['missed nothing', { unobservable: 0 }],
    ['is no worse off than the fleet', { connected: 0 }],
  ])('whose observer %s is judged', (_, testimony) => {
    expect(judge({ ...BLIND, ...testimony })).toEqual({ ok: true });
  });
});

describe('a run whose worker hangs', () => {
  test('is not judged, whatever its observer saw', () => {
    const hang = 'worker 0 of 2 hangs';
    expect(judge({ ...BLIND, hang })).toEqual({ ok: false, reason: hang });
    expect(judge({ ...BLIND, blindness: undefined, hang })).toEqual({ ok: false, reason: hang });
  });
});

describe('warnings', () => {
  const health = {
    delayMedMs: 1,
    delayP99Ms: 2,
    delayMaxMs: 3,
    sentinels: 1000,
    sentinelsLost: 0,
    stalls: 0,
    stallMaxMs: 0,
    blindMs: 700,
    latenciesLeftOut: 0,
  };

  test('are none where nothing was missed', () => {
    expect(observerWarnings(health, 0)).toEqual([]);
  });

  test('name what was missed, discarded and late', () => {
    const bad = { ...health, sentinelsLost: 3, stallMaxMs: 8040, latenciesLeftOut: 1234 };
    expect(observerWarnings(bad, 5)).toEqual([
      expect.stringMatching(/^the broker discarded .*: 3 of 1,000 messages of its own were lost/),
      expect.stringMatching(
        /^the observer was blind for 0\.7 s: 5 messages that were acknowledged/,
      ),
      expect.stringMatching(
        /^1,234 delivery latencies were .* paused for up to 8\.0 s, and are left/,
      ),
    ]);
  });
});
