// What operators send, as zod schemas: one for the HTTP routes, the OpenAPI document and callers
// in the same process. What the engine can judge better (waves that rise, ratios that fit each
// other) it judges itself.

import { z } from 'zod';
import type { FieldProblem } from '../device-api/index.ts';
import { Problem } from '../problem.ts';

const HOUR_MS = 3_600_000;

/** Devices in one registration over HTTP. */
export const REGISTRATION_COUNT_MAX = 10_000;

const uuid = z
  .string()
  .regex(/^[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}$/i, 'expected a UUID')
  .overwrite((text) => text.replaceAll('-', '').toLowerCase())
  .describe('SUIT id, a UUID');
const name = z.string().min(1).max(64);
const attributes = z
  .record(name, z.string().max(256))
  .refine((record) => Object.keys(record).length <= 32, 'expected at most 32 attributes');
const groups = z.array(name).max(32);

const properties = {
  vendor: uuid.optional(),
  class: uuid.optional(),
  hardware: name.optional().describe('Hardware class by name, for alerts; default: class'),
  groups: groups.optional(),
  attributes: attributes.optional(),
};

export const deviceInput = z.strictObject({
  id: z.string().describe('1-128 of A-Z a-z 0-9 . _ ~ : -'),
  token: z.string().optional().describe('Default: a random one, told in the answer only'),
  ...properties,
});

export const devicesInput = z.strictObject({
  devices: z.array(deviceInput).min(1).max(REGISTRATION_COUNT_MAX),
});

/** Replaces the properties that it names. */
export const devicePatch = z.strictObject(properties);

const ms = z.number().int().min(0);
const ratio = z.number().min(0).max(1);

export const waveInput = z.strictObject({
  percent: z.number().gt(0).max(100).describe('Cumulative; the last wave is 100'),
  soakMs: ms.default(HOUR_MS),
  failureRatioMax: ratio.default(0.05),
  successRatioMin: ratio.default(0.95),
  sampleMin: z.number().int().min(1).default(20),
  approval: z.boolean().optional().describe('Opens only after approve'),
  spreadMs: ms.optional().describe('The last wave only: opens evenly over this time'),
});

export const rolloutInput = z.strictObject({
  release: z.string().describe('Id of a release, or its version where only one has it'),
  id: z
    .string()
    .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/, 'expected 1-64 of A-Z a-z 0-9 . _ -')
    .optional()
    .describe('Default: the version and a number'),
  rollbackRelease: z
    .string()
    .optional()
    .describe('Default: the stored release that was signed to take this one back'),
  salt: name.optional().describe('Decides who is a canary; default: random'),
  target: z
    .strictObject({
      groups: groups.optional().describe('Devices in any of these; default: all'),
      attributes: attributes.optional().describe('Devices with all of these'),
    })
    .default({}),
  waves: z
    .array(waveInput)
    .min(1)
    .max(64)
    .default(() => [5, 25, 100].map((percent) => waveInput.parse({ percent }))),
  offerTimeoutMs: ms.default(24 * HOUR_MS),
  attemptsMax: z.number().int().min(1).max(255).default(3),
  retryDelayMs: ms.default(HOUR_MS / 4),
  retryDelayMsMax: ms.default(6 * HOUR_MS),
  abnormalResetsMax: z.number().int().min(0).default(3),
  silenceMsMax: ms.default(2 * HOUR_MS),
  onFailure: z.enum(['stop', 'roll-back']).default('stop'),
  start: z.boolean().default(true).describe('False: stays a draft until start'),
});

/** What a caller writes, without the defaults. */
export type RolloutInput = z.input<typeof rolloutInput>;
export type ParsedRollout = z.output<typeof rolloutInput>;
export type Target = ParsedRollout['target'];
export type DevicePatch = z.output<typeof devicePatch>;

/** The input with its defaults; a Problem that names every wrong field otherwise. */
export function parseRollout(input: unknown): ParsedRollout {
  const result = rolloutInput.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  throw invalidFields(result.error.issues.map(fieldProblem));
}

/** `waves[1].percent`, and what was expected there and what it got. */
export function fieldProblem(issue: z.core.$ZodIssue): FieldProblem {
  const { input, message, path } = issue;
  const isShort = ['string', 'number', 'boolean'].includes(typeof input);
  const got = isShort ? `, got ${JSON.stringify(input).slice(0, 64)}` : '';
  return { path: fieldPath(path), message: `${message}${got}` };
}

/** The refusal of a body whose fields are wrong. */
export function invalidFields(errors: readonly FieldProblem[]): Problem {
  const list = errors.map(({ message, path }) => (path === '' ? message : `${path}: ${message}`));
  return new Problem(400, 'invalid-fields', list.join('; '), errors);
}

/** `['waves', 1, 'percent']` as `waves[1].percent`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`,
    )
    .join('');
}
