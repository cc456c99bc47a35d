// The files that name runs: what is listed is what was left behind, and nothing else.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { removeRunRecord, runsLeftBehind, writeRunRecord } from '../../src/live/run-record.ts';

const BROKER = 'mqtt://127.0.0.1:1883';
let state: string;
let runs: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'flotilla-state-'));
  runs = join(state, 'flotilla/runs');
  vi.stubEnv('XDG_STATE_HOME', state);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(state, { recursive: true });
});

/** Writes the record of this process, and changes it. */
function writeChanged(run: string, changes: Record<string, unknown>): void {
  writeRunRecord(run, BROKER, `clean ${run}`);
  const file = join(runs, `${run}-${process.pid}.json`);
  const record = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...record, ...changes }));
}

/** A process that was there. */
function pidOfTheDead(): number {
  return spawnSync(process.execPath, ['--version']).pid;
}

describe('a run', () => {
  test('that goes on is not left behind', () => {
    writeRunRecord('r1', BROKER, 'clean r1');
    expect(readdirSync(runs)).toHaveLength(1);
    expect(runsLeftBehind()).toEqual([]);
    removeRunRecord('r1', process.pid);
    expect(readdirSync(runs)).toEqual([]);
  });

  test('whose process is gone is, the oldest first', () => {
    const pid = pidOfTheDead();
    writeChanged('r2', { pid, startedAt: '2026-02-01T00:00:00.000Z' });
    writeChanged('r1', { pid, startedAt: '2026-01-01T00:00:00.000Z' });
    expect(runsLeftBehind()).toMatchObject([
      { run: 'r1', broker: BROKER, pid, clean: 'clean r1' },
      { run: 'r2', broker: BROKER, pid, clean: 'clean r2' },
    ]);
  });

  test.runIf(process.platform === 'linux')('whose process id another has now is', () => {
    writeChanged('r1', { began: '1' });
    expect(runsLeftBehind()).toMatchObject([{ run: 'r1' }]);
  });

  test('of another machine may be going on there', () => {
    writeChanged('r1', { pid: pidOfTheDead(), host: 'another' });
    expect(runsLeftBehind()).toEqual([]);
  });
});

describe('the folder', () => {
  test('may hold what is no record', () => {
    mkdirSync(join(runs, 'folder.json'), { recursive: true });
    for (const [name, text] of Object.entries({ half: '{"run":', none: 'null', other: '{}' })) {
      writeFileSync(join(runs, `${name}.json`), text);
    }
    expect(runsLeftBehind()).toEqual([]);
  });

  test('may be missing, or not be one, which keeps nobody from running', () => {
    expect(runsLeftBehind()).toEqual([]);
    writeFileSync(join(state, 'flotilla'), '');
    writeRunRecord('r1', BROKER, 'clean r1');
    removeRunRecord('r1', process.pid);
    expect(runsLeftBehind()).toEqual([]);
  });
});
