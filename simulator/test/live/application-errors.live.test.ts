// Applications that throw: that is the crash of their device, and of no other. One run, in which
// each fleet has its own way to throw, and in each fleet one device does.

import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ApplicationError } from '../../src/fleet/application-errors.ts';
import { LiveRun } from '../../src/live/live-run.ts';
import { buildSummary, type Summary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { folder } from '../support/scenario.ts';

const PATIENCE_MS = 90_000;
const COUNT = 3;

interface Fleet {
  readonly name: string;
  /** What its module says after `isBad`, which has the first line. */
  readonly body: string;
  readonly more?: string;
}

async function execute(name: string, fleets: readonly Fleet[]): Promise<Summary> {
  const file = join(folder, `${name}.yaml`);
  const sensors = 'sensors: [{ name: x, model: constant, value: 1 }]';
  const lines = fleets.map(({ body, more = '', name: fleet }) => {
    const module = join(folder, `${fleet}.mjs`);
    writeFileSync(module, `const isBad = (device) => device.id.endsWith('-0');\n${body}`);
    const members = `name: ${fleet}, count: ${COUNT}, interval: 500ms, application: '${module}'`;
    return `  - { ${members}, ${sensors}${more} }`;
  });
  const text = [`name: ${name}`, 'seed: 1', 'fleets:', ...lines, 'duration: 4s', 'settle: 5s'];
  writeFileSync(file, `${text.join('\n')}\n`);
  const run = new LiveRun(loadScenario(file), {
    workers: 2,
    run: name,
    onProgress: () => undefined,
  });
  return buildSummary(await run.execute());
}

function countOf({ metrics }: Summary, name: string): number {
  const metric = metrics[name];
  return metric?.kind === 'counter' || metric?.kind === 'gauge' ? metric.value : Number.NaN;
}

const THROWING: readonly (Fleet & Pick<ApplicationError, 'message'> & { at: string })[] = [
  {
    name: 'start',
    body: 'export function start(device) {\n  if (isBad(device)) throw new Error("no pin");\n}',
    message: 'no pin',
    at: ':3:28',
  },
  {
    name: 'timer',
    body: `export function start(device, platform) {
  const target = { onTimer() { if (isBad(device)) null.pin(); } };
  platform.createTimer(target).start(300);
}`,
    message: "TypeError: Cannot read properties of null (reading 'pin')",
    at: ':3:56',
  },
  {
    name: 'node-timer',
    body: `export function start(device) {
  setTimeout(() => { if (isBad(device)) throw new Error('no pin'); }, 300);
}`,
    message: 'no pin',
    at: ':3:47',
  },
  {
    name: 'promise',
    body: `export async function start(device) {
  await undefined;
  if (isBad(device)) throw new Error('no pin');
}`,
    message: 'no pin',
    at: ':4:28',
  },
  {
    name: 'sensor',
    body: `export const sensors = [{
  name: 'fuse',
  read: (device) => { if (isBad(device)) throw new Error('blown'); return 1; },
}];
export function start() {}`,
    message: 'blown',
    at: ':4:48',
  },
];

describe('an application that throws', () => {
  let summary: Summary;
  beforeAll(async () => {
    summary = await execute('throwing', THROWING);
  }, PATIENCE_MS);

  test.each(THROWING)('in $name is told with its device and place', ({ at, message, name }) => {
    const errors = summary.applicationErrors!.filter(({ fleet }) => fleet === name);
    const place = `${relative(process.cwd(), join(folder, `${name}.mjs`))}${at}`;
    expect(errors).toMatchObject([{ device: `throwing-${name}-0`, message, place }]);
    const { count } = errors[0]!;
    // Again and again: the device starts anew after each.
    expect(count).toBeGreaterThan(1);
    expect(countOf(summary, `application_errors{fleet:${name}}`)).toBe(count);
    const text = renderSummary(summary, { color: false });
    expect(text).toContain(`throwing-${name}-0 at ${place} (${count} times)`);
  });

  test.each(THROWING)('in $name leaves its neighbours alone', ({ name }) => {
    // Two neighbours, twice a second for four seconds, less the phase of the first sample.
    const observed = countOf(summary, `messages_observed{fleet:${name}}`);
    expect(observed).toBeGreaterThanOrEqual((COUNT - 1) * 4);
    expect(summary.ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0 });
  });

  test('in a sensor has no value, and goes on', () => {
    expect(countOf(summary, 'devices_connected{fleet:sensor}')).toBe(COUNT);
    expect(countOf(summary, 'reconnects{fleet:sensor}')).toBe(0);
    expect(countOf(summary, 'reconnects{fleet:timer}')).toBeGreaterThan(0);
  });
});

describe('an exception', () => {
  test(
    'resets the machine where devices have firmware',
    async () => {
      const summary = await execute('machines', [
        {
          name: 'booter',
          body: `export function start(device, platform) {
  if (isBad(device) && platform.firmware.bootReason() !== 'crash') throw 'first boot';
}`,
          more: ', firmware: { version: 1.0.0 }',
        },
      ]);
      expect(summary.applicationErrors).toEqual([
        { fleet: 'booter', device: 'machines-booter-0', message: 'first boot', count: 1 },
      ]);
      expect(countOf(summary, 'devices_connected')).toBe(COUNT);
    },
    PATIENCE_MS,
  );

  test(
    'on every device is a finding, not the end of the run',
    async () => {
      const body = 'export function start() { throw new Error("no"); }';
      const summary = await execute('hopeless', [{ name: 'all', body }]);
      expect(countOf(summary, 'devices_connected')).toBe(0);
      expect(countOf(summary, 'application_errors')).toBeGreaterThan(COUNT);
      expect(summary.applicationErrors).toHaveLength(1);
      expect(summary.ledger.balanced).toBe(true);
    },
    PATIENCE_MS,
  );
});
