// Loading a scenario from a text: what the tests of loading and checking share.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { loadScenario, type Overrides, ScenarioError } from '../../src/scenario/load.ts';

export const directory = mkdtempSync(join(tmpdir(), 'flotilla-load-'));
afterAll(() => rmSync(directory, { recursive: true }));

export const FILE = join(directory, 'scenario.yaml');

type Variables = Record<string, string>;

export function load(text: string | Buffer, overrides: Overrides = {}, variables: Variables = {}) {
  writeFileSync(FILE, text);
  return loadScenario(FILE, overrides, { variables, randomSeed: () => 77 });
}

/** The mistakes, with the file's name as `f`. */
export function mistakes(
  text: string | Buffer,
  overrides: Overrides = {},
  variables: Variables = {},
) {
  try {
    load(text, overrides, variables);
  } catch (error) {
    if (error instanceof ScenarioError) {
      return error.lines.map((line) => line.replaceAll(FILE, 'f'));
    }
    throw error;
  }
  return [];
}

export const GOOD = `name: small
fleets:
  - name: a
    count: 10
    interval: 1s
    sensors: [{ name: x, model: constant, value: 1 }]
duration: 20s
`;

/** GOOD with a fleet b. */
export const TWO = GOOD.replace(
  'duration',
  `  - name: b
    count: 30
    interval: 2s
    sensors: [{ name: x, model: constant, value: 1 }]
duration`,
);
