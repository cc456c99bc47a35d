// The judge's own link and process: what is theirs is not the broker's.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import type { ObserverHealth } from '../../src/live/messages.ts';
import { buildSummary, exitCode, type Summary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { ObserverProxy, type Treatment } from '../support/observer-proxy.ts';
import { folder, loadedScenario, type ScenarioOptions } from '../support/scenario.ts';

const brokers: Mosquitto[] = [];
const proxies: ObserverProxy[] = [];

afterAll(async () => {
  for (const proxy of proxies) proxy.close();
  for (const broker of brokers) await broker.stop();
});

/** Something that happens to the observer, so long after messages flow. */
interface Mishap {
  readonly afterMs: number;
  act(proxy: ObserverProxy, observerPid: number): void;
}

/** Runs behind a proxy; the observer fares as `mishaps` say. */
async function run(
  options: ScenarioOptions,
  mishaps: readonly Mishap[],
  config = '',
  id: { readonly run?: string } = {},
): Promise<{ summary: Summary; health: ObserverHealth }> {
  const broker = await startMosquitto({ config });
  brokers.push(broker);
  const proxy = await ObserverProxy.open(broker.port);
  proxies.push(proxy);
  let begun = false;
  const live = new LiveRun(loadedScenario({ count: 20, broker: proxy.url, ...options }), {
    workers: 1,
    ...id,
    onProgress: (snapshot) => {
      const observed = snapshot.messages_observed;
      if (begun || observed?.kind !== 'counter' || observed.value === 0) return;
      begun = true;
      const { pid } = (live as unknown as { observer: { pid: number } }).observer;
      for (const { act, afterMs } of mishaps) setTimeout(() => act(proxy, pid), afterMs);
    },
  });
  const summary = buildSummary(await live.execute());
  return { summary, health: summary.performance.observer as ObserverHealth };
}

function treat(treatment: Treatment, afterMs: number): Mishap {
  return { afterMs, act: (proxy) => proxy.treat(treatment) };
}

function signal(name: NodeJS.Signals, afterMs: number): Mishap {
  return { afterMs, act: (_proxy, pid) => process.kill(pid, name) };
}

function deliveryMaxMs({ metrics }: Summary): number {
  const delivery = metrics.delivery_latency_ms;
  if (delivery?.kind !== 'trend' || delivery.count === 0) throw new Error('nothing was measured');
  return delivery.max;
}

describe.skipIf(!hasMosquitto('an observer with trouble of its own'))('an observer', () => {
  test('whose link swallows everything to the end cannot judge', async () => {
    const { summary } = await run({ name: 'swallowed', duration: '8s' }, [treat('swallow', 2000)]);
    const { judged, ledger } = summary;
    expect(ledger).toMatchObject({ balanced: true, unseen: 0, lost: 0, pending: 0 });
    expect(ledger.unobservable).toBeGreaterThan(20);
    expect(judged).toEqual({
      ok: false,
      reason: expect.stringMatching(
        /^the observer was blind from \d+\.\d s to the end \(.+\), and/,
      ),
    });
    expect(summary.passed).toBe(false);
    expect(exitCode(summary)).toBe(1);
    expect(renderSummary(summary, { color: false })).toContain(
      'NOT JUDGED: the observer was blind from',
    );
  });

  test('whose link dies in silence makes a new one, and misses nothing', async () => {
    const { health, summary } = await run({ name: 'silent-link', duration: '10s' }, [
      treat('swallow-open', 1000),
    ]);
    expect(summary.ledger).toMatchObject({ observed: summary.ledger.produced, unobservable: 0 });
    expect(summary.judged).toEqual({ ok: true });
    expect(health).toMatchObject({ sentinelsLost: 0 });
    // What waited for it was not the broker's delay.
    expect(health.latenciesLeftOut).toBeGreaterThan(20);
    expect(deliveryMaxMs(summary)).toBeLessThan(4000);
  });

  test('whose subscription the broker forgot subscribes anew, and says what it missed', async () => {
    const { health, summary } = await run({ name: 'forgotten', duration: '16s' }, [
      treat('undelivered', 1000),
    ]);
    const { judged, ledger, performance } = summary;
    expect(ledger).toMatchObject({ balanced: true, unseen: 0, lost: 0 });
    expect(ledger.unobservable).toBeGreaterThan(20);
    expect(ledger.observed).toBeGreaterThan(20);
    expect(judged).toEqual({ ok: true });
    expect(health.blindMs).toBeGreaterThan(4000);
    expect(performance.warnings).toContainEqual(
      expect.stringMatching(/^the observer was blind for \d+\.\d s: /),
    );
  });

  test('for which the broker kept less than it missed does not call that unseen', async () => {
    const { health, summary } = await run(
      { name: 'overflow', count: 75, duration: '8s' },
      [treat('refuse', 1000), treat('pass', 5000)],
      'max_queued_messages 200',
    );
    const { judged, ledger } = summary;
    expect(ledger).toMatchObject({ balanced: true, unseen: 0, lost: 0 });
    expect(ledger.unobservable).toBeGreaterThan(50);
    expect(judged).toEqual({ ok: true });
    expect(health.blindMs).toBeGreaterThan(3000);
  });

  test('that may not publish tells what it saw all the same', async () => {
    const acl = join(folder, 'acl');
    const ids = [0, 1, 2].map((index) => `topic write devices/quiet-meters-${index}/telemetry`);
    writeFileSync(acl, ['topic read devices/+/telemetry', ...ids, ''].join('\n'));
    const { health, summary } = await run(
      { name: 'quiet', count: 3, kind: 'plain' },
      [],
      `acl_file ${acl}`,
      { run: 'quiet' },
    );
    expect(summary.ledger).toMatchObject({ observed: summary.ledger.produced, unobservable: 0 });
    expect(summary.judged).toEqual({ ok: true });
    expect(health.sentinels).toBeGreaterThan(3);
    expect(health.sentinelsLost).toBe(0);
  });

  test('whose process stands still for a while leaves its own delay out', async () => {
    const { health, summary } = await run({ name: 'stopped', duration: '9s' }, [
      signal('SIGSTOP', 1000),
      signal('SIGCONT', 5000),
    ]);
    const { judged, ledger, performance } = summary;
    expect(ledger).toMatchObject({ observed: ledger.produced, unobservable: 0 });
    expect(judged).toEqual({ ok: true });
    expect(health.stallMaxMs).toBeGreaterThan(3500);
    expect(health.delayMaxMs).toBeGreaterThan(3000);
    expect(health.latenciesLeftOut).toBeGreaterThan(100);
    expect(deliveryMaxMs(summary)).toBeLessThan(3000);
    expect(performance.warnings).toContainEqual(
      expect.stringMatching(/delivery latencies were those of the observer, which paused for up/),
    );
  });
});
