// The command that removes what a killed run leaves behind.

import { resolve } from 'node:path';
import { TOPICS_DEFAULT } from '../scenario/file-schema.ts';
import type { LoadedScenario } from '../scenario/load.ts';
import type { Scenario } from '../scenario/schema.ts';
import { shellCommand } from '../shell-command.ts';

/** Flags of a run that its cleaning takes too. */
const SHARED_FLAG = /^--(broker|devices)=/;

/** None for an embedded broker, which is gone with the run. */
export function cleanCommandOf(loaded: LoadedScenario, run: string): string | undefined {
  const { file, overrides, scenario } = loaded;
  const { broker, topics } = scenario;
  if (broker === undefined) return undefined;
  const words = ['npx', 'flotilla', 'clean', '--run', run];
  if (needsScenario(scenario)) {
    words.push('--scenario', resolve(file));
    return shellCommand([...words, ...overrides.filter((flag) => SHARED_FLAG.test(flag))]);
  }
  const template = topics === TOPICS_DEFAULT ? [] : ['--topics', topics];
  return shellCommand([...words, '--broker', broker.url, ...template]);
}

/**
 * True where a broker's URL does not tell all that it takes: credentials and certificates, which
 * are not printed, or clients that are not found by a retained status that begins with the run's id.
 */
function needsScenario({ broker, fleets }: Scenario): boolean {
  const { tls, username } = broker ?? {};
  if (username !== undefined || tls?.ca !== undefined || tls?.certificate !== undefined)
    return true;
  if (tls?.verify === false) return true;
  return fleets.some(({ id, kind }) => kind === 'plain' || !id.startsWith('{run}-'));
}
