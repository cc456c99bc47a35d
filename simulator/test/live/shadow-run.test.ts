// Runs whose timeline changes shadows, with clients beside the fleet that behave like devices.

import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, exitCode, type Summary } from '../../src/report/summary.ts';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';
import { loadedScenario, type ScenarioOptions } from '../support/scenario.ts';
import { ShadowClient } from '../support/shadow-client.ts';
import { retainedAt } from '../support/subscriber.ts';

const kinds = BROKERS.filter(({ name }) => name === 'aedes' || name === 'mosquitto');
const RUN = 'shadowrun';
const DELAY_MS = 150;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Reports each delta after DELAY_MS, as a device does that has applied it. */
async function openReporter(url: string, index: number): Promise<ShadowClient> {
  const device = await ShadowClient.open(url, `${RUN}-meters-${index}`);
  closers.push(() => device.close());
  void device.heard(({ document, name }) => {
    if (name === 'update/delta') {
      setTimeout(
        () => void device.send('update', { state: { reported: document.state } }),
        DELAY_MS,
      );
    }
    return false;
  });
  return device;
}

async function execute(options: ScenarioOptions): Promise<Summary> {
  const run = new LiveRun(loadedScenario({ count: 5, duration: '2s', ...options }), {
    workers: 1,
    run: RUN,
    onProgress: () => undefined,
  });
  return buildSummary(await run.execute());
}

async function hasSession(url: string, clientId: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<{ sessionPresent: boolean }>();
  const client = mqtt.connect(url, { clientId, clean: false, protocolVersion: 4 });
  client.on('connect', resolve);
  const { sessionPresent } = await promise;
  await client.endAsync();
  return sessionPresent;
}

describe.each(kinds)('on $name', (kind) => {
  describe.skipIf(!hasBroker(kind, 'shadows of runs'))('a run', () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await kind.start();
    });
    afterAll(() => broker.stop());

    test('measures which devices reported what was desired, and how fast', async () => {
      await Promise.all([0, 1, 2, 3].map((index) => openReporter(broker.url, index)));
      const summary = await execute({
        name: `shadow-${kind.name}`,
        broker: broker.url,
        more: [
          'timeline:',
          '  - { at: 500ms, shadow: { desired: { reportingInterval: 2, led: { on: true } } } }',
          'thresholds:',
          '  shadow_latency_ms: ["p(99) < 2000", "count == 4"]',
          '  shadow_convergence: ["rate >= 0.8"]',
          '  "shadow_updates{fleet:meters}": ["count == 5"]',
        ],
      });
      const { metrics } = summary;
      expect(metrics.shadow_updates).toMatchObject({ value: 5 });
      expect(metrics.shadow_converged).toMatchObject({ value: 4 });
      expect(metrics.shadow_convergence).toMatchObject({ value: 0.8, passes: 4, fails: 1 });
      expect(metrics.shadow_latency_ms).toMatchObject({ count: 4 });
      const { max, min } = metrics.shadow_latency_ms as { max: number; min: number };
      expect(min).toBeGreaterThanOrEqual(DELAY_MS - 5);
      expect(max).toBeLessThan(2000);
      expect(exitCode(summary)).toBe(0);
      expect(summary.ledger.balanced).toBe(true);
      // Nothing of the service is left.
      expect(await hasSession(broker.url, `${RUN}-shadow`)).toBe(false);
      // The helper speaks MQTT 5.
      if (kind.name === 'mosquitto') expect(await retainedAt(broker.url, '#')).toEqual([]);
    });

    test('in which nobody reports crosses its thresholds', async () => {
      const summary = await execute({
        name: `shadow-none-${kind.name}`,
        broker: broker.url,
        duration: '1s',
        more: [
          'timeline: [{ at: 200ms, shadow: { desired: { a: 1, gone: null } } }]',
          'thresholds: { shadow_convergence: ["rate > 0.99"], shadow_latency_ms: ["p(99) < 5000"] }',
        ],
      });
      expect(summary.metrics.shadow_updates).toMatchObject({ value: 5 });
      expect(summary.thresholds.map(({ ok }) => ok)).toEqual([false, false]);
      expect(exitCode(summary)).toBe(99);
    });
  });
});
