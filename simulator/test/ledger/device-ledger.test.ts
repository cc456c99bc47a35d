// What is unobservable: acknowledged from the moment at which the observer lost its session until
// a little after it was back. Times are ms of the run.

import type { Device } from '@flotilla/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { settleDevice } from '../../src/ledger/account.ts';
import { AcknowledgementLog, LOG_COUNT_MAX, LOG_MS } from '../../src/ledger/acknowledgement-log.ts';
import { DeviceLedger } from '../../src/ledger/device-ledger.ts';
import { SequenceSet } from '../../src/ledger/sequence-set.ts';

const SLACK_MS = 500;

function logged(log: AcknowledgementLog, fromMs: number, toMs: number): [number, number][] {
  const found: [number, number][] = [];
  log.forEach(fromMs, toMs, (device, sequence) => found.push([device, sequence]));
  return found;
}

function unwatchedOf(ledger: DeviceLedger, localIndex = 0): number[] {
  const set = SequenceSet.fromRanges(ledger.account(localIndex, localIndex, undefined).unwatched);
  return Array.from({ length: 100 }, (_, sequence) => sequence).filter((at) => set.has(at));
}

describe('the log of acknowledgements', () => {
  test('finds those of a time, its ends included', () => {
    const times = fc.array(fc.nat(50), { maxLength: 40 });
    fc.assert(
      fc.property(times, fc.nat(55), fc.nat(55), (steps, one, other) => {
        const [fromMs, toMs] = [Math.min(one, other), Math.max(one, other)];
        const log = new AcknowledgementLog();
        const entries = steps.sort((a, b) => a - b).map((timeMs, at) => ({ at, timeMs }));
        for (const { at, timeMs } of entries) log.add(at % 3, at, timeMs);
        const expected = entries.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs);
        expect(logged(log, fromMs, toMs)).toEqual(expected.map(({ at }) => [at % 3, at]));
      }),
    );
  });

  test('forgets what is too old, in bulk, and never what is younger', () => {
    const log = new AcknowledgementLog();
    // One a millisecond: 200 s of them.
    for (let timeMs = 0; timeMs < 200_000; timeMs += 1) log.add(0, timeMs, timeMs);
    const nowMs = 200_000;
    log.prune(nowMs);
    const kept = logged(log, 0, nowMs);
    expect(kept.length).toBeGreaterThanOrEqual(LOG_MS);
    expect(kept.length).toBeLessThan(LOG_MS + 2 * 65_536);
    expect(kept.at(-1)).toEqual([0, 199_999]);
    expect(kept[0]![1]).toBe(200_000 - kept.length);
    log.prune(nowMs + 10 * LOG_MS);
    expect(logged(log, 0, nowMs).length).toBeLessThan(65_536);
  });

  test('is bounded, whoever prunes it', () => {
    const log = new AcknowledgementLog();
    const extra = 300_000;
    for (let at = 0; at < LOG_COUNT_MAX + extra; at += 1) log.add(1, at, 5);
    let count = 0;
    let first = -1;
    log.forEach(0, 10, (_device, sequence) => {
      if (first < 0) first = sequence;
      count += 1;
    });
    expect(count).toBeLessThanOrEqual(LOG_COUNT_MAX);
    expect(count).toBeGreaterThan(LOG_COUNT_MAX - 2 * 65_536);
    expect(first).toBe(LOG_COUNT_MAX + extra - count);
  });
});

