import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  generateKeys,
  KeyError,
  parsePrivateKey,
  parsePublicKey,
  privateKeyFrom,
  rawPublicKey,
} from '../src/keys.ts';

const { privatePem: PRIVATE, publicPem: PUBLIC } = generateKeys('ed25519');
const EC = generateKeys('es256');
const RSA = generateKeyPairSync('rsa', {
  modulusLength: 512,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const P384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const X25519 = generateKeyPairSync('x25519');
const ENCRYPTED = generateKeyPairSync('ed25519').privateKey.export({
  format: 'pem',
  type: 'pkcs8',
  cipher: 'aes-128-cbc',
  passphrase: 'p',
});
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const BOTH = ['ed25519', 'es256'] as const;

const publicPem = (key: KeyObject) => String(key.export({ format: 'pem', type: 'spki' }));
const privatePem = (key: KeyObject) => String(key.export({ format: 'pem', type: 'pkcs8' }));
const sec1 = ({ privateKey }: { privateKey: KeyObject }) =>
  String(privateKey.export({ format: 'pem', type: 'sec1' }));
const damaged = (pem: string): string => pem.replace(/^M.{10}/m, 'MAAAAAAAAAA');
const cut = (pem: string): string => pem.slice(0, 60);

describe.each([
  ['ed25519', 32],
  ['es256', 65],
] as const)('%s', (algorithm, size) => {
  const pair = generateKeys(algorithm);

  test('a pair belongs together', () => {
    const own = parsePrivateKey(pair.privatePem, BOTH);
    const trusted = parsePublicKey(pair.publicPem, BOTH);
    expect(own.algorithm).toBe(algorithm);
    expect(own.publicKey).toHaveLength(size);
    expect(trusted).toMatchObject({ algorithm, publicKey: own.publicKey });
    const hash = algorithm === 'ed25519' ? null : 'sha256';
    const signature = sign(hash, Buffer.from('message'), own.key);
    expect(verify(hash, Buffer.from('message'), trusted.key, signature)).toBe(true);
  });

  test('one that is not accepted is refused by its name', () => {
    const other = algorithm === 'ed25519' ? 'es256' : 'ed25519';
    expect(() => parsePublicKey(pair.publicPem, [other])).toThrow(
      /^expected an? .* key, got a key/,
    );
    expect(() => parsePrivateKey(pair.privatePem, [other])).toThrow(KeyError);
  });
});

describe('PEM texts', () => {
  test('what stands before the key and other line ends do not matter', () => {
    const text = `A key for tests\n${PUBLIC.replaceAll('\n', '\r\n')}`;
    expect(parsePublicKey(text, BOTH).publicKey).toEqual(parsePublicKey(PUBLIC, BOTH).publicKey);
  });

  test.each([
    ['nothing', '', 'not a PEM file: it has no -----BEGIN line'],
    ['another file', '\x00\x01\x02', 'not a PEM file'],
    ['cut off', cut(PUBLIC), 'the PEM file is cut off: it has no -----END PUBLIC KEY-----'],
    ['damaged', damaged(PUBLIC), 'the public key cannot be read: its content is damaged'],
    ['private', PRIVATE, 'this is a private key, and a public key is wanted; keep it secret'],
    ['private EC', sec1(generateKeyPairSync('ec', { namedCurve: 'P-256' })), 'a private key'],
    ['encrypted', ENCRYPTED, 'this is a private key'],
    ['RSA', RSA.publicKey, 'expected an Ed25519 or a P-256 key, got a key of type rsa'],
    ['another curve', publicPem(P384.publicKey), 'got a key of type ec secp384r1'],
    ['X25519', publicPem(X25519.publicKey), 'got a key of type x25519'],
    ['a certificate', CERTIFICATE, 'expected a public key, got "CERTIFICATE"'],
  ])('public: %s', (_, text, message) => {
    expect(() => parsePublicKey(String(text), BOTH)).toThrow(KeyError);
    expect(() => parsePublicKey(String(text), BOTH)).toThrow(message);
  });

  test.each([
    ['nothing', '', 'not a PEM file'],
    ['cut off', cut(PRIVATE), 'the PEM file is cut off: it has no -----END PRIVATE KEY-----'],
    ['damaged', damaged(PRIVATE), 'the private key cannot be read: its content is damaged'],
    ['public', PUBLIC, 'this is a public key, and a private key is wanted'],
    ['encrypted', ENCRYPTED, 'the private key is encrypted; decrypt it first (openssl pkey)'],
    ['RSA', RSA.privateKey, 'expected an Ed25519 or a P-256 key, got a key of type rsa'],
    ['another curve', privatePem(P384.privateKey), 'got a key of type ec secp384r1'],
    ['a certificate', CERTIFICATE, 'expected a private key, got "CERTIFICATE"'],
  ])('private: %s', (_, text, message) => {
    expect(() => parsePrivateKey(String(text), BOTH)).toThrow(KeyError);
    expect(() => parsePrivateKey(String(text), BOTH)).toThrow(message);
  });

  test('an error never repeats the key', () => {
    for (const pem of [PRIVATE, EC.privatePem]) {
      const secret = pem.split('\n')[1]!.slice(16, 32);
      for (const text of [pem, damaged(pem), cut(pem)]) {
        expect(text).toContain(secret);
        expect(() => parsePublicKey(text, BOTH)).toThrow(
          expect.objectContaining({ message: expect.not.stringContaining(secret) }),
        );
      }
    }
  });
});

test('a key made of a secret is that of RFC 8032 §7.1, TEST 2', () => {
  const secret = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';
  const key = privateKeyFrom(Buffer.from(secret, 'hex'));
  expect(Buffer.from(rawPublicKey(key, 'ed25519')).toString('hex')).toBe(
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
});
