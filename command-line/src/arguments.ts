// What is wrong with the arguments of a command, in words for people: every mistake, each in a line.
// yargs reads the same arguments by the same rules; it says too little of what it does not take.

import type { Positional } from './commands.ts';
import { nearestOf } from './nearest.ts';

/** What yargs knows of the options of a command (its `getOptions`); the members we read. */
export interface OptionTable {
  readonly key: Readonly<Record<string, unknown>>;
  readonly alias: Readonly<Record<string, readonly string[]>>;
  readonly array: readonly string[];
  readonly boolean: readonly string[];
  readonly number: readonly string[];
  readonly string: readonly string[];
  readonly choices: Readonly<Record<string, readonly string[]>>;
  readonly demandedOptions: Readonly<Record<string, unknown>>;
}

/** An option as it was typed. */
interface Flag {
  /** `--device`, `-x`. */
  readonly text: string;
  /** Of the option that it stands for; undefined where there is none. */
  readonly option: string | undefined;
  /** Behind `=`, or the next argument; undefined where there is none. */
  readonly value: string | undefined;
}

const NEGATIVE_NUMBER = /^-(\d+(\.\d+)?|\.\d+)$/;
/** What yargs takes as a number. */
const NUMBER = /^(0x[\da-f]+|-?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?)$/i;

/** Mistakes in the options among `args`, all that was typed; none where all is well. */
export function optionMistakes(
  args: readonly string[],
  table: OptionTable,
  positionals: readonly Positional[],
): string[] {
  const flags = flagsOf(args, table);
  const mistakes = flags.flatMap((flag) => flagMistake(flag, table) ?? []);
  const given = flags.flatMap(({ option }) => option ?? []);
  const twice = given.filter((option, index) => given.indexOf(option) < index);
  for (const option of new Set(twice)) {
    if (!table.array.includes(option)) mistakes.push(`--${option}: given more than once`);
  }
  // A slip in its name would be told as two mistakes.
  if (mistakes.length > 0) return mistakes;
  const others = positionals.map(({ name }) => name);
  return Object.keys(table.demandedOptions)
    .filter((option) => !given.includes(option) && !others.includes(option))
    .map((option) => `--${option} is missing`);
}

function flagsOf(args: readonly string[], table: OptionTable): Flag[] {
  const flags: Flag[] = [];
  for (const [index, arg] of args.entries()) {
    if (!isFlag(arg)) continue;
    const [text, ...rest] = arg.split('=') as [string, ...string[]];
    const option = optionOf(text, table);
    const next = args[index + 1];
    const takesNext = option !== undefined && !table.boolean.includes(option);
    const following = takesNext && next !== undefined && !isFlag(next) ? next : undefined;
    flags.push({ text, option, value: rest.length > 0 ? rest.join('=') : following });
  }
  return flags;
}

function isFlag(arg: string): boolean {
  return /^-./.test(arg) && !NEGATIVE_NUMBER.test(arg);
}

/** The option that `--text`, `-t`, `--camelCase` or `--no-boolean` stands for. */
function optionOf(text: string, table: OptionTable): string | undefined {
  const options = optionsOf(table);
  const name = text.replace(/^--?/, '');
  if (!text.startsWith('--')) {
    return options.find((option) => table.alias[option]?.includes(name) && name.length === 1);
  }
  const positive = name.replace(/^no-/, '');
  if (positive !== name && table.boolean.includes(positive)) return positive;
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return [name, kebab].find((each) => options.includes(each));
}

function optionsOf({ boolean, key, number, string }: OptionTable): string[] {
  return [...new Set([...Object.keys(key), ...boolean, ...number, ...string])].filter(
    (option) => option.length > 1,
  );
}

function flagMistake({ option, text, value }: Flag, table: OptionTable): string | undefined {
  if (option === undefined) {
    const near = nearestOf(text.replace(/^-+/, ''), optionsOf(table));
    return `Unknown option: ${text}${near === undefined ? '' : `. Did you mean --${near}?`}`;
  }
  if (table.boolean.includes(option)) {
    if (value === undefined || value === 'true' || value === 'false') return undefined;
    return `${text}: takes no value, got ${value || 'an empty one'}`;
  }
  if (value === undefined) return `${text}: needs a value`;
  if (value.trim() === '') return `${text}: needs a value, got an empty one`;
  if (table.number.includes(option) && !NUMBER.test(value)) {
    return `${text}: expected a number, got ${value}`;
  }
  const choices = table.choices[option];
  if (choices === undefined || choices.includes(value)) return undefined;
  const near = nearestOf(value, choices);
  const hint = near === undefined ? '' : `. Did you mean ${near}?`;
  return `${text}: expected ${listOf(choices)}, got ${value}${hint}`;
}

/** `one, two or three`. */
function listOf(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
