// Whole runs against mosquitto, small: every message is accounted for, and a second subscriber
// that shares no code with ours agrees.

import { describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import type { LoadedScenario } from '../../src/scenario/load.ts';
import { hasMosquitto, startMosquitto } from '../support/mosquitto.ts';
import { loadedScenario } from '../support/scenario.ts';
import { type Delivery, Subscriber } from '../support/subscriber.ts';

/** Runs a scenario to its end. */
async function execute(loaded: LoadedScenario, workers = 1): Promise<Summary> {
  const run = new LiveRun(loaded, { workers, onProgress: () => undefined });
  return buildSummary(await run.execute());
}

function countOf(summary: Summary, metric: string): number {
  const value = summary.metrics[metric];
  if (value?.kind !== 'counter' && value?.kind !== 'gauge') throw new Error(`no count ${metric}`);
  return value.value;
}

describe.skipIf(!hasMosquitto('live runs'))('a run', () => {
  test('is observed to the last message, and an independent subscriber counts the same', async () => {
    const broker = await startMosquitto();
    const subscriber = await Subscriber.open(broker.url);
    const summary = await execute(loadedScenario({ name: 'observed', broker: broker.url }));
    const { ledger } = summary;
    expect(ledger.balanced).toBe(true);
    expect(ledger.observed).toBe(ledger.produced);
    // Twice a second for 3 s, less the phase of the first sample.
    expect(ledger.produced).toBeGreaterThanOrEqual(50 * 4);
    expect(ledger.produced).toBeLessThanOrEqual(50 * 7);
    expect(ledger.duplicated).toBe(0);
    expect(countOf(summary, 'devices_connected')).toBe(50);
    expect(countOf(summary, 'messages_acknowledged')).toBe(ledger.produced);
    expect(subscriber.deliveries.length).toBe(ledger.observed);
    expect(subscriber.distinctCount).toBe(ledger.observed);
    // Of each device the sequence is without gaps.
    const lasts = new Map<string, number>();
    for (const { device, sequence } of subscriber.deliveries) {
      expect(sequence).toBe((lasts.get(device) ?? -1) + 1);
      lasts.set(device, sequence);
    }
    expect(lasts.size).toBe(50);
    await subscriber.close();
    await broker.stop();
  });

  test('of the same seed has the same ids and values with one worker and with two', async () => {
    const runs: Map<string, Delivery>[] = [];
    const brokers = await Promise.all([startMosquitto(), startMosquitto()]);
    await Promise.all(
      brokers.map(async (broker, index) => {
        const subscriber = await Subscriber.open(broker.url);
        const name = `workers-${index + 1}`;
        const loaded = loadedScenario({ name, broker: broker.url, count: 21, duration: '2s' });
        const summary = await execute(loaded, index + 1);
        expect(summary.performance.workers).toBe(index + 1);
        expect(subscriber.deliveries.length).toBe(summary.ledger.produced);
        runs[index] = subscriber.byMessage();
        await subscriber.close();
        await broker.stop();
      }),
    );
    const [one, two] = runs as [Map<string, Delivery>, Map<string, Delivery>];
    const idsOf = (run: Map<string, Delivery>) => {
      return [...new Set([...run.values()].map(({ device }) => device))].sort();
    };
    expect(idsOf(one).length).toBe(21);
    expect(idsOf(two)).toEqual(idsOf(one));
    // The last sample of a device may fall just before or just after the end.
    const common = [...one.keys()].filter((message) => two.has(message));
    expect(common.length).toBeGreaterThanOrEqual(21 * 3);
    expect(one.size + two.size - 2 * common.length).toBeLessThanOrEqual(21);
    for (const message of common) expect(two.get(message)).toEqual(one.get(message));
    expect(new Set(common.map((message) => one.get(message)!.values.power)).size).toBeGreaterThan(
      50,
    );
  });

  test('at QoS 0 loses what a link outage cut off, and the ledger says how much', async () => {
    const broker = await startMosquitto();
    const subscriber = await Subscriber.open(broker.url);
    const summary = await execute(
      loadedScenario({
        name: 'outage',
        broker: broker.url,
        fleet: ['qos: 0', 'retry: { min: 50ms, max: 300ms }'],
        duration: '4s',
        more: ['timeline:', '  - { at: 1s, outage: { for: 1s } }'],
      }),
    );
    const { ledger } = summary;
    expect(ledger.balanced).toBe(true);
    expect(ledger.unseen).toBe(0);
    expect(ledger.pending).toBe(0);
    expect(ledger.observed + ledger.lost).toBe(ledger.produced);
    expect(subscriber.distinctCount).toBe(ledger.observed);
    expect(countOf(summary, 'reconnects')).toBe(50);
    expect(countOf(summary, 'devices_connected')).toBe(50);
    // What was sampled meanwhile waited in the buffer.
    expect(ledger.observed).toBeGreaterThan(50 * 6);
    await subscriber.close();
    await broker.stop();
  });

  test('of more workers than devices is a run', async () => {
    const broker = await startMosquitto();
    const loaded = loadedScenario({ name: 'few', broker: broker.url, count: 1, duration: '1s' });
    const { ledger } = await execute(loaded, 2);
    expect(ledger.produced).toBeGreaterThan(0);
    expect(ledger.observed).toBe(ledger.produced);
    await broker.stop();
  });

  test('against a broker that is killed and comes back loses nothing', async () => {
    const broker = await startMosquitto();
    const loaded = loadedScenario({
      name: 'killed',
      broker: broker.url,
      fleet: ['retry: { min: 100ms, max: 500ms }'],
      duration: '5s',
    });
    const run = execute(loaded, 2);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await broker.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 700));
    await broker.restart();
    const summary = await run;
    const { ledger } = summary;
    expect(ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0, pending: 0, dropped: 0 });
    expect(ledger.observed + ledger.unobservable).toBe(ledger.produced);
    expect(countOf(summary, 'devices_connected')).toBe(50);
    expect(countOf(summary, 'reconnects')).toBeGreaterThanOrEqual(50);
    await broker.stop();
  });
});
