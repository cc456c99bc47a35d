// Numbers and booleans that a scenario holds as text: in quotes, as people write versions and
// numbers that YAML might read otherwise, or out of the environment, which has nothing but text.

import type { z } from 'zod';
import type { Path } from './mistakes.ts';
import type { Value } from './tree.ts';

const NUMBER = /^-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/;

/**
 * Replaces texts in `tree` by the values that `schema` expects in their places, where they say
 * one: `"5"` by 5, `"false"` by false. Other texts stay, for the schema to complain about.
 */
export function readTexts(schema: z.ZodType, tree: Value): void {
  const { error } = schema.safeParse(tree);
  for (const { issue, path } of allIssues(error?.issues ?? [])) {
    const text = valueAt(tree, path);
    const value = typeof text === 'string' ? expectedValue(text.trim(), issue) : undefined;
    if (value !== undefined) setValue(tree, path, value);
  }
}

interface Found {
  readonly issue: z.core.$ZodIssue;
  readonly path: Path;
}

/** Also those within unions, with their whole paths. */
function allIssues(issues: readonly z.core.$ZodIssue[], base: Path = []): Found[] {
  return issues.flatMap((issue): Found[] => {
    const path = [...base, ...(issue.path as Path)];
    if (issue.code !== 'invalid_union') return [{ issue, path }];
    return issue.errors.flatMap((errors) => allIssues(errors, path));
  });
}

function expectedValue(text: string, issue: z.core.$ZodIssue): number | boolean | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'boolean') return booleanOf(text);
    const isNumber = issue.expected === 'number' || issue.expected === 'int';
    return isNumber && NUMBER.test(text) ? Number(text) : undefined;
  }
  if (issue.code !== 'invalid_value') return undefined;
  const found = issue.values.find((value) => typeof value !== 'string' && String(value) === text);
  return typeof found === 'number' || typeof found === 'boolean' ? found : undefined;
}

function booleanOf(text: string): boolean | undefined {
  return text === 'true' || text === 'false' ? text === 'true' : undefined;
}

function valueAt(tree: Value, path: Path): unknown {
  return path.reduce<unknown>((parent, key) => {
    return (parent as Record<string | number, unknown> | null | undefined)?.[key];
  }, tree);
}

function setValue(tree: Value, path: Path, value: number | boolean): void {
  const parent = valueAt(tree, path.slice(0, -1)) as Record<string | number, Value>;
  parent[path.at(-1)!] = value;
}
