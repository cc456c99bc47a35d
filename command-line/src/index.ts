// @flotilla/command-line: what the commands of all packages share.

export type { ArgumentsCamelCase, Argv } from 'yargs';
export { columns } from './columns.ts';
export type { Command, CommandGroup } from './commands.ts';
export { CommandError, InputError, UsageError } from './errors.ts';
export {
  checkOutput,
  createFile,
  exists,
  FILE_SIZE_MAX,
  filesIn,
  makeFolder,
  readBytes,
  readText,
  replaceFile,
  TEXT_SIZE_MAX,
  writeOutput,
} from './files.ts';
export { type Frame, runCommandLine } from './frame.ts';
export { createKeyFiles, readKey } from './key-files.ts';
export { checkWhole, JSON_OPTION, repeatable } from './options.ts';
export {
  ENDING_SIGNALS,
  type EndingSignal,
  exitCodeOf,
  untilInterrupted,
  whenOutputCloses,
} from './outputs.ts';
