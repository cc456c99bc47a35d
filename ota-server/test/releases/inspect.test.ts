import { generateKeys } from '@flotilla/command-line/keys';
import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode, type Item } from '../../src/releases/cbor.ts';
import { type EnvelopeOptions, writeEnvelope } from '../../src/releases/envelope.ts';
import { EnvelopeError, inspectEnvelope, readRelease } from '../../src/releases/inspect.ts';
import { readPrivateKeyPem, trustedKey } from '../../src/releases/keys.ts';
import { MESSAGES } from '../../src/releases/messages.ts';
import { COMPARISONS } from '../../src/releases/version.ts';

const key = readPrivateKeyPem(generateKeys('ed25519').privatePem);
const keys = [trustedKey(key)];
const bytes = (size: number, value: number) => new Uint8Array(size).fill(value);
const OPTIONS: EnvelopeOptions = {
  sequence: 12,
  version: '2.0.0',
  vendorId: bytes(16, 1),
  classId: bytes(16, 2),
  images: [
    { digest: bytes(32, 3), size: 1000 },
    { digest: bytes(32, 4), size: 2000 },
  ],
};
const images = [
  { slot: 0, digest: bytes(32, 3), size: 1000, uri: `${'03'.repeat(32)}.bin` },
  { slot: 1, digest: bytes(32, 4), size: 2000, uri: `${'04'.repeat(32)}.bin` },
];

function releaseOf(options: EnvelopeOptions) {
  const result = readRelease(writeEnvelope(options, key), keys);
  if (!result.ok) throw new Error(result.message);
  return result.release;
}

describe('a release', () => {
  test('is what the device reads in both slots', () => {
    const envelope = writeEnvelope({ ...OPTIONS, expiresS: 1_000_000 }, key);
    expect(readRelease(envelope, keys)).toEqual({
      ok: true,
      release: {
        envelope,
        version: '2.0.0',
        sequence: 12,
        digest: bytes(32, 3),
        size: 1000,
        images,
        vendorId: bytes(16, 1),
        classId: bytes(16, 2),
        expiresS: 1_000_000, // Long past: whether it is still offered is the server's matter.
        requires: undefined,
        rollbackFrom: undefined,
      },
    });
  });

  test('does not share memory with the upload', () => {
    const upload = Buffer.from(writeEnvelope(OPTIONS, key));
    const result = readRelease(upload, keys);
    upload.fill(0);
    expect(result.ok && result.release.envelope[0]).toBe(0xd8);
  });

  test.each(COMPARISONS)('with the condition %s', (comparison) => {
    for (const version of ['0.0.1', '2.1.0', '3.0.0']) {
      const requires = { comparison, version };
      const release = releaseOf({ ...OPTIONS, requires });
      expect(release.requires).toEqual(requires);
      const isRollback = comparison === 'equal' && version !== '0.0.1';
      expect(release.rollbackFrom).toBe(isRollback ? version : undefined);
    }
  });

  test('is not signed by anybody else', () => {
    const other = readPrivateKeyPem(generateKeys('es256').privatePem);
    const envelope = writeEnvelope(OPTIONS, other);
    const refused = { ok: false, reason: 'wrong-signature', message: expect.any(String) };
    expect(readRelease(envelope, keys)).toEqual(refused);
    expect(readRelease(envelope, [])).toEqual(refused);
    expect(readRelease(envelope, [...keys, trustedKey(other)]).ok).toBe(true);
  });

  test('every truncation, and every bit of every byte', () => {
    const envelope = writeEnvelope(OPTIONS, key);
    for (let size = 0; size < envelope.length; size += 1) {
      expect(readRelease(envelope.subarray(0, size), keys)).toMatchObject({ reason: 'truncated' });
    }
    for (let bit = 0; bit < envelope.length * 8; bit += 1) {
      envelope[bit >> 3]! ^= 1 << (bit & 7);
      const result = readRelease(envelope, keys);
      expect(!result.ok && result.message).toBe(MESSAGES[result.ok ? '' : result.reason]);
      envelope[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});

describe('inspect', () => {
  test('shows what the envelope says, trusted or not', () => {
    const requires = { comparison: 'lesser', version: '4.5.6' } as const;
    const envelope = writeEnvelope({ ...OPTIONS, expiresS: 99, requires }, key);
    expect(inspectEnvelope(envelope)).toEqual({
      size: envelope.length,
      coseAlgorithm: -19,
      manifestDigest: expect.any(Uint8Array),
      digestMatches: true,
      sequence: 12,
      version: '2.0.0',
      vendorId: bytes(16, 1),
      classId: bytes(16, 2),
      expiresS: 99,
      requires,
      images,
    });
    envelope[envelope.length - 1]! ^= 1;
    expect(inspectEnvelope(envelope)).toMatchObject({ version: '2.0.1', digestMatches: false });
  });

  /** Throws nothing but an EnvelopeError. */
  function inspectOrRefuse(envelope: Uint8Array): void {
    try {
      inspectEnvelope(envelope);
    } catch (error) {
      expect(error).toBeInstanceOf(EnvelopeError);
    }
  }

  test('any byte altered, any truncation, any bytes: a result or an EnvelopeError', () => {
    const envelope = writeEnvelope({ ...OPTIONS, expiresS: 99 }, key);
    for (let at = 0; at < envelope.length; at += 1) {
      expect(() => inspectEnvelope(envelope.subarray(0, at))).toThrow(EnvelopeError);
      for (const change of [1, 0x20, 0x40, 0x60, 0xff]) {
        const altered = envelope.slice();
        altered[at]! ^= change;
        inspectOrRefuse(altered);
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), inspectOrRefuse));
  });

  test('an array that promises more than there is makes no room for it', () => {
    const promise = Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff);
    expect(() => inspectEnvelope(promise)).toThrow('no SUIT envelope: truncated at byte 5');
    let sequence = encode([]);
    for (let depth = 0; depth < 5000; depth += 1) sequence = encode([15, [sequence]]);
    const common = encode(new Map<Item, Item>([[4, sequence]]));
    const block = encode(new CborTag(18, [encode(new Map([[1, -19]]))]));
    const manifest = encode(
      new Map<Item, Item>([
        [3, common],
        [20, encode([])],
      ]),
    );
    const wrapper = encode([encode([-16, new Uint8Array(32)]), block]);
    const members = new Map<Item, Item>([
      [2, wrapper],
      [3, manifest],
    ]);
    const nested = encode(new CborTag(107, members));
    expect(() => inspectEnvelope(nested)).toThrow('try-each is nested too deep');
    const deep = encode(Array.from({ length: 40 }).reduce<Item>((item) => [item], 0));
    expect(() => inspectEnvelope(deep)).toThrow('no SUIT envelope: too-deep');
  });
});
