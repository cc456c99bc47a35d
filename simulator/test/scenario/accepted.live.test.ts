// What `validate` accepts, starts: profiles and devices are made, the observer subscribes, all
// connect to the embedded broker, and end.

import { MessageChannel } from 'node:worker_threads';
import { isDeviceId } from '@flotilla/sdk';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import runWorker from '../../src/live/device-worker.ts';
import { Heartbeat } from '../../src/live/heartbeat.ts';
import type { Target, WorkerTask } from '../../src/live/messages.ts';
import { Observer } from '../../src/live/observer.ts';
import { startRun } from '../../src/live/run-clock.ts';
import { deviceId, type Scenario } from '../../src/scenario/schema.ts';
import { BROKERS, type Broker } from '../support/brokers.ts';
import { load, mistakes } from './scenario-file.ts';
import { scenarioTree } from './schema-arbitrary.ts';

const PATIENCE_MS = 240_000;
const RUN_COUNT = 250;
/** Enough for CONNECT, SUBSCRIBE and a sample or two. */
const LIFE_MS = 30;

let broker: Broker;
beforeAll(async () => {
  broker = await BROKERS.find(({ name }) => name === 'aedes')!.start();
}, PATIENCE_MS);
afterAll(() => broker.stop());

/** Small, and at once. */
function shrunk(scenario: Scenario): Scenario {
  const fleets = scenario.fleets.map((fleet) => ({ ...fleet, count: Math.min(fleet.count, 2) }));
  return { ...scenario, fleets, rampMs: 0 };
}

async function start(scenario: Scenario): Promise<void> {
  for (const { count, id, name } of scenario.fleets) {
    expect(isDeviceId(deviceId(id, 'r'.repeat(10), name, count - 1))).toBe(true);
  }
  const small = shrunk(scenario);
  const target: Target = { host: '127.0.0.1', port: broker.port };
  const { port1, port2 } = new MessageChannel();
  const common = { scenario: small, run: 'accepted', start: startRun(), target, workerCount: 1 };
  const connectedMs = new Int32Array(2 * small.fleets.length).fill(-1);
  const ota = { server: 'http://127.0.0.1:9', attacker: undefined };
  const heartbeat = new Heartbeat().shared;
  const task: WorkerTask = { ...common, ota, worker: 0, port: port2, heartbeat, connectedMs };
  const refused: unknown[] = [];
  const observer = new Observer(common, (message) => {
    if (message.kind === 'unreachable') refused.push(message.reason);
  });
  const result = runWorker(task);
  port1.on('message', ({ kind }: { kind: string }) => {
    if (kind === 'ready') port1.postMessage({ kind: 'begin', beginMs: 0 });
  });
  await new Promise((resolve) => setTimeout(resolve, LIFE_MS));
  port1.postMessage({ kind: 'stop-sampling' });
  port1.postMessage({ kind: 'finish' });
  const { accounts } = await result;
  observer.finish();
  port1.close();
  expect(refused).toEqual([]);
  expect(accounts.length).toBe(small.fleets.reduce((sum, { count }) => sum + count, 0));
}

describe('what is accepted', () => {
  it(
    'starts, and ends',
    async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(scenarioTree, async (tree) => {
          const text = stringify(tree);
          if (mistakes(text).length > 0) return;
          accepted += 1;
          await start(load(text).scenario);
        }),
        { numRuns: RUN_COUNT },
      );
      expect(accepted).toBeGreaterThan(RUN_COUNT / 5);
    },
    PATIENCE_MS,
  );
});
