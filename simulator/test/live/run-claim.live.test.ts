// Whose run has an id: two with the same one would take each other's sessions over, and both their
// accounts would be false.

import { reasonName, SESSION_TAKEN_OVER } from '@flotilla/sdk/mqtt/reason-codes';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { RunError } from '../../src/live/preflight.ts';
import { claimTopic, RunClaim, type Verdict } from '../../src/live/run-claim.ts';
import { newRunId } from '../../src/live/run-id.ts';
import { CLOSED_COUNT_MIN, ThrownOut, takeOverWarnings } from '../../src/live/take-over.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { RUN_ID_LENGTH_MAX } from '../../src/scenario/schema.ts';
import { CommandLine, descendantsOf, flotilla, survivorsOf } from '../support/command-line.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { loadedScenario, writeScenario } from '../support/scenario.ts';
import { retainedAt } from '../support/subscriber.ts';

const TOPICS = 'devices/{id}/{topic}';

let broker: Mosquitto;
const claims: RunClaim[] = [];

beforeAll(async () => {
  if (hasMosquitto('claims of run ids')) broker = await startMosquitto();
});

afterAll(async () => {
  for (const one of claims) await one.release();
  await broker?.stop();
});

describe('the id of a run', () => {
  test('is another each time, and may stand in client ids', () => {
    const ids = Array.from({ length: 1000 }, newRunId);
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) expect(id).toMatch(/^r[a-z0-9]+$/);
    expect(Math.max(...ids.map(({ length }) => length))).toBeLessThanOrEqual(RUN_ID_LENGTH_MAX);
  });
});

describe.skipIf(!hasMosquitto('claims of run ids'))('a claim', () => {
  function claim(run: string, isNew = false): RunClaim {
    const target = { host: '127.0.0.1', port: broker.port };
    const made = new RunClaim(target, TOPICS, run, isNew);
    claims.push(made);
    return made;
  }

  test.concurrent('of an id that nobody has is held, and gone after its release', async () => {
    const only = claim('alone');
    expect(await only.acquired()).toBe('held');
    expect(await retainedAt(broker.url, claimTopic(TOPICS, 'alone'))).toHaveLength(1);
    await only.release();
    expect(await retainedAt(broker.url, claimTopic(TOPICS, 'alone'))).toEqual([]);
    expect(await claim('alone').acquired()).toBe('held');
  });

  test.concurrent('of a live id is refused, as often as it is asked', async () => {
    const holder = claim('live', true);
    expect(await holder.acquired()).toBe('held');
    expect(await claim('live').acquired()).toBe('in use');
    expect(await claim('live').acquired()).toBe('in use');
    // Who was refused leaves the holder's word standing.
    const [said = ''] = await retainedAt(broker.url, claimTopic(TOPICS, 'live'));
    expect(Buffer.from(said.split(' ')[1]!, 'hex').toString()).toContain('"held":true');
    expect(holder.isContested).toBe(false);
  });

  test.concurrent('is won by exactly one of several that begin at once', async () => {
    for (let round = 0; round < 3; round += 1) {
      const rivals = Array.from({ length: 4 }, () => claim(`race${round}`));
      const verdicts = await Promise.all(rivals.map((rival) => rival.acquired()));
      expect(verdicts.sort()).toEqual(['held', 'in use', 'in use', 'in use'] as Verdict[]);
    }
  });

  test.concurrent('that is only retained, of a run that is dead, stops nobody', async () => {
    const topic = claimTopic(TOPICS, 'stale');
    const client = await mqtt.connectAsync(broker.url);
    const stale = JSON.stringify({ nonce: '0000000000000000', held: true });
    await client.publishAsync(topic, stale, { qos: 1, retain: true });
    expect(await claim('stale').acquired()).toBe('held');
    await client.endAsync();
  });

  test.concurrent('that somebody clears is said again by its holder', async ({ expect }) => {
    const holder = claim('cleared', true);
    await holder.acquired();
    const topic = claimTopic(TOPICS, 'cleared');
    const client = await mqtt.connectAsync(broker.url);
    await client.publishAsync(topic, '', { qos: 1, retain: true });
    await client.endAsync();
    await expect.poll(() => retainedAt(broker.url, topic)).toHaveLength(1);
  });

  test.concurrent('notices another that says it holds the id too', async ({ expect }) => {
    const holder = claim('twice', true);
    await holder.acquired();
    claim('twice', true);
    await expect.poll(() => holder.isContested).toBe(true);
  });

  test.concurrent('at a broker that is not there is unknown, soon', async () => {
    const target = { host: '127.0.0.1', port: 1 };
    expect(await new RunClaim(target, TOPICS, 'r1', false).acquired()).toBe('unknown');
  });
});

