// Every drop and every failed connect under its cause, in a run against a broker that does it; the
// causes add up to what the counters say.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { hasMosquitto, startMosquitto } from '../support/mosquitto.ts';
import { folder } from '../support/scenario.ts';

/** What a run of these fleets says of a broker with these lines in its configuration. */
async function summaryOf(
  name: string,
  config: string,
  fleet: Readonly<Record<string, unknown>>,
  timeline: readonly unknown[] = [],
): Promise<Summary> {
  const broker = await startMosquitto({ config });
  try {
    const file = join(folder, `${name}.json`);
    const fleets = [{ name: 'meters', count: 5, interval: '200ms', ...fleet }];
    const more = { duration: '3s', settle: '2s', timeline };
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ name, broker: { url: broker.url }, fleets, ...more }));
    const loaded = loadScenario(file);
    const run = new LiveRun(loaded, { workers: 1, onProgress: () => undefined });
    return buildSummary(await run.execute());
  } finally {
    await broker.stop();
  }
}

function sum(causes: Readonly<Record<string, number>> = {}): number {
  return Object.values(causes).reduce((left, right) => left + right, 0);
}

/** An ACL that lets the observer hear everything and devices write all but telemetry. */
function aclWithoutTelemetry(): string {
  const file = join(folder, 'no-telemetry.acl');
  const topics = ['status', 'diagnostics'].map((topic) => `topic write devices/+/${topic}`);
  writeFileSync(file, ['topic read devices/#', ...topics, ''].join('\n'));
  return `acl_file ${file}`;
}

const PLAIN = { kind: 'plain', payload: '400B', protocol: 5 };
const DEVICE = { sensors: [{ name: 'power', unit: 'W', model: 'constant', value: 400 }] };

describe.skipIf(!hasMosquitto('causes of drops and failed connects'))('the summary tells', () => {
  test.concurrent('what an ACL refuses', async () => {
    const { ledger } = await summaryOf('acl', aclWithoutTelemetry(), DEVICE);
    expect(ledger.produced).toBeGreaterThan(10);
    expect(ledger.droppedBy).toEqual({ 'Not authorized': ledger.produced });
    expect(ledger).toMatchObject({ balanced: true, dropped: ledger.produced });
  });

  test.concurrent.each([
    ['announced', 'max_packet_size 300'],
    ['found-out', 'message_size_limit 300'],
  ])('what is too large for the broker: %s', async (name, config) => {
    const { ledger } = await summaryOf(name, config, PLAIN);
    expect(ledger.produced).toBeGreaterThan(10);
    expect(ledger.droppedBy).toEqual({ 'Packet too large': ledger.produced });
    expect(ledger).toMatchObject({ balanced: true, dropped: ledger.produced });
  });

  test.concurrent('what no buffer held while the link was down', async () => {
    const fleet = {
      ...DEVICE,
      buffer: '1KB',
      interval: '50ms',
      retry: { min: '20ms', max: '200ms' },
    };
    const outage = { at: '500ms', outage: { for: '1800ms' } };
    const { ledger, performance } = await summaryOf('outage', '', fleet, [outage]);
    expect(ledger.droppedBy['buffer full while offline']).toBeGreaterThan(10);
    expect(sum(ledger.droppedBy)).toBe(ledger.dropped);
    expect(ledger.balanced).toBe(true);
    expect(performance.disconnectReasons).toEqual({ 'link down': 5 });
    expect(Object.keys(performance.failedConnects ?? {})).toEqual(['link down']);
  });

  test.concurrent('why connects failed, and their sum', async () => {
    // The observer is one of them.
    const { metrics, performance } = await summaryOf('full', 'max_connections 4', {
      ...DEVICE,
      retry: { min: '50ms', max: '500ms' },
    });
    expect(sum(performance.failedConnects)).toBeGreaterThan(2);
    expect(metrics.connect_failures).toMatchObject({ value: sum(performance.failedConnects) });
  });
});

describe.skipIf(!hasMosquitto('an ACL that closes'))('an ACL that denies diagnostics', () => {
  /** mosquitto 2.0.11 without a bound on its queues closes over what an ACL denies. */
  function aclWithoutDiagnostics(): string {
    const file = join(folder, 'no-diagnostics.acl');
    const topics = ['status', 'telemetry'].map((topic) => `topic write devices/+/${topic}`);
    writeFileSync(file, ['topic read devices/#', ...topics, ''].join('\n'));
    return `acl_file ${file}\nmax_queued_messages 0`;
  }

  test.concurrent.each(['3.1.1', 5])('keeps no device from its work, MQTT %s', async (protocol) => {
    const fleet = { ...DEVICE, protocol, retry: { max: '1s' } };
    const name = `no-diagnostics-${protocol === 5 ? 5 : 4}`;
    const summary = await summaryOf(name, aclWithoutDiagnostics(), fleet);
    const { ledger, metrics } = summary;
    expect(ledger).toMatchObject({ observed: ledger.produced, balanced: true });
    expect(metrics.devices_connected).toMatchObject({ value: 5 });
    // Each device came back twice; before it did so for as long as the run went on.
    const { value } = metrics.reconnects as { value: number };
    expect(value).toBeGreaterThan(0);
    expect(value).toBeLessThanOrEqual(10);
  });
});

test.skipIf(!hasMosquitto('warnings'))('a refused subscription is a warning', async () => {
  const fleet = { ...DEVICE, subscribe: [`news/${'x'.repeat(150)}`] };
  const { performance } = await summaryOf('long-filter', 'max_packet_size 150', fleet);
  expect(performance.warnings).toContain(
    `no subscription to news/${'x'.repeat(150)}: Packet too large (5 times)`,
  );
});
