// The `flotilla` command. Exit codes: 0 ok, 1 failed, 2 usage, 99 a threshold was crossed,
// 130 interrupted.

import yargs from 'yargs';
import { cleanCommand } from './commands/clean.ts';
import { runCommand } from './commands/run.ts';
import { schemaCommand } from './commands/schema.ts';
import { shadowCommand } from './commands/shadow.ts';
import { validateCommand } from './commands/validate.ts';
import { RunError } from './live/preflight.ts';
import { ScenarioError } from './scenario/load.ts';

const EXIT_USAGE = 2;

/** Runs the command line `argv` and sets the exit code; a user's mistake makes no stack trace. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    await yargs([...argv])
      .scriptName('flotilla')
      .usage('$0 <command>\n\nFleets of simulated devices against any MQTT broker.')
      .command(runCommand)
      .command(validateCommand)
      .command(schemaCommand)
      .command(cleanCommand)
      .command(shadowCommand)
      .demandCommand(1, 'Which command? flotilla --help lists them.')
      .strict()
      .fail((message, error) => {
        // What a command throws comes without a message, what is wrong with its arguments with one.
        throw message ? new UsageError(message) : error;
      })
      .wrap(Math.min(100, process.stdout.columns ?? 100))
      .version(false)
      .help()
      .alias('help', 'h')
      .parseAsync();
  } catch (error) {
    report(error);
  }
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function report(error: unknown): void {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nflotilla --help shows how it is used.`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof ScenarioError) {
    for (const line of error.lines) console.error(line);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof RunError) {
    console.error(`\nflotilla: ${error.message}`);
    process.exitCode = error.exitCode;
  } else {
    throw error; // A bug: its stack trace is what we want.
  }
}
