// What a command line is made of: commands, and groups of them.

import type { Argv } from 'yargs';

/** One command. Its options are described to yargs; what is wrong with them is told by the frame. */
export interface Command<Args = object> {
  /** Its name, then its positional arguments: `run <scenario>`, `validate <scenario..>`. */
  readonly command: string;
  readonly describe: string;
  /** Adds options, positional arguments, checks, examples. */
  builder(command: Argv): unknown;
  handler(args: Args): void | Promise<void>;
}

/** Commands behind a name: `flotilla-boot image create`. */
export interface CommandGroup {
  readonly name: string;
  readonly describe: string;
  readonly commands: readonly Command[];
}

export type CommandNode = Command | CommandGroup;

export function isGroup(node: CommandNode): node is CommandGroup {
  return 'commands' in node;
}

/** What it is called by: `run`. */
export function nameOf(node: CommandNode): string {
  return isGroup(node) ? node.name : (node.command.split(' ', 1)[0] ?? '');
}

export interface Positional {
  readonly name: string;
  readonly required: boolean;
}

/** The positional arguments of a command. */
export function positionalsOf({ command }: Command): Positional[] {
  return [...command.matchAll(/([<[])([\w-]+)(?:\.\.)?[>\]]/g)].map(([, bracket, name = '']) => {
    return { name, required: bracket === '<' };
  });
}
