// When the observer gives a broker up, and when the run takes it for done.

import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import type { FromObserver } from '../../src/live/messages.ts';
import { Observer } from '../../src/live/observer.ts';
import { startRun } from '../../src/live/run-clock.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { loadedScenario } from '../support/scenario.ts';

const servers: Server[] = [];

afterAll(() => {
  for (const server of servers.splice(0)) server.close();
});

/** What an observer says while `count` of its connections are closed as they open. */
async function closedOn(name: string, broker: string | undefined, count: number) {
  const said: FromObserver[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let closed = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.destroy();
    closed += 1;
    if (closed >= count) resolve();
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const observer = new Observer(
    {
      scenario: loadedScenario({ name, count: 1, ...(broker === undefined ? {} : { broker }) })
        .scenario,
      run: 'r1',
      start: startRun(),
      target: { host: '127.0.0.1', port },
      workerCount: 1,
    },
    (message) => said.push(message),
  );
  await promise;
  observer.finish();
  return said;
}

describe('the observer', () => {
  test('gives up a broker that refuses it again and again', async () => {
    const said = await closedOn('given-up', 'mqtt://127.0.0.1', 10);
    expect(said).toContainEqual({ kind: 'unreachable', reason: 'closed by the server' });
  });

  test('never gives up the broker of the run, which is there, however late', async () => {
    expect(await closedOn('kept', undefined, 10)).toEqual([]);
  });
});

describe('a run', () => {
  test('waits for an observer that does not get to run', { timeout: 120_000 }, async () => {
    const loaded = loadedScenario({ name: 'starved', count: 20, duration: '2s' });
    const events: string[] = [];
    const run = new LiveRun(loaded, {
      workers: 1,
      onPhase: (phase) => events.push(phase),
      onProgress: (_snapshot, elapsedMs) => {
        if (elapsedMs < 1_000 || events.includes('stopped')) return;
        const { pid } = (run as unknown as { observer: { pid: number } }).observer;
        process.kill(pid, 'SIGSTOP');
        events.push('stopped');
        setTimeout(() => {
          process.kill(pid, 'SIGCONT');
          events.push('continued');
        }, 6_000);
      },
    });
    const { ledger } = buildSummary(await run.execute());
    const end = ['stopped', 'settling', 'continued', 'closing the accounts'];
    expect(events.slice(-end.length)).toEqual(end);
    expect(ledger).toMatchObject({ unseen: 0, lost: 0, observed: ledger.produced });
  });
});
