import { describe, expect, test } from 'vitest';
import type { BootCrypto } from '../../src/crypto.ts';
import {
  formatVersion,
  type McubootImage,
  parseVersion,
  publicKeyInfo,
  readImage,
  verifyImage,
} from '../../src/images/mcuboot.ts';
import { createImage } from '../../src/images/mcuboot-write.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import {
  DEPENDENCY,
  ECDSA,
  ED25519,
  ENCX25519,
  type Forgery,
  forge,
  honest,
  KEYHASH,
  keyHashOf,
  SEC_CNT,
  SHA256,
  SHA384,
  SHA512,
  SIG_PURE,
} from './tlvs.ts';
import { KEY, OTHER_KEY, PUBLIC_KEY, readVector, VECTORS } from './vectors.ts';

const KEYS = [PUBLIC_KEY];

function imageOf(bytes: Uint8Array): McubootImage {
  const result = readImage(bytes);
  if (!result.ok) throw new Error(result.reason);
  return result.image;
}

/** '' where the image is accepted. */
function verdict(bytes: Uint8Array, keys = KEYS, crypto: BootCrypto = nodeCrypto): string {
  const result = verifyImage(bytes, keys, crypto);
  return result.ok ? '' : result.reason;
}

function signed(forgery: Forgery): string {
  return verdict(forge(KEY, forgery));
}

function protectedTlv(type: number, data: Uint8Array | number[], size?: number): Forgery {
  const tlv = { type, data, ...(size === undefined ? {} : { size }) };
  return { protectedTlvs: [tlv] };
}

/** Unprotected TLVs besides the honest ones, in front of them. */
function unprotected(...tlvs: { type: number; data: number[]; size?: number }[]): Forgery {
  return { unprotectedTlvs: (digest, signature) => [...tlvs, ...honest(KEY, digest, signature)] };
}

describe('the vectors of imgtool', () => {
  test.each(Object.entries(VECTORS))('%s is accepted', (name, options) => {
    const result = verifyImage(readVector(name), KEYS, nodeCrypto);
    if (!result.ok) throw new Error(result.reason);
    expect(result.signer).toEqual(PUBLIC_KEY);
    expect(result.image).toMatchObject({
      version: options.version,
      headerSize: 512,
      imageSize: 4096,
      payloadStart: 512,
      payloadEnd: 4608,
      loadAddress: 0,
      flags: 0,
      securityCounter: options.securityCounter ?? 0,
      dependencies: options.dependencies ?? [],
      digestAlgorithm: options.digest,
      pure: options.pure ?? false,
      encrypted: false,
      ignored: [],
    });
    const region = readVector(name).subarray(0, result.image.signedEnd);
    expect(result.image.digest).toEqual(nodeCrypto[options.digest](region));
    expect(result.image.keyHash).toEqual(nodeCrypto[options.digest](publicKeyInfo(PUBLIC_KEY)));
    if (options.padTo === undefined) expect(result.image.totalSize).toBe(readVector(name).length);
  });

  test('wrong-key.bin is refused, and accepted with the key that signed it', () => {
    expect(verdict(readVector('wrong-key.bin'))).toBe('signed with a key that is not trusted');
    expect(verdict(readVector('wrong-key.bin'), [])).toBe('signed with a key that is not trusted');
    expect(verdict(readVector('wrong-key.bin'), [PUBLIC_KEY, OTHER_KEY.publicKey])).toBe('');
  });

  test('payload.bin is no image', () => {
    expect(verdict(readVector('payload.bin'))).toMatch(/^not an MCUboot image: magic 0x/);
  });

  test.each(Object.keys(VECTORS))('every truncation of %s is refused', (name) => {
    const bytes = readVector(name);
    const { totalSize } = imageOf(bytes);
    for (let size = 0; size < totalSize; size++) {
      expect(readImage(bytes.subarray(0, size)).ok, `${size} bytes`).toBe(false);
    }
  });

  test('what follows in the slot changes nothing', () => {
    const bytes = readVector('sha256-seccnt7.bin');
    const slot = new Uint8Array(16384).fill(0x69);
    slot.set(bytes);
    expect(verifyImage(slot, KEYS, nodeCrypto)).toEqual(verifyImage(bytes, KEYS, nodeCrypto));
  });
});

