// The accounts of subscribers: what they are owed, and what they have.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DevicePlaces } from '../../src/fleet/device-places.ts';
import { FanOutPlan, PAIR_COUNT_MAX, planWarnings } from '../../src/ledger/fan-out-plan.ts';
import { ReceivedCounts } from '../../src/ledger/received-counts.ts';
import { SequenceBits } from '../../src/ledger/sequence-bits.ts';
import { SequenceSet, unionCount } from '../../src/ledger/sequence-set.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { writeScenarioText } from '../support/scenario.ts';

const sequences = fc.array(fc.nat(40), { maxLength: 60 });

describe('counts of what was received', () => {
  test('are of different messages, in whatever order they came', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(40)), { maxLength: 120 }), (messages) => {
        const counts = new ReceivedCounts(3);
        const model = [new Set<number>(), new Set<number>(), new Set<number>()];
        for (const [sender, sequence] of messages) {
          expect(counts.add(sender, sequence)).toBe(!model[sender]!.has(sequence));
          model[sender]!.add(sequence);
        }
        expect([...counts.counts()]).toEqual(model.map(({ size }) => size));
      }),
    );
  });

  test('of a group are united over its members', () => {
    fc.assert(
      fc.property(fc.array(sequences, { minLength: 1, maxLength: 4 }), (members) => {
        const united = new SequenceBits();
        for (const member of members) {
          const bits = new SequenceBits();
          const model = new Set<number>();
          for (const sequence of member) {
            // Beyond the first bytes as well.
            const far = sequence * 37;
            expect(bits.add(far)).toBe(!model.has(far));
            model.add(far);
          }
          expect(bits.count).toBe(model.size);
          united.unite(bits.toBytes());
        }
        expect(united.count).toBe(new Set(members.flat()).size);
      }),
    );
  });

  test('of what was acknowledged or observed are of either', () => {
    fc.assert(
      fc.property(sequences, sequences, (left, right) => {
        const rangesOf = (numbers: readonly number[]) => {
          const set = new SequenceSet();
          for (const number of numbers) set.add(number);
          return set.toRanges();
        };
        const expected = new Set([...left, ...right]).size;
        expect(unionCount(rangesOf(left), rangesOf(right))).toBe(expected);
      }),
    );
  });
});

function scenarioOf(name: string, fleets: readonly string[]) {
  const text = [
    `name: ${name}`,
    'seed: 1',
    'fleets:',
    ...fleets.map((fleet) => `  - ${fleet}`),
    'duration: 1s',
    '',
  ];
  return loadScenario(writeScenarioText(name, text.join('\n'))).scenario;
}

describe('a plan', () => {
  test('has every subscriber of a fleet, and each share once, whoever is in it', () => {
    const scenario = scenarioOf('plan', [
      '{ name: a, kind: plain, count: 3, rate: 1, payload: 128B }',
      "{ name: v, kind: plain, count: 2, subscribe: ['devices/+/telemetry', 'devices/{run}-a-1/#'] }",
      "{ name: s, kind: plain, count: 2, subscribe: ['$share/g/devices/{run}-a-2/telemetry'] }",
      "{ name: t, kind: plain, count: 2, subscribe: ['$share/g/devices/{run}-a-2/telemetry', 'x/y'] }",
    ]);
    const { audiences, byFleet, tooLarge } = new FanOutPlan(scenario, 'r1');
    expect(audiences.map(({ fleet, publishers, share }) => ({ fleet, publishers, share }))).toEqual(
      [
        { fleet: 1, publishers: [0, 1, 2, 3, 4, 5, 6, 7, 8], share: undefined },
        { fleet: 2, publishers: [2], share: '$share/g/devices/r1-a-2/telemetry' },
      ],
    );
    expect(byFleet).toEqual([[], [0], [1], [1]]);
    expect(audiences[1]!.columns[2]).toBe(0);
    expect(audiences[1]!.columns[3]).toBe(-1);
    expect(tooLarge).toEqual([]);
  });

  test('has a bound on the pairs that it keeps apart, and names what is beyond it', () => {
    const side = Math.ceil(Math.sqrt(PAIR_COUNT_MAX));
    const scenario = scenarioOf('large', [
      `{ name: a, kind: plain, count: ${side}, rate: 1, payload: 128B }`,
      `{ name: v, kind: plain, count: ${side}, subscribe: ['devices/{run}-a-0/telemetry'] }`,
      `{ name: w, kind: plain, count: ${side}, subscribe: ['devices/+/telemetry'] }`,
    ]);
    const { audiences, tooLarge } = new FanOutPlan(scenario, 'r1');
    expect(audiences.map(({ fleet }) => fleet)).toEqual([1]);
    expect(tooLarge).toEqual(['w']);
  });
});

describe('a plan without messages that can be told apart', () => {
  test('leaves out who sends them, and names the fleet where somebody asks for them', () => {
    const scenario = scenarioOf('anonymous', [
      '{ name: tiny, kind: plain, count: 2, rate: 1, payload: 7B }',
      '{ name: idle, kind: plain, count: 1, rate: 1, payload: 0B }',
      '{ name: a, kind: plain, count: 1, rate: 1, payload: 8B }',
      "{ name: v, kind: plain, count: 1, subscribe: ['devices/{run}-tiny-1/#', 'devices/{run}-a-0/#'] }",
    ]);
    const plan = new FanOutPlan(scenario, 'r1');
    expect(plan.audiences.map(({ publishers }) => publishers)).toEqual([[3]]);
    expect(plan.anonymous).toEqual(['tiny']);
    expect(planWarnings(plan)).toEqual([
      expect.stringMatching(/^tiny: messages of less than 8 B cannot be told apart/),
    ]);
  });
});

describe('the ramp', () => {
  test('has those who subscribe before all others, each in a place of its own', () => {
    const scenario = scenarioOf('places', [
      '{ name: a, kind: plain, count: 2, rate: 1, payload: 128B }',
      "{ name: v, kind: plain, count: 2, subscribe: ['x'] }",
      '{ name: b, kind: plain, count: 1, rate: 1, payload: 128B }',
      "{ name: w, kind: plain, count: 1, subscribe: ['x'] }",
    ]);
    const places = new DevicePlaces(scenario.fleets);
    expect([0, 1, 2, 3, 4, 5].map((device) => places.rampPlaceOf(device))).toEqual([
      3, 4, 0, 1, 5, 2,
    ]);
    expect(places.subscriberCount).toBe(3);
    expect(places.firstOf(2)).toBe(4);
  });
});
