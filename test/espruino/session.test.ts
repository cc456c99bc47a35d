// The bundle for Espruino through a connected device's life: connect, sample, a command, a change
// of the shadow, offline, drain. In a vm context stripped of what the engine lacks, and in the engine itself where
// ESPRUINO_BIN names one.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { bundleForEspruino, type EspruinoBundle } from '../../scripts/espruino/bundle.ts';
import { engineFindings } from '../../scripts/espruino/engine-rules.ts';
import { application, SAMPLE_INTERVAL_MS } from './application.ts';
import { LoopbackBroker } from './loopback-broker.ts';
import { describePort } from './port-checks.ts';
import { StrippedEngine } from './stripped-engine.ts';

/** What takes this long hangs, also on a machine with much else to do. */
const HANG_MS = 300000;

let bundle: EspruinoBundle;
let broker: LoopbackBroker;

beforeAll(async () => {
  bundle = await bundleForEspruino();
});

afterEach(() => broker?.close());

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + HANG_MS;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`waited too long: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

type SenmlRecord = Record<number | string, unknown>;

/** SenML label of the value (RFC 8428 §6). */
const VALUE = 2;

/** The telemetry by its sequence; a duplicate counts once. */
function readings(): Map<number, unknown> {
  const found = new Map<number, unknown>();
  for (const pack of broker.bodies('/telemetry') as SenmlRecord[][]) {
    found.set(pack[0]?.[VALUE] as number, pack.at(-1)?.[VALUE]);
  }
  return found;
}

function results(): unknown[] {
  return broker.bodies('/result');
}

/** What the device has reported of the key `limit`. */
function reported(): unknown[] {
  const documents = broker.bodies('/shadow/update') as { state: { reported: unknown } }[];
  return documents.map(({ state }) => (state.reported as { limit?: unknown }).limit);
}

/** Drives the device of `application` through the session; `lines` grows with what it prints. */
async function session(lines: readonly string[]): Promise<void> {
  await until('first samples', () => readings().size >= 3);
  expect(broker.bodies('/status')).toContainEqual(expect.objectContaining({ state: 'online' }));

  const command = { cid: 'c1', command: 'add', argument: { a: 40, b: 2 } };
  broker.publish('devices/esp-1/commands', command);
  await until('the result', () => results().length === 1);
  expect(results()[0]).toEqual({ ok: true, value: 42 });

  broker.desire({ limit: 7 });
  await until('the shadow change', () => reported().includes(7));
  expect(lines).toContain('limit 7');

  const before = readings().size;
  broker.goOffline();
  await until('offline', () => lines.some((line) => line.startsWith('disconnected')));
  await new Promise((done) => setTimeout(done, 8 * SAMPLE_INTERVAL_MS));
  expect(readings().size).toBeLessThanOrEqual(before + 2);
  broker.isOnline = true;
  await until('drained', () => readings().size >= before + 8);

  broker.publish('devices/esp-1/commands', { cid: 'c2', command: 'finish' });
  await until('the end', () => lines.some((line) => line.startsWith('PASS')));
  const produced = Number(lines.find((line) => line.startsWith('produced'))?.split(' ')[1]);
  const sequences = [...readings().keys()].sort((a, b) => a - b);
  expect(sequences).toEqual(Array.from({ length: produced }, (_, index) => index));
  for (const [sequence, value] of readings()) expect(value).toBe(20.5 + sequence / 2);
}

describe('the bundle for Espruino', () => {
  test('has nothing that the engine gets wrong', () => {
    expect(engineFindings(bundle.code)).toEqual([]);
  });

  test('lives through a session in a stripped context', async () => {
    broker = await LoopbackBroker.start();
    const engine = new StrippedEngine();
    engine.install('flotilla', bundle.code);
    engine.run(application(broker.port));
    await session(engine.lines);
    expect(engine.watchdogCount).toBeGreaterThan(10);
  });
});

/** Bytes of the bundle that one run writes to Storage: a small engine holds no more as a string. */
const INSTALL_CHUNK_SIZE = 2048;

/** Puts the bundle in Storage as the module `flotilla`, as an upload over serial does. */
function install(binary: string, folder: string, code: string): void {
  for (let at = 0; at < code.length; at += INSTALL_CHUNK_SIZE) {
    const chunk = JSON.stringify(code.slice(at, at + INSTALL_CHUNK_SIZE));
    const script = `require("Storage").write("flotilla", ${chunk}, ${at}, ${code.length}) && print("WROTE");quit();`;
    writeFileSync(join(folder, 'install.js'), script);
    const run = spawnSync(binary, ['install.js'], {
      cwd: folder,
      encoding: 'utf8',
      timeout: HANG_MS,
    });
    if (!run.stdout.includes('WROTE')) throw new Error(`install: ${run.stdout}${run.stderr}`);
  }
}

describe('the Espruino interpreter', () => {
  const { ESPRUINO_BIN } = process.env;

  test('lives through the same session', async () => {
    if (ESPRUINO_BIN === undefined) {
      console.log('NOT RUN in the real interpreter: ESPRUINO_BIN does not name one');
      return;
    }
    const binary = resolve(ESPRUINO_BIN);
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-espruino-'));
    let child: ChildProcess | undefined;
    broker = await LoopbackBroker.start();
    try {
      install(binary, folder, bundle.code);
      writeFileSync(join(folder, 'app.js'), application(broker.port));
      child = spawn(binary, ['app.js'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
      const lines: string[] = [];
      let rest = '';
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        const parts = (rest + text).split(/\r?\n/);
        rest = parts.pop() ?? '';
        // The prompt and its escape sequence stand before what is printed.
        lines.push(...parts.map((line) => line.split('\x1b[J').at(-1) as string));
      });
      await session(lines).catch((error: Error) => {
        throw new Error(`${error.message}\n${lines.join('\n')}`);
      });
      console.log(`${binary}: ${lines.find((line) => line.startsWith('PASS'))} variables in use`);
    } finally {
      child?.kill();
      rmSync(folder, { recursive: true });
    }
  });
});

// Here, since the bundle takes seconds to build.
describe('the port', () => describePort(() => bundle.code));