describe('a flipped bit', () => {
  // 38,112 images. The digest finds nearly all of them before a signature is checked.
  test('anywhere in sha256-seccnt7.bin is refused', () => {
    const bytes = readVector('sha256-seccnt7.bin');
    const accepted: string[] = [];
    for (let offset = 0; offset < bytes.length; offset++) {
      for (let bit = 1; bit <= 0x80; bit <<= 1) {
        bytes[offset]! ^= bit;
        if (verdict(bytes) === '') accepted.push(`${offset}/${bit}`);
        bytes[offset]! ^= bit;
      }
    }
    expect(accepted).toEqual([]);
    expect(verdict(bytes)).toBe('');
  });

  test('in the signed region of pure.bin is refused even where its digest is made to fit', () => {
    const bytes = readVector('pure.bin');
    const { signedEnd } = imageOf(bytes);
    const digestStart = signedEnd + 8;
    for (let offset = 0; offset < signedEnd; offset += 7) {
      const flipped = bytes.slice();
      flipped[offset]! ^= 1 << (offset % 8);
      flipped.set(nodeCrypto.sha512(flipped.subarray(0, signedEnd)), digestStart);
      expect(verdict(flipped), `${offset}`).not.toBe('');
    }
  });

  test('in unprotected TLVs is refused, or changes nothing that counts', () => {
    // Room for flips that are harmless: a TLV of a vendor, and two that count only when protected.
    const forgery = unprotected(
      { type: 0xa1, data: [1, 2, 3, 4, 5, 6, 7, 8] },
      { type: SEC_CNT, data: [9, 0, 0, 0] },
      { type: DEPENDENCY, data: [1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0] },
    );
    const bytes = forge(KEY, { ...forgery, ...protectedTlv(SEC_CNT, [3, 0, 0, 0]) });
    const original = imageOf(bytes);
    expect(original).toMatchObject({ securityCounter: 3, dependencies: [] });
    let acceptedCount = 0;
    for (let offset = original.signedEnd; offset < bytes.length; offset++) {
      for (let bit = 1; bit <= 0x80; bit <<= 1) {
        bytes[offset]! ^= bit;
        const result = verifyImage(bytes, KEYS, nodeCrypto);
        bytes[offset]! ^= bit;
        if (!result.ok) continue;
        acceptedCount += 1;
        const { ignored: _, ...image } = result.image;
        expect(original).toMatchObject(image);
      }
    }
    // At least the 20 bytes of data that nobody believes.
    expect(acceptedCount).toBeGreaterThan(20 * 8);
  });
});

