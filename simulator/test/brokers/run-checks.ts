// `flotilla run` against the broker, as a user starts it, and what it says where a broker cannot
// do what a scenario wants.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Subject } from './subject.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/flotilla.mjs', import.meta.url));

interface Plan {
  readonly seed: number;
  readonly devices: number;
  readonly durationS: number;
  /** One more line of the fleet. */
  readonly line?: string;
}

const scenario = ({ seed, devices, durationS, line }: Plan): string =>
  [
    'name: conformance',
    `seed: ${seed}`,
    'fleets:',
    '  - name: meters',
    `    count: ${devices}`,
    '    interval: 500ms',
    '    sensors: [{ name: power, unit: W, model: noise, mean: 400, deviation: 60 }]',
    ...(line === undefined ? [] : [`    ${line}`]),
    `duration: ${durationS}s`,
    // Bounds for what hangs: a busy machine takes its time.
    'connect: { timeout: 2m }',
    'settle: 5m',
    'thresholds:',
    "  messages_lost: ['count == 0']",
    "  messages_unseen: ['count == 0']",
  ].join('\n');

interface Run {
  readonly code: number | null;
  readonly output: string;
  /** Undefined when the run did not come to one. */
  readonly summary?: {
    readonly protocol: string;
    readonly ledger: { readonly produced: number; readonly [way: string]: number | boolean };
  };
}

async function run(plan: Plan, port: number): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-run-'));
  const file = join(folder, 'conformance.yaml');
  const summary = join(folder, 'summary.json');
  writeFileSync(file, scenario(plan));
  const broker = `mqtt://127.0.0.1:${port}`;
  const args = [LAUNCHER, 'run', file, '--broker', broker, '--summary-export', summary];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (words: string) => {
      output += words;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  try {
    const json =
      code === 0 || code === 99 ? { summary: JSON.parse(readFileSync(summary, 'utf8')) } : {};
    return { code, output, ...json };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function checkRuns(subject: Subject): void {
  checkLedger(subject);
  checkRefusals(subject);
}

function checkLedger({ traits, play }: Subject): void {
  test(
    'flotilla run: every message of 100 devices is accounted for',
    play(async ({ brokerPort }) => {
      const { code, output, summary } = await run(
        { seed: 1, devices: 100, durationS: 4 },
        brokerPort,
      );
      expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('PASSED') });
      expect(summary?.protocol).toBe(traits.refusesVersion5 ? 'MQTT 3.1.1' : 'MQTT 5');
      const { produced = 0, ...ledger } = summary?.ledger ?? {};
      // Each of them said something, however little its machine let it.
      expect(produced).toBeGreaterThanOrEqual(100);
      expect(ledger).toMatchObject({ observed: produced, lost: 0, unseen: 0, balanced: true });
    }),
  );
}

/** One broker of each kind is enough to hear what is said. */
function checkRefusals({ name, play }: Subject): void {
  if (name === 'nats') {
    test(
      'flotilla run, MQTT 5 only: says that the broker refuses it',
      play(async ({ brokerPort }) => {
        const plan = { seed: 2, devices: 10, durationS: 4, line: 'protocol: 5' };
        const { code, output } = await run(plan, brokerPort);
        expect(output).toMatch(/no device could connect .*: server refuses this MQTT version/);
        expect(code).toBe(1);
      }),
    );
  }
  if (name === 'rabbitmq') {
    test(
      'flotilla run, ids with dots: what the broker took and did not deliver is unseen',
      play(async ({ brokerPort }) => {
        const line = "id: '{run}.{fleet}.{index}'";
        const plan = { seed: 3, devices: 10, durationS: 2, line };
        const { code, summary } = await run(plan, brokerPort);
        expect(code).toBe(99);
        expect(summary?.ledger).toMatchObject({ unseen: summary?.ledger.produced, lost: 0 });
      }),
    );
  }
}