describe('what the observer missed', () => {
  test('is what was acknowledged from its going until a little after it was back', () => {
    const moments: readonly [atMs: number, missed: boolean][] = [
      [999, false],
      [1000, true],
      [1500, true],
      [2000, true],
      [2000 + SLACK_MS, true],
      [2001 + SLACK_MS, false],
      [9000, false],
    ];
    // Told late, in the middle, or when it is over: the answer is the same.
    for (const toldMs of [1000, 2000, 2100, 2600, 9500]) {
      const ledger = new DeviceLedger(2);
      let told = false;
      const tell = (nowMs: number) => {
        if (!told && nowMs >= toldMs) ledger.addGap({ fromMs: 1000, toMs: 2000 });
        told ||= nowMs >= toldMs;
      };
      for (const [sequence, [atMs]] of moments.entries()) {
        tell(atMs);
        ledger.acknowledged(0, sequence, atMs);
      }
      tell(9999);
      const expected = moments.flatMap(([, missed], sequence) => (missed ? [sequence] : []));
      expect(unwatchedOf(ledger), `told at ${toldMs}`).toEqual(expected);
      expect(unwatchedOf(ledger, 1)).toEqual([]);
    }
  });

  test('is the union of its absences', () => {
    const gap = fc.tuple(fc.nat(5000), fc.nat(1500));
    const acknowledgements = fc.array(fc.nat(9000), { maxLength: 60 });
    fc.assert(
      fc.property(acknowledgements, fc.array(gap, { maxLength: 4 }), (times, gaps) => {
        const ledger = new DeviceLedger(1);
        // Each gap is told some time after it is over.
        const events = [
          ...times.map((atMs, index) => ({ atMs, index, gap: undefined })),
          ...gaps.map(([fromMs, lengthMs], index) => ({
            atMs: fromMs + lengthMs + 40 * index,
            index,
            gap: { fromMs, toMs: fromMs + lengthMs },
          })),
        ].sort((a, b) => a.atMs - b.atMs);
        for (const event of events) {
          if (event.gap === undefined) ledger.acknowledged(0, event.index, event.atMs);
          else ledger.addGap(event.gap);
        }
        const expected = times.flatMap((atMs, index) => {
          const missed = gaps.some(
            ([fromMs, lengthMs]) => atMs >= fromMs && atMs <= fromMs + lengthMs + SLACK_MS,
          );
          return missed ? [index] : [];
        });
        expect(unwatchedOf(ledger)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  test('is still known after pruning, for as long as the log is', () => {
    const ledger = new DeviceLedger(1);
    for (let sequence = 0; sequence < 80; sequence += 1) {
      ledger.acknowledged(0, sequence, 1000 * sequence);
    }
    ledger.prune(80_000);
    ledger.addGap({ fromMs: 80_000 - LOG_MS, toMs: 55_000 });
    ledger.addGap({ fromMs: 79_500, toMs: 80_100 });
    ledger.prune(80_200);
    ledger.acknowledged(0, 90, 80_500);
    ledger.acknowledged(0, 91, 81_000);
    ledger.prune(82_000);
    expect(unwatchedOf(ledger)).toEqual([50, 51, 52, 53, 54, 55, 90]);
  });
});

describe('the account of a device', () => {
  test('has what it produced, had acknowledged, dropped and still holds', () => {
    const ledger = new DeviceLedger(3);
    for (const sequence of [0, 1, 4]) ledger.acknowledged(1, sequence, 10);
    ledger.dropped(1, 2, 'buffer full');
    ledger.dropped(1, 3, 'Not authorized');
    // The parts of a device that the ledger asks.
    const device = {
      sampler: { packCount: 7 },
      forEachPending: (visit: (sequence: number) => void) => [5, 6].forEach(visit),
    } as unknown as Device;
    expect(ledger.account(41, 1, device)).toEqual({
      device: 41,
      produced: 7,
      acknowledged: [0, 2, 4, 5],
      dropped: { 'buffer full': [2, 3], 'Not authorized': [3, 4] },
      pending: [5, 7],
      unwatched: [],
    });
  });

  test('that never started is empty', () => {
    expect(new DeviceLedger(3).account(8, 2, undefined)).toEqual({
      device: 8,
      produced: 0,
      acknowledged: [],
      dropped: {},
      pending: [],
      unwatched: [],
    });
  });
});

describe('a program that is reset', () => {
  /** As much of a device as the ledger asks for. */
  function deviceOf(packCount: number, pending: readonly number[]): Device {
    const forEachPending = (visit: (sequence: number) => void) => pending.forEach(visit);
    return { sampler: { packCount, missedCount: 1 }, forEachPending } as unknown as Device;
  }

  test('goes on with its sequence, and what only its RAM held is volatile', () => {
    const ledger = new DeviceLedger(1);
    for (const sequence of [0, 1, 2]) ledger.acknowledged(0, sequence, 10);
    ledger.restarted(0, deviceOf(5, [3, 4]));
    expect(ledger.account(7, 0, undefined)).toMatchObject({ produced: 5, volatile: [3, 5] });
    const next = deviceOf(0, []);
    ledger.started(0, next);
    expect(next.sampler).toMatchObject({ packCount: 5, missedCount: 1 });
    ledger.acknowledged(0, 5, 20);
    ledger.restarted(0, deviceOf(8, [7]));
    const account = ledger.account(7, 0, deviceOf(9, [8]));
    expect(account).toMatchObject({ produced: 9, volatile: [3, 5, 7, 8], pending: [8, 9] });
    const terms = { lost: 0, unseen: 0, unobservable: 0, dropped: 0, volatile: 0, pending: 0 };
    const total = { ...terms, droppedBy: {} };
    // The fourth was on its way when the program went, and arrived.
    settleDevice(total, account, SequenceSet.fromRanges([0, 4, 5, 7]), true);
    expect(total).toMatchObject({ volatile: 2, pending: 1, lost: 0, unseen: 0 });
  });
});