describe('a header that lies', () => {
  const LIES: readonly [what: string, offset: number, bytes: number[], reason: RegExp][] = [
    ['magic', 0, [0x3d, 0xb8, 0xf3, 0x95], /^not an MCUboot image: magic 0x95f3b83d$/],
    ['headerSize 0', 8, [0, 0], /^header of 0 bytes is too short$/],
    ['headerSize 31', 8, [31, 0], /^header of 31 bytes is too short$/],
    ['headerSize 65535', 8, [0xff, 0xff], /^header and payload of 69631 bytes do not fit into/],
    ['imageSize 0', 12, [0, 0, 0, 0], /^the image has no payload$/],
    ['imageSize 2^32 - 1', 12, [255, 255, 255, 255], /^header and payload of 4294967807 bytes/],
    // 512 + this wraps to 0 in 32 bits.
    ['imageSize 2^32 - 512', 12, [0, 0xfe, 255, 255], /^header and payload of 4294967296 bytes/],
    ['imageSize + 1', 12, [1, 0x10, 0, 0], /^protected TLVs: magic 0x/],
    ['protectedSize 0', 10, [0, 0], /^unprotected TLVs: magic 0x6908, expected 0x6907$/],
    ['protectedSize 4', 10, [4, 0], /^protected TLVs of 12 bytes, the header says 4$/],
    ['protectedSize 65535', 10, [0xff, 0xff], /^protected TLVs of 12 bytes, the header says/],
    ['protected total 3', 4610, [3, 0], /^protected TLVs: total of 3 bytes is too short$/],
    ['protected total 65535', 4610, [255, 255], /^protected TLVs: 65535 bytes do not fit into/],
    ['unprotected magic', 4620, [0, 0], /^unprotected TLVs: magic 0x00, expected 0x6907$/],
    ['unprotected total 0', 4622, [0, 0], /^unprotected TLVs: total of 0 bytes is too short$/],
    ['unprotected total 4', 4622, [4, 0], /^the image has no digest$/],
    ['unprotected total + 1', 4622, [0x91, 0], /^unprotected TLVs: 145 bytes do not fit into 144$/],
    ['unprotected total - 1', 4622, [0x8f, 0], /^TLV 0x24 of 64 bytes leaves its area$/],
    ['unprotected total - 65', 4622, [0x4f, 0], /^truncated TLV at 4696$/],
    ['a TLV of 65535', 4626, [255, 255], /^TLV 0x10 of 65535 bytes leaves its area$/],
  ];

  test.each(LIES)('%s', (_what, offset, lie, reason) => {
    const bytes = readVector('sha256-seccnt7.bin');
    bytes.set(lie, offset);
    expect(verdict(bytes)).toMatch(reason);
  });

  test('an honest forgery is accepted, so that the tables below mean something', () => {
    expect(signed({})).toBe('');
    expect(signed(protectedTlv(SEC_CNT, [1, 0, 0, 0]))).toBe('');
  });

  test.each([
    ['encrypted with AES-128', 0x4, 'the image is encrypted'],
    ['encrypted with AES-256', 0x8, 'the image is encrypted'],
    ['not bootable', 0x10, 'the image is marked as not bootable'],
    ['compressed with LZMA1', 0x200, 'the image is compressed'],
    ['compressed with LZMA2', 0x400, 'the image is compressed'],
    ['to be run from RAM', 0x20, ''],
  ])('flags: %s', (_what, flags, reason) => {
    expect(signed({ flags })).toBe(reason);
  });
});

