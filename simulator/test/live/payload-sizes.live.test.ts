// Messages of every size, at every QoS, over both versions: all that is produced is observed. What
// no broker of a run can take is named with its cause.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { folder } from '../support/scenario.ts';

const KB = 1024;
const SIZES = [
  0,
  1,
  7,
  8,
  10,
  100,
  4 * KB - 1,
  4 * KB,
  4 * KB + 1,
  8 * KB,
  64 * KB - 1,
  64 * KB,
  64 * KB + 1,
  1024 * KB,
];
const QOS = [0, 1, 2];
/** Five seconds on an idle machine. */
const PATIENCE_MS = 90_000;

const brokers: Mosquitto[] = [];
afterAll(async () => {
  for (const broker of brokers) await broker.stop();
});

async function serve(config = ''): Promise<string> {
  const broker = await startMosquitto({ config });
  brokers.push(broker);
  return broker.url;
}

/** Runs these fleets for a second and a half, in which each client publishes twice or so. */
async function execute(name: string, url: string | undefined, fleets: string[]): Promise<Summary> {
  const file = join(folder, `${name}.yaml`);
  const broker = url === undefined ? [] : [`broker: { url: '${url}' }`];
  const lines = [`name: ${name}`, 'seed: 1', ...broker, 'fleets:', ...fleets, 'duration: 1500ms'];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const run = new LiveRun(loadScenario(file), { workers: 1, onProgress: () => undefined });
  return buildSummary(await run.execute());
}

function fleetOf(size: number, qos: number, more: string): string {
  const own = `name: s${size}-q${qos}, qos: ${qos}, payload: ${size}B`;
  return `  - { ${own}, kind: plain, count: 1, interval: 700ms, ${more} }`;
}

function countOf({ metrics }: Summary, name: string): number {
  const metric = metrics[name];
  return metric?.kind === 'counter' ? metric.value : Number.NaN;
}

async function expectAllObserved(name: string, url: string | undefined, protocol: string) {
  const pairs = SIZES.flatMap((size) => QOS.map((qos) => ({ size, qos })));
  const fleets = pairs.map(({ size, qos }) => fleetOf(size, qos, `protocol: ${protocol}`));
  const summary = await execute(name, url, fleets);
  const wrong = pairs.flatMap(({ size, qos }) => {
    const of = (metric: string) => countOf(summary, `messages_${metric}{fleet:s${size}-q${qos}}`);
    const counts = { produced: of('produced'), observed: of('observed') };
    const isRight = counts.produced >= 1 && counts.observed === counts.produced;
    return isRight ? [] : [{ size, qos, ...counts }];
  });
  expect(wrong).toEqual([]);
  expect(summary.ledger).toMatchObject({ balanced: true, duplicated: 0 });
  expect(summary.drops).toBeUndefined();
}

describe('payloads from 0 B to 1 MB arrive', () => {
  const run = () => expectAllObserved('embedded-sizes', undefined, 'auto');
  test('on the embedded broker', run, PATIENCE_MS);
});

describe.skipIf(!hasMosquitto('payload sizes'))('payloads from 0 B to 1 MB arrive', () => {
  test.each(['3.1.1', '5'])(
    'on mosquitto, MQTT %s',
    async (protocol) => {
      await expectAllObserved(`sizes-${protocol[0]}`, await serve(), protocol);
    },
    PATIENCE_MS,
  );
});

describe('texts that an application reports', () => {
  test(
    'arrive where the buffer holds them, and elsewhere it is said that it does not',
    async () => {
      const file = join(folder, 'reporter.mjs');
      const body = `export function start(device, platform) {
      const onTimer = () => {
        for (const size of [0, 100, 5000, 20000, 65536, 1000000]) {
          device.report('text', undefined, 'x'.repeat(size), 1);
        }
      };
      platform.createTimer({ onTimer }).start(500);
    }`;
      writeFileSync(file, body);
      const fleet = (name: string, buffer: string) =>
        `  - { name: ${name}, count: 1, application: '${file}', buffer: ${buffer} }`;
      const fleets = [fleet('roomy', '4MB'), fleet('narrow', '8KB')];
      const summary = await execute('texts', undefined, fleets);
      expect(countOf(summary, 'messages_observed{fleet:roomy}')).toBe(6);
      expect(countOf(summary, 'messages_observed{fleet:narrow}')).toBe(3);
      expect(summary.drops).toEqual([{ fleet: 'narrow', causes: { 'larger than the buffer': 3 } }]);
      expect(summary.ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0 });
    },
    PATIENCE_MS,
  );
});

describe('values that come faster than they go out', () => {
  test(
    'are told by fleet and cause',
    async () => {
      const file = join(folder, 'flood.mjs');
      const body = `export function start(device, platform) {
      const onTimer = () => {
        for (let value = 0; value < 500; value += 1) device.report('v', undefined, value, 1);
        timer.start(100);
      };
      const timer = platform.createTimer({ onTimer });
      timer.start(100);
    }`;
      writeFileSync(file, body);
      const flood = `  - { name: flood, count: 1, application: '${file}' }`;
      const summary = await execute('flood', undefined, [fleetOf(100, 1, 'inflight: 8'), flood]);
      const dropped = countOf(summary, 'messages_dropped{fleet:flood}');
      expect(dropped).toBeGreaterThan(1000);
      expect(summary.drops).toEqual([{ fleet: 'flood', causes: { 'buffer full': dropped } }]);
      const shown = `dropped by flood: buffer full (${dropped.toLocaleString('en')})`;
      expect(renderSummary(summary, { color: false })).toContain(shown);
      expect(countOf(summary, 'messages_dropped{fleet:s100-q1}')).toBe(0);
    },
    PATIENCE_MS,
  );
});

describe.skipIf(!hasMosquitto('payload limits'))('what a broker takes no message of', () => {
  test(
    'is named, where MQTT 5 says its limit',
    async () => {
      const url = await serve('max_packet_size 2000');
      const fleets = [1000, 3000].map((size) => fleetOf(size, 1, 'protocol: 5'));
      const summary = await execute('limited', url, fleets);
      expect(countOf(summary, 'messages_observed{fleet:s1000-q1}')).toBeGreaterThan(0);
      const produced = countOf(summary, 'messages_produced{fleet:s3000-q1}');
      const cause = 'Packet too large';
      expect(summary.drops).toEqual([{ fleet: 's3000-q1', causes: { [cause]: produced } }]);
      expect(renderSummary(summary, { color: false })).toContain(
        `dropped by s3000-q1: ${cause} (${produced})`,
      );
    },
    PATIENCE_MS,
  );
});
