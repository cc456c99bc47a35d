import { createPublicKey } from 'node:crypto';
import { generateKeys, KeyError } from '@flotilla/command-line/keys';
import { nodeCrypto } from '@flotilla/sdk/node';
import { describe, expect, test } from 'vitest';
import {
  keyName,
  readPrivateKeyPem,
  readPublicKeyPem,
  trustedKey,
} from '../../src/releases/keys.ts';

describe.each([
  ['ed25519', -19, 32],
  ['es256', -9, 65],
] as const)('%s', (algorithm, coseAlgorithm, size) => {
  const { privatePem, publicPem } = generateKeys(algorithm);
  const key = readPrivateKeyPem(privatePem);

  test('a pair belongs together', () => {
    expect(key).toMatchObject({ algorithm, coseAlgorithm });
    expect(key.publicKey).toHaveLength(size);
    expect(readPublicKeyPem(publicPem)).toEqual(trustedKey(key));
    const message = Buffer.from('message');
    const signature = key.sign(message);
    expect(signature).toHaveLength(64);
    expect(nodeCrypto.verify(algorithm, key.publicKey, message, signature)).toBe(true);
    expect(nodeCrypto.verify(algorithm, key.publicKey, Buffer.from('massage'), signature)).toBe(
      false,
    );
  });

  test('its name is that of its SubjectPublicKeyInfo', () => {
    const info = createPublicKey(publicPem).export({ format: 'der', type: 'spki' });
    const hash = new Uint8Array(32);
    const sha256 = nodeCrypto.sha256();
    sha256.update(info, 0, info.length);
    sha256.digest(hash);
    expect(keyName(trustedKey(key))).toBe(Buffer.from(hash).toString('hex').slice(0, 16));
  });

  test('private and public are not mistaken for each other', () => {
    expect(() => readPrivateKeyPem(publicPem)).toThrow(KeyError);
    expect(() => readPublicKeyPem(privatePem)).toThrow('keep it secret');
  });
});
