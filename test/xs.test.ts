// The SDK on Moddable's own engine (npm run test:xs at length): its tests with frozen modules, the
// RAM of a connected device, and Ed25519 over noble.

import { beforeAll, expect, test } from 'vitest';
import {
  DEVICE_BYTES_MAX,
  type DeviceHeap,
  loadedDevice,
  measureDevice,
  runsWithin,
} from '../scripts/xs/device-heap.ts';
import { bytesOn32 } from '../scripts/xs/heap.ts';
import {
  loadedVerifier,
  VERIFY_BYTES_MAX,
  verifiesWithin,
  verifyOnXs,
} from '../scripts/xs/signatures.ts';
import { runSuite, suiteFiles, TESTS_LEFT_OUT } from '../scripts/xs/suite.ts';
import { KINDS, signatureCases } from '../sdk/test/ports/noble/signatures.ts';
import { describeOnXs } from './xs-engine.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));

describeOnXs('the SDK on XS', () => {
  test('the SDK passes its own tests, with frozen modules', async () => {
    const { files } = suiteFiles();
    const outcome = await runSuite(files);
    const failures = outcome.files.flatMap(({ failures: found, file }) =>
      found.map((failure) => `${file}: ${failure}`),
    );
    expect(failures).toEqual([]);
    for (const { file, leftOut, passed } of outcome.files) {
      expect(passed, file).toBeGreaterThan(0);
      // A reason to leave a test out must be of a test that is there.
      const reasons = Object.keys(TESTS_LEFT_OUT[file] ?? {}).length;
      expect(leftOut, file).toBeGreaterThanOrEqual(reasons);
    }
    expect(outcome.files.length).toBe(files.length);
    expect(outcome.moduleCount).toBeGreaterThan(30);
  });
});

describeOnXs('a connected device on XS', () => {
  let loaded: Buffer;
  let heap: DeviceHeap;

  beforeAll(async () => {
    loaded = await loadedDevice();
    heap = await measureDevice(loaded);
  });

  test('takes what the budget allows', () => {
    expect(heap.total.slots).toBeGreaterThan(0);
    expect(heap.total.chunkBytes).toBeGreaterThan(4096);
    expect(bytesOn32(heap.total)).toBeLessThanOrEqual(DEVICE_BYTES_MAX);
  });

  test('leaves nothing behind in a day of messages', () => {
    expect(heap.afterDay).toEqual({ slots: 0, chunkBytes: 0 });
  });

  test('a heap of fixed size is one: without room it ends', async () => {
    expect(await runsWithin(loaded, {})).toBe(true);
    expect(await runsWithin(loaded, { free: { slots: 100, chunkBytes: 65536 } })).toBe(false);
    expect(await runsWithin(loaded, { free: { slots: 65536, chunkBytes: 4096 } })).toBe(false);
  });
});

describeOnXs('Ed25519 on XS', () => {
  let loaded: Buffer;

  beforeAll(async () => {
    loaded = await loadedVerifier();
  });

  test('decides as on Node', async () => {
    console.log(`SEED=${SEED} test/xs.test.ts`);
    expect(await verifyOnXs(loaded, signatureCases(SEED, 6 * KINDS.length))).toEqual([]);
  });

  test('one verification fits its budget', async () => {
    const [right] = signatureCases(1, 1);
    const slots = 1024;
    const free = { slots, chunkBytes: VERIFY_BYTES_MAX - slots * 16 };
    expect(await verifiesWithin(loaded, right!, free)).toBe(true);
    expect(await verifiesWithin(loaded, right!, { slots: 64, chunkBytes: 4096 })).toBe(false);
  });
});
