// Hostile images: nothing throws, nothing past the end matters, and nothing is accepted but what was
// signed. SEED=… repeats a run, COUNT=… makes it longer.

import { expect, test } from 'vitest';
import { readImage, verifyImage } from '../../src/images/mcuboot.ts';
import { createImage } from '../../src/images/mcuboot-write.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import { damage, Random, surrounded } from './hostile.ts';
import { KEY, PUBLIC_KEY } from './vectors.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(process.env.COUNT ?? 200_000);

interface Original {
  readonly bytes: Uint8Array;
  /** Offsets of sizes, types and magics. */
  readonly fields: readonly number[];
  readonly signedEnd: number;
}

function makeOriginal(random: Random): Original {
  const version = { major: random.below(256), minor: 1, revision: 2, build: 3 };
  const bytes = createImage(
    {
      payload: new Uint8Array(1 + random.below(64)).fill(random.below(256)),
      version,
      headerSize: 32 + random.below(3) * 4,
      digest: random.pick(['sha256', 'sha512']),
      ...(random.below(3) > 0 ? { securityCounter: random.below(9) } : {}),
      dependencies: random.pick([[], [{ imageId: 1, version }]]),
    },
    PUBLIC_KEY,
    nodeCrypto,
    KEY.sign,
  );
  const result = readImage(bytes);
  if (!result.ok) throw new Error(result.reason);
  const { payloadEnd, signedEnd } = result.image;
  const ends = [payloadEnd, signedEnd].flatMap((end) => [end, end + 2, end + 4, end + 6]);
  const digestEnd = signedEnd + 8 + result.image.digest.length;
  const keyHashEnd = digestEnd + 4 + result.image.digest.length;
  const later = [digestEnd, digestEnd + 2, keyHashEnd, keyHashEnd + 2];
  return { bytes, fields: [8, 10, 12, 16, ...ends, ...later], signedEnd };
}

test('hostile images', () => {
  console.log(`SEED=${SEED} COUNT=${COUNT} bootloader-sim/test/images/mcuboot-hostile.test.ts`);
  const random = new Random(SEED);
  const originals = Array.from({ length: 64 }, () => makeOriginal(random));
  const reasons = new Set<string>();
  let acceptedCount = 0;
  let parsedCount = 0;
  for (let index = 0; index < COUNT; index++) {
    const original = random.pick(originals);
    const bytes = damage(random, original.bytes, original.fields);
    const parsed = readImage(surrounded(bytes, 0x00));
    const context = `SEED=${SEED} input ${index}: ${Buffer.from(bytes).toString('hex')}`;
    // Comparing whole results is slow; a reader past the end shows in one of so many.
    if (index % 8 === 0) expect(readImage(surrounded(bytes, 0x69)), context).toEqual(parsed);
    if (!parsed.ok) {
      reasons.add(parsed.reason.replace(/0x[0-9a-f]+|\d+/g, '#'));
      continue;
    }
    parsedCount += 1;
    const { totalSize, payloadEnd, signedEnd, digest, keyHash } = parsed.image;
    const isInside = payloadEnd <= signedEnd && signedEnd <= totalSize && totalSize <= bytes.length;
    if (!isInside || digest.length > totalSize || (keyHash?.length ?? 0) > totalSize) {
      throw new Error(context);
    }
    const verified = verifyImage(bytes, [PUBLIC_KEY], nodeCrypto);
    if (!verified.ok) continue;
    acceptedCount += 1;
    const signed = Buffer.from(original.bytes.subarray(0, original.signedEnd));
    if (!signed.equals(bytes.subarray(0, verified.image.signedEnd))) throw new Error(context);
  }
  // The seed, but not that every check is.
  expect(reasons.size).toBeGreaterThan(20);
  expect(parsedCount).toBeGreaterThan(COUNT / 20);
  expect(acceptedCount).toBeGreaterThan(COUNT / 1000);
});
