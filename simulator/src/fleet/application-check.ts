// Checks the applications of a scenario before it runs, each in a process of its own.

import { spawnSync } from 'node:child_process';
import { extname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import type { Fleet, Scenario } from '../scenario/schema.ts';
import type { ProbeTask } from './application-probe.ts';

/** An import, also on a machine that is busy; most take a fifth of a second. */
const IMPORT_MS_MAX = 30_000;
/** As `ANSWER_DESCRIPTOR`, without loading the probe here. */
const ANSWER_DESCRIPTOR = 3;
/** Node's words for an exception that nobody catches: place, source, caret, blank line, exception. */
const UNCAUGHT =
  /^(?:file:\/\/)?(\/.*|[A-Za-z]:\\.*):(\d+)\n[\s\S]*?^( *)\^+\n[\s\S]*?^(\w*Error.*|Uncaught.*)$/m;

/**
 * What is wrong with the application at `file` for each of the fleets that run it, by their
 * indices; undefined where nothing is.
 */
export function applicationMistakes(
  file: string,
  scenario: Scenario,
  fleets: readonly Fleet[],
  importMsMax: number = IMPORT_MS_MAX,
): readonly (string | undefined)[] {
  const own = fileURLToPath(import.meta.url);
  const probe = fileURLToPath(new URL(`./application-probe${extname(own)}`, import.meta.url));
  const task: ProbeTask = { file, scenario, fleets };
  const { error, output, status } = spawnSync(process.execPath, [probe], {
    input: serialize(task),
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    timeout: importMsMax,
    // A module that loops hears no other signal.
    killSignal: 'SIGKILL',
    // Node's words are parsed.
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
  });
  const answer = output?.[ANSWER_DESCRIPTOR]?.toString() ?? '';
  const name = relative(process.cwd(), file);
  if (answer !== '') {
    const messages = JSON.parse(answer) as (string | null)[];
    return messages.map((message) => (message === null ? undefined : `${name}: ${message}`));
  }
  const message =
    (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT'
      ? `${name}: its import does not come to an end within ${importMsMax / 1000} s`
      : failure(name, output?.[2]?.toString() ?? '', status);
  return fleets.map(() => message);
}

function failure(name: string, words: string, status: number | null): string {
  const [, path, line, indent, thrown] = UNCAUGHT.exec(words) ?? [];
  if (path === undefined || thrown === undefined) {
    return lastError(words) ?? `${name}: ends the process as it is imported (exit code ${status})`;
  }
  const place = `${relative(process.cwd(), decodeURI(path))}:${line}:${indent!.length + 1}`;
  return `${place}: ${withoutKind(thrown)}`;
}

/** An exception that has no place, such as a module that is not there. */
function lastError(words: string): string | undefined {
  const found = /^(\w*Error.*)$/m.exec(words);
  return found === null ? undefined : withoutKind(found[1]!);
}

function withoutKind(thrown: string): string {
  return thrown.replace(/^(?:Syntax)?Error(?: \[\w+\])?: /, '');
}
