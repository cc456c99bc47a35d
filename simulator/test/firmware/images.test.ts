import { readImage, verifyImage } from '@flotilla/bootloader-sim/images/mcuboot';
import { nodeCrypto } from '@flotilla/bootloader-sim/node-crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Catalogue } from '../../src/firmware/catalogue.ts';
import { createFirmwareImage, signAgain } from '../../src/firmware/images.ts';
import { createRunKey, deviceToken, idOf } from '../../src/firmware/keys.ts';
import { scenarioOf } from './scenario.ts';

const BEHAVIOUR = { crashOnBoot: 0.25, crashShare: 1, failHealth: 0 };
const key = createRunKey(5, 'image');
const keys = [key.publicKey];

function imageOf(version: string, size: number, seed = 5): Uint8Array {
  const options = { seed, name: 'device', version, securityCounter: 3, size };
  return createFirmwareImage({ ...options, behaviour: BEHAVIOUR }, key);
}

describe('simulated images', () => {
  test('have the size that was asked for, verify, and say what they do', () => {
    const sizes = fc.property(fc.integer({ min: 4096, max: 40_000 }), (size) => {
      const bytes = imageOf('1.2.3', size);
      expect(bytes.length).toBe(size);
      const verified = verifyImage(bytes, keys, nodeCrypto);
      expect(verified.ok && verified.image).toMatchObject({
        version: { major: 1, minor: 2, revision: 3, build: 0 },
        securityCounter: 3,
      });
    });
    fc.assert(sizes, { numRuns: 20 });
    const text = Buffer.from(imageOf('1.2.3', 4096)).toString('latin1');
    expect(text).toContain(
      '{"firmware":"device","version":"1.2.3","behaviour":{"crashOnBoot":0.25',
    );
  });

  test('are the same for the same seed, and no others verify', () => {
    expect(imageOf('1.0.0', 8192)).toEqual(imageOf('1.0.0', 8192));
    expect(imageOf('1.0.0', 8192)).not.toEqual(imageOf('1.0.0', 8192, 6));
    const foreign = [createRunKey(5, 'foreign').publicKey, createRunKey(6, 'image').publicKey];
    expect(verifyImage(imageOf('1.0.0', 8192), foreign, nodeCrypto).ok).toBe(false);
  });

  test('differ from version to version in some of their blocks only', () => {
    const [one, two] = [imageOf('1.0.0', 65_536), imageOf('1.1.0', 65_536)];
    let changed = 0;
    for (let at = 0; at < one.length; at += 1) if (one[at] !== two[at]) changed += 1;
    expect(changed / one.length).toBeGreaterThan(0.1);
    expect(changed / one.length).toBeLessThan(0.4);
  });

  test('signed again keep their payload, with another counter', () => {
    const bytes = imageOf('1.0.0', 8192);
    const read = readImage(bytes);
    if (!read.ok) throw new Error(read.reason);
    const again = signAgain(bytes, read.image, '1.0.0', 9, key);
    const verified = verifyImage(again, keys, nodeCrypto);
    if (!verified.ok) throw new Error(verified.reason);
    expect(verified.image.securityCounter).toBe(9);
    const { payloadEnd, payloadStart } = read.image;
    expect(again.slice(payloadStart, payloadEnd)).toEqual(bytes.slice(payloadStart, payloadEnd));
  });
});

describe('the catalogue', () => {
  const catalogue = new Catalogue(
    scenarioOf({
      firmware: {},
      releases: [{ version: '1.1.0', rollbackTo: '1.0.0' }, { version: '1.2.0' }],
    }),
  );

  test('numbers releases so that each may follow the one before', () => {
    const [first, second] = catalogue.releases;
    expect(first).toMatchObject({ sequence: 2, image: { securityCounter: 2 } });
    expect(second).toMatchObject({ sequence: 4, image: { securityCounter: 3 } });
    expect(first!.rollback).toMatchObject({ version: '1.0.0', securityCounter: 2 });
    expect(second!.rollback).toBeUndefined();
  });

  test('knows each image by what a boot decision calls it', () => {
    for (const { image } of catalogue.releases) {
      expect(catalogue.imageOf(image.digest)).toBe(image);
    }
    expect(catalogue.imageOf('00')).toBeUndefined();
  });
});

test('tokens and ids are of one device, one seed, one name', () => {
  expect(deviceToken(1, 'a')).toBe(deviceToken(1, 'a'));
  expect(new Set([deviceToken(1, 'a'), deviceToken(1, 'b'), deviceToken(2, 'a')]).size).toBe(3);
  // What the server takes.
  expect(deviceToken(1, 'a')).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(idOf('device')).toHaveLength(16);
  expect(idOf('device')).not.toEqual(idOf('other'));
});
