import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { KeyError, nodeCrypto, readPrivateKeyPem, readPublicKeyPem } from '../src/node-crypto.ts';
import { readPem } from './images/vectors.ts';

const PUBLIC = readPem('pub.pem');
const PRIVATE = readPem('key.pem');
const RSA = generateKeyPairSync('rsa', {
  modulusLength: 512,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const EC = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'sec1', format: 'pem' },
});
const X25519 = generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' });
const ENCRYPTED = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' },
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

  test('text before the key and other line ends do not matter', () => {
    const text = `A key for tests\n${PUBLIC.replaceAll('\n', '\r\n')}`;
    expect(readPublicKeyPem(text)).toEqual(readPublicKeyPem(PUBLIC));
  });

  const damaged = (pem: string): string => pem.replace(/^M.{10}/m, 'MAAAAAAAAAA');
  const cut = (pem: string): string => pem.slice(0, 60);

  test.each([
    ['nothing', '', 'not a PEM file'],
    ['another file', '\x00\x01\x02', 'not a PEM file'],
    ['cut off', cut(PUBLIC), 'the PEM file is cut off: it has no -----END PUBLIC KEY-----'],
    ['damaged', damaged(PUBLIC), 'the public key cannot be read: its content is damaged'],
    ['private', PRIVATE, 'this is a private key, and a public key is wanted; keep it secret'],
    ['private EC', EC.privateKey, 'this is a private key'],
    ['encrypted', ENCRYPTED.privateKey, 'this is a private key'],
    ['RSA', RSA.publicKey, 'expected an Ed25519 key, got a rsa key'],
    ['EC', EC.publicKey, 'expected an Ed25519 key, got a ec key'],
    ['X25519', X25519.toString(), 'expected an Ed25519 key, got a x25519 key'],
    [
      'a certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'expected a public key, got "CERTIFICATE"',
    ],
  ])('public: %s', (_what, text, message) => {
    expect(() => readPublicKeyPem(text)).toThrow(KeyError);
    expect(() => readPublicKeyPem(text)).toThrow(message);
  });

  test.each([
    ['nothing', '', 'not a PEM file'],
    ['cut off', cut(PRIVATE), 'the PEM file is cut off: it has no -----END PRIVATE KEY-----'],
    ['damaged', damaged(PRIVATE), 'the private key cannot be read: its content is damaged'],
    ['public', PUBLIC, 'this is a public key, and a private key is wanted'],
    ['encrypted', ENCRYPTED.privateKey, 'the private key is encrypted'],
    ['RSA', RSA.privateKey, 'expected an Ed25519 key, got a rsa key'],
    ['EC', EC.privateKey, 'expected an Ed25519 key, got a ec key'],
    [
      'a certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'expected a private key, got "CERTIFICATE"',
    ],
  ])('private: %s', (_what, text, message) => {
    expect(() => readPrivateKeyPem(text)).toThrow(KeyError);
    expect(() => readPrivateKeyPem(text)).toThrow(message);
  });

  test('an error never repeats the key', () => {
    for (const text of [PRIVATE, damaged(PRIVATE), cut(PRIVATE)]) {
      const secret = text.split('\n')[1]?.slice(8, 24) ?? '';
      try {
        readPublicKeyPem(text);
      } catch (error) {
        expect(secret === '' || !String(error).includes(secret)).toBe(true);
      }
    }
  });
});