describe.skipIf(!hasMosquitto('runs with one id'))('runs at the same time on one broker', () => {
  const outcomeOf = async (loaded: Parameters<typeof loadedScenario>[0], run?: string) => {
    const options = { workers: 1, onProgress: () => undefined };
    const live = new LiveRun(
      loadedScenario(loaded),
      run === undefined ? options : { ...options, run },
    );
    return await live.execute().then(buildSummary, (error: unknown) => error as RunError);
  };

  test('of one scenario with one seed have two ids, and both accounts are true', async () => {
    const same = { name: 'same-seed', broker: broker.url, count: 20, duration: '3s' };
    const both = (await Promise.all([outcomeOf(same), outcomeOf(same)])) as Summary[];
    for (const { ledger, performance, run } of both) {
      expect(ledger).toMatchObject({ balanced: true, observed: ledger.produced, duplicated: 0 });
      expect(performance.disconnectReasons).toEqual({});
      expect(run.id).toMatch(/^r/);
    }
    expect(both[0]!.run.id).not.toBe(both[1]!.run.id);
    for (const { run } of both) {
      expect(await retainedAt(broker.url, claimTopic(TOPICS, run.id))).toEqual([]);
    }
  });

  test('with one --run: one goes on, the other ends before any of its devices connects', async () => {
    const outcomes = await Promise.all(
      ['one', 'two'].map((name) => {
        return outcomeOf({ name, broker: broker.url, count: 20, duration: '3s' }, 'shared');
      }),
    );
    const refused = outcomes.find((outcome) => outcome instanceof RunError) as RunError | undefined;
    const summary = outcomes.find((outcome) => outcome !== refused) as Summary | undefined;
    expect(refused?.exitCode).toBe(1);
    expect(refused?.message).toMatch(
      /^--run shared: a run with this id is going on at mqtt:\S+\nGive this one another, such as --run r\w+; without --run each has its own\.$/,
    );
    expect(summary?.ledger).toMatchObject({ balanced: true, observed: summary?.ledger.produced });
    expect(summary?.performance.disconnectReasons).toEqual({});
  });

  test('with the id of one that was killed begin when that is cleaned up, and `clean` frees it too', async () => {
    const file = writeScenario({ name: 'killed', broker: broker.url, count: 5, duration: '60s' });
    const killed = new CommandLine(['run', file, '--run', 'killed']);
    const topic = claimTopic(TOPICS, 'killed');
    await killed.until(async () => (await retainedAt(broker.url, topic)).length === 1);
    const parts = descendantsOf(killed.process.pid!);
    killed.process.kill('SIGKILL');
    await killed.ended();
    // Its observer has the id until it has cleaned up.
    expect(await survivorsOf(parts)).toEqual([]);
    expect(await retainedAt(broker.url, topic)).toEqual([]);
    const again = await flotilla('run', file, '--run', 'killed', '--duration', '1s');
    expect(again.code).toBe(0);
    const client = await mqtt.connectAsync(broker.url);
    await client.publishAsync(claimTopic(TOPICS, 'left'), 'old', { qos: 1, retain: true });
    await client.endAsync();
    const cleaned = await flotilla('clean', '--run', 'left', '--broker', broker.url);
    expect(cleaned.code).toBe(0);
    expect(await retainedAt(broker.url, claimTopic(TOPICS, 'left'))).toEqual([]);
  });

  test('that was killed leave alone whoever has the id by then', async () => {
    const file = writeScenario({ name: 'heir', broker: broker.url, count: 5, duration: '60s' });
    const killed = new CommandLine(['run', file, '--run', 'heir']);
    const statuses = async () => {
      const all = await retainedAt(broker.url, 'devices/+/status');
      return all.filter((topic) => topic.startsWith('devices/heir-')).length;
    };
    await killed.until(async () => (await statuses()) === 5);
    const heir = new RunClaim({ host: '127.0.0.1', port: broker.port }, TOPICS, 'heir', true);
    claims.push(heir);
    await heir.acquired();
    const parts = descendantsOf(killed.process.pid!);
    killed.process.kill('SIGKILL');
    await killed.ended();
    expect(await survivorsOf(parts)).toEqual([]);
    expect(await statuses()).toBe(5);
    await heir.release();
    expect(await flotilla('clean', '--run', 'heir', '--broker', broker.url)).toMatchObject({
      code: 0,
    });
    expect(await statuses()).toBe(0);
  });

  test('whose client ids somebody else uses say so', async () => {
    const fleet = ['retry: { min: 20ms, max: 100ms }'];
    const loaded = loadedScenario({ name: 'taken', broker: broker.url, count: 5, fleet });
    let thief: mqtt.MqttClient | undefined;
    const live = new LiveRun(loaded, {
      workers: 1,
      run: 'taken',
      onProgress: (snapshot) => {
        const connected = snapshot.devices_connected;
        if (connected?.kind !== 'gauge' || connected.value < 5) return;
        const clientId = 'taken-meters-0';
        thief ??= mqtt.connect(broker.url, { clientId, reconnectPeriod: 100 });
      },
    });
    const { performance } = buildSummary(await live.execute());
    await thief?.endAsync(true);
    expect(performance.warnings).toContainEqual(
      expect.stringMatching(/^the broker closed the connections of 1 device again and again/),
    );
  });
});

describe('a take-over', () => {
  test('is named by the brokers that do', () => {
    const taken = `server: ${reasonName(SESSION_TAKEN_OVER, 5)}`;
    expect(takeOverWarnings({ [taken]: 1 }, 0, false)).toEqual([
      expect.stringMatching(/^somebody else connected with .*: 1 session was taken over/),
    ]);
  });

  test('without a word is a device that is closed again and again', () => {
    const thrownOut = new ThrownOut();
    for (let count = 0; count < CLOSED_COUNT_MIN; count += 1) {
      expect(thrownOut.count).toBe(0);
      thrownOut.add(7, 'closed by the server');
      thrownOut.add(8, 'connection reset');
      thrownOut.add(count + 10, 'closed by the server');
    }
    thrownOut.add(7, 'closed by the server');
    expect(thrownOut.count).toBe(1);
  });

  test('is not told where there was none', () => {
    expect(takeOverWarnings({ 'closed by the server': 50, 'link down': 9 }, 0, false)).toEqual([]);
    expect(takeOverWarnings({}, 0, true)).toHaveLength(1);
  });
});
