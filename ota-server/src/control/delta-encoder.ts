// Encodes deltas in a worker thread: a large pair takes seconds of one core, in which the server
// has to go on answering devices. One at a time, or uploads could take every core.

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

let last: Promise<unknown> = Promise.resolve();

/** The delta file from `base` to `target`; the arrays may not be changed meanwhile. */
export function encodeDeltaApart(base: Uint8Array, target: Uint8Array): Promise<Uint8Array> {
  const result = last.then(() => encode(base, target));
  last = result.catch(() => undefined);
  return result;
}

function encode(base: Uint8Array, target: Uint8Array): Promise<Uint8Array> {
  const { promise, reject, resolve } = Promise.withResolvers<Uint8Array>();
  const file = `./delta-worker${extname(fileURLToPath(import.meta.url))}`;
  const worker = new Worker(new URL(file, import.meta.url), { workerData: { base, target } });
  // A server that closed meanwhile does not wait for it.
  worker.unref();
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', () => reject(new Error('the delta encoder ended without a result')));
  return promise;
}
