// In a file of its own: @auth0/cose gives cbor-x other types for the tags of COSE.

import { createPublicKey } from 'node:crypto';
import { Sign1 } from '@auth0/cose';
import { generateKeys } from '@flotilla/command-line/keys';
import { describe, expect, test } from 'vitest';
import { signDigest } from '../../src/releases/envelope.ts';
import { readPrivateKeyPem } from '../../src/releases/keys.ts';

describe.each([
  ['ed25519', -8, 'Ed25519'],
  ['es256', -7, { name: 'ECDSA', namedCurve: 'P-256' }],
] as const)('%s, COSE algorithm %i', (algorithm, coseAlgorithm, parameters) => {
  test('@auth0/cose verifies what we sign', async () => {
    const { privatePem, publicPem } = generateKeys(algorithm);
    const key = { ...readPrivateKeyPem(privatePem), coseAlgorithm };
    const payload = Uint8Array.from({ length: 36 }, (_, index) => index);
    const signed = Sign1.decode(new Uint8Array(signDigest(payload, key)));
    const publicKey = createPublicKey(publicPem).toCryptoKey(parameters, true, ['verify']);
    await signed.verify(publicKey as never, { detachedPayload: payload });
    const other = payload.with(7, 0);
    await expect(signed.verify(publicKey as never, { detachedPayload: other })).rejects.toThrow();
  });
});
