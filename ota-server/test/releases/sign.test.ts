import { createHash } from 'node:crypto';
import { readImage, verifyImage } from '@flotilla/bootloader-sim/images/mcuboot';
import { generateKeys } from '@flotilla/command-line/keys';
import { describe, expect, test } from 'vitest';
import { readRelease } from '../../src/releases/inspect.ts';
import { readPrivateKeyPem, trustedKey } from '../../src/releases/keys.ts';
import {
  createBootImage,
  isBootImage,
  readBootImage,
  signBootImageAgain,
} from '../../src/releases/mcuboot.ts';
import { signRelease } from '../../src/releases/sign.ts';
import { classIdOf, formatUuid, parseUuid, uuid5, vendorIdOf } from '../../src/releases/uuid.ts';
import { compareVersions, formatCondition, parseVersion } from '../../src/releases/version.ts';

const key = readPrivateKeyPem(generateKeys('ed25519').privatePem);
const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const OLD = Uint8Array.from({ length: 20_000 }, (_, index) => (index * index) >> 3);
const NEW = OLD.with(9000, 1);
const vendorId = vendorIdOf('example.com');
const OPTIONS = { sequence: 1, version: '1.0.0', vendorId, classId: vendorId };

describe('signRelease', () => {
  test('names images by what they hold, and deltas by both ends', () => {
    const signed = signRelease({ ...OPTIONS, images: [NEW], bases: [OLD] }, key);
    expect(signed.images).toEqual([{ name: `${hash(NEW)}.bin`, bytes: NEW }]);
    const [delta, ...more] = signed.deltas;
    expect(more).toEqual([]);
    expect(delta!.name).toBe(`${hash(NEW)}-from-${hash(OLD).slice(0, 16)}.delta`);
    expect(Buffer.from(delta!.base).toString('hex')).toBe(hash(OLD));
    expect(Buffer.from(delta!.bytes.subarray(0, 4)).toString()).toBe('FDL1');
    expect(delta!.bytes.length).toBeLessThan(2000);
    const result = readRelease(signed.envelope, [trustedKey(key)]);
    expect(result.ok && result.release.images.map(({ uri }) => uri)).toEqual([
      `${hash(NEW)}.bin`,
      `${hash(NEW)}.bin`,
    ]);
  });

  test('leaves out a delta that is no smaller than the image', () => {
    const signed = signRelease({ ...OPTIONS, images: [OLD.slice(0, 40)], bases: [NEW] }, key);
    expect(signed.deltas).toEqual([]);
  });

  test('two images make two files, and a delta each', () => {
    const signed = signRelease({ ...OPTIONS, images: [NEW, OLD], bases: [OLD] }, key);
    expect(signed.images.map(({ bytes }) => hash(bytes))).toEqual([hash(NEW), hash(OLD)]);
    expect(signed.deltas).toHaveLength(2);
    const same = signRelease({ ...OPTIONS, images: [NEW, NEW.slice()] }, key);
    expect(same.images).toHaveLength(1);
  });
});

describe('MCUboot images', () => {
  const image = createBootImage(NEW, '1.2.3', 4, key);
  const crypto = {
    sha256: (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest()),
    sha512: (bytes: Uint8Array) => new Uint8Array(createHash('sha512').update(bytes).digest()),
    md5: () => new Uint8Array(16),
    verifyEd25519: () => true,
  };
  const payloadOf = (bytes: Uint8Array) => {
    const result = readImage(bytes);
    return result.ok && bytes.slice(result.image.payloadStart, result.image.payloadEnd);
  };

  test('are what the bootloader verifies', () => {
    expect(isBootImage(image)).toBe(true);
    expect(isBootImage(NEW)).toBe(false);
    expect(readBootImage(image)).toEqual({ version: '1.2.3', securityCounter: 4 });
    expect(verifyImage(image, [key.publicKey], crypto).ok).toBe(true);
    expect(payloadOf(image)).toEqual(NEW);
  });

  test('are signed again with another counter, and nothing else', () => {
    const other = readPrivateKeyPem(generateKeys('ed25519').privatePem);
    const again = signBootImageAgain(image, 9, other);
    expect(readBootImage(again)).toEqual({ version: '1.2.3', securityCounter: 9 });
    expect(payloadOf(again)).toEqual(NEW);
    expect(verifyImage(again, [other.publicKey], crypto).ok).toBe(true);
    expect(signBootImageAgain(again, 4, key)).toEqual(image);
  });

  test('that are damaged are not signed', () => {
    expect(() => signBootImageAgain(image.with(100, image[100]! ^ 1), 9, key)).toThrow(
      'the digest does not match the image',
    );
    expect(() => readBootImage(image.subarray(0, 1000))).toThrow(RangeError);
    expect(() => createBootImage(NEW, '256.0.0', 1, key)).toThrow('version.major');
  });
});

test('ids from names are UUIDs of version 5', () => {
  // The first is of RFC 9562's kind of namespace, from the documentation of Python's uuid.
  expect(formatUuid(vendorIdOf('python.org'))).toBe('886313e1-3b8a-5372-9b90-0c9aee199e5d');
  expect(formatUuid(vendorId)).toBe('cfbff0d1-9375-5685-968c-48ce8b15ae17');
  expect(formatUuid(classIdOf(vendorId, 'sensor'))).toBe('57f55ecb-eaa3-5765-960e-e1e1418a661b');
  // Ids of the examples of draft-ietf-suit-manifest.
  const arm = vendorIdOf('arm.com');
  expect(formatUuid(arm)).toBe('fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe');
  const id = 'FA6B4A53-d5ad-5fdf-be9d-e663e4d41ffe';
  expect(vendorIdOf(id)).toEqual(arm);
  expect(classIdOf(vendorId, id)).toEqual(arm);
  expect(parseUuid('fa6b4a53')).toBeUndefined();
  expect(uuid5(arm, 'a')).not.toEqual(uuid5(vendorId, 'a'));
});

test('versions', () => {
  expect(parseVersion('1.20.300')).toEqual([1, 20, 300]);
  for (const text of ['1', '1.2', '1.2.3.4', '01.2.3', '1.2.3+4', 'v1.2.3', '1.2.1234567890']) {
    expect(parseVersion(text)).toBeUndefined();
  }
  expect(compareVersions('1.10.0', '1.9.9')).toBeGreaterThan(0);
  expect(compareVersions('1.2.3', '1.2.3')).toBe(0);
  expect(formatCondition({ comparison: 'lesser-equal', version: '1.2.3' })).toBe('<= 1.2.3');
});
