// What a run is asked when its scenario asks nothing: `flotilla run` as a process, at brokers and
// with applications of which no run may pass.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import { flotilla } from '../support/command-line.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { publishedMistakes } from '../support/published-schema.ts';
import { folder, type ScenarioOptions, writeScenario } from '../support/scenario.ts';

/** Several start at once, on a machine that may be busy. */
const PATIENCE = { timeout: 120_000 };

const brokers: Mosquitto[] = [];

afterAll(async () => {
  for (const broker of brokers) await broker.stop();
});

interface Judged {
  readonly code: number | null;
  readonly summary: Summary;
  /** `metric: fleets` of each implicit threshold that was crossed. */
  readonly crossed: readonly string[];
}

async function judge(options: ScenarioOptions, ...args: string[]): Promise<Judged> {
  const run = await flotilla('run', writeScenario(options), '--json', ...args);
  const summary = JSON.parse(run.stdout) as Summary;
  expect(publishedMistakes(summary)).toEqual([]);
  const crossed = summary.thresholds
    .filter(({ implicit, ok }) => implicit === true && !ok)
    .map(({ fleets = [], metric }) => `${metric}: ${fleets.join(', ')}`);
  return { code: run.code, summary, crossed };
}

async function brokerWith(config: string): Promise<Mosquitto> {
  const broker = await startMosquitto({ config });
  brokers.push(broker);
  return broker;
}

describe('a run that is asked nothing by its scenario', PATIENCE, () => {
  test.concurrent('passes where all is well', async () => {
    const { code, summary, crossed } = await judge({ name: 'well', count: 20, duration: '2s' });
    expect([code, summary.verdict, crossed]).toEqual([0, 'passed', []]);
    expect(summary.thresholds.length).toBeGreaterThanOrEqual(6);
  });

  test.concurrent('passes when it is too short for any message', async () => {
    const options = { name: 'short', count: 2, duration: '2s' };
    const { code, summary } = await judge(options, '--set', 'fleets[0].interval=1h');
    expect([code, summary.verdict]).toEqual([0, 'passed']);
  });

  test.concurrent('fails by messages that the buffers could not hold, and names the fleet', async () => {
    const application = join(folder, 'flood.ts');
    writeFileSync(
      application,
      `export function start(device, platform) {
        const timer = platform.createTimer({
          onTimer() {
            for (let value = 0; value < 500; value++) device.report('x', undefined, value, 1);
            timer.start(100);
          },
        });
        timer.start(100);
      }`,
    );
    const fleet = [`application: ${application}`];
    const options = { name: 'flood', count: 2, duration: '2s', fleet, more: ['settle: 5s'] };
    const { code, summary, crossed } = await judge(options);
    expect([code, summary.verdict]).toEqual([99, 'failed']);
    expect(crossed).toContain('messages_dropped: meters');
  });

  // Every device has something in its buffer when the links go down for good.
  const down = ['timeline: [{ at: 5s, outage: { for: 1h } }]', 'settle: 500ms'];

  test.concurrent('fails by devices that are away at the end, and what they still hold', async () => {
    const options = { name: 'away', count: 5, duration: '7s', more: down };
    const { code, crossed } = await judge(options);
    expect(crossed).toEqual(expect.arrayContaining(['messages_pending: meters']));
    expect(crossed).toContain('devices_connected: meters');
    expect(code).toBe(99);
  });

  test.concurrent('passes where the scenario says what is to come, or does not ask', async () => {
    const own = 'thresholds: { devices_connected: ["value == 0"], messages_pending: [] }';
    const options = { name: 'told', count: 5, duration: '7s', more: [...down, own] };
    const { code, crossed, summary } = await judge(options);
    expect([code, summary.verdict, crossed]).toEqual([0, 'passed', []]);
  });
});

describe.skipIf(!hasMosquitto('verdicts'))('at a broker', PATIENCE, () => {
  test.concurrent('that takes 10 connections, 50 devices do not pass', async () => {
    const { url } = await brokerWith('max_connections 10');
    const options = { name: 'crowd', broker: url, count: 50, more: ['settle: 2s'] };
    const { code, crossed } = await judge(options);
    expect(code).toBe(99);
    expect(crossed).toEqual(
      expect.arrayContaining(['devices_connected: meters', 'messages_pending: meters']),
    );
  });

  test.concurrent('whose ACL denies everything, nothing passes', async () => {
    const rights = join(folder, 'nothing.acl');
    writeFileSync(rights, '# Nobody may do anything.\n');
    const { url } = await brokerWith(`acl_file ${rights}`);
    const options = { name: 'denied', broker: url, count: 10, more: ['settle: 2s'] };
    const { summary } = await judge(options);
    expect(summary.ledger.observed).toBe(0);
    expect(summary.passed).toBe(false);
    expect(['failed', 'not judged']).toContain(summary.verdict);
  });
});
