// What a newcomer runs first: it ends when its rollout does, whatever becomes of that, it can fail,
// and it has no limit that a slow machine comes near.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OtaServer, startServer } from '@flotilla/ota-server/server';
import { afterAll, describe, expect, test } from 'vitest';
import { createRunKey } from '../../src/firmware/keys.ts';
import { LiveRun } from '../../src/live/live-run.ts';
import { METRICS, type MetricName } from '../../src/metrics/names.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { flotilla } from '../support/command-line.ts';
import { publishedMistakes } from '../support/published-schema.ts';
import { folder } from '../support/scenario.ts';

const QUICKSTART = join(import.meta.dirname, '../../../scenarios/quickstart.yaml');
const MINUTE_MS = 60_000;
/** A machine under load takes its time, which is the point. */
const PATIENCE = { timeout: 3 * MINUTE_MS };

const servers: OtaServer[] = [];

afterAll(async () => {
  for (const server of servers.splice(0)) await server.close();
});

function failedOf({ thresholds }: Summary): string[] {
  return thresholds.filter(({ ok }) => !ok).map(({ metric }) => metric);
}

describe.each([false, true])('the quickstart, where ci is %s', (ci) => {
  const { scenario } = loadScenario(QUICKSTART, { ci });

  test('ends with its rollout, and has no limit that a slow machine comes near', () => {
    expect(scenario.endAfterRolloutsMs).toBeLessThanOrEqual(2_000);
    expect(scenario.durationMs).toBeGreaterThanOrEqual(30 * MINUTE_MS);
    expect(scenario.settleMs).toBeGreaterThanOrEqual(10 * MINUTE_MS);
    expect(scenario.connect.timeoutMs).toBeGreaterThanOrEqual(MINUTE_MS);
    for (const { firmware, keepAliveMs } of scenario.fleets) {
      expect(firmware?.trialMs).toBeGreaterThanOrEqual(5 * MINUTE_MS);
      expect(keepAliveMs).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    }
  });

  test('waits for every device of a wave before it opens the next, or ends', () => {
    const total = scenario.fleets.reduce((sum, { count }) => sum + count, 0);
    const rollouts = scenario.timeline.filter((event) => event.kind === 'rollout');
    expect(rollouts.length).toBe(1);
    for (const { offerTimeoutMs, waves } of rollouts) {
      expect(offerTimeoutMs).toBeGreaterThanOrEqual(scenario.durationMs);
      for (const { sampleMin } of waves) expect(sampleMin).toBeGreaterThanOrEqual(total);
    }
  });

  test('judges no time', () => {
    expect(scenario.thresholds.length).toBeGreaterThan(3);
    for (const { expression, metric } of scenario.thresholds) {
      expect(METRICS[metric as MetricName].kind, metric).not.toBe('trend');
      expect(expression).not.toContain('rate');
    }
  });
});

describe('a quickstart', () => {
  test.concurrent(
    'whose release crashes ends when the rollout is stopped, and fails',
    PATIENCE,
    async () => {
      const json = join(folder, 'broken.json');
      const crash = 'timeline[0].release.behaviour.crashOnBoot=1';
      const run = await flotilla(
        'run',
        QUICKSTART,
        '--ci',
        '--set',
        crash,
        '--summary-export',
        json,
      );
      expect(run.stdout).toContain('FAILED: 2 thresholds crossed');
      expect(run.code).toBe(99);
      const summary = JSON.parse(readFileSync(json, 'utf8')) as Summary;
      expect(publishedMistakes(summary)).toEqual([]);
      expect(failedOf(summary)).toEqual(['devices_updated', 'ota_waves']);
      expect(summary.rollouts?.[0]?.status).toBe('stopped');
      expect(summary.run.durationMs).toBeLessThan(10 * MINUTE_MS);
    },
  );

  test.concurrent('whose rollout an operator aborts ends then, and fails', PATIENCE, async () => {
    const loaded = loadScenario(QUICKSTART, { ci: true });
    const key = createRunKey(loaded.scenario.seed, 'manifest').publicKey;
    const server = await startServer({
      port: 0,
      dataDir: ':memory:',
      evaluateMs: 250,
      trustedKeys: [{ algorithm: 'ed25519', key }],
    });
    servers.push(server);
    let aborted: Promise<unknown> | undefined;
    const run = new LiveRun(loaded, {
      workers: 1,
      otaServer: { url: server.url, adminKey: server.adminKey! },
      onProgress: (snapshot) => {
        const started = snapshot.ota_started;
        if (started?.kind !== 'counter' || started.value === 0) return;
        aborted ??= server.control.abort('1.1.0-r1');
      },
    });
    const summary = buildSummary(await run.execute());
    await aborted;
    expect(summary.rollouts?.[0]?.status).toBe('aborted');
    expect(failedOf(summary)).toContain('devices_updated');
    expect(summary.passed).toBe(false);
    expect(summary.run.durationMs).toBeLessThan(10 * MINUTE_MS);
    expect(summary.performance.warnings).not.toContainEqual(expect.stringMatching(/rollouts/));
  });

  test.concurrent('that the duration cuts off says so, and fails', PATIENCE, async () => {
    const run = await flotilla('run', QUICKSTART, '--ci', '--duration', '1100ms');
    expect(run.code).toBe(99);
    expect(run.stdout).toContain('! the rollouts had not come to their end when the duration was');
  });
});
