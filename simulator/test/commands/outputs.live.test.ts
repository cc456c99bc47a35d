// Where a run writes its result: tried before it starts, and each written whatever happens to the
// others, also when there is no result.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import { CommandLine, flotilla, type Outcome } from '../support/command-line.ts';
import { junitMistakes } from '../support/junit-10.ts';
import { canRun, freePort } from '../support/mosquitto.ts';
import { publishedMistakes } from '../support/published-schema.ts';
import { folder, type ScenarioOptions, writeScenario } from '../support/scenario.ts';

/** A device on which there is never space. */
const FULL = '/dev/full';
const NO_SPACE = `flotilla: ${FULL}: no space left\n`;
/** A machine under load takes its time. */
const PATIENCE = { timeout: 120_000 };

function scenario(name: string, options: Partial<ScenarioOptions> = {}): string {
  return writeScenario({ name, count: 1, duration: '4s', ...options });
}

function parsed(file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Whatever happened was foreseen. */
function expectNoTrace({ stderr, stdout }: Outcome): void {
  expect(`${stdout}${stderr}`).not.toMatch(/\n\s+at /);
}

describe('a run that could not be written down', () => {
  test.concurrent('is not begun, and the other file says why', PATIENCE, async () => {
    const taken = join(folder, 'taken.xml');
    mkdirSync(taken);
    const json = join(folder, 'not/there/yet.json');
    const file = scenario('taken');
    const run = await flotilla('run', file, '--junit', taken, '--summary-export', json);
    expect(run).toMatchObject({ code: 1, stdout: '', stderr: `flotilla: ${taken}: is a folder\n` });
    expect(parsed(json)).toMatchObject({
      schemaVersion: 1,
      scenario: 'taken',
      run: { file },
      verdict: 'not judged',
      passed: false,
      judged: { ok: false, reason: `${taken}: is a folder` },
    });
  });

  test.concurrent('names every file', PATIENCE, async () => {
    const file = scenario('nowhere');
    const [json, xml] = [join(file, 'a.json'), join(file, 'b/c.xml')];
    const run = await flotilla('run', file, '--junit', xml, '--summary-export', json);
    expect(run.code).toBe(1);
    for (const path of [json, xml]) {
      expect(run.stderr).toContain(`${path}: a part of its path is not a folder\n`);
    }
    expectNoTrace(run);
  });
});

describe('a run that cannot start', () => {
  test.concurrent('leaves the reason in all of its outputs', PATIENCE, async () => {
    const broker = `mqtt://127.0.0.1:${await freePort()}`;
    const [json, xml] = [join(folder, 'refused.json'), join(folder, 'refused.xml')];
    const outputs = ['--summary-export', json, '--junit', xml, '--json'];
    const run = await flotilla('run', scenario('refused', { broker }), ...outputs);
    expect(run.code).toBe(1);
    const document = JSON.parse(run.stdout);
    expect(document).toMatchObject({ scenario: 'refused', passed: false });
    expect(document.judged.reason).toContain(`${broker}: connection refused`);
    expect(parsed(json)).toEqual(document);
    const junit = readFileSync(xml, 'utf8');
    expect(junit).toContain('<testsuite name="refused" tests="2" failures="0" errors="1"');
    expect(junit).toContain(`<error type="judge" message="${broker}: connection refused`);
    expect(run.stderr).toContain(`flotilla: ${broker}: connection refused`);
  });

  test.concurrent('nor even be read leaves the mistakes there', PATIENCE, async () => {
    const file = scenario('mistaken', { more: ['nonsense: 1'] });
    const [json, xml] = [join(folder, 'mistaken.json'), join(folder, 'mistaken.xml')];
    const run = await flotilla('run', file, '--summary-export', json, '--junit', xml);
    expect(run.code).toBe(2);
    const summary = parsed(json) as unknown as Summary;
    expect(summary).toMatchObject({ scenario: file, verdict: 'not judged', passed: false });
    expect(summary.judged).toEqual({ ok: false, reason: expect.stringContaining('nonsense') });
    expect(publishedMistakes(summary)).toEqual([]);
    const junit = readFileSync(xml, 'utf8');
    expect(junit).toContain('nonsense');
    expect(junitMistakes(junit)).toEqual([]);
  });
});

const hasFull = canRun('outputs on a full disk', existsSync(FULL), `${FULL} (Linux)`);

describe.skipIf(!hasFull)('a full disk', () => {
  test.concurrent.each([
    ['--junit', '--summary-export'],
    ['--summary-export', '--junit'],
  ])('under %s fails the run, and %s is written', PATIENCE, async (full, other) => {
    const name = `beside-${full.slice(2)}`;
    const good = join(folder, `${name}.txt`);
    const file = scenario(name);
    const run = await flotilla('run', file, full, FULL, other, good);
    expect(run).toMatchObject({ code: 1, stderr: NO_SPACE });
    expect(run.stdout).toContain('LEDGER');
    expect(readFileSync(good, 'utf8')).toMatch(/"passed": true|failures="0" errors="0"/);
  });

  test.concurrent('does not hide what the run found', PATIENCE, async () => {
    const more = ["thresholds: { messages_produced: ['count > 1000'] }"];
    const run = await flotilla('run', scenario('crossed', { more }), '--junit', FULL);
    expect(run).toMatchObject({ code: 99, stderr: NO_SPACE });
  });

  test.concurrent.each([
    ['the summary', []],
    ['the document', ['--json']],
  ])('under standard output, for %s, is told once', PATIENCE, async (_what, options) => {
    const name = `silent${options.length}`;
    const json = join(folder, `${name}.json`);
    const args = ['run', scenario(name), '--summary-export', json, ...options];
    const run = await new CommandLine(args, `exec > ${FULL}`).ended();
    expect(run.code).toBe(1);
    expect(run.stderr.match(/standard output: no space left\n/g)).toHaveLength(1);
    expectNoTrace(run);
    expect(parsed(json)).toMatchObject({ passed: true });
  });
});
