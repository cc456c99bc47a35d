import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { nodeCrypto, readPrivateKeyPem, readPublicKeyPem } from '../src/node-crypto.ts';
import { readPem } from './images/vectors.ts';

const PUBLIC = readPem('pub.pem');
const PRIVATE = readPem('key.pem');
const EC = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'sec1', format: 'pem' },
});
describe('nodeCrypto', () => {
  // RFC 8032 §7.1, TEST 2.
  const publicKey = Buffer.from(
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    'hex',
  );
  const message = Uint8Array.of(0x72);
  const signature = Buffer.from(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    'hex',
  );

  test.each(['sha256', 'sha512', 'md5'] as const)('%s', (name) => {
    const bytes = Buffer.from('abc');
    expect(nodeCrypto[name](bytes)).toEqual(
      new Uint8Array(createHash(name).update(bytes).digest()),
    );
  });

  test('Ed25519: RFC 8032 §7.1, and each flipped bit of it', () => {
    expect(nodeCrypto.verifyEd25519(publicKey, message, signature)).toBe(true);
    for (const bytes of [publicKey, message, signature]) {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(nodeCrypto.verifyEd25519(publicKey, message, signature)).toBe(false);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
      }
    }
  });

  test('keys and signatures of other sizes verify nothing', () => {
    for (const size of [0, 31, 33, 44]) {
      expect(nodeCrypto.verifyEd25519(new Uint8Array(size), message, signature)).toBe(false);
    }
    for (const size of [0, 63, 65]) {
      expect(nodeCrypto.verifyEd25519(publicKey, message, new Uint8Array(size))).toBe(false);
    }
  });
});

describe('keys in PEM files', () => {
  test('a pair belongs together', () => {
    const { publicKey, sign } = readPrivateKeyPem(PRIVATE);
    expect(publicKey).toEqual(readPublicKeyPem(PUBLIC));
    expect(publicKey).toHaveLength(32);
    const message = Uint8Array.of(1, 2, 3);
    expect(sign(message)).toHaveLength(64);
    expect(nodeCrypto.verifyEd25519(publicKey, message, sign(message))).toBe(true);
  });

  test('a key of another kind is none', () => {
    expect(() => readPublicKeyPem(EC.publicKey)).toThrow('expected an Ed25519 key');
    expect(() => readPrivateKeyPem(EC.privateKey)).toThrow('expected an Ed25519 key');
    expect(() => readPublicKeyPem(PRIVATE)).toThrow('keep it secret');
  });
});
