// What an observer can vouch for, against a model of a broker that discards and an observer that
// pauses: no message that had no chance to come may be blamed on the broker.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BACKLOG_MS,
  BUSY_SHARE,
  DEAF_MS,
  ObserverWatch,
  OUTSTANDING_MAX,
  QUEUE_COUNT_MIN,
  SENTINEL_INTERVAL_MS,
  STALL_MS,
} from '../../src/live/observer-watch.ts';

/** Ticks until `toMs`, with sentinels that come back at once unless `isLost` says otherwise. */
function tick(
  watch: ObserverWatch,
  fromMs: number,
  toMs: number,
  isLost: (nowMs: number) => boolean = () => false,
): void {
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 20) {
    watch.alive(nowMs);
    if (!watch.isDue(nowMs)) continue;
    const { number } = watch;
    watch.sent(nowMs);
    if (!isLost(nowMs)) watch.returned(number, nowMs + 2);
  }
}

describe('a watch', () => {
  test('has nothing to say of an observer that sees all', () => {
    const watch = new ObserverWatch(0);
    expect(watch.isBlind(0)).toBe(true);
    tick(watch, 0, 20_000);
    expect(watch.takeGaps()).toEqual([]);
    expect(watch.isBlind(20_000)).toBe(false);
    expect(watch.isDeaf(20_000)).toBe(false);
    expect(watch.hasProvenSince(19_000)).toBe(true);
    expect(watch.hasProvenSince(20_000)).toBe(false);
    expect(watch.health()).toMatchObject({
      blindMs: 0,
      sentinelsLost: 0,
      stalls: 0,
      delayMaxMs: 2,
    });
    expect(watch.health().sentinels).toBe(20_000 / SENTINEL_INTERVAL_MS);
  });

  test('covers whatever the broker discarded by the gaps that it finds', () => {
    const span = fc.record({
      fromMs: fc.integer({ min: 1000, max: 30_000 }),
      forMs: fc.integer({ min: SENTINEL_INTERVAL_MS + 20, max: 4000 }),
    });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 4 }), (spans) => {
        const watch = new ObserverWatch(0);
        const isLost = (ms: number) => {
          return spans.some(({ forMs, fromMs }) => ms >= fromMs && ms < fromMs + forMs);
        };
        tick(watch, 0, 40_000, isLost);
        const gaps = watch.takeGaps();
        const isCovered = (ms: number) =>
          gaps.some(({ fromMs, toMs }) => ms >= fromMs && ms <= toMs);
        for (let ms = 0; ms < 40_000; ms += 10) if (isLost(ms)) expect(isCovered(ms)).toBe(true);
        const blind = gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
        const lost = spans.reduce((sum, { forMs }) => sum + forMs, 0);
        // And by little more than that.
        expect(blind).toBeLessThanOrEqual(lost + 2 * spans.length * (SENTINEL_INTERVAL_MS + 20));
        expect(watch.health().blindMs).toBe(blind);
      }),
    );
  });

  test('leaves out what comes between a pause and the first sentinel after it', () => {
    const watch = new ObserverWatch(0);
    tick(watch, 0, 1000);
    const { number: before } = watch;
    watch.sent(1000);
    expect(watch.isDraining).toBe(false);
    watch.alive(980 + STALL_MS - 1);
    expect(watch.isDraining).toBe(false);
    watch.alive(6000);
    expect(watch.isDraining).toBe(true);
    // It was on its way already: what is behind it may have waited too.
    watch.returned(before, 6001);
    expect(watch.isDraining).toBe(true);
    expect(watch.isDue(6001)).toBe(true);
    const { number } = watch;
    watch.sent(6001);
    watch.returned(number, 6010);
    expect(watch.isDraining).toBe(false);
    expect(watch.health()).toMatchObject({ stalls: 1, delayMaxMs: 5001 });
    expect(watch.health().stallMaxMs).toBeGreaterThan(4900);
    // A pause says nothing about the link.
    expect(watch.isDeaf(6010)).toBe(false);
  });

  test('takes a backlog for its own where it is busy, and only there', () => {
    const watch = new ObserverWatch(0);
    watch.sent(0);
    watch.busy(0.5, BACKLOG_MS + 1);
    expect(watch.isDraining).toBe(false);
    watch.busy(BUSY_SHARE, BACKLOG_MS);
    expect(watch.isDraining).toBe(false);
    watch.busy(BUSY_SHARE, BACKLOG_MS + 1);
    expect(watch.isDraining).toBe(true);
  });

  test('is deaf when nothing comes, but not while something does', () => {
    const watch = new ObserverWatch(0);
    tick(watch, 0, 1000);
    tick(watch, 1000, 1000 + DEAF_MS, () => true);
    expect(watch.isDeaf(1000 + DEAF_MS)).toBe(true);
    expect(watch.isBlind(1000 + DEAF_MS)).toBe(true);
    watch.heard(1000 + DEAF_MS);
    expect(watch.isDeaf(1000 + DEAF_MS)).toBe(false);
    expect(watch.isBlind(1000 + DEAF_MS)).toBe(true);
  });

  test('that loses its session is blind until a sentinel comes back', () => {
    const watch = new ObserverWatch(0);
    tick(watch, 0, 1000);
    const { provenMs } = watch;
    watch.connected(false, 3000);
    expect(watch.isBlind(3000)).toBe(true);
    expect(watch.hasProvenSince(0)).toBe(false);
    tick(watch, 3000, 4000);
    expect(watch.isBlind(4000)).toBe(false);
    expect(watch.takeGaps()).toEqual([{ fromMs: provenMs, toMs: 3000 }]);
  });

  test.each([
    [QUEUE_COUNT_MIN - 1, 0],
    [QUEUE_COUNT_MIN, 1],
  ])('whose session waited with %i messages finds %i gaps', (waited, gaps) => {
    const watch = new ObserverWatch(0);
    tick(watch, 0, 1000);
    const { number: before, provenMs } = watch;
    watch.sent(1000);
    watch.connected(true, 3000);
    for (let count = 0; count < waited - 1; count += 1) watch.heard(3001);
    // One of them is a sentinel, which proves what came before it only.
    watch.returned(before, 3002);
    expect(watch.takeGaps()).toEqual([]);
    tick(watch, 3010, 3020);
    const found = watch.takeGaps();
    expect(found).toHaveLength(gaps);
    if (gaps > 0) expect(found).toEqual([{ fromMs: provenMs, toMs: 3010 }]);
  });

  test('that the broker lets send nothing proves nothing, and loses nothing', () => {
    const watch = new ObserverWatch(0);
    watch.sent(0);
    watch.refused(0);
    expect(watch.isRefused).toBe(true);
    expect(watch.isBlind(10)).toBe(true);
    expect(watch.isDeaf(DEAF_MS)).toBe(false);
    expect(watch.endBlind(5000)).toEqual({ fromMs: 0, toMs: 5000 });
    expect(watch.health()).toMatchObject({ sentinelsLost: 0, blindMs: 5000 });
  });

  test('has a bound on what it sends without an answer', () => {
    const watch = new ObserverWatch(0);
    for (let count = 0; count < OUTSTANDING_MAX; count += 1) watch.sent(count * 1000);
    expect(watch.isDue(OUTSTANDING_MAX * 1000)).toBe(false);
    watch.returned(OUTSTANDING_MAX - 1, OUTSTANDING_MAX * 1000);
    expect(watch.isDue(OUTSTANDING_MAX * 1000)).toBe(true);
    expect(watch.health().sentinelsLost).toBe(OUTSTANDING_MAX - 1);
  });
});
