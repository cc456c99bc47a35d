// Random options for the tests of sampling.

import fc from 'fast-check';
import type { AdaptiveOptions } from '../../src/sampling/adaptive.ts';

export const adaptiveOptions: fc.Arbitrary<AdaptiveOptions> = fc
  .record({
    intervalMsMin: fc.integer({ min: 1, max: 5000 }),
    more: fc.oneof(fc.integer({ min: 0, max: 20_000 }), fc.constant(Number.POSITIVE_INFINITY)),
    deadband: fc.option(fc.double({ min: 0, max: 3, noNaN: true }), { nil: undefined }),
    deadbandRelative: fc.double({ min: 0, max: 0.5, noNaN: true }),
    isRelative: fc.boolean(),
    sampleMsMin: fc.integer({ min: 1, max: 2000 }),
    longer: fc.integer({ min: 0, max: 4000 }),
  })
  .map(({ intervalMsMin, more, deadband, deadbandRelative, isRelative, sampleMsMin, longer }) => ({
    intervalMsMin,
    intervalMsMax: intervalMsMin + more,
    ...(deadband === undefined ? {} : { deadband }),
    ...(isRelative || deadband === undefined ? { deadbandRelative } : {}),
    sampleMsMin,
    sampleMsMax: sampleMsMin + longer,
  }));
