// Changes of shadows in a scenario's timeline.

import { expect, test } from 'vitest';
import { load, mistakes, TWO } from './scenario-file.ts';

const PLAIN = `  - { name: p, kind: plain, count: 1, interval: 1s }
`;
const SCENARIO = TWO.replace('duration', `${PLAIN}duration`);

test('name fleets, or mean all that have shadows, and stand in order with outages', () => {
  const { scenario } = load(`${SCENARIO}timeline:
  - { at: 9s, shadow: { desired: { a: { b: [1, x] }, c: null } } }
  - { at: 3s, shadow: { fleets: [b], desired: { a: 1 } } }
  - { at: 5s, outage: { for: 1s } }
`);
  expect(scenario.timeline).toEqual([
    { kind: 'shadow', atMs: 3000, fleets: ['b'], desired: { a: 1 } },
    { kind: 'outage', atMs: 5000, forMs: 1000, fleets: ['a', 'b', 'p'] },
    { kind: 'shadow', atMs: 9000, fleets: ['a', 'b'], desired: { a: { b: [1, 'x'] }, c: null } },
  ]);
});

test.each<[string, string]>([
  ['{ at: 1s }', 'timeline[0]: does nothing: give it an outage, a shadow, a release or a rollout'],
  [
    '{ at: 1s, outage: { for: 1s }, shadow: { desired: { a: 1 } } }',
    'timeline[0].shadow: give outage or shadow, not both',
  ],
  ['{ at: 1s, shadow: { fleets: [a] } }', 'timeline[0].shadow.desired: is missing'],
  ['{ at: 1s, shadow: { desired: 5 } }', 'timeline[0].shadow.desired: expected'],
  ['{ at: 1s, shadow: { desired: { a: 1 }, reported: {} } }', 'unknown member'],
  [
    '{ at: 1s, shadow: { fleets: [b, c], desired: { a: 1 } } }',
    'timeline[0].shadow.fleets[1]: no fleet is named "c"',
  ],
  [
    '{ at: 1s, shadow: { fleets: [p], desired: { a: 1 } } }',
    'timeline[0].shadow.fleets[0]: plain clients have no shadow, as those of "p"',
  ],
  [
    '{ at: 1s, shadow: { desired: { a: [null] } } }',
    'timeline[0].shadow.desired: no shadow takes this: State contains an invalid node',
  ],
  ['{ at: 20s, shadow: { desired: { a: 1 } } }', 'timeline[0].at: expected a time within'],
])('%s is told', (event, message) => {
  const found = mistakes(`${SCENARIO}timeline: [${event}]\n`);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(message);
});
