// Every shipped scenario at other scales than its own: its thresholds hold for what a faultless run
// of so many devices comes to, or it says, before it starts, why so few are not enough.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import type { CounterName, GaugeName } from '../../src/metrics/names.ts';
import { COUNTER_NAMES } from '../../src/metrics/names.ts';
import { Registry } from '../../src/metrics/registry.ts';
import { evaluate, thresholdPercentiles } from '../../src/metrics/thresholds.ts';
import { loadScenario, ScenarioError } from '../../src/scenario/load.ts';
import type { Fleet, Scenario } from '../../src/scenario/schema.ts';

const FOLDER = join(import.meta.dirname, '../../../scenarios');
const NAMES = readdirSync(FOLDER).flatMap((file) => /^(.*)\.yaml$/.exec(file)?.[1] ?? []);
const SCALES = [1, 7, 100, 2_000];

/** What of a fleet's counts a run without a fault of anybody comes to. */
type Counts = { [Name in CounterName | GaugeName]?: number };

/** Of the fleet that a scenario does something to, where that is not that all goes well. */
const SPECIAL: Readonly<Record<string, (fleet: Fleet) => Counts>> = {
  // Bad releases: the first wave of 5 % (by the devices' hashes) crashes on 30 % of its devices.
  'canary-bad': ({ count }) => {
    const wave = Math.round(count * 0.05);
    const reverted = Math.floor(wave * 0.3);
    return { ota_waves: 1, ota_alerts: 1, ota_reverted: reverted, ota_confirmed: wave - reverted };
  },
  'canary-late-fail': ({ count }) => {
    const wave = Math.round(count * 0.1);
    return { ota_waves: 1, ota_alerts: 1, ota_confirmed: wave, devices_updated: 0 };
  },
  'canary-slow-fail': ({ count, name }) => {
    const wave = Math.round(count / 2);
    return name === 'meters-b'
      ? { ota_alerts: 1, ota_reverted: wave, devices_updated: 0 }
      : { ota_waves: 1, ota_confirmed: wave, devices_updated: wave };
  },
  // One loss for each image of 64 KB, and a cut or more for its 16 sectors and the boot record.
  'flaky-downloads': ({ count }) => {
    return { link_losses: count, power_cuts: count, download_bytes: Math.floor(count * 70_000) };
  },
  attack: ({ count, firmware }) => {
    const attacks = firmware!.attacks.length > 0 ? count : 0;
    return { attacks, attacks_stopped: attacks, ota_confirmed: 0, devices_updated: 0 };
  },
  offline: ({ count, name }) => (name === 'cramped' ? { messages_dropped: 10 * count } : {}),
  // Telemetry of one client of `qos1`, which shares 500 messages a second with the others.
  load: (fleet) => ({
    ...(fleet.name === 'listeners' ? { messages_received: 20 * fleet.count } : {}),
    ...(fleet.name === 'comers' ? { reconnects: 3 * fleet.count } : {}),
  }),
};

const TRENDS_MS = {
  publish_latency_ms: 2,
  delivery_latency_ms: 2,
  shadow_latency_ms: 50,
  time_error_ms: 20,
  ota_revert_ms: 2_000,
} as const;

/** A run in which everything goes as the scenario wants it. */
function faultless(scenario: Scenario): Registry {
  const { durationMs, fleets, name, rampMs, timeline } = scenario;
  const registry = new Registry(fleets.map((fleet) => fleet.name));
  const isUpdated = timeline.some(({ kind }) => kind === 'rollout');
  const waves = timeline.flatMap((event) => (event.kind === 'rollout' ? event.waves : []));
  for (const [index, fleet] of fleets.entries()) {
    const { count, firmware, intervalMs, wake } = fleet;
    const produced = count * Math.floor((durationMs - rampMs) / intervalMs);
    const changes = timeline.filter(
      (event) => event.kind === 'shadow' && event.fleets.includes(fleet.name),
    );
    const outages = timeline.filter(
      (event) => event.kind === 'outage' && event.fleets.includes(fleet.name),
    );
    const updated = firmware !== undefined && isUpdated ? count : 0;
    const special = SPECIAL[name]?.(fleet) ?? {};
    const counts: Counts = {
      devices: count,
      devices_connected: wake === undefined ? count : 0,
      reconnects: count * outages.length,
      messages_produced: produced,
      messages_observed: produced - (special.messages_dropped ?? 0),
      shadow_updates: count * changes.length,
      shadow_converged: count * changes.length,
      ota_started: updated,
      ota_confirmed: updated,
      devices_updated: updated,
      ota_waves: index === 0 ? waves.length : 0,
      ...special,
    };
    for (const [metric, value] of Object.entries(counts)) {
      if (COUNTER_NAMES.includes(metric as CounterName)) {
        registry.counter(metric as CounterName, index).add(value);
      } else {
        registry.gauge(metric as GaugeName, index).set(value);
      }
    }
    for (const [metric, ms] of Object.entries(TRENDS_MS)) {
      registry.trend(metric as keyof typeof TRENDS_MS, index).record(ms);
    }
    const trialMs = timeline.some(({ kind }) => kind === 'outage') ? 15_000 : 1_000;
    registry.trend('ota_trial_ms', index).record(trialMs);
    registry.trend('energy_mah_per_day', index).record(wake === undefined ? 2_000 : 100);
  }
  return registry;
}

interface Crossed {
  readonly refused?: readonly string[];
  readonly crossed?: readonly string[];
}

function at(name: string, devices: number | undefined, ci: boolean): Crossed {
  const file = join(FOLDER, `${name}.yaml`);
  try {
    const { scenario } = loadScenario(file, { ci, ...(devices === undefined ? {} : { devices }) });
    const { durationMs, thresholds } = scenario;
    const snapshot = faultless(scenario).snapshot(thresholdPercentiles(thresholds));
    const results = evaluate(thresholds, snapshot, durationMs / 1000);
    const crossed = results.filter(({ ok }) => !ok);
    return {
      crossed: crossed.map(({ expression, metric, value }) => `${metric}: ${expression}: ${value}`),
    };
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    return { refused: error.lines };
  }
}

describe.each(NAMES)('scenarios/%s.yaml', (name) => {
  it.each([false, true])('holds at its own scale, where ci is %s', (ci) => {
    expect(at(name, undefined, ci)).toEqual({ crossed: [] });
  });

  it.each(SCALES)('holds at %i devices, or says why it cannot', (devices) => {
    const { crossed, refused } = at(name, devices, false);
    if (refused === undefined) {
      expect(crossed).toEqual([]);
      return;
    }
    expect(devices).toBeLessThan(2_000);
    for (const line of refused) {
      // A mistake has its line in the file, or is the flag's own.
      expect(line).toMatch(
        /^.*\.yaml:\d+:\d+: fleets\[\d\]\.countMin: expected at least \d+ devices, got \d+: ./.test(
          line,
        )
          ? /countMin/
          : /^--devices: count: expected at least \d+, one for each fleet, got \d+$/,
      );
    }
  });
});

test('no shipped scenario counts its devices where a share would do', () => {
  for (const name of NAMES) {
    const text = readFileSync(join(FOLDER, `${name}.yaml`), 'utf8');
    expect(text, name).not.toMatch(/devices_\w+: \["value == [1-9]/);
  }
});
