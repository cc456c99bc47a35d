// The `flotilla` command.

import { CommandError, type Frame, InputError, runCommandLine } from '@flotilla/command-line';
import { cleanCommand } from './commands/clean.ts';
import { runCommand } from './commands/run.ts';
import { schemaCommand } from './commands/schema.ts';
import { shadowCommand } from './commands/shadow.ts';
import { validateCommand } from './commands/validate.ts';
import { RunError } from './live/preflight.ts';
import { ScenarioError } from './scenario/load.ts';

const FRAME: Frame = {
  name: 'flotilla',
  description: 'Fleets of simulated devices against any MQTT broker.',
  package: new URL('../package.json', import.meta.url),
  commands: [runCommand, validateCommand, schemaCommand, cleanCommand, shadowCommand],
  epilogue:
    'Exit codes: 0 ok, 1 not done or not judged, 2 wrong usage or scenario, 99 a threshold was ' +
    'crossed, 130, 143, 129 interrupted (SIGINT, SIGTERM, SIGHUP).',
  explain: (error) => {
    if (error instanceof ScenarioError) return new InputError(error.message);
    if (error instanceof RunError) return new CommandError(error.message, error.exitCode);
    return error;
  },
};

/** Runs the command line `args` and sets the exit code. */
export function main(args: readonly string[]): Promise<void> {
  return runCommandLine(FRAME, args);
}
