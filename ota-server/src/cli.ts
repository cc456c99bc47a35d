// The `flotilla-ota` command. Exit codes: 0 ok, 1 failed, 2 usage.

import yargs from 'yargs';
import { CommandError, UsageError } from './commands/command-error.ts';
import { inspectCommand } from './commands/inspect.ts';
import { keygenCommand } from './commands/keygen.ts';
import { releaseCommand } from './commands/release.ts';
import { rolloutCommand } from './commands/rollout.ts';
import { serveCommand } from './commands/serve.ts';
import { signCommand } from './commands/sign.ts';
import { verifyCommand } from './commands/verify.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Arguments of which there may be several. */
const LISTS: ReadonlySet<string> = new Set(['_', 'key', 'from']);

/** Runs the command line `argv` and sets the exit code; a user's mistake makes no stack trace. */
export async function main(argv: readonly string[]): Promise<void> {
  // `inspect | head` closes our output early; that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  try {
    await yargs([...argv])
      .scriptName('flotilla-ota')
      .usage('$0 <command>\n\nFirmware releases: signed, rolled out in waves, and watched.')
      .command(keygenCommand)
      .command(signCommand)
      .command(inspectCommand)
      .command(verifyCommand)
      .command(serveCommand)
      .command(releaseCommand)
      .command(rolloutCommand)
      .demandCommand(1, 'Which command? flotilla-ota --help lists them.')
      .strict()
      .check((values) => {
        const twice = Object.keys(values).find((name) => {
          return Array.isArray(values[name]) && !LISTS.has(name);
        });
        if (twice !== undefined) throw new Error(`--${twice}: given more than once`);
        return true;
      })
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

function report(error: unknown): void {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nflotilla-ota --help shows how it is used.`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof CommandError) {
    console.error(`flotilla-ota: ${error.message}`);
    process.exitCode = EXIT_FAILED;
  } else {
    throw error; // A bug: its stack trace is what we want.
  }
}
