// Whole runs against mosquitto, small: every message is accounted for, and a second subscriber
// that shares no code with ours agrees.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { beginPack } from '@flotilla/sdk/codec/senml';
import { afterAll, describe, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import type { Snapshot } from '../../src/metrics/snapshot.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import type { LoadedScenario } from '../../src/scenario/load.ts';
import { deviceId } from '../../src/scenario/schema.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { loadedScenario } from '../support/scenario.ts';
import { type Delivery, Subscriber } from '../support/subscriber.ts';

const brokers: Mosquitto[] = [];
const subscribers: Subscriber[] = [];
const proxies: Server[] = [];
/** Longer than a run waits for the reports after its end. */
const CONNACK_MS = 2000;

afterAll(async () => {
  for (const subscriber of subscribers) await subscriber.close();
  for (const broker of brokers) await broker.stop();
  for (const proxy of proxies) proxy.close();
});

/** A broker of its own, with somebody who listens beside the observer. */
async function serve(): Promise<{ broker: Mosquitto; subscriber: Subscriber }> {
  // It would drop what a subscriber of a busy machine does not read in time.
  const broker = await startMosquitto({ config: 'max_queued_messages 0' });
  brokers.push(broker);
  const subscriber = await Subscriber.open(broker.url);
  subscribers.push(subscriber);
  return { broker, subscriber };
}

/** The URL of a way to the broker on which all but the observer wait for their CONNACK. */
async function slowToDevices(port: number): Promise<string> {
  const proxy = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port });
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.once('data', (greeting: Buffer) => {
      const waitMs = greeting.includes('-observer') ? 0 : CONNACK_MS;
      near.pause();
      setTimeout(() => {
        far.write(greeting);
        near.pipe(far).pipe(near);
      }, waitMs);
    });
  });
  proxies.push(proxy);
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return `mqtt://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

type Progress = (snapshot: Snapshot) => void;

/** Runs a scenario to its end. */
async function execute(
  loaded: LoadedScenario,
  workers = 1,
  onProgress: Progress = () => undefined,
  options: { readonly run?: string } = {},
): Promise<Summary> {
  const run = new LiveRun(loaded, { workers, onProgress, ...options });
  return buildSummary(await run.execute());
}

function countOf(metrics: Snapshot, metric: string): number {
  const value = metrics[metric];
  if (value?.kind !== 'counter' && value?.kind !== 'gauge') throw new Error(`no count ${metric}`);
  return value.value;
}

/** A member of a scenario that ends it when this holds, such as `reconnects: count >= 5`. */
function endWhen(condition: `${string}: count >= ${number}`): string {
  const [metric, expression] = condition.split(': ') as [string, string];
  const fails = expression.replace('>=', '<');
  return `thresholds: { ${metric}: [{ threshold: '${fails}', abortOnFail: true }] }`;
}

/** Devices by the sequences that came of each, in the order of their coming. */
function sequencesOf({ deliveries }: Subscriber): Map<string, number[]> {
  const sequences = new Map<string, number[]>();
  for (const { device, sequence } of deliveries) {
    sequences.set(device, [...(sequences.get(device) ?? []), sequence]);
  }
  return sequences;
}

describe.skipIf(!hasMosquitto('live runs'))('a run', () => {
  test.concurrent('is seen to the last message, also by an independent subscriber', async ({
    expect,
  }) => {
    const { broker, subscriber } = await serve();
    const loaded = loadedScenario({ name: 'observed', broker: broker.url, duration: '2s' });
    const { ledger, metrics, performance: used } = await execute(loaded);
    expect(ledger.balanced).toBe(true);
    expect(ledger.observed).toBe(ledger.produced);
    // Each device for 2 s, which on a busy machine take longer, and no more than twice a second.
    expect(ledger.produced).toBeGreaterThanOrEqual(50 * 2);
    expect(ledger.produced).toBeLessThanOrEqual(50 * (used.wallMs / 500 + 1));
    expect(ledger.duplicated).toBe(0);
    expect(countOf(metrics, 'devices_connected')).toBe(50);
    expect(countOf(metrics, 'messages_acknowledged')).toBe(ledger.produced);
    await expect.poll(() => subscriber.deliveries.length).toBe(ledger.observed);
    const sequences = sequencesOf(subscriber);
    expect(sequences.size).toBe(50);
    // What a device sampled before it was connected may come after what it sampled then.
    for (const of of sequences.values()) {
      expect(of.toSorted((a, b) => a - b)).toEqual([...of.keys()]);
    }
  });

  test.concurrent('does not mind what others publish, nor what an older run left', async ({
    expect,
  }) => {
    const { broker, subscriber } = await serve();
    const loaded = loadedScenario({
      name: 'noisy',
      broker: broker.url,
      count: 10,
      duration: '1h',
      // Until the copy was heard; the other noise comes before it.
      more: [endWhen('messages_duplicated: count >= 1')],
    });
    const id = deviceId('{run}-{fleet}-{index}', 'noisy', 'meters', 0);
    const old = Buffer.alloc(200);
    // A pack of the same device, from when the broker kept the observer's session.
    const size = beginPack(old, 0, 1, id, 'stream', Date.now() / 1000 - 600, 1000);
    const noise: readonly [string, Buffer][] = [
      [`devices/${id}/telemetry`, old.subarray(0, size)],
      [`devices/${id}/telemetry`, Buffer.from('not a pack')],
      [`devices/${id}/telemetry`, Buffer.alloc(0)],
      [`devices/${id}/status`, Buffer.from([0xff, 0x00])],
      [`devices/${id}/status`, Buffer.from([0xf6])],
      ['devices/somebody-else/telemetry', old.subarray(0, size)],
    ];
    let published: Promise<unknown> | undefined;
    const run = new LiveRun(loaded, {
      workers: 1,
      run: 'noisy',
      onProgress: () => {
        if (subscriber.first === undefined) return;
        const copied = [...noise, subscriber.first];
        published ??= Promise.all(copied.map((each) => subscriber.publish(...each)));
      },
    });
    const { ledger } = buildSummary(await run.execute());
    await published;
    expect(ledger).toMatchObject({ balanced: true, observed: ledger.produced, duplicated: 1 });
  });

  test.concurrent('at QoS 0 loses what an outage cut off, and says how much', async ({
    expect,
  }) => {
    const { broker, subscriber } = await serve();
    const { ledger, metrics } = await execute(
      loadedScenario({
        name: 'outage',
        broker: broker.url,
        fleet: ['qos: 0', 'retry: { min: 50ms, max: 300ms }'],
        duration: '5s',
        more: ['timeline:', '  - { at: 2s, outage: { for: 2s } }'],
      }),
    );
    expect(ledger.balanced).toBe(true);
    expect(ledger).toMatchObject({ unseen: 0, unobservable: 0, dropped: 0, pending: 0 });
    expect(ledger.observed + ledger.lost).toBe(ledger.produced);
    await expect.poll(() => subscriber.deliveries.length).toBe(ledger.observed);
    // On a busy machine some were not there yet when it came.
    expect(countOf(metrics, 'reconnects')).toBeGreaterThan(0);
    expect(countOf(metrics, 'reconnects')).toBeLessThanOrEqual(50);
    expect(countOf(metrics, 'devices_connected')).toBe(50);
    // Nothing but what was on its way is lost: what was sampled meanwhile, four times as much, waited.
    expect(ledger.lost).toBeLessThan(50 * 3);
  });

  test.concurrent('against a broker that is killed and comes back loses nothing', async ({
    expect,
  }) => {
    const { broker } = await serve();
    const loaded = loadedScenario({
      name: 'killed',
      broker: broker.url,
      // Room for what is sampled until the broker is back, however long that takes.
      fleet: ['retry: { min: 100ms, max: 500ms }', 'buffer: 64KB'],
      duration: '1h',
      more: [endWhen('reconnects: count >= 50')],
    });
    let restarted: Promise<void> | undefined;
    const kill = async () => {
      await broker.kill('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 500));
      await broker.restart();
    };
    const { ledger, metrics } = await execute(loaded, 2, (snapshot) => {
      const isGoing = countOf(snapshot, 'devices_connected') === 50;
      if (isGoing && countOf(snapshot, 'messages_observed') > 50) restarted ??= kill();
    });
    await restarted;
    expect(ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0, pending: 0, dropped: 0 });
    expect(ledger.observed + ledger.unobservable).toBe(ledger.produced);
    expect(countOf(metrics, 'devices_connected')).toBe(50);
    expect(countOf(metrics, 'reconnects')).toBeGreaterThanOrEqual(50);
  });

  test.concurrent('that a threshold ends early still waits for what is on its way', async ({
    expect,
  }) => {
    const { broker } = await serve();
    const loaded = loadedScenario({
      name: 'early',
      broker: broker.url,
      count: 5,
      fleet: ['retry: { min: 50ms, max: 300ms }'],
      duration: '1h',
      // All are away when it ends, for longer than an interrupted run would wait.
      more: [
        endWhen('messages_produced: count >= 10'),
        'timeline: [{ at: 300ms, outage: { for: 5s } }]',
      ],
    });
    const { abortedBy, ledger } = await execute(loaded);
    expect(abortedBy).toBe('messages_produced: count < 10');
    expect(ledger).toMatchObject({ balanced: true, pending: 0, lost: 0, unseen: 0 });
    expect(ledger.observed).toBe(ledger.produced);
  });

  test.concurrent('that is over before its devices are connected waits for them', async ({
    expect,
  }) => {
    const { broker } = await serve();
    const url = await slowToDevices(broker.port);
    const { ledger, metrics } = await execute(
      loadedScenario({ name: 'brief', broker: url, count: 5, duration: '1ms' }),
    );
    expect(countOf(metrics, 'devices_connected')).toBeGreaterThan(0);
    expect(ledger).toMatchObject({ balanced: true, observed: ledger.produced });
  });

  test.concurrent('has the same ids and values with one worker and with two', async ({
    expect,
  }) => {
    const deliveries = await Promise.all(
      [1, 2].map(async (workers) => {
        const { broker, subscriber } = await serve();
        const name = `workers-${workers}`;
        const loaded = loadedScenario({ name, broker: broker.url, count: 21, duration: '2s' });
        const summary = await execute(loaded, workers, undefined, { run: 'same' });
        expect(summary.performance.workers).toBe(workers);
        await expect.poll(() => subscriber.deliveries.length).toBe(summary.ledger.produced);
        return subscriber.byMessage();
      }),
    );
    const [one, two] = deliveries as [Map<string, Delivery>, Map<string, Delivery>];
    const idsOf = (run: Map<string, Delivery>) => {
      return [...new Set([...run.values()].map(({ device }) => device))].sort();
    };
    expect(idsOf(one).length).toBe(21);
    expect(idsOf(two)).toEqual(idsOf(one));
    // The last sample of a device may fall just before or just after the end.
    const common = [...one.keys()].filter((message) => two.has(message));
    expect(common.length).toBeGreaterThanOrEqual(21 * 2);
    for (const message of common) expect(two.get(message)).toEqual(one.get(message));
    const powers = new Set(common.map((message) => one.get(message)!.values.power));
    expect(powers.size).toBeGreaterThan(21);
  });

  test.concurrent('may have more workers than devices', async ({ expect }) => {
    const { broker, subscriber } = await serve();
    const loaded = loadedScenario({ name: 'few', broker: broker.url, count: 1, duration: '2s' });
    const { ledger } = await execute(loaded, 2);
    expect(ledger.produced).toBeGreaterThanOrEqual(3);
    expect(ledger.observed).toBe(ledger.produced);
    await expect.poll(() => subscriber.deliveries.length).toBe(ledger.produced);
  });
});
