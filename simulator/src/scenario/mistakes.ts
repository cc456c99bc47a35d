// What is wrong with a scenario, in words: each issue that the schema finds becomes one mistake
// with the path of the value and a message that says what was expected.

import { nearest } from '@flotilla/command-line/nearest';
import type { z } from 'zod';

export type Path = readonly (string | number)[];

export interface Mistake {
  /** Of the value, or of the member that is missing or unknown. */
  readonly path: Path;
  readonly message: string;
  /** The mistake is the member's name, not its value. */
  readonly atKey?: boolean;
}

const SHOWN_LENGTH_MAX = 60;

/** A value in a message, shortened. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return shown.length <= SHOWN_LENGTH_MAX ? shown : `${shown.slice(0, SHOWN_LENGTH_MAX)}…`;
}

/** `fleets[0].count`; the whole file is `scenario`. */
export function formatPath(path: Path): string {
  if (path.length === 0) return 'scenario';
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join('');
}

const TYPES: Readonly<Record<string, string>> = {
  object: 'a map',
  record: 'a map',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/** What zod calls while it parses: messages in our words. Unknown members get a line each. */
export const describeIssue: z.core.$ZodErrorMap = (issue) => {
  const { input } = issue;
  switch (issue.code) {
    case 'invalid_type': {
      const expected = TYPES[issue.expected] ?? issue.expected;
      if (input === undefined) return `is missing: expected ${expected}`;
      const hint = expected === 'text' && typeof input !== 'object' ? ' (put it in quotes)' : '';
      return `expected ${expected}, got ${show(input)}${hint}`;
    }
    case 'invalid_value':
      return expectedOneOf(issue.values, input);
    case 'invalid_union': {
      // Only a sensor has a discriminator, only a threshold's entry has none.
      if (issue.discriminator === undefined) return `expected text or a map, got ${show(input)}`;
      const member = (input as Record<string, unknown>)[issue.discriminator];
      return expectedOneOf(issue.options as unknown[], member);
    }
    case 'too_small':
      return outOfBounds(bound(issue.minimum, issue, 'at least', 'more than'), input);
    case 'too_big':
      return outOfBounds(bound(issue.maximum, issue, 'at most', 'less than'), input);
    case 'unrecognized_keys': {
      const known = membersOf(issue.inst);
      return issue.keys.map((key) => `unknown member${nearest(key, known)}`).join('\n');
    }
    default:
      return undefined;
  }
};

function expectedOneOf(values: readonly unknown[], input: unknown): string {
  const list = values.map(String).join(', ');
  if (input === undefined) return `is missing: expected one of ${list}`;
  const near = typeof input === 'string' ? nearest(input, values.map(String)) : '';
  return `expected one of ${list}, got ${show(input)}${near.startsWith('; did') ? near : ''}`;
}

function bound(
  limit: number | bigint,
  { origin, inclusive }: { readonly origin: string; readonly inclusive?: boolean },
  closed: string,
  open: string,
): string {
  const which = inclusive === false ? open : closed;
  if (origin === 'string') return `${which} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `${which} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  return `${which} ${limit}`;
}

function outOfBounds(expected: string, input: unknown): string {
  const length = typeof input === 'string' ? `${input.length}: ` : '';
  const got = Array.isArray(input) ? input.length : `${length}${show(input)}`;
  return `expected ${expected}, got ${got}`;
}

function membersOf(schema: unknown): string[] {
  const { _zod } = schema as { _zod?: { def?: { shape?: object } } };
  return Object.keys(_zod?.def?.shape ?? {});
}

/** All issues of a parse as mistakes; of a union, those of the form that was meant. */
export function mistakesOf(issues: readonly z.core.$ZodIssue[], base: Path = []): Mistake[] {
  return issues.flatMap((issue): Mistake[] => {
    const path = [...base, ...(issue.path as Path)];
    if (issue.code === 'unrecognized_keys') {
      const lines = issue.message.split('\n');
      return issue.keys.map((key, index) => ({
        path: [...path, key],
        message: lines[index]!,
        atKey: true,
      }));
    }
    if (issue.code === 'invalid_union') {
      const meant = issue.errors.find(
        (errors) =>
          !errors.some(({ code, path: at }) => code === 'invalid_type' && at.length === 0),
      );
      if (meant !== undefined) return mistakesOf(meant, path);
    }
    return [{ path, message: issue.message }];
  });
}
