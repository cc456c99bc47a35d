// The id of a run.

import { RUN_STREAM, randomUint32 } from '../fleet/random.ts';
import { RUN_ID_LENGTH_MAX } from '../scenario/schema.ts';

/** Names the run in client ids and topics; the same for the same seed, so that runs repeat. */
export function runId(seed: number): string {
  const hash = randomUint32(seed, 0, RUN_STREAM, 0).toString(36);
  return `r${hash}`.slice(0, RUN_ID_LENGTH_MAX);
}
