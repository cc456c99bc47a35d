// What `flotilla run` writes to terminals, pipes and logs, as a process of its own.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CommandLine, LAUNCHER } from '../support/command-line.ts';
import { folder, writeScenario } from '../support/scenario.ts';
import { Screen } from '../support/screen.ts';

const ESCAPE = '\u001b';
const STYLES = new RegExp(`${ESCAPE}\\[\\d+m`, 'g');
/** A machine under load takes its time. */
const PATIENCE = { timeout: 120_000 };
/** What is known of no CI: the tests may run in one. */
const NO_CI = { CI: undefined, GITHUB_ACTIONS: undefined, GITLAB_CI: undefined };

function scenario(name: string, duration = '1s'): string {
  const more = ["thresholds: { messages_lost: ['count == 0'] }"];
  return writeScenario({ name, count: 3, duration, more });
}

/** Runs through a pipe; what it wrote to it. */
async function piped(name: string, env: NodeJS.ProcessEnv, duration?: string): Promise<string> {
  const run = new CommandLine(['run', scenario(name, duration)], undefined, {
    ...NO_CI,
    NO_COLOR: undefined,
    ...env,
  });
  const { code, stdout } = await run.ended();
  expect(code).toBe(0);
  return stdout;
}

describe('through a pipe', () => {
  test.concurrent('there are plain lines, one every five seconds', PATIENCE, async () => {
    const text = await piped('plain', {}, '11s');
    expect(text).not.toContain(ESCAPE);
    expect(text).not.toContain('\r');
    const lines = text.split('\n').filter((line) => /^ ?\d+\/11s {2}connected/.test(line));
    // A busy machine may be late with one.
    const times = lines.map((line) => Number.parseInt(line, 10));
    expect(times.map((s) => Math.floor(s / 5))).toEqual([1, 2]);
    expect(text).toMatch(/\n {2}PASSED\n$/);
  });

  test.concurrent('FORCE_COLOR brings colours, and no cursor that moves', PATIENCE, async () => {
    const text = await piped('forced', { FORCE_COLOR: '1' });
    expect(text).toContain(`${ESCAPE}[32m`);
    expect(text.replaceAll(STYLES, '')).not.toContain(ESCAPE);
  });
});

/** `script` of util-linux gives a command a terminal; other systems have another or none. */
function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
}

/** Runs in a terminal of 40 columns; what it wrote to it. */
async function typed(name: string, env: NodeJS.ProcessEnv, end?: NodeJS.Signals): Promise<string> {
  const run = `'${process.execPath}' '${LAUNCHER}' run '${scenario(name, end && '60s')}'`;
  const child: ChildProcess = spawn(
    'script',
    ['-qefc', `stty cols 40 rows 24; ${run}`, '/dev/null'],
    {
      env: { ...process.env, ...NO_CI, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    // Ctrl-C, as soon as devices are there.
    if (end !== undefined && /connected 3\/3/.test(text) && !text.includes('^C')) {
      child.stdin!.write('\u0003');
    }
  });
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, text).toBe(end === undefined ? 0 : 130);
  return text;
}

function shown(text: string): string[] {
  const screen = new Screen(40, 24);
  screen.write(text);
  return screen.lines;
}

describe.skipIf(!hasScript())('in a terminal of 40 columns', () => {
  test.concurrent('the counts are shown in place, and the summary fits', PATIENCE, async () => {
    const text = await typed('typed', { TERM: 'xterm-256color' });
    expect(text).toContain(`${ESCAPE}[32m`);
    // Before the last of it was taken away.
    const frame = shown(text.slice(0, text.lastIndexOf(`${ESCAPE}[J`))).join('\n');
    for (const part of ['meters', 'connected 3/3', 'produced', 'acknowledged', '/s']) {
      expect(frame).toContain(part);
    }
    const lines = shown(text);
    expect(lines.slice(0, 4)).toEqual([
      'typed: 3 devices on an embedded broker,',
      expect.stringMatching(/^ {4}seed 1, run r\w+$/),
      '',
      '',
    ]);
    expect(lines.join('\n')).not.toContain('connected 3/3');
    expect(lines).toContain('        received from the broker by an');
    expect(lines.at(-2)).toBe('  PASSED');
  });

  test.concurrent('a dumb one gets what a pipe gets', PATIENCE, async () => {
    const text = await typed('dumb', { TERM: 'dumb' });
    expect(text).not.toContain(ESCAPE);
    expect(text.replaceAll('\r\n', '\n')).not.toContain('\r');
    expect(text).toContain('PASSED');
  });

  test.concurrent('CI gets what a pipe gets', PATIENCE, async () => {
    const text = await typed('ci', { TERM: 'xterm-256color', CI: 'true' });
    expect(text).not.toContain(ESCAPE);
    expect(text).toContain('PASSED');
  });

  test.concurrent('NO_COLOR takes the colours and leaves the cursor', PATIENCE, async () => {
    const text = await typed('uncoloured', { TERM: 'xterm-256color', NO_COLOR: '1' });
    expect(text).not.toMatch(STYLES);
    expect(text).toContain(`${ESCAPE}[J`);
  });

  test.concurrent('Ctrl-C leaves no half of a line behind', PATIENCE, async () => {
    const text = await typed('typed-c', { TERM: 'xterm-256color' }, 'SIGINT');
    const lines = shown(text);
    expect(lines).toContain('Stopping cleanly; press Ctrl-C again to');
    expect(lines.join('\n')).not.toContain('connected 3/3');
    expect(lines.join('\n')).toContain('INTERRUPTED');
  });

  test.concurrent('that is closed ends the run, which writes its result', PATIENCE, async () => {
    const json = join(folder, 'closed.json');
    const file = scenario('closed', '200s');
    const run = `'${process.execPath}' '${LAUNCHER}' run '${file}' --summary-export '${json}'`;
    const stdio = ['pipe', 'pipe', 'inherit'] as const;
    const terminal = spawn('script', ['-qefc', run, '/dev/null'], { stdio: [...stdio] });
    let text = '';
    terminal.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('connected 3/3')) terminal.kill('SIGKILL');
    });
    await once(terminal, 'close');
    while (!existsSync(json)) await new Promise((resolve) => setTimeout(resolve, 50));
    const summary = JSON.parse(readFileSync(json, 'utf8'));
    expect(summary).toMatchObject({ interrupted: true, ledger: { balanced: true } });
  });
});
