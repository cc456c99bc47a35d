// The `flotilla-boot` command.

import { type Frame, runCommandLine } from '@flotilla/command-line';
import { campaignCommand } from './commands/campaign.ts';
import { flashCommand } from './commands/flash.ts';
import { imageCommand } from './commands/image.ts';
import { keygenCommand } from './commands/keygen.ts';

const FRAME: Frame = {
  name: 'flotilla-boot',
  description: 'Flash, images, a hardened bootloader, and campaigns that break them.',
  package: new URL('../package.json', import.meta.url),
  commands: [imageCommand, flashCommand, keygenCommand, campaignCommand],
  epilogue: 'Exit codes: 0 ok, 1 failed, 2 wrong usage.',
};

/** Runs the command line `args` and sets the exit code. */
export function main(args: readonly string[]): Promise<void> {
  return runCommandLine(FRAME, args);
}
