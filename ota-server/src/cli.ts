// The `flotilla-ota` command.

import { type Frame, runCommandLine } from '@flotilla/command-line';
import { inspectCommand } from './commands/inspect.ts';
import { keygenCommand } from './commands/keygen.ts';
import { releaseCommand } from './commands/release.ts';
import { rolloutCommand } from './commands/rollout.ts';
import { serveCommand } from './commands/serve.ts';
import { signCommand } from './commands/sign.ts';
import { verifyCommand } from './commands/verify.ts';

const FRAME: Frame = {
  name: 'flotilla-ota',
  description: 'Firmware releases: signed, rolled out in waves, and watched.',
  package: new URL('../package.json', import.meta.url),
  commands: [
    keygenCommand,
    signCommand,
    inspectCommand,
    verifyCommand,
    serveCommand,
    releaseCommand,
    rolloutCommand,
  ],
  epilogue: 'Exit codes: 0 ok, 1 failed, 2 wrong usage.',
};

/** Runs the command line `args` and sets the exit code. */
export function main(args: readonly string[]): Promise<void> {
  return runCommandLine(FRAME, args);
}
