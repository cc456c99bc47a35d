// One run to render: two fleets, 8,400 messages, six lost where a test asks for it.

import { Registry } from '../../src/metrics/registry.ts';
import { type Threshold, thresholdPercentiles } from '../../src/metrics/thresholds.ts';
import type { Outcome } from '../../src/report/summary.ts';
import type { Fleet } from '../../src/scenario/schema.ts';

function fleet(name: string, count: number): Fleet {
  return {
    name,
    count,
    id: '{run}-{fleet}-{index}',
    kind: 'device',
    intervalMs: 1_000,
    qos: 1,
    payloadSize: 0,
    subscribe: [],
    churnMs: 0,
    retry: { minMs: 1_000, maxMs: 60_000 },
    sensors: [{ name: 'x', model: { kind: 'constant', value: 1 } }],
    keepAliveMs: 60_000,
    sessionExpiryMs: 3_600_000,
    protocol: 'auto',
    bufferSize: 4_096,
    inflight: 8,
  };
}

function threshold(metric: string, expression: string): Threshold {
  return { metric, expression, abortOnFail: false, delayAbortMs: 0 };
}

export const THRESHOLDS: readonly Threshold[] = [
  threshold('messages_lost', 'count==0'),
  threshold('messages_delivered', 'rate > 0.999'),
  threshold('messages_produced', 'rate>1000'),
  threshold('delivery_latency_ms{fleet:thermometers}', 'p(99.9)<500'),
];

/** What the engine would hand over; `lost` messages of each fleet were lost. */
export function outcome(lost: number, thresholds: readonly Threshold[] = THRESHOLDS): Outcome {
  const fleets = [fleet('thermometers', 800), fleet('doors', 200)];
  const registry = new Registry(fleets.map(({ name }) => name));
  for (const [index, { count }] of fleets.entries()) {
    const produced = index === 0 ? 8_000 : 400;
    registry.gauge('devices', index).set(count);
    registry.gauge('devices_connected', index).set(count);
    registry.counter('messages_produced', index).add(produced);
    registry.counter('messages_acknowledged', index).add(produced - lost);
    registry.counter('messages_observed', index).add(produced - lost);
    registry.counter('messages_lost', index).add(lost);
    for (let ms = 1; ms <= 100; ms++) {
      registry.trend('publish_latency_ms', index).record(ms / 4);
      registry.trend('delivery_latency_ms', index).record(ms * (index + 1));
    }
  }
  return {
    runId: 'r1a2b3c4',
    loaded: {
      scenario: {
        name: 'telemetry',
        seed: 1058653044,
        startMs: 0,
        topics: 'devices/{id}/{topic}',
        fleets,
        connect: { inFlight: 80, timeoutMs: 10_000 },
        rampMs: 0,
        durationMs: 20_000,
        settleMs: 30_000,
        timeline: [],
        thresholds,
      },
      digest: 'd1'.repeat(32),
      overrides: ['--devices=1k', '--set=fleets[0].qos=1'],
      file: 'scenarios/telemetry.yaml',
      secrets: [],
    },
    judged: { ok: true },
    mode: 'live',
    broker: 'mqtt://127.0.0.1:1883',
    protocol: 'MQTT 3.1.1',
    snapshot: registry.snapshot(thresholdPercentiles(thresholds)),
    durationMs: 20_000,
    performance: {
      workers: 2,
      versions: { flotilla: '0.1.0', node: 'v24.1.0' },
      startedAt: '2026-01-02T03:04:05.678Z',
      wallMs: 21_400,
      cpuMs: 5_200,
      rssBytes: 184_000_000,
    },
  };
}
