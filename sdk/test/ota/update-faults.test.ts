// Random faults of server, network and power: nothing but the signed image is ever staged, and the
// update ends as soon as they stop.

import { describe, expect, test } from 'vitest';
import { Random, seedOf } from '../support/random.ts';
import { image, similar, UpdateScene } from '../support/update-scene.ts';
import type { HttpAnswer } from '../support/virtual-http.ts';
import { deflateChunks } from './deflated-delta.ts';
import { simpleDelta } from './delta-file.ts';

const SEED = 20260101;
const RUN_COUNT = 120;
const FAULTS_MS = 2 * 3600_000;

const OLD = image('1.0.0', 30_000, 3);
const NEW = similar(OLD, '2.0.0');
const DELTA = simpleDelta(OLD, NEW, deflateChunks);
const STATUSES = [301, 400, 401, 403, 404, 410, 416, 429, 500, 503];

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  if (copy.length > 0) copy[random.below(copy.length)]! ^= 1 << random.below(8);
  return copy;
}

function faulty(answer: HttpAnswer, kind: string, random: Random): HttpAnswer | 'refused' | 'mute' {
  const { body = new Uint8Array(0) } = answer;
  switch (random.below(10)) {
    case 0:
      return 'refused';
    case 1:
      return 'mute';
    case 2:
      return { ...answer, cutAfter: random.below(body.length + 1) };
    case 3:
      return { ...answer, stallAfter: random.below(body.length + 1) };
    case 4:
      return { ...answer, body: flipped(body, random) };
    case 5:
      return { ...answer, bytesPerS: 1 + random.below(80) };
    case 6:
      return { ...answer, endless: true };
    case 7:
      return { ...answer, headers: { ...answer.headers, etag: `"${random.below(3)}"` } };
    case 8:
      return kind === 'blob'
        ? { ...answer, body: body.subarray(0, random.below(body.length + 1)) }
        : {
            status: 200,
            body: Uint8Array.from({ length: random.below(5000) }, () => random.below(256)),
          };
  }
  return { status: random.pick(STATUSES) };
}

function run(seed: number): string {
  const random = new Random(seed);
  const scene = new UpdateScene({
    running: OLD,
    sectorSize: random.pick([1024, 4096]),
    sectorCount: 64,
    options: { retryMsMax: 600_000, pollMs: 600_000, healthMsMax: 60_000 },
    platform: { seed },
  });
  scene.server.pollS = 600;
  scene.release(NEW);
  if (random.oneIn(2)) scene.server.offerDelta(DELTA, OLD);
  const oneIn = random.pick([1, 2, 4, 10]);
  let isOver = false;
  scene.server.fault = (kind, answer) => {
    if (isOver || !random.oneIn(oneIn)) return answer;
    if (random.oneIn(4)) scene.boot.power.cutAt = scene.boot.power.count + 1 + random.below(150);
    if (random.oneIn(20)) scene.server.supportsRanges = !scene.server.supportsRanges;
    return faulty(answer, kind, random);
  };
  scene.start();
  scene.advance(FAULTS_MS);
  isOver = true;
  scene.boot.power.cutAt = 0;
  scene.server.supportsRanges = true;
  const before = `${scene.version} ${scene.server.stages().join(',')}`;
  if (scene.server.update !== undefined) scene.server.update.attempt += 1;
  const isThere = () => scene.version === NEW.version && scene.boot.tries === 0;
  if (!scene.until(isThere, 4 * 3600_000)) {
    throw new Error(`SEED=${seed}: not confirmed: ${before} | ${scene.server.stages().join(',')}`);
  }
  scene.advance(2 * 3600_000);
  expect(scene.boot.violations, `SEED=${seed}`).toEqual([]);
  expect(scene.memory.outstandingCount, `SEED=${seed}`).toBe(0);
  expect(scene.http.openCount, `SEED=${seed}`).toBe(0);
  expect(scene.updater.record.sequence, `SEED=${seed}`).toBe(2);
  expect(scene.updater.record.reportStage, `SEED=${seed}`).toBe('');
  expect(scene.updater.state, `SEED=${seed}`).toBe('idle');
  return before;
}

describe('random faults', () => {
  test(`of ${RUN_COUNT} runs, SEED=${SEED}`, () => {
    let early = 0;
    for (let index = 0; index < RUN_COUNT; index += 1) {
      if (run(seedOf(SEED, index)).startsWith(NEW.version)) early += 1;
    }
    // Neither too few faults to matter nor so many that nothing happens.
    expect(early).toBeGreaterThan(RUN_COUNT / 10);
    expect(early).toBeLessThan(RUN_COUNT);
  });
});
