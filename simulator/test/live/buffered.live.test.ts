// What waited for a connection tells how long the outage was: it is in neither latency, whatever
// kind of client it was that waited.

import { afterAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import type { MetricName } from '../../src/metrics/names.ts';
import type { TrendValue } from '../../src/metrics/snapshot.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { writeScenarioText } from '../support/scenario.ts';

const brokers: Mosquitto[] = [];

afterAll(async () => {
  for (const broker of brokers) await broker.stop();
});

const OUTAGE_MS = 3000;
/** On a busy machine, and far below the outage. */
const LIVE_MS_MAX = 1500;

function scenarioText(qos: number, url: string | undefined): string {
  return [
    'name: outage',
    'seed: 1',
    ...(url === undefined ? [] : [`broker: { url: '${url}' }`]),
    'fleets:',
    ...['device', 'plain'].flatMap((kind) => [
      `  - name: ${kind}s`,
      `    kind: ${kind}`,
      '    count: 10',
      '    interval: 250ms',
      `    qos: ${qos}`,
      '    retry: { min: 20ms, max: 200ms }',
      kind === 'plain'
        ? '    payload: 128B'
        : '    sensors: [{ name: power, model: constant, value: 1 }]',
    ]),
    'duration: 7s',
    'settle: 5s',
    'timeline:',
    `  - { at: 2s, outage: { for: ${OUTAGE_MS}ms } }`,
    '',
  ].join('\n');
}

async function check(qos: number, url: string | undefined): Promise<void> {
  const file = writeScenarioText(`outage-${qos}-${url === undefined}`, scenarioText(qos, url));
  const run = new LiveRun(loadScenario(file), { workers: 2, onProgress: () => undefined });
  const { ledger, metrics } = buildSummary(await run.execute());
  expect(ledger).toMatchObject({ balanced: true, unseen: 0, unobservable: 0, pending: 0 });
  const trendOf = (metric: MetricName, fleet: string) => {
    return metrics[`${metric}{fleet:${fleet}}`] as TrendValue;
  };
  for (const fleet of ['devices', 'plains']) {
    expect(trendOf('publish_latency_ms', fleet).max).toBeLessThan(LIVE_MS_MAX);
    expect(trendOf('delivery_latency_ms', fleet).max).toBeLessThan(LIVE_MS_MAX);
    expect(trendOf('delivery_latency_ms', fleet).count).toBeGreaterThan(10);
    const buffered = trendOf('buffered_latency_ms', fleet);
    // Four a second and client, but for those that came while the observer was late itself.
    expect(buffered.count).toBeGreaterThan(10);
    expect(buffered.max).toBeGreaterThan(OUTAGE_MS - 500);
  }
}

describe.skipIf(!hasMosquitto('outages'))('messages that waited', () => {
  test.each([0, 1, 2])('at QoS %i are in no latency but their own', async (qos) => {
    const broker = await startMosquitto();
    brokers.push(broker);
    await check(qos, broker.url);
  });

  test('also on the embedded broker', () => check(1, undefined));
});
