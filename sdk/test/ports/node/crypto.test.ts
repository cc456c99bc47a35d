import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../ports/node/crypto.ts';
import type { SignatureAlgorithm } from '../../../src/platform.ts';
import { fromHex, toHex } from '../../codec/bytes.ts';

interface Signed {
  readonly algorithm: SignatureAlgorithm;
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

function verify({ algorithm, publicKey, message, signature }: Signed): boolean {
  return nodeCrypto.verify(algorithm, publicKey, message, signature);
}

/** RFC 8032 §7.1. */
const ED25519: readonly [name: string, key: string, message: string, signature: string][] = [
  [
    'TEST 1',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    `e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
     5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b`,
  ],
  [
    'TEST 2',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    `92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00`,
  ],
  [
    'TEST 3',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    `6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a`,
  ],
  [
    'TEST SHA(abc)',
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    `ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
     2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f`,
    `dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589
     09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704`,
  ],
];

/** RFC 6979 §A.2.5, P-256 with SHA-256. */
const P256_KEY = `04 60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6
  7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299`;
const ES256: readonly [message: string, signature: string][] = [
  [
    'sample',
    `efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716
     f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8`,
  ],
  [
    'test',
    `f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367
     019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083`,
  ],
];

/** Order of the base point, little-endian (RFC 8032 §5.1). */
const L = Buffer.from('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed', 'hex');

/** The raw public key of the last bytes of its SPKI. */
function rawKey(key: KeyObject, size: number): Uint8Array {
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(-size));
}

function signed(algorithm: SignatureAlgorithm, message: Uint8Array): Signed {
  if (algorithm === 'ed25519') {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const signature = new Uint8Array(sign(null, message, privateKey));
    return { algorithm, publicKey: rawKey(publicKey, 32), message, signature };
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const options = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
  const signature = new Uint8Array(sign('sha256', message, options));
  return { algorithm, publicKey: rawKey(publicKey, 65), message, signature };
}

/** `bytes` with one bit flipped. */
function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

describe('signatures of the standards', () => {
  test.each(ED25519)('Ed25519, %s', (_name, key, message, signature) => {
    const known = {
      algorithm: 'ed25519' as const,
      publicKey: fromHex(key),
      message: fromHex(message),
      signature: fromHex(signature),
    };
    expect(verify(known)).toBe(true);
    expect(verify({ ...known, message: fromHex(`${message}00`) })).toBe(false);
  });

  test.each(ES256)('ES256, %s', (message, signature) => {
    const known = {
      algorithm: 'es256' as const,
      publicKey: fromHex(P256_KEY),
      message: Buffer.from(message),
      signature: fromHex(signature),
    };
    expect(verify(known)).toBe(true);
    expect(verify({ ...known, message: Buffer.from(`${message} `) })).toBe(false);
  });
});

describe.each(['ed25519', 'es256'] as const)('%s', (algorithm) => {
  const example = signed(algorithm, Buffer.from('a manifest'));

  test('agrees with node:crypto', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
        expect(verify(signed(algorithm, message))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test.each(['publicKey', 'message', 'signature'] as const)(
    'every bit of the %s counts',
    (part) => {
      for (let bit = 0; bit < example[part].length * 8; bit += 1) {
        expect(verify({ ...example, [part]: flipped(example[part], bit) }), `bit ${bit}`).toBe(
          false,
        );
      }
    },
  );

  test.each(['publicKey', 'signature'] as const)('a %s of another length is wrong', (part) => {
    const whole = example[part];
    for (let size = 0; size < whole.length; size += 1) {
      expect(verify({ ...example, [part]: whole.subarray(0, size) })).toBe(false);
    }
    for (const more of [1, 2, 32, 100]) {
      const longer = new Uint8Array(whole.length + more);
      longer.set(whole);
      expect(verify({ ...example, [part]: longer }), `${more} bytes more`).toBe(false);
      const before = new Uint8Array(whole.length + more);
      before.set(whole, more);
      expect(verify({ ...example, [part]: before }), `${more} bytes before`).toBe(false);
    }
  });

  test('the other algorithm does not verify it', () => {
    const other = algorithm === 'ed25519' ? 'es256' : 'ed25519';
    expect(verify({ ...example, algorithm: other })).toBe(false);
    const publicKey = signed(other, example.message).publicKey;
    expect(verify({ ...example, publicKey })).toBe(false);
  });

  test('hostile bytes never throw', () => {
    const noise = fc.uint8Array({ maxLength: 140 });
    fc.assert(
      fc.property(noise, noise, noise, (publicKey, message, signature) => {
        expect(verify({ algorithm, publicKey, message, signature })).toBe(false);
        expect(verify({ ...example, publicKey })).toBe(false);
        expect(verify({ ...example, signature })).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});

describe('signatures that some libraries take', () => {
  test('Ed25519 with S + L, the same point, is refused (RFC 8032 §5.1.7)', () => {
    const { algorithm, publicKey, message, signature } = signed('ed25519', Buffer.from('x'));
    const malleable = new Uint8Array(signature);
    let carry = 0;
    for (let at = 0; at < 32; at += 1) {
      const sum = malleable[32 + at]! + L[31 - at]! + carry;
      malleable[32 + at] = sum & 255;
      carry = sum >> 8;
    }
    expect(verify({ algorithm, publicKey, message, signature: malleable })).toBe(false);
  });

  test('ES256 of zeroes, in DER, or under a compressed point is refused', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const message = Buffer.from('x');
    const key = rawKey(publicKey, 65);
    const known = { algorithm: 'es256' as const, publicKey: key, message };
    expect(verify({ ...known, signature: new Uint8Array(64) })).toBe(false);
    expect(verify({ ...known, signature: sign('sha256', message, privateKey) })).toBe(false);
    const options = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
    const signature = sign('sha256', message, options);
    expect(verify({ ...known, signature })).toBe(true);
    const compressed = new Uint8Array(33);
    compressed.set(key.subarray(0, 33));
    compressed[0] = 2 + (key[64]! & 1);
    expect(verify({ ...known, publicKey: compressed, signature })).toBe(false);
  });
});

describe('SHA-256', () => {
  test('of nothing, of abc, of two blocks (FIPS 180-4)', () => {
    const digests: readonly [string, string][] = [
      ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
      ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
      [
        'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
        '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
      ],
    ];
    for (const [text, digest] of digests) {
      const into = new Uint8Array(32);
      const hash = nodeCrypto.sha256();
      hash.update(Buffer.from(text), 0, text.length);
      hash.digest(into);
      expect(toHex(into)).toBe(digest);
    }
  });

  test('takes ranges in parts, several computations at once, and writes 32 bytes', () => {
    const part = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200));
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const hashes = [nodeCrypto.sha256(), nodeCrypto.sha256()] as const;
        const oracles = [createHash('sha256'), createHash('sha256')] as const;
        for (const [index, [bytes, one, other]] of parts.entries()) {
          const start = Math.min(one, other, bytes.length);
          const end = Math.min(Math.max(one, other), bytes.length);
          hashes[index & 1]!.update(bytes, start, end);
          oracles[index & 1]!.update(bytes.slice(start, end));
        }
        for (const which of [0, 1] as const) {
          const into = new Uint8Array(34).fill(9);
          hashes[which].digest(into);
          expect(toHex(into)).toBe(`${oracles[which].digest('hex')}0909`);
        }
      }),
    );
  });
});
