// fast-check with fewer runs per property: XS interprets, and is about fifty times slower than V8.
// What XS does differently shows in the first few; the rest of the space is searched on Node.

import fc, { type Parameters } from 'fast-check';

const RUN_COUNT_MAX = 12;

type Assert = typeof fc.assert;

const assert = ((property: never, options: Parameters<never> = {}) => {
  const numRuns = Math.min(options.numRuns ?? RUN_COUNT_MAX, RUN_COUNT_MAX);
  return fc.assert(property, { ...options, numRuns });
}) as Assert;

export default { ...fc, assert };
