// The command line: what is wrong with it is told in a line, with exit code 2.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/cli.ts';
import { PUBLISHED } from '../support/published-schema.ts';
import { folder, writeScenario } from '../support/scenario.ts';

const SCENARIOS = join(import.meta.dirname, '../../../scenarios');
const QUICKSTART = join(SCENARIOS, 'quickstart.yaml');
const TELEMETRY = join(SCENARIOS, 'telemetry.yaml');

interface Printed {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

beforeEach(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs the command line in this process, which keeps its own exit code. */
async function flotilla(...args: readonly string[]): Promise<Printed> {
  const exitCode = process.exitCode;
  process.exitCode = undefined;
  try {
    await main(args);
    const lines = (calls: readonly (readonly unknown[])[]) => calls.map(String).join('\n');
    return {
      code: Number(process.exitCode ?? 0),
      output: lines(vi.mocked(console.log).mock.calls),
      errors: lines(vi.mocked(console.error).mock.calls),
    };
  } finally {
    process.exitCode = exitCode;
  }
}

describe('a wrong command line', () => {
  test.each<[string, readonly string[], string]>([
    ['no command', [], 'Which command? flotilla --help lists them.'],
    ['an unknown command', ['fly'], 'Unknown command: fly'],
    ['no scenario', ['run'], '<scenario> is missing: flotilla run <scenario>'],
    ['an unknown option', ['run', QUICKSTART, '--nope'], 'Unknown option: --nope'],
    ['no workers', ['run', QUICKSTART, '--workers', '0'], '--workers: expected a whole number'],
    ['half a worker', ['run', QUICKSTART, '--workers', '1.5'], '--workers: expected a whole'],
    ['a run id that is none', ['run', QUICKSTART, '--run', 'A b'], '--run: expected up to 10 of'],
    [
      'a broker that is none',
      ['clean', '--run', 'r1', '--broker', 'http://x'],
      '--broker: expected mqtt://host[:port], got http://x',
    ],
    ['no run to clean', ['clean', '--broker', 'mqtt://x'], '--run is missing'],
  ])('with %s is told, with 2', async (_what, args, message) => {
    const { code, errors, output } = await flotilla(...args);
    expect(errors).toContain(message);
    expect(errors).toMatch(/flotilla( run| clean)? --help shows how it is used\.$/);
    expect(errors).not.toMatch(/\n\s+at /);
    expect([code, output]).toEqual([2, '']);
  });

  test('with a value that the scenario cannot have is told with the flag', async () => {
    const { code, errors } = await flotilla('run', QUICKSTART, '--devices', 'many', '--seed', '-1');
    expect(errors).toContain('--devices: count: expected a count such as 500');
    expect(errors).toContain('--seed');
    expect(code).toBe(2);
  });
});

test('a scenario without a ci: block cannot be run at its scale', async () => {
  const file = writeScenario({ name: 'without-ci' });
  const { code, errors, output } = await flotilla('run', file, '--ci');
  expect([code, errors, output]).toEqual([2, `${file}: has no ci: block, which --ci asks for`, '']);
});

describe('validate', () => {
  test('names what is right', async () => {
    const { code, output } = await flotilla('validate', QUICKSTART, TELEMETRY);
    expect(output).toBe(
      `${QUICKSTART}: ok (quickstart, 500 devices)\n${TELEMETRY}: ok (telemetry, 5,000 devices)`,
    );
    expect(code).toBe(0);
  });

  test('prints JSON for machines', async () => {
    const { output } = await flotilla('validate', '--json', QUICKSTART);
    expect(JSON.parse(output)).toEqual([{ file: QUICKSTART, name: 'quickstart', devices: 500 }]);
  });

  test('tells every mistake of every file, with 2', async () => {
    const [one, two] = ['one', 'two'].map((name) => {
      const file = writeScenario({ name });
      writeFileSync(file, readFileSync(file, 'utf8').replace('duration: 3s', 'duration: soon'));
      return file;
    }) as [string, string];
    const absent = join(folder, 'absent.yaml');
    const { code, errors, output } = await flotilla('validate', one, absent, QUICKSTART, two);
    const message = 'duration: expected a duration such as 250ms, 90s, 5m, 1h or 7d, got "soon"';
    expect(errors.split('\n')).toEqual([
      `${one}:10:11: ${message}`,
      `${absent}: no such file`,
      `${two}:10:11: ${message}`,
    ]);
    expect([code, output]).toEqual([2, '']);
  });
});

describe('schema', () => {
  test('prints what the repository keeps for editors', async () => {
    const { code, output } = await flotilla('schema');
    const kept = readFileSync(join(SCENARIOS, 'scenario.schema.json'), 'utf8');
    const remedy = 'npx flotilla schema > scenarios/scenario.schema.json';
    expect(JSON.parse(output), remedy).toEqual(JSON.parse(kept));
    expect(code).toBe(0);
  });

  test('prints what the repository publishes for readers of summaries', async () => {
    const { code, output } = await flotilla('schema', '--summary');
    const kept = readFileSync(PUBLISHED, 'utf8');
    const remedy = 'npx flotilla schema --summary > docs/summary.schema.json';
    expect(JSON.parse(output), remedy).toEqual(JSON.parse(kept));
    expect(code).toBe(0);
  });
});
