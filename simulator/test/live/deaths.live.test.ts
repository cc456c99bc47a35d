// Parts of a run that die: the run ends with an error that names them, and nothing is left over.

import { describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { RunError } from '../../src/live/preflight.ts';
import type { Snapshot } from '../../src/metrics/snapshot.ts';
import type { LoadedScenario } from '../../src/scenario/load.ts';
import { survivorsOf } from '../support/command-line.ts';
import { application, loadedScenario } from '../support/scenario.ts';

/** The parts of a run that a test ends. */
interface Parts {
  readonly broker: { readonly pid: number };
  readonly observer: { readonly pid: number };
  readonly workers: {
    readonly pool: { readonly threads: readonly { terminate(): Promise<number> }[] };
  };
}

function isGoing(snapshot: Snapshot): boolean {
  const observed = snapshot.messages_observed;
  return observed?.kind === 'counter' && observed.value > 0;
}

/** Runs until it fails; `strike` is called once, when messages flow. */
async function failureOf(
  loaded: LoadedScenario,
  strike: (parts: Parts) => void = () => undefined,
): Promise<RunError> {
  let struck = false;
  const run = new LiveRun(loaded, {
    workers: 2,
    onProgress: (snapshot) => {
      if (struck || !isGoing(snapshot)) return;
      struck = true;
      strike(run as unknown as Parts);
    },
  });
  const parts = run as unknown as Parts;
  const error = await run.execute().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  expect(await survivorsOf([parts.broker.pid, parts.observer.pid])).toEqual([]);
  return error as RunError;
}

function loaded(name: string, fleet: readonly string[] = []): LoadedScenario {
  return loadedScenario({ name, count: 10, fleet, duration: '1h' });
}

describe('a run', () => {
  test.concurrent('whose worker is ended says which', async () => {
    const error = await failureOf(
      loaded('ended'),
      ({ workers: { pool } }) => void pool.threads[1]!.terminate(),
    );
    expect(error.message).toMatch(/^worker [01] of 2 died: /);
  });

  test.concurrent('whose worker cannot begin says why', async () => {
    const good = loaded('impossible');
    const [fleet] = good.scenario.fleets;
    const fleets = [{ ...fleet!, bufferSize: 1 }];
    const bad = { ...good, scenario: { ...good.scenario, fleets } };
    const error = await failureOf(bad);
    expect(error.message).toMatch(
      /^worker [01] of 2 died: bufferSize: expected at least \d+ bytes/,
    );
  });

  test.concurrent('whose application ends its process says so', async () => {
    const file = application('quitter', 'export function start() { process.exit(3); }');
    const error = await failureOf(loaded('quitting', [`application: '${file}'`]));
    expect(error.message).toMatch(/^worker [01] of 2 died: .*3/);
  });
});

describe('a run of several processes', () => {
  test.concurrent('whose observer is killed says so', async () => {
    const error = await failureOf(loaded('blind'), ({ observer }) => {
      process.kill(observer.pid, 'SIGKILL');
    });
    expect(error.message).toBe('the observer ended: signal SIGKILL');
  });

  test.concurrent('whose embedded broker is killed says so', async () => {
    const error = await failureOf(loaded('brokerless'), ({ broker }) => {
      process.kill(broker.pid, 'SIGKILL');
    });
    expect(error.message).toBe('the embedded broker ended: signal SIGKILL');
  });
});
