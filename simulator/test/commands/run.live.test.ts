// `flotilla run` as a process: what it prints, writes and leaves behind, and how it exits.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Summary } from '../../src/report/summary.ts';
import { CommandLine, descendantsOf, flotilla, survivorsOf } from '../support/command-line.ts';
import { junitMistakes } from '../support/junit-10.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { publishedMistakes } from '../support/published-schema.ts';
import { folder, writeScenario } from '../support/scenario.ts';
import { retainedAt } from '../support/subscriber.ts';

const brokers: Mosquitto[] = [];

afterAll(async () => {
  for (const broker of brokers) await broker.stop();
});

describe('a run', () => {
  test.concurrent('that passes, with --json, prints one document, which the files repeat', async () => {
    const file = writeScenario({
      name: 'small',
      count: 10,
      duration: '2s',
      more: ["thresholds: { messages_lost: ['count == 0'] }"],
    });
    const [json, junit] = [join(folder, 'deep/summary.json'), join(folder, 'junit.xml')];
    const outputs = ['--summary-export', json, '--junit', junit];
    const run = await flotilla('run', file, '--json', '--duration', '1500ms', ...outputs);
    expect(run.code).toBe(0);
    const summary = JSON.parse(run.stdout) as Summary;
    expect(summary).toMatchObject({
      schemaVersion: 1,
      scenario: 'small',
      seed: 1,
      mode: 'live',
      devices: 10,
      broker: 'embedded',
      passed: true,
      run: { file, overrides: ['--duration=1500ms'] },
    });
    expect(summary.ledger.produced).toBeGreaterThan(0);
    expect(summary.ledger.observed).toBe(summary.ledger.produced);
    expect(JSON.parse(readFileSync(json, 'utf8'))).toEqual(summary);
    expect(readFileSync(junit, 'utf8')).toContain('failures="0"');
    // What is for the eye goes elsewhere.
    expect(run.stderr).toContain('small: 10 devices on an embedded broker, seed 1');
  });

  test.concurrent('ends early where a threshold says so, with 99', async () => {
    const file = writeScenario({
      name: 'aborted',
      count: 10,
      duration: '1h',
      more: [
        'thresholds:',
        "  messages_produced: [{ threshold: 'count < 15', abortOnFail: true }]",
        "  messages_lost: ['count == 0']",
      ],
    });
    const [json, junit] = [join(folder, 'aborted.json'), join(folder, 'aborted.xml')];
    const run = await flotilla('run', file, '--summary-export', json, '--junit', junit);
    expect(run.code).toBe(99);
    const summary = JSON.parse(readFileSync(json, 'utf8')) as Summary;
    expect(summary).toMatchObject({ passed: false, abortedBy: 'messages_produced: count < 15' });
    expect(summary.ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0 });
    expect(run.stdout).toContain('reproduce: npx flotilla run');
    const xml = readFileSync(junit, 'utf8');
    expect(junitMistakes(xml)).toEqual([]);
    expect(xml).toContain('<failure type="threshold" message="messages_produced: count &#60; 15');
  });

  test.concurrent('that cannot start is not judged: every output says so, with 1', async () => {
    // Port 1 of loopback: nobody is there.
    const broker = 'mqtt://127.0.0.1:1';
    const file = writeScenario({ name: 'unjudged', count: 1, duration: '1s' });
    const [json, junit] = [join(folder, 'unjudged.json'), join(folder, 'unjudged.xml')];
    const outputs = ['--summary-export', json, '--junit', junit];
    const run = await flotilla('run', file, '--broker', broker, ...outputs);
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('NOT JUDGED');
    expect(run.stderr).toContain(`flotilla: ${broker}: `);
    const summary = JSON.parse(readFileSync(json, 'utf8')) as Summary;
    expect(summary).toMatchObject({ verdict: 'not judged', passed: false, broker });
    expect(publishedMistakes(summary)).toEqual([]);
    expect(summary.judged).toEqual({ ok: false, reason: expect.stringContaining(broker) });
    expect(junitMistakes(readFileSync(junit, 'utf8'))).toEqual([]);
    expect(readFileSync(junit, 'utf8')).toMatch(
      /tests="2" failures="0" errors="1".*<error type="judge"/s,
    );
  });

  test.concurrent('that cannot write its summary says so, with 1', async () => {
    const file = writeScenario({ name: 'unwritable', count: 1, duration: '500ms' });
    const run = await flotilla('run', file, '--json', '--summary-export', join(file, 'x.json'));
    expect(run.code).toBe(1);
    expect(run.stderr).toContain(`flotilla: ${join(file, 'x.json')}: `);
    expect(run.stderr).not.toMatch(/\n\s+at /);
    expect(JSON.parse(run.stdout)).toMatchObject({ scenario: 'unwritable' });
  });
});

