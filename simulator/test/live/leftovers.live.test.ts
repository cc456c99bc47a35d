// Parts of a run that die at a broker of the user's: what the fleet has there is removed, or the
// command that does so is told.

import mqtt from 'mqtt';
import { afterAll, describe, expect, test } from 'vitest';
import { Leftovers } from '../../src/live/leftovers.ts';
import { LiveRun } from '../../src/live/live-run.ts';
import { RunError } from '../../src/live/preflight.ts';
import { claimTopic } from '../../src/live/run-claim.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { loadedScenario } from '../support/scenario.ts';
import { retainedAt } from '../support/subscriber.ts';

const COUNT = 20;
/** A machine under load takes its time. */
const PATIENCE = { timeout: 120_000 };

/** The parts of a run that a test ends. */
interface Parts {
  readonly observer: { readonly pid: number };
  readonly workers: {
    readonly pool: { readonly threads: readonly { terminate(): Promise<number> }[] };
  };
}

const brokers: Mosquitto[] = [];

afterAll(async () => {
  for (const broker of brokers) await broker.stop();
});

function statusesAt(broker: Mosquitto): Promise<string[]> {
  return retainedAt(broker.url, 'devices/+/status');
}

/** Runs a fleet until it fails; `strike` is called once, when all devices are there. */
async function failureOf(
  name: string,
  version: string,
  strike: (parts: Parts, broker: Mosquitto) => void,
): Promise<{ message: string; run: LiveRun; broker: Mosquitto }> {
  const broker = await startMosquitto();
  brokers.push(broker);
  const fleet = [`protocol: ${version}`];
  const options = { name, broker: broker.url, count: COUNT, fleet, duration: '200s' };
  let struck = false;
  const run = new LiveRun(loadedScenario(options), {
    workers: 2,
    run: name,
    onProgress: (snapshot) => {
      const connected = snapshot.devices_connected;
      if (struck || connected?.kind !== 'gauge' || connected.value < COUNT) return;
      struck = true;
      strike(run as unknown as Parts, broker);
    },
  });
  const error: unknown = await run.execute().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RunError);
  return { message: (error as RunError).message, run, broker };
}

describe.skipIf(!hasMosquitto('parts of runs that die'))('a run at a broker', () => {
  test.each(['3.1.1', '5'])('whose observer is killed cleans up: %s', PATIENCE, async (version) => {
    const name = `blind${version.slice(0, 1)}`;
    const { broker, message, run } = await failureOf(name, version, ({ observer }) => {
      process.kill(observer.pid, 'SIGKILL');
    });
    expect(message).toBe('the observer ended: signal SIGKILL');
    expect(await statusesAt(broker)).toEqual([]);
    expect(run.isClean).toBe(true);
  });

  test('whose worker dies cleans up', PATIENCE, async () => {
    const { broker, message, run } = await failureOf('workerless', '5', ({ workers: { pool } }) => {
      void pool.threads[1]!.terminate();
    });
    expect(message).toMatch(/^worker [01] of 2 died: /);
    expect(await statusesAt(broker)).toEqual([]);
    expect(run.isClean).toBe(true);
  });

  test('that was killed leaves no claim to its id', PATIENCE, async () => {
    const broker = await startMosquitto();
    brokers.push(broker);
    const { scenario } = loadedScenario({ name: 'claimed', broker: broker.url });
    const topic = claimTopic(scenario.topics, 'claimed');
    const client = await mqtt.connectAsync(broker.url);
    await client.publishAsync(topic, '{}', { qos: 1, retain: true });
    await client.endAsync();
    const target = { host: '127.0.0.1', port: broker.port };
    const leftovers = new Leftovers({ scenario, run: 'claimed', target });
    await leftovers.removeAll(true, { 4: 0, 5: 0 });
    expect(leftovers.count).toBe(0);
    expect(await retainedAt(broker.url, topic)).toEqual([]);
  });

  test('that cannot clean up says how', PATIENCE, async () => {
    const { broker, message, run } = await failureOf('stuck', '5', ({ observer }, frozen) => {
      void frozen.kill('SIGSTOP');
      process.kill(observer.pid, 'SIGKILL');
    });
    expect(message.split('\n')).toEqual([
      'the observer ended: signal SIGKILL',
      `${COUNT + 1} clients left state at the broker: ` +
        `npx flotilla clean --run stuck --broker ${broker.url}`,
    ]);
    expect(run.isClean).toBe(false);
    await broker.kill('SIGCONT');
  });
});
