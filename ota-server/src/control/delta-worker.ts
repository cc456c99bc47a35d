// The thread of delta-encoder.ts: one delta, then it ends.

import { parentPort, workerData } from 'node:worker_threads';
import { encodeDelta } from '../releases/delta.ts';

const { base, target } = workerData as { base: Uint8Array; target: Uint8Array };
parentPort?.postMessage(encodeDelta(base, target));
