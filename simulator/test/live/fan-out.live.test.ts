// What subscribers of the fleet receive: everything, once, since they are there first; and where
// they do not, how much is missing, and whose it was.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import type { TrendValue } from '../../src/metrics/snapshot.ts';
import type { FanOutSummary } from '../../src/report/fan-out.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { writeScenarioText } from '../support/scenario.ts';

let mosquitto: Mosquitto | undefined;

beforeAll(async () => {
  if (hasMosquitto('fan-out')) mosquitto = await startMosquitto();
});

afterAll(() => mosquitto?.stop());

interface Plan {
  readonly name: string;
  readonly embedded?: boolean;
  /** Lines of the subscribers, which come last in the file. */
  readonly viewers: readonly string[];
  readonly more?: readonly string[];
}

const PUBLISHERS = 20;

async function run({ embedded = false, more = [], name, viewers }: Plan): Promise<Summary> {
  const lines = [
    `name: ${name}`,
    'seed: 1',
    ...(embedded ? [] : [`broker: { url: '${mosquitto!.url}' }`]),
    'fleets:',
    `  - { name: meters, kind: plain, count: ${PUBLISHERS}, interval: 200ms, payload: 128B }`,
    '  - name: viewers',
    '    kind: plain',
    ...viewers.map((line) => `    ${line}`),
    'duration: 4s',
    'settle: 5s',
    ...more,
    '',
  ];
  const loaded = loadScenario(writeScenarioText(name, lines.join('\n')));
  const live = new LiveRun(loaded, { workers: 2, onProgress: () => undefined });
  return buildSummary(await live.execute());
}

function countOf({ metrics }: Summary, name: string): number {
  const metric = metrics[name];
  if (metric?.kind !== 'counter') throw new Error(`no counter ${name}`);
  return metric.value;
}

const EVERYTHING = "subscribe: ['devices/+/telemetry']";

const brokers: [name: string, embedded: boolean][] = [
  ['mosquitto', false],
  ['the embedded broker', true],
];

describe.skipIf(!hasMosquitto('fan-out'))('subscribers', () => {
  test.each(brokers)(
    'on %s receive all that is published, though all connect in one ramp',
    async (_, embedded) => {
      const summary = await run({
        name: `ramp-${embedded}`,
        embedded,
        viewers: ['count: 4', EVERYTHING],
        more: ['ramp: 2s'],
      });
      const { ledger } = summary;
      expect(ledger).toMatchObject({ balanced: true, observed: ledger.produced, unobservable: 0 });
      expect(ledger.produced).toBeGreaterThan(PUBLISHERS * 10);
      const expected = 4 * ledger.produced;
      expect(countOf(summary, 'fanout_expected{fleet:viewers}')).toBe(expected);
      expect(countOf(summary, 'fanout_received{fleet:viewers}')).toBe(expected);
      expect(countOf(summary, 'fanout_lost')).toBe(0);
      // Its own messages to itself are none of the fleet's.
      expect(countOf(summary, 'messages_received')).toBe(expected);
      expect(summary.fanOut).toMatchObject([
        { fleet: 'viewers', subscribers: 4, expected, received: expected, lost: 0, worst: [] },
      ]);
      const latency = summary.metrics['fanout_latency_ms{fleet:viewers}'];
      // But for what was due before its publisher had a connection, which may take a while.
      expect((latency as TrendValue).count).toBeGreaterThan(0);
    },
  );

  test.each(brokers)(
    'on %s that were cut off at QoS 0 miss what came meanwhile',
    async (_, embedded) => {
      const summary = await run({
        name: `cut-${embedded}`,
        embedded,
        viewers: ['count: 3', EVERYTHING, 'qos: 0', 'retry: { min: 20ms, max: 100ms }'],
        more: ['timeline:', '  - { at: 1s, outage: { for: 1500ms, fleets: [viewers] } }'],
      });
      const { fanOut = [], ledger } = summary;
      expect(ledger).toMatchObject({ observed: ledger.produced, lost: 0, unseen: 0 });
      const [viewers] = fanOut as [FanOutSummary];
      expect(viewers.expected).toBe(3 * ledger.produced);
      expect(viewers.received + viewers.lost).toBe(viewers.expected);
      // Five a second from each publisher, for a second and a half at least.
      expect(viewers.lost).toBeGreaterThan(3 * PUBLISHERS * 5);
      expect(viewers.lost).toBeLessThan(viewers.expected);
      expect(countOf(summary, 'fanout_lost{fleet:viewers}')).toBe(viewers.lost);
      expect(viewers.worst).toHaveLength(3);
      for (const one of viewers.worst) {
        expect(one.id).toMatch(/-viewers-[012]$/);
        expect(one.expected).toBe(ledger.produced);
        expect(one.received + one.lost).toBe(one.expected);
      }
      expect(viewers.worst.reduce((sum, { lost }) => sum + lost, 0)).toBe(viewers.lost);
      expect(renderSummary(summary, { color: false })).toMatch(
        /FAN-OUT +subscribers +expected +received +lost/,
      );
    },
  );

  test('that publish themselves hear each other from the first message on', async () => {
    const summary = await run({
      name: 'peers',
      viewers: ['count: 10', EVERYTHING, 'interval: 200ms', 'payload: 128B'],
      more: ['ramp: 3s'],
    });
    const { fanOut, ledger } = summary;
    expect(ledger.produced).toBeGreaterThan(PUBLISHERS * 10);
    expect(fanOut).toMatchObject([{ expected: 10 * ledger.produced, lost: 0 }]);
  });

  test('of one share receive each message once between them', async () => {
    const summary = await run({
      name: 'share',
      viewers: ['count: 4', "subscribe: ['$share/desk/devices/+/telemetry']"],
    });
    const { fanOut = [], ledger } = summary;
    expect(fanOut).toMatchObject([
      {
        fleet: 'viewers',
        share: '$share/desk/devices/+/telemetry',
        subscribers: 4,
        expected: ledger.produced,
        received: ledger.produced,
        lost: 0,
      },
    ]);
    expect(countOf(summary, 'fanout_expected')).toBe(ledger.produced);
    expect(fanOut[0]!.latencyMaxMs).toBeGreaterThan(0);
  });

  test('of a broker that has no shares get nothing of theirs, and the loss is told', async () => {
    const summary = await run({
      name: 'no-share',
      embedded: true,
      viewers: ['count: 2', "subscribe: ['$share/desk/devices/+/telemetry']"],
    });
    const { produced } = summary.ledger;
    expect(summary.fanOut).toMatchObject([{ expected: produced, received: 0, lost: produced }]);
  });

  test('of a few devices are owed theirs only', async () => {
    const summary = await run({
      name: 'few',
      viewers: ['count: 2', "subscribe: ['devices/{run}-meters-0/telemetry', 'bench/#']"],
    });
    const [viewers] = summary.fanOut as [FanOutSummary];
    expect(viewers.lost).toBe(0);
    expect(viewers.expected).toBeGreaterThan(2 * 10);
    expect(viewers.expected).toBeLessThan((2 * summary.ledger.produced) / (PUBLISHERS - 5));
  });
});
