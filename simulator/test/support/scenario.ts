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
  /** Between two messages of a device; default 500ms. */
  readonly interval?: string;
  /** Of clients without sensors; default device. */
  readonly kind?: 'plain';
  /** More members of the fleet, such as `qos: 0`. */
  readonly fleet?: readonly string[];
  /** Default 3s. */
  readonly duration?: string;
  /** More members of the file, such as `connect: { timeout: 2s }`. */
  readonly more?: readonly string[];
}

const SENSORS = [
  '    sensors:',
  '      - { name: power, unit: W, model: noise, mean: 400, deviation: 60 }',
  '      - { name: level, model: random-walk, start: 5, step: 1, min: 0, max: 10 }',
];

/** A bound for what hangs: on a busy machine the last message takes its time. */
const SETTLE = 'settle: 5m';

/** One fleet, `meters`. */
function scenarioText(options: ScenarioOptions): string {
  const { name, broker, count = 50, fleet = [], duration = '3s', more = [] } = options;
  const { interval = '500ms', kind } = options;
  return [
    `name: ${name}`,
    'seed: 1',
    ...(broker === undefined ? [] : [`broker: { url: '${broker}' }`]),
    'fleets:',
    '  - name: meters',
    `    count: ${count}`,
    `    interval: ${interval}`,
    ...(kind === undefined ? SENSORS : [`    kind: ${kind}`]),
    ...fleet.map((line) => `    ${line}`),
    `duration: ${duration}`,
    ...more,
    ...(more.some((line) => line.startsWith('settle:')) ? [] : [SETTLE]),
    '',
  ].join('\n');
}

/** The path of a new scenario file. */
export function writeScenario(options: ScenarioOptions): string {
  return writeScenarioText(options.name, scenarioText(options));
}

/** As `writeScenario`, of a whole file's text. */
export function writeScenarioText(name: string, text: string): string {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, text);
  return file;
}

export function loadedScenario(options: ScenarioOptions): LoadedScenario {
  return loadScenario(writeScenario(options));
}

/** The path of a module that a fleet can name as its application. */
export function application(name: string, body: string): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, body);
  return file;
}
