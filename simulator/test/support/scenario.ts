// Small scenarios for tests of runs: written to files, as people write them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type LoadedScenario, loadScenario } from '../../src/scenario/load.ts';

/** Removed when the tests of a file are over. */
export const folder = mkdtempSync(join(tmpdir(), 'flotilla-runs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

export interface ScenarioOptions {
  readonly name: string;
  readonly broker?: string;
  /** Devices; default 50. */
  readonly count?: number;
  /** More members of the fleet, such as `qos: 0`. */
  readonly fleet?: readonly string[];
  /** Default 3s. */
  readonly duration?: string;
  /** More members of the file, such as `connect: { timeout: 2s }`. */
  readonly more?: readonly string[];
}

/** A bound for what hangs: on a busy machine the last message takes its time. */
const SETTLE = 'settle: 5m';

/** One fleet, `meters`, that publishes twice a second. */
function scenarioText(options: ScenarioOptions): string {
  const { name, broker, count = 50, fleet = [], duration = '3s', more = [] } = options;
  return [
    `name: ${name}`,
    'seed: 1',
    ...(broker === undefined ? [] : [`broker: { url: '${broker}' }`]),
    'fleets:',
    '  - name: meters',
    `    count: ${count}`,
    '    interval: 500ms',
    '    sensors:',
    '      - { name: power, unit: W, model: noise, mean: 400, deviation: 60 }',
    '      - { name: level, model: random-walk, start: 5, step: 1, min: 0, max: 10 }',
    ...fleet.map((line) => `    ${line}`),
    `duration: ${duration}`,
    ...more,
    ...(more.some((line) => line.startsWith('settle:')) ? [] : [SETTLE]),
    '',
  ].join('\n');
}

/** The path of a new scenario file. */
export function writeScenario(options: ScenarioOptions): string {
  const file = join(folder, `${options.name}.yaml`);
  writeFileSync(file, scenarioText(options));
  return file;
}

export function loadedScenario(options: ScenarioOptions): LoadedScenario {
  return loadScenario(writeScenario(options));
}
