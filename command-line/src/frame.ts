// The frame of a command line: commands in, their arguments checked, errors told, an exit code set.
//
// Exit codes: 0 ok, 1 failed, 2 wrong usage; a command may have others (a CommandError's).

import { readFileSync } from 'node:fs';
import yargs, { type ArgumentsCamelCase, type Argv } from 'yargs';
import { type OptionTable, optionMistakes } from './arguments.ts';
import { type CommandNode, isGroup, nameOf, type Positional, positionalsOf } from './commands.ts';
import { CommandError, InputError, UsageError } from './errors.ts';
import { nearestOf } from './nearest.ts';
import { isOutputClosed, watchOutputs } from './outputs.ts';

export interface Frame {
  /** What is typed: `flotilla`. */
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** The package.json whose version `--version` prints. */
  readonly package: URL;
  readonly commands: readonly CommandNode[];
  readonly epilogue: string;
  /** The CommandError or InputError that an error of the package means; others as they are. */
  explain?(error: unknown): unknown;
}

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const WIDTH_MAX = 100;

/** Runs the command line `args` and sets the exit code; a user's mistake makes no stack trace. */
export async function runCommandLine(frame: Frame, args: readonly string[]): Promise<void> {
  watchOutputs();
  const parser = new FrameParser(frame, args);
  try {
    // Commands have options of this name.
    if (args[0] === '--version') console.log(`${frame.name} ${versionOf(frame)}`);
    else await parser.run();
  } catch (error) {
    report(frame.name, parser.typed(), frame.explain?.(error) ?? error);
  }
}

function versionOf({ package: file }: Frame): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function report(name: string, typed: string, error: unknown): void {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n${typed} --help shows how it is used.`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof InputError) {
    console.error(error.message);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof CommandError) {
    // Who closed our output interrupted us, and need not be told.
    const isKnown = isOutputClosed() && error.exitCode === EXIT_INTERRUPTED;
    if (!isKnown) console.error(`${name}: ${error.message}`);
    process.exitCode = error.exitCode;
  } else {
    throw error; // A bug: its stack trace is what we want.
  }
}

/** One reading of one command line. */
class FrameParser {
  private readonly frame: Frame;
  private readonly args: readonly string[];
  private readonly parser: Argv;
  /** The groups and the command that were recognised, outermost first. */
  private readonly entered: CommandNode[] = [];

  constructor(frame: Frame, args: readonly string[]) {
    this.frame = frame;
    // yargs would keep what follows `--` from the command; no argument of ours begins with a dash.
    this.args = args.filter((arg) => arg !== '--');
    this.parser = yargs([...this.args])
      .scriptName(frame.name)
      // Our own words are English; half of them in another language would be worse.
      .locale('en')
      .usage(`$0 <command>\n\n${frame.description}`)
      .version(false)
      .option('version', { type: 'boolean', global: false, describe: 'Show the version' })
      .middleware((values) => this.check(values), true)
      .fail((message, error) => this.fail(message, error))
      .epilogue(frame.epilogue)
      .wrap(Math.min(WIDTH_MAX, process.stdout.columns || WIDTH_MAX))
      .help()
      .alias('help', 'h');
    this.register(this.parser, frame.name, frame.commands);
  }

  async run(): Promise<void> {
    await this.parser.parseAsync();
  }

  /** What was typed of the command: `flotilla-boot image create`. */
  typed(): string {
    return [this.frame.name, ...this.entered.map(nameOf)].join(' ');
  }

  private register(parser: Argv, typed: string, nodes: readonly CommandNode[]): void {
    for (const node of nodes) {
      const build = (command: Argv): Argv => {
        this.entered.push(node);
        if (isGroup(node)) this.register(command, `${typed} ${node.name}`, node.commands);
        else node.builder(command);
        return command;
      };
      if (isGroup(node)) parser.command(node.name, node.describe, build);
      else parser.command(node.command, node.describe, build, (args) => node.handler(args));
    }
    parser.demandCommand(1, `Which command? ${typed} --help lists them.`);
  }

  /** Runs before yargs's own checks; for a command of a group once more with its group. */
  private check(values: ArgumentsCamelCase): void {
    const node = this.entered.at(-1);
    // The words that are neither a command nor an argument of one.
    const extra = values._.slice(this.entered.length).map(String)[0];
    if (node === undefined || isGroup(node)) {
      // Whose options they are is not known; yargs asks which command.
      if (extra === undefined) return;
      const near = nearestOf(extra, (node ?? this.frame).commands.map(nameOf));
      const hint = near === undefined ? '' : `. Did you mean ${near}?`;
      throw new UsageError(`Unknown command: ${extra}${hint}`);
    }
    const mistakes = this.optionMistakes();
    for (const { name } of this.positionals()) {
      if ([values[name]].flat().includes('')) {
        mistakes.push(`<${name}>: needs a value, got an empty one`);
      }
    }
    if (extra !== undefined) mistakes.push(`Unexpected argument: ${extra}`);
    if (mistakes.length > 0) throw new UsageError(mistakes.join('\n'));
  }

  private optionMistakes(): string[] {
    // Not in its types, but what it hands to every check.
    const { getOptions } = this.parser as unknown as { getOptions(): OptionTable };
    return optionMistakes(this.args, getOptions.call(this.parser), this.positionals());
  }

  private positionals(): Positional[] {
    const node = this.entered.at(-1);
    return node === undefined || isGroup(node) ? [] : positionalsOf(node);
  }

  /** What a command throws comes without a message, what is wrong with its arguments with one. */
  private fail(message: string | null, error: Error): never {
    if (!message) throw error;
    const node = this.entered.at(-1);
    const count = /^Not enough non-option arguments: got (\d+),/.exec(message)?.[1];
    if (count === undefined || node === undefined || isGroup(node)) throw new UsageError(message);
    const missing = this.positionals().filter(({ required }) => required)[Number(count)];
    const usage = `${this.typed()}${node.command.slice(nameOf(node).length)}`;
    const line = `<${missing?.name}> is missing: ${usage}`;
    throw new UsageError([...this.optionMistakes(), line].join('\n'));
  }
}
