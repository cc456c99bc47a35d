// Scenario files that differ in a few members from ones that run: any member that the schema knows,
// with values on both sides of what is allowed.

import fc from 'fast-check';
import { scenarioJsonSchema } from '../../src/scenario/json-schema.ts';
import type { Value } from '../../src/scenario/tree.ts';

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly pattern?: string;
  readonly enum?: readonly Value[];
  readonly const?: Value;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

const DURATIONS = [
  '0s',
  '1ms',
  '999ms',
  '1s',
  '2s',
  '1.5s',
  '1m',
  '1h',
  '2h',
  '30d',
  '365d',
  '366d',
];
const COUNTS: Value[] = [0, 1, 2, '3', 8, '1k', 1000, '10k', '1M', '10M', 65_535];
const SIZES: Value[] = [
  '0B',
  7,
  '8B',
  '1023B',
  '1KB',
  '4KB',
  '32KB',
  '65535B',
  '1MB',
  '1025KB',
  '16MB',
];
const NUMBERS: Value[] = [0, 1, -1, 0.5, 0.02, 5, '5', 100, 1e-9, 1e12, 4_294_967_295, '1e3'];
/** By member; others get words. */
const TEXTS: Readonly<Record<string, readonly Value[]>> = {
  subscribe: [
    'a/#',
    'a/#/b',
    'x+/y',
    '+/x',
    '#',
    '$share/only',
    '$share//x',
    '$share/g/a/+',
    '{run}/#',
  ],
  topics: [
    '{id}/{topic}',
    'a/{id}/b/{topic}/c',
    'x-{id}/{topic}',
    '{topic}/{id}',
    '{id}{topic}',
    '{id}',
  ],
  id: [
    '{run}-{index}',
    '-{index}',
    '_{fleet}{index}',
    '{index}',
    '{run}.{index}:x',
    `${'x'.repeat(60)}{index}`,
  ],
  url: ['mqtt://127.0.0.1', 'mqtt://u:p@127.0.0.1:9', 'mqtt://%00@127.0.0.1', 'mqtts://localhost'],
  username: ['u', 'nul\u0000', 'u'.repeat(65_535), 'u'.repeat(65_536)],
  password: ['p', 'p'.repeat(65_535), 'ü'.repeat(40_000)],
  version: ['1.0.0', '1.10', '2.0.0', '0.0.0', '999.999.99999'],
  start: ['2026-01-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-01-01'],
};
const WORDS: Value[] = ['a', 'b', 'two-words', 'A', '', 'ünï', 'x'.repeat(33), 'Cel', '1'];

const root = scenarioJsonSchema() as JsonSchema;

/** Scenarios that run, with something of everything. */
const SENSORS = [{ name: 'x', model: 'noise', mean: 1, deviation: 1 }];
const BASES: readonly { readonly [member: string]: Value }[] = [
  {
    name: 'plain',
    fleets: [{ name: 'a', count: 2, kind: 'plain', rate: 10 }],
    duration: '20s',
  },
  {
    name: 'devices',
    fleets: [{ name: 'a', count: 2, interval: '1s', sensors: SENSORS }],
    timeline: [{ at: '1s', shadow: { desired: { reportingInterval: 2 } } }],
    duration: '20s',
  },
  {
    name: 'sleepers',
    fleets: [
      { name: 'a', count: 2, interval: '1s', sensors: SENSORS, wake: { interval: '1m' } },
      { name: 'b', count: 1, kind: 'plain', subscribe: ['a/#'] },
    ],
    timeline: [{ at: '1s', outage: { for: '1s' } }],
    duration: '20s',
  },
  {
    name: 'updates',
    fleets: [
      { name: 'a', count: 2, interval: '1s', sensors: SENSORS, firmware: { version: '1.0.0' } },
    ],
    timeline: [
      { at: '1s', release: { version: '1.1.0' } },
      { at: '2s', rollout: { release: '1.1.0', waves: [{ percent: 100 }] } },
    ],
    duration: '20s',
  },
];

/** Members that another process of the run needs, or that name files. */
const LEFT_OUT = ['broker', 'ci', 'application', 'file', 'key', 'thresholds', 'description'];

function valueOfSchema(schema: JsonSchema, name: string): fc.Arbitrary<Value> {
  const { anyOf, enum: values, items, oneOf, pattern = '', properties, type = '' } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (values !== undefined) return fc.constantFrom(...values);
  const choices = anyOf ?? oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((each) => valueOfSchema(each, name)));
  if (properties !== undefined) return valueOfMap(schema);
  if (items !== undefined) return fc.array(valueOfSchema(items, name), { maxLength: 3 });
  if (pattern.includes('ms|s')) return fc.constantFrom(...DURATIONS);
  if (pattern.includes('[kM]')) return fc.constantFrom(...COUNTS);
  if (pattern.includes('KB')) return fc.constantFrom(...SIZES);
  if (type.includes('boolean')) return fc.constantFrom<Value>(true, false, 'true');
  if (type.includes('number') || type.includes('integer')) return fc.constantFrom(...NUMBERS);
  return fc.constantFrom(...(TEXTS[name] ?? WORDS));
}

function valueOfMap({ properties = {}, required = [] }: JsonSchema): fc.Arbitrary<Value> {
  const members = Object.entries(properties).filter(([name]) => !LEFT_OUT.includes(name));
  const record = Object.fromEntries(
    members.map(([name, member]) => [name, valueOfSchema(member, name)]),
  );
  const requiredKeys = required.filter((name) => Object.hasOwn(record, name));
  // Few of many members, or nearly all maps would have a mistake.
  return fc.record(record, { requiredKeys }).chain((map) => {
    const others = Object.keys(map).filter((name) => !requiredKeys.includes(name));
    return fc.subarray(others, { maxLength: Math.min(2, others.length) }).map((kept) => {
      const names = [...requiredKeys, ...kept];
      return Object.fromEntries(names.map((name) => [name, map[name]!])) as Value;
    });
  });
}

/** A change: sets one member of the root, of a fleet or of an event. */
interface Change {
  readonly at: 'root' | 'fleets' | 'timeline';
  readonly index: number;
  readonly member: string;
  readonly value: Value;
}

function changeOf(at: Change['at'], schema: JsonSchema): fc.Arbitrary<Change> {
  const members = Object.entries(schema.properties ?? {}).filter(
    ([name]) => !LEFT_OUT.includes(name),
  );
  return fc.oneof(
    ...members.map(([member, of]) =>
      fc.record({
        at: fc.constant(at),
        index: fc.nat(1),
        member: fc.constant(member),
        value: valueOfSchema(of, member),
      }),
    ),
  );
}

const change = fc.oneof(
  { arbitrary: changeOf('root', root), weight: 3 },
  { arbitrary: changeOf('fleets', root.properties!.fleets!.items!), weight: 4 },
  changeOf('timeline', root.properties!.timeline!.items!),
);

/** Trees of scenario files, about half of them without a mistake. */
export const scenarioTree: fc.Arbitrary<Value> = fc
  .record({ base: fc.constantFrom(...BASES), changes: fc.array(change, { maxLength: 3 }) })
  .map(({ base, changes }) => {
    const tree = structuredClone(base) as Record<string, Value>;
    for (const { at, index, member, value } of changes) {
      const target =
        at === 'root' ? tree : (tree[at] as Record<string, Value>[] | undefined)?.[index];
      if (typeof target === 'object') target[member] = value;
    }
    return tree;
  });
