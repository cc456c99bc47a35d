// Runs whose timeline changes shadows: of devices that report, and of those that cannot.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, exitCode, type Summary } from '../../src/report/summary.ts';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';
import { folder, loadedScenario, type ScenarioOptions } from '../support/scenario.ts';
import { retainedAt } from '../support/subscriber.ts';

const kinds = BROKERS.filter(({ name }) => name === 'aedes' || name === 'mosquitto');
const RUN = 'shadowrun';

async function execute(options: ScenarioOptions): Promise<Summary> {
  const run = new LiveRun(loadedScenario({ count: 5, duration: '1h', ...options }), {
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
      const summary = await execute({
        name: `shadow-${kind.name}`,
        broker: broker.url,
        more: [
          'timeline:',
          '  - { at: 500ms, shadow: { desired: { reportingInterval: 2, led: { on: true } } } }',
          'thresholds:',
          '  shadow_latency_ms: ["p(99) < 600000", "count == 5"]',
          '  shadow_convergence: ["rate == 1"]',
          '  "shadow_updates{fleet:meters}": ["count == 5"]',
          // Ends the run when all have reported.
          '  shadow_converged: [{ threshold: "count < 5", abortOnFail: true }]',
        ],
      });
      const { metrics } = summary;
      expect(metrics.shadow_updates).toMatchObject({ value: 5 });
      expect(metrics.shadow_converged).toMatchObject({ value: 5 });
      expect(metrics.shadow_convergence).toMatchObject({ value: 1, passes: 5, fails: 0 });
      expect(metrics.shadow_latency_ms).toMatchObject({ count: 5 });
      const crossed = summary.thresholds.filter(({ ok }) => !ok).map(({ metric }) => metric);
      expect(crossed).toEqual(['shadow_converged']);
      expect(summary.ledger.balanced).toBe(true);
      // Nothing of the service is left.
      expect(await hasSession(broker.url, `${RUN}-shadow`)).toBe(false);
      // The helper speaks MQTT 5.
      if (kind.name === 'mosquitto') {
        await expect.poll(() => retainedAt(broker.url, '#')).toEqual([]);
      }
    });

    test('in which nobody reports crosses its thresholds', async () => {
      // It has a shadow, and handlers for none of these keys.
      const deaf = join(folder, 'deaf.mjs');
      writeFileSync(deaf, 'export function start() {}\nexport const shadow = { handlers: {} };\n');
      const summary = await execute({
        name: `shadow-none-${kind.name}`,
        fleet: [`application: ${deaf}`],
        broker: broker.url,
        more: [
          'timeline: [{ at: 200ms, shadow: { desired: { a: 1, gone: null } } }]',
          'thresholds:',
          '  shadow_convergence: ["rate > 0.99"]',
          '  shadow_latency_ms: ["p(99) < 600000"]',
          // Ends the run some time after all were asked.
          '  shadow_updates: [{ threshold: "count < 5", abortOnFail: true, delayAbortEval: 1s }]',
        ],
      });
      expect(summary.metrics.shadow_updates).toMatchObject({ value: 5 });
      const crossed = summary.thresholds.filter(({ ok }) => !ok).map(({ metric }) => metric);
      expect(crossed).toEqual(['shadow_convergence', 'shadow_latency_ms', 'shadow_updates']);
      expect(exitCode(summary)).toBe(99);
    });
  });
});