describe('TLVs, signed by the right key', () => {
  const dependency = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
  const PROTECTED: readonly [what: string, Forgery, reason: string][] = [
    ['an unknown one is skipped', protectedTlv(0x60, [1, 2, 3]), ''],
    ['one of a vendor is skipped', protectedTlv(0xfffe, []), ''],
    ['a counter of 3 bytes', protectedTlv(SEC_CNT, [1, 2, 3]), 'security counter of 3 bytes'],
    ['a counter of 5 bytes', protectedTlv(SEC_CNT, [1, 2, 3, 4, 5]), 'security counter of 5 bytes'],
    ['a dependency of 11 bytes', protectedTlv(DEPENDENCY, Array(11)), 'dependency of 11 bytes'],
    ['a key hash', protectedTlv(KEYHASH, [1]), 'TLV 0x01 among the protected ones'],
    ['a digest', protectedTlv(SHA256, Array(32)), 'TLV 0x10 among the protected ones'],
    ['a SHA-384', protectedTlv(SHA384, Array(48)), 'TLV 0x11 among the protected ones'],
    ['a SHA-512', protectedTlv(SHA512, Array(64)), 'TLV 0x12 among the protected ones'],
    ['a signature', protectedTlv(ED25519, Array(64)), 'TLV 0x24 among the protected ones'],
    ['another signature', protectedTlv(ECDSA, Array(64)), 'TLV 0x22 among the protected ones'],
    ['SIG_PURE', protectedTlv(SIG_PURE, [1]), 'TLV 0x25 among the protected ones'],
    ['an encrypted key', protectedTlv(ENCX25519, [1]), 'the image is encrypted'],
    ['one that is too long', protectedTlv(0x60, [1], 2), 'TLV 0x60 of 2 bytes leaves its area'],
    ['one without its header', protectedTlv(0x60, [0x60, 0, 0], 0), 'truncated TLV at 44'],
    [
      'two counters',
      {
        protectedTlvs: [
          { type: SEC_CNT, data: [1, 0, 0, 0] },
          { type: SEC_CNT, data: [1, 0, 0, 0] },
        ],
      },
      'two security counters',
    ],
    [
      'two dependencies',
      {
        protectedTlvs: [
          { type: DEPENDENCY, data: dependency },
          { type: DEPENDENCY, data: dependency },
        ],
      },
      '',
    ],
    [
      'a size that the header denies',
      { ...protectedTlv(SEC_CNT, [1, 0, 0, 0]), protectedSize: 13 },
      'protected TLVs of 12 bytes, the header says 13',
    ],
  ];

  test.each(PROTECTED)('protected: %s', (_what, forgery, reason) => {
    expect(signed(forgery)).toBe(reason);
  });

  const UNPROTECTED: readonly [what: string, Forgery, reason: string][] = [
    ['an unknown one is skipped', unprotected({ type: 0x60, data: [1, 2] }), ''],
    ['a public key is skipped', unprotected({ type: 0x02, data: Array(44) }), ''],
    ['two digests', unprotected({ type: SHA256, data: Array(32) }), 'two digests'],
    ['two kinds of digest', unprotected({ type: SHA512, data: Array(64) }), 'two digests'],
    ['a SHA-384', unprotected({ type: SHA384, data: Array(48) }), 'SHA-384 is not supported'],
    ['a digest of 31 bytes', unprotected({ type: SHA256, data: Array(31) }), 'digest of 31 bytes'],
    ['two key hashes', unprotected({ type: KEYHASH, data: Array(32) }), 'two key hashes'],
    ['two signatures', unprotected({ type: ED25519, data: Array(64) }), 'two signatures'],
    ['two kinds of signature', unprotected({ type: ECDSA, data: Array(70) }), 'two signatures'],
    ['an encrypted key', unprotected({ type: ENCX25519, data: [] }), 'the image is encrypted'],
    ['SIG_PURE of 0', unprotected({ type: SIG_PURE, data: [0] }), 'SIG_PURE is not 01'],
    ['SIG_PURE of 2 bytes', unprotected({ type: SIG_PURE, data: [1, 1] }), 'SIG_PURE is not 01'],
    [
      'two SIG_PURE',
      unprotected({ type: SIG_PURE, data: [1] }, { type: SIG_PURE, data: [1] }),
      'two SIG_PURE',
    ],
    [
      'SIG_PURE with SHA-256',
      unprotected({ type: SIG_PURE, data: [1] }),
      'a pure signature without SHA-512',
    ],
    ['no TLV at all', { unprotectedTlvs: () => [] }, 'the image has no digest'],
    [
      'no digest',
      { unprotectedTlvs: (digest, signature) => honest(KEY, digest, signature).slice(1) },
      'the image has no digest',
    ],
    [
      'a digest alone',
      { unprotectedTlvs: (digest, signature) => honest(KEY, digest, signature).slice(0, 1) },
      'the image is not signed',
    ],
    [
      'no key hash',
      { unprotectedTlvs: (digest, signature) => honest(KEY, digest, signature).toSpliced(1, 1) },
      'the image does not name the key that signed it',
    ],
    [
      'a key hash of the raw key',
      {
        unprotectedTlvs: (digest, signature) =>
          honest(KEY, digest, signature).with(1, {
            type: KEYHASH,
            data: nodeCrypto.sha256(PUBLIC_KEY),
          }),
      },
      'signed with a key that is not trusted',
    ],
    [
      'a signature of another algorithm',
      {
        unprotectedTlvs: (digest, signature) =>
          honest(KEY, digest, signature).with(2, { type: ECDSA, data: signature }),
      },
      'signed with ECDSA, only Ed25519 is trusted',
    ],
    [
      'a signature of 63 bytes',
      {
        unprotectedTlvs: (digest, signature) =>
          honest(KEY, digest, signature).with(2, { type: ED25519, data: signature.subarray(1) }),
      },
      'signature of 63 bytes',
    ],
    [
      'a signature by another key in the name of ours',
      {
        unprotectedTlvs: (digest) => honest(KEY, digest, OTHER_KEY.sign(digest)),
      },
      'the signature does not match the image',
    ],
    [
      'our signature in the name of another key',
      { unprotectedTlvs: (digest, signature) => honest(OTHER_KEY, digest, signature) },
      'signed with a key that is not trusted',
    ],
    [
      'the digest and signature of another image',
      {
        unprotectedTlvs: () => {
          const digest = nodeCrypto.sha256(Uint8Array.of(7));
          return honest(KEY, digest, KEY.sign(digest));
        },
      },
      'the digest does not match the image',
    ],
  ];

  test.each(UNPROTECTED)('unprotected: %s', (_what, forgery, reason) => {
    expect(signed(forgery)).toBe(reason);
  });

  test('a counter and a dependency that are not protected are reported and not believed', () => {
    const tlvs = [
      { type: SEC_CNT, data: [255, 255, 255, 255] },
      { type: DEPENDENCY, data: [1] },
    ];
    const bytes = forge(KEY, unprotected(...tlvs));
    expect(verdict(bytes)).toBe('');
    expect(imageOf(bytes)).toMatchObject({
      securityCounter: 0,
      dependencies: [],
      ignored: [SEC_CNT, DEPENDENCY],
    });
  });

  test('the order of the unprotected ones is free', () => {
    const forgery: Forgery = {
      unprotectedTlvs: (digest, signature) => honest(KEY, digest, signature).reverse(),
    };
    expect(signed(forgery)).toBe('');
  });
});

