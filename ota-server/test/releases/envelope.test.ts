import { createHash, createPublicKey, verify } from 'node:crypto';
import { generateKeys } from '@flotilla/command-line/keys';
import { nodeCrypto } from '@flotilla/sdk/node';
import { ManifestFields, readManifest } from '@flotilla/sdk/ota/manifest';
import { Decoder, Encoder, Tag } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode } from '../../src/releases/cbor.ts';
import { type EnvelopeOptions, imageName, writeEnvelope } from '../../src/releases/envelope.ts';
import { readPrivateKeyPem, trustedKey } from '../../src/releases/keys.ts';
import { COMPARISONS } from '../../src/releases/version.ts';

const decoder = new Decoder({ mapsAsObjects: false, useRecords: false });
const encoder = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });
/** Of a copy: cbor-x leaves a property on what it is given. */
const decode = (item: Uint8Array) => decoder.decode(new Uint8Array(item));
const pair = generateKeys('ed25519');
const key = readPrivateKeyPem(pair.privatePem);
const es256 = readPrivateKeyPem(generateKeys('es256').privatePem);

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
  expiresS: 1_800_000_000,
  requires: { comparison: 'greater-equal', version: '1.2.3' },
};

/** As plain data: maps as pairs, byte strings as hex. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return [...value].map(([name, item]) => [plain(name), plain(item)]);
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Tag ? { tag: value.tag, value: plain(value.value) } : value;
}

function parts(envelope: Uint8Array) {
  const { tag, value } = decode(envelope) as Tag;
  const members = value as Map<number, Uint8Array>;
  const [digest, block] = decode(members.get(2)!) as [Uint8Array, Uint8Array];
  const manifest = members.get(3)!;
  return { tag, members, digest, block, manifest, decoded: decode(manifest) };
}

describe('an envelope, as cbor-x reads it', () => {
  const envelope = writeEnvelope(OPTIONS, key);

  test('is the profile of draft-ietf-suit-manifest', () => {
    const { block, decoded, digest, manifest, members, tag } = parts(envelope);
    expect([tag, [...members.keys()]]).toEqual([107, [2, 3]]);
    const head = encoder.encode(manifest);
    const hash = createHash('sha256').update(head).digest();
    expect(plain(decode(digest))).toEqual([-16, hash.toString('hex')]);
    const cose = decode(block) as Tag;
    const [header, unprotected, payload, signature] = cose.value as [Uint8Array, Map<0, 0>, 0, 0];
    expect(cose.tag).toBe(18);
    expect(plain(decode(header))).toEqual([[1, -19]]);
    expect([unprotected.size, payload, (signature as unknown as Uint8Array).length]).toEqual([
      0,
      null,
      64,
    ]);

    const nested = (name: number) => plain(decode(decoded.get(name)));
    expect([...decoded.keys()]).toEqual([1, 2, 3, 7, 20, 23]);
    expect([decoded.get(1), decoded.get(2)]).toEqual([1, 12]);
    const common = decode(decoded.get(3));
    expect(plain(common.get(2))).toEqual([['00']]);
    const shared = decode(common.get(4)) as unknown[];
    const alternatives = (sequence: unknown[], at: number) =>
      (sequence[at] as Uint8Array[]).map((item) => plain(decode(item)));
    const condition = Buffer.from(encoder.encode([2, [1, 2, 3]])).toString('hex');
    expect(plain(shared.slice(0, 2))).toEqual([
      20,
      [
        [1, '01'.repeat(16)],
        [2, '02'.repeat(16)],
        [4, 1_800_000_000],
        [28, condition],
      ],
    ]);
    const digestHex = (value: number) =>
      Buffer.from(encoder.encode([-16, bytes(32, value)])).toString('hex');
    expect(shared[2]).toBe(15);
    expect(alternatives(shared, 3)).toEqual([
      [
        20,
        [[5, 0]],
        5,
        5,
        20,
        [
          [3, digestHex(3)],
          [14, 1000],
        ],
      ],
      [
        20,
        [[5, 1]],
        5,
        5,
        20,
        [
          [3, digestHex(4)],
          [14, 2000],
        ],
      ],
    ]);
    expect(shared.slice(4)).toEqual([1, 15, 2, 15, 28, 15, 4, 15]);
    expect(nested(7)).toEqual([3, 15]);
    const install = decode(decoded.get(20)) as unknown[];
    expect(install[0]).toBe(15);
    expect(alternatives(install, 1)).toEqual([
      [20, [[5, 0]], 5, 5, 20, [[21, `${'03'.repeat(32)}.bin`]]],
      [20, [[5, 1]], 5, 5, 20, [[21, `${'04'.repeat(32)}.bin`]]],
    ]);
    expect(install.slice(2)).toEqual([21, 2, 3, 15]);
    expect(nested(23)).toEqual([['en', [[['00'], [[6, '2.0.0']]]]]]);
  });

  test('is encoded as cbor-x encodes it: shortest heads, sorted keys', () => {
    const same = new Uint8Array(encoder.encode(decode(envelope)));
    expect(same).toEqual(envelope);
    const { decoded, manifest } = parts(envelope);
    expect(new Uint8Array(encoder.encode(decoded))).toEqual(new Uint8Array(manifest));
  });

  test('with Ed25519 the same options give the same bytes', () => {
    expect(writeEnvelope(OPTIONS, key)).toEqual(envelope);
  });

  test('an image for both slots stands in both', () => {
    const one = writeEnvelope({ ...OPTIONS, images: [OPTIONS.images[0]] }, key);
    const both = [OPTIONS.images[0], OPTIONS.images[0]] as const;
    expect(one).toEqual(writeEnvelope({ ...OPTIONS, images: both }, key));
  });
});

describe('the signature', () => {
  test('-19: node:crypto over a Sig_structure of cbor-x', () => {
    const { block, digest } = parts(writeEnvelope(OPTIONS, key));
    const [header, , , signature] = (decode(block) as Tag).value as Uint8Array[];
    const message = encoder.encode(['Signature1', header, new Uint8Array(0), digest]);
    const publicKey = createPublicKey(pair.publicPem);
    expect(verify(null, message, publicKey, signature!)).toBe(true);
    expect(verify(null, message.fill(0, 20, 21), publicKey, signature!)).toBe(false);
  });

  test('one that is no signature is noticed', () => {
    const short = { ...key, sign: () => new Uint8Array(63) };
    expect(() => writeEnvelope(OPTIONS, short)).toThrow('expected 64 bytes, got 63');
  });
});

test('the device reads what was written', () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const part = fc.integer({ min: 0, max: 999_999_999 });
  const version = fc.tuple(part, part, part).map((parts) => parts.join('.'));
  const image = fc.record({
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    size: fc.integer({ min: 1, max: 0xffffffff }),
  });
  const options = fc.record(
    {
      sequence: u32,
      version,
      vendorId: id,
      classId: id,
      images: fc.oneof(fc.tuple(image), fc.tuple(image, image)),
      expiresS: fc.integer({ min: 1, max: 0xffffffff }),
      requires: fc.record({ comparison: fc.constantFrom(...COMPARISONS), version }),
    },
    { requiredKeys: ['sequence', 'version', 'vendorId', 'classId', 'images'] },
  );
  fc.assert(
    fc.property(options, fc.constantFrom(key, es256), fc.nat({ max: 1 }), (wanted, by, slot) => {
      const envelope = writeEnvelope(wanted, by);
      const { classId, expiresS = 0, images, requires, sequence, vendorId } = wanted;
      const holds = { equal: 0, 'greater-equal': 0, 'lesser-equal': 0, greater: 1, lesser: -1 };
      const order = requires === undefined ? 0 : holds[requires.comparison];
      const running = (requires?.version ?? '1.0.0').split('.').map(Number);
      // A neighbour that the comparison holds for, where there is one.
      running[2]! += order;
      if (running[2]! < 0 || running[2]! > 999_999_999) return;
      const target = {
        ...{ vendorId, classId, slot, slotSize: 0xffffffff, sequence },
        ...{ version: running.join('.'), timeS: 0 },
      };
      const fields = new ManifestFields();
      const keys = [trustedKey(by)];
      const { length } = envelope;
      expect(readManifest(envelope, 0, length, keys, target, nodeCrypto, fields)).toBeUndefined();
      const { digest, size } = images[slot] ?? images[0];
      expect({ ...fields }).toEqual({
        ...{ sequence, version: wanted.version, digest, size, uri: imageName(digest) },
        ...{ expiresS, timeUnknown: expiresS !== 0 },
      });
    }),
    { numRuns: 150 },
  );
});

test('every mistake is named', () => {
  const wrong: EnvelopeOptions = {
    sequence: -1,
    version: '2.0',
    vendorId: bytes(15, 0),
    classId: bytes(17, 0),
    images: [{ digest: bytes(31, 0), size: 0 }],
    expiresS: 2 ** 32,
    requires: { comparison: 'equal', version: 'x' },
  };
  expect(() => writeEnvelope(wrong, key)).toThrow(
    new RangeError(
      'sequence: expected 0-4294967295, got -1; version: expected 1.2.3, got 2.0; ' +
        'vendorId: expected 16 bytes, got 15; classId: expected 16 bytes, got 17; ' +
        'images[0].digest: expected 32 bytes, got 31; images[0].size: expected 1-4294967295, ' +
        'got 0; expiresS: expected 1-4294967295, got 4294967296; ' +
        'requires.version: expected 1.2.3, got x',
    ),
  );
});

test('encode sorts keys by their bytes, and takes safe integers only', () => {
  const map = new Map<string | number, number>([
    ['b', 1],
    ['a', 2],
    [-1, 3],
    [300, 4],
    [2, 5],
  ]);
  expect(Buffer.from(encode(map)).toString('hex')).toBe('a5020519012c042003616102616201');
  expect(() => encode(1.5)).toThrow(RangeError);
});
