// SUIT envelopes that are signed with ES256, which noble's Ed25519 has not: on Node only.

import { expect, test } from 'vitest';
import { nodeCrypto } from '../../ports/node/crypto.ts';
import { ManifestFields, readManifest, type TrustedKey } from '../../src/ota/manifest.ts';
import { es256Signer } from './es256-signer.ts';
import { ed25519Signer, manifestOf, seal, TARGET } from './suit-envelope.ts';

function codeOf(envelope: Uint8Array, ...keys: readonly TrustedKey[]): string | undefined {
  const fields = new ManifestFields();
  return readManifest(envelope, 0, envelope.length, keys, TARGET, nodeCrypto, fields);
}

test.each([-7, -9])('signed with COSE algorithm %i', (algorithm) => {
  const signer = es256Signer(algorithm);
  const envelope = seal(manifestOf(), signer);
  expect(codeOf(envelope, signer.trusted)).toBeUndefined();
  expect(codeOf(envelope, ed25519Signer(1).trusted, signer.trusted)).toBeUndefined();
  expect(codeOf(envelope, es256Signer().trusted)).toBe('wrong-signature');
  expect(codeOf(envelope)).toBe('wrong-signature');
});

test('an example of the draft: its signature is taken, its manifest is not in our profile', () => {
  // draft-ietf-suit-manifest, appendix B, example 0, and the key of that appendix.
  const envelope = Buffer.from(
    'd86ba2025873825824822f58206658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af' +
      '584ad28443a10126a0f65840408d0816f9b510749bf6a51b066951e08a4438f849eb092a1ac768eed9de696c' +
      '1b1dd35d82ef149e6a73a61976ad2cfe78444b8064293350a122f332cb49f0da035871a50101020003585fa2' +
      '02818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492af1425695e48bf429b2d51' +
      'f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdeffedcba98765432100e19' +
      '87d0010f020f074382030f0943821702',
    'hex',
  );
  const info = Buffer.from(
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhJaBGq4LqqvSYVcYnuzaJr6qi/Ebbz/m4rVlnIXbwK07HypLbAmB' +
      'McCjbazR14vTgdzfsJwFLbM5kdtzOLSolg==',
    'base64',
  );
  const key: TrustedKey = { algorithm: 'es256', key: new Uint8Array(info.subarray(-65)) };
  expect(codeOf(envelope, key)).toBe('malformed'); // It installs nothing.
  expect(codeOf(envelope, ed25519Signer(1).trusted)).toBe('wrong-signature');
});