describe('trust', () => {
  test('the signature is asked of the key that is named, over the digest that was computed', () => {
    const bytes = readVector('sha256.bin');
    const { signedEnd, signature } = imageOf(bytes);
    const asked: unknown[] = [];
    const crypto: BootCrypto = {
      ...nodeCrypto,
      verifyEd25519: (...question) => {
        asked.push(question);
        return false;
      },
    };
    const keys = [OTHER_KEY.publicKey, PUBLIC_KEY];
    expect(verdict(bytes, keys, crypto)).toBe('the signature does not match the image');
    const digest = nodeCrypto.sha256(bytes.subarray(0, signedEnd));
    expect(asked).toEqual([[PUBLIC_KEY, digest, signature]]);
  });

  test('KEYHASH is over the SubjectPublicKeyInfo', () => {
    expect(imageOf(readVector('sha256.bin')).keyHash).toEqual(keyHashOf(KEY));
    expect(publicKeyInfo(PUBLIC_KEY)).toHaveLength(44);
    expect(() => publicKeyInfo(PUBLIC_KEY.subarray(1))).toThrow('has 32 bytes, not 31');
  });

  test('what was read does not change with the slot', () => {
    const bytes = readVector('sha256-seccnt7.bin');
    const image = imageOf(bytes);
    const before = structuredClone(image);
    bytes.fill(0xff);
    expect(image).toEqual(before);
  });
});

describe('versions', () => {
  test.each([
    ['1', '1.0.0'],
    ['1.2', '1.2.0'],
    ['1.2.3', '1.2.3'],
    ['1.2.3+4', '1.2.3+4'],
    ['255.255.65535+4294967295', '255.255.65535+4294967295'],
    ['0.0.0+0', '0.0.0'],
  ])('%s is %s', (text, formatted) => {
    const version = parseVersion(text);
    if (version === undefined) throw new Error('not read');
    expect(formatVersion(version)).toBe(formatted);
    const options = { payload: Uint8Array.of(1), version, digest: 'sha256' } as const;
    expect(imageOf(createImage(options, PUBLIC_KEY, nodeCrypto, KEY.sign)).version).toEqual(
      version,
    );
  });

  test.each([
    '',
    'v1',
    '1.',
    '01',
    '1.2.3.4',
    '1.2.3+',
    '1+4',
    '-1',
    '1.2.3-rc1',
    '256',
    '0.256',
    '0.0.65536',
    '0.0.0+4294967296',
    ' 1',
    '1\n',
  ])('%j is none', (text) => {
    expect(parseVersion(text)).toBeUndefined();
  });
});
