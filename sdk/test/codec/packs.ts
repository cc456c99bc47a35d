// Packs as Flotilla's devices send them, for the tests of the writer and of the reader.

import fc from 'fast-check';
import { beginPack, writeSample, writeUncertainty } from '../../src/codec/senml.ts';

export interface SampleContent {
  readonly name: string;
  readonly unit: string | undefined;
  readonly value: number | boolean | string;
  readonly timeOffsetS: number;
}

export interface PackContent {
  readonly deviceId: string;
  readonly stream: string;
  readonly baseTimeS: number;
  readonly sequence: number;
  readonly uncertaintyS: number | undefined;
  readonly samples: readonly SampleContent[];
}

const ALPHANUMERIC = [...'ABCXYZabcxyz0189'];
const nameCharacters = fc.string({
  unit: fc.constantFrom(...ALPHANUMERIC, ...'-:./_'),
  minLength: 1,
  maxLength: 30,
});
const idTail = fc.string({ unit: fc.constantFrom(...ALPHANUMERIC, ...'-:._'), maxLength: 30 });
const deviceId = fc
  .tuple(fc.constantFrom(...ALPHANUMERIC), idTail)
  .map(([first, tail]) => first + tail);
const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.integer({ min: -1000, max: 1000 }).map((value) => value / 8),
);

const anySample: fc.Arbitrary<SampleContent> = fc.record({
  name: nameCharacters,
  unit: fc.constantFrom(undefined, '', 'Cel', '%RH', 'Ω/m²'),
  value: fc.oneof(finite, fc.boolean(), fc.string({ unit: 'grapheme' })),
  timeOffsetS: fc.oneof(fc.constant(0), fc.integer({ min: -3_600_000, max: 0 }).map(toS)),
});

function toS(ms: number): number {
  return ms / 1000;
}

export const anyPack: fc.Arbitrary<PackContent> = fc.record({
  deviceId,
  stream: fc.oneof(fc.constant(''), nameCharacters),
  baseTimeS: fc.oneof(
    fc.integer({ min: 1_767_225_600_000, max: 1_900_000_000_000 }).map(toS),
    fc.integer({ min: -86_400_000, max: 0 }).map(toS),
  ),
  sequence: fc.oneof(fc.nat(), fc.maxSafeNat()),
  uncertaintyS: fc.option(fc.integer({ min: 0, max: 1e9 }).map(toS), { nil: undefined }),
  samples: fc.array(anySample, { maxLength: 30 }),
});

export function writePack(target: Uint8Array, offset: number, content: PackContent): number {
  const { deviceId, stream, baseTimeS, sequence, uncertaintyS, samples } = content;
  const count = 1 + (uncertaintyS === undefined ? 0 : 1) + samples.length;
  let end = beginPack(target, offset, count, deviceId, stream, baseTimeS, sequence);
  if (uncertaintyS !== undefined) end = writeUncertainty(target, end, uncertaintyS);
  for (const { name, unit, value, timeOffsetS } of samples) {
    end = writeSample(target, end, name, unit, value, timeOffsetS);
  }
  return end;
}