describe.skipIf(!hasMosquitto('runs whose reader leaves'))('a reader that leaves', () => {
  test.concurrent.each([
    ['stdout', []],
    ['stderr', ['--json']],
  ] as const)('of %s ends the run as Ctrl-C does, quietly', async (stream, options) => {
    const broker = await startMosquitto();
    brokers.push(broker);
    const name = `left-${stream}`;
    const file = writeScenario({ name, broker: broker.url, count: 20, duration: '60s' });
    const run = new CommandLine(['run', file, ...options]);
    await run.until(async () => {
      return (await retainedAt(broker.url, 'devices/+/status')).length === 20;
    });
    const children = descendantsOf(run.process.pid!);
    expect(children.length).toBeGreaterThan(0);
    // As `head -1` does, which has seen the first line by now.
    expect(run[stream]).toContain(`${name}: 20 devices`);
    const ended = run.ended();
    run.process[stream]!.destroy();
    // The next line of progress is what finds out.
    const { code, stderr, stdout } = await ended;
    expect(code).toBe(130);
    if (stream === 'stdout') expect(stderr).toBe('');
    else {
      const summary = JSON.parse(stdout) as Summary;
      expect(summary).toMatchObject({ interrupted: true, verdict: 'interrupted', passed: false });
      expect(publishedMistakes(summary)).toEqual([]);
    }
    expect(await survivorsOf(children)).toEqual([]);
    expect(await retainedAt(broker.url, 'devices/+/status')).toEqual([]);
  });

  test.concurrent('when all is done changes nothing', async () => {
    const file = writeScenario({ name: 'short', count: 2, duration: '500ms' });
    const exported = join(folder, 'short.json');
    // What goes to stdout is the summary alone, which comes last.
    const run = new CommandLine(['run', file, '--json', '--summary-export', exported]);
    const ended = run.ended();
    run.process.stdout!.destroy();
    expect(await ended).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(exported, 'utf8'))).toMatchObject({ passed: true });
  });
});

describe.skipIf(!hasMosquitto('interrupted runs'))('Ctrl-C in a run', () => {
  test.concurrent.for(['3.1.1', '5'])(
    'over MQTT %s ends it cleanly, with 130',
    async (version, { expect }) => {
      const broker = await startMosquitto();
      brokers.push(broker);
      const run = new CommandLine([
        'run',
        writeScenario({
          name: `interrupted-${version.slice(0, 1)}`,
          broker: broker.url,
          count: 20,
          fleet: [`protocol: ${version}`],
          duration: '1h',
        }),
      ]);
      // Each says that it is online, until it is gone.
      await run.until(async () => {
        return (await retainedAt(broker.url, 'devices/+/status')).length === 20;
      });
      const children = descendantsOf(run.process.pid!);
      expect(children.length).toBeGreaterThan(0);
      const ended = run.ended();
      run.process.kill('SIGINT');
      const { code, stderr, stdout } = await ended;
      expect(code).toBe(130);
      expect(stderr).toContain('Stopping cleanly');
      for (const part of ['LEDGER', 'METRICS', 'INTERRUPTED']) expect(stdout).toContain(part);
      expect(await survivorsOf(children)).toEqual([]);
      // The broker may still have to read what they said last.
      await expect.poll(() => retainedAt(broker.url, 'devices/+/status')).toEqual([]);
    },
  );
});

test('Ctrl-C before anything answers ends the run as well', async () => {
  // It hears who connects, and never says a word.
  const asked = Promise.withResolvers<Buffer>();
  const broker = createServer((socket) => {
    socket.on('error', () => undefined).on('data', asked.resolve);
  });
  broker.listen(0, '127.0.0.1');
  await once(broker, 'listening');
  const { port } = broker.address() as AddressInfo;
  const url = `mqtt://127.0.0.1:${port}`;
  const file = writeScenario({ name: 'silent', broker: url, count: 5, duration: '1h' });
  const run = new CommandLine(['run', file]);
  // A CONNECT (MQTT 3.1.1 §2.2.1): its answer is all that the run waits for.
  expect((await asked.promise)[0]).toBe(0x10);
  const children = descendantsOf(run.process.pid!);
  const ended = run.ended();
  run.process.kill('SIGINT');
  const { code, stderr } = await ended;
  expect(code).toBe(130);
  expect(stderr).toContain('flotilla: interrupted before the first device connected');
  expect(await survivorsOf(children)).toEqual([]);
  broker.close();
});
