import { parseDuration } from '@flotilla/command-line/quantities';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scenarioJsonSchema } from '../../src/scenario/json-schema.ts';
import { parseCount, parseSize } from '../../src/scenario/units.ts';

interface JsonSchema {
  readonly $schema?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

const schema = scenarioJsonSchema() as JsonSchema;
const fleet = schema.properties!.fleets!.items!;

describe('the JSON Schema', () => {
  it('is of a version that editors know, and of the form of files: defaults may be absent', () => {
    expect(schema.$schema).toBe('http://json-schema.org/draft-07/schema#');
    expect(schema.required).toEqual(['name', 'fleets', 'duration']);
    expect(fleet.required).toEqual(['name', 'count']);
    expect(fleet.properties?.keepAlive?.default).toBe('60s');
    expect(schema.properties?.topics?.default).toBe('devices/{id}/{topic}');
  });

  it('refuses unknown members everywhere, as loading does', () => {
    const open: string[] = [];
    const walk = (part: JsonSchema, path: string) => {
      if (part.properties !== undefined && part.additionalProperties !== false) open.push(path);
      for (const [name, member] of Object.entries(part.properties ?? {})) {
        walk(member, `${path}.${name}`);
      }
      for (const inner of [part.items, ...(part.anyOf ?? []), ...(part.oneOf ?? [])]) {
        if (inner !== undefined) walk(inner, `${path}[]`);
      }
    };
    walk(schema, '');
    expect(open).toEqual([]);
  });

  it.each([
    ['durations', fleet.properties!.interval!, parseDuration, ['ms', 's', 'm', 'h', 'd', 'S', '']],
    ['counts', fleet.properties!.count!, parseCount, ['', 'k', 'M', 'K', 's']],
    ['sizes', fleet.properties!.buffer!, parseSize, ['', 'B', 'KB', 'MB', 'kB']],
  ] as const)('accepts the %s that loading accepts', (_, { pattern }, parse, units) => {
    const digits = fc.nat(1_000_000).map((value) => String(value * 2));
    const text = fc.tuple(
      fc.oneof(digits, fc.constant('-1'), fc.constant('x')),
      fc.constantFrom(...units),
    );
    fc.assert(
      fc.property(text, ([number, unit]) => {
        const quantity = number + unit;
        expect(new RegExp(pattern!).test(quantity)).toBe(parse(quantity) !== undefined);
      }),
    );
    expect(new RegExp(pattern!).test('$' + '{FROM_ENVIRONMENT}')).toBe(true);
  });
});
