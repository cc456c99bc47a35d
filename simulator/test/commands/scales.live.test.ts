// Shipped scenarios at scales far below their own, as a user tries them: those that judge no time,
// since this machine may be busy. `test/scenario/scales.test.ts` has all of them without a run.

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import { flotilla } from '../support/command-line.ts';

const FOLDER = join(import.meta.dirname, '../../../scenarios');
/** Each takes 10 s on a machine of its own. */
const PATIENCE = { timeout: 180_000 };

describe('scenarios/', PATIENCE, () => {
  test.concurrent.each([
    ['quickstart', 1],
    ['quickstart', 7],
    ['greenhouse', 1],
    ['greenhouse', 7],
  ] as const)('%s.yaml passes at %i devices', async (name, devices) => {
    const file = join(FOLDER, `${name}.yaml`);
    const run = await flotilla('run', file, '--ci', '--devices', String(devices), '--json');
    const summary = JSON.parse(run.stdout) as Summary;
    expect(summary.thresholds.filter(({ ok }) => !ok)).toEqual([]);
    expect(run.code).toBe(0);
    expect(summary.devices).toBe(devices);
    expect(summary.ledger.observed).toBeGreaterThan(0);
  });

  test.concurrent('canary-bad.yaml says why 7 are too few, with 2', async () => {
    const file = join(FOLDER, 'canary-bad.yaml');
    const run = await flotilla('run', file, '--devices', '7');
    expect(run.stderr).toMatch(
      /canary-bad\.yaml:\d+:\d+: fleets\[0\]\.countMin: expected at least 400 devices, got 7: a canary/,
    );
    expect(run.code).toBe(2);
  });
});
