// Values of a scenario file that have a unit or a form of their own, as zod schemas.

import { formatDuration, parseDuration } from '@flotilla/command-line/quantities';
import { z } from 'zod';
import { show } from './mistakes.ts';
import { formatCount, formatSize, parseCount, parseSize } from './units.ts';

/** A year: what virtual mode may want to simulate. */
export const DURATION_MS_MAX = 365 * 86_400_000;

interface QuantityForm {
  readonly what: string;
  readonly parse: (value: unknown) => number | undefined;
  readonly format: (value: number) => string;
  readonly min: number;
  readonly max: number;
  /** The value is a multiple of this. */
  readonly multiple?: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** For editors; a quantity may also come from the environment. */
function quantityPattern(units: string): string {
  return `^(\\d+(\\.\\d+)?(${units})|\\$\\{\\w+\\})$`;
}

function quantity(form: QuantityForm, description: string) {
  return z
    .unknown()
    .transform((input, context): number => {
      const value = form.parse(input);
      const message = quantityMistake(form, input, value);
      if (message === undefined) return value!;
      context.addIssue({ code: 'custom', message, input });
      return z.NEVER;
    })
    .meta({ ...form.json, description });
}

function quantityMistake(form: QuantityForm, input: unknown, value: number | undefined) {
  if (input === undefined) return `is missing: expected ${form.what}`;
  if (value === undefined) return `expected ${form.what}, got ${show(input)}`;
  const { min, max, multiple = 1, format } = form;
  if (value < min) return `expected at least ${format(min)}, got ${show(input)}`;
  if (value > max) return `expected at most ${format(max)}, got ${show(input)}`;
  if (value % multiple !== 0) {
    return `expected a multiple of ${format(multiple)}, got ${show(input)}`;
  }
  return undefined;
}

interface Range {
  readonly min: number;
  readonly max?: number;
  readonly multiple?: number;
}

export function duration(description: string, range: Range) {
  const form = {
    what: 'a duration such as 250ms, 90s, 5m, 1h or 7d',
    parse: parseDuration,
    format: formatDuration,
    max: DURATION_MS_MAX,
    json: { type: 'string', pattern: quantityPattern('ms|s|m|h|d') },
  };
  return quantity({ ...form, ...range }, description);
}

export function count(description: string, range: Range & { readonly max: number }) {
  const form = {
    what: 'a count such as 500, 10k or 1M',
    parse: parseCount,
    format: formatCount,
    json: { type: ['integer', 'string'], pattern: quantityPattern('[kM]?'), minimum: range.min },
  };
  return quantity({ ...form, ...range }, description);
}

export function size(description: string, range: Range & { readonly max: number }) {
  const form = {
    what: 'a size such as 512B, 4KB or 1MB',
    parse: parseSize,
    format: formatSize,
    json: { type: ['integer', 'string'], pattern: quantityPattern('(B|KB|MB)?') },
  };
  return quantity({ ...form, ...range }, description);
}

export const text = () => z.string().min(1);

/** A name. */
export const kebab = () =>
  text()
    .max(32)
    .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, {
      error: (issue) =>
        `expected lower-case letters, digits and single hyphens, got ${show(issue.input)}`,
    });
