import { webcrypto } from 'node:crypto';
import { Algorithms, ProtectedHeaders, Sign1 } from '@auth0/cose';
import { Tag } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../ports/node/crypto.ts';
import { PAYLOAD_SIZE_MAX, type TrustedKey, verifySign1 } from '../../src/ota/cose.ts';
import { es256Signer } from './es256-signer.ts';
import { cbor, ed25519Signer, map, type Signer, sign1 } from './suit-envelope.ts';

const PAYLOAD = Uint8Array.from({ length: 36 }, (_, index) => index * 7);
const ed25519 = ed25519Signer(1);
const es256 = es256Signer();

function verify(message: Uint8Array, keys: readonly TrustedKey[], payload = PAYLOAD) {
  // Away from the start, so that no offset is left out.
  const source = Uint8Array.of(0xff, 0xff, ...message, ...payload, 0xff);
  const end = 2 + message.length;
  return verifySign1(source, 2, end, end, end + payload.length, keys, nodeCrypto);
}

describe('against noble and node:crypto over a Sig_structure of cbor-x', () => {
  test.each([
    ['Ed25519, -19', ed25519],
    ['EdDSA, -8', { ...ed25519, algorithm: -8 }],
    ['ESP256, -9', es256],
    ['ES256, -7', { ...es256, algorithm: -7 }],
  ] satisfies [string, Signer][])('%s', (_, signer) => {
    const message = sign1(PAYLOAD, signer);
    expect(verify(message, [signer.trusted])).toBeUndefined();
    expect(verify(message, [ed25519Signer(2).trusted, es256Signer().trusted])).toBe(
      'wrong-signature',
    );
    expect(verify(message, [ed25519Signer(2).trusted, signer.trusted])).toBeUndefined();
    expect(verify(message, [])).toBe('wrong-signature');
    expect(
      verify(
        message,
        [signer.trusted],
        PAYLOAD.map((byte) => byte ^ 1),
      ),
    ).toBe('wrong-signature');
  });

  test('payloads of every size up to the limit', () => {
    for (let size = 0; size <= PAYLOAD_SIZE_MAX; size += 1) {
      const payload = new Uint8Array(size).fill(size);
      expect(verify(sign1(payload, ed25519), [ed25519.trusted], payload)).toBeUndefined();
    }
    const payload = new Uint8Array(PAYLOAD_SIZE_MAX + 1);
    expect(verify(sign1(payload, ed25519), [ed25519.trusted], payload)).toBe('unsupported');
  });

  test('a key of the other algorithm is not tried', () => {
    const wrong: TrustedKey = { algorithm: 'es256', key: ed25519.trusted.key };
    const crypto = {
      ...nodeCrypto,
      verify: () => {
        throw new Error('tried');
      },
    };
    const message = sign1(PAYLOAD, ed25519);
    const source = Uint8Array.of(...message, ...PAYLOAD);
    const { length } = message;
    expect(verifySign1(source, 0, length, length, source.length, [wrong], crypto)).toBe(
      'wrong-signature',
    );
  });
});

describe('against @auth0/cose', () => {
  test.each([
    ['EdDSA', { name: 'Ed25519' }, Algorithms.EdDSA, 'ed25519', 32],
    ['ES256', { name: 'ECDSA', namedCurve: 'P-256' }, Algorithms.ES256, 'es256', 65],
  ] as const)('%s: what it signs verifies', async (_, parameters, algorithm, name, size) => {
    const pair = (await webcrypto.subtle.generateKey(parameters, true, [
      'sign',
      'verify',
    ])) as webcrypto.CryptoKeyPair;
    const header = new ProtectedHeaders([[1, algorithm]]);
    const signed = await Sign1.sign(header, new Map() as never, PAYLOAD, pair.privateKey as never);
    const encoded = cbor(map([1, algorithm]));
    expect(new Uint8Array(Reflect.get(signed, 'encodedProtectedHeaders'))).toEqual(encoded);
    const message = cbor(new Tag([encoded, map(), null, signed.signature], 18));
    const info = new Uint8Array(await webcrypto.subtle.exportKey('spki', pair.publicKey));
    const trusted: TrustedKey = { algorithm: name, key: info.slice(info.length - size) };
    expect(verify(message, [trusted])).toBeUndefined();
    expect(
      verify(
        message,
        [trusted],
        PAYLOAD.map((byte) => byte ^ 1),
      ),
    ).toBe('wrong-signature');
  });
});

describe('refuses', () => {
  const message = sign1(PAYLOAD, ed25519);
  const keys = [ed25519.trusted];
  const parts = (header: unknown, unprotected: unknown, payload: unknown, signature: unknown) =>
    cbor(new Tag([header, unprotected, payload, signature], 18));
  const header = cbor(map([1, -19]));
  const signature = message.slice(message.length - 64);

  test('every truncation, every trailing byte', () => {
    for (let size = 0; size < message.length; size += 1) {
      expect(verify(message.slice(0, size), keys)).toBe('malformed');
    }
    for (let byte = 0; byte < 256; byte += 1) {
      expect(verify(Uint8Array.of(...message, byte), keys)).toBe('malformed');
    }
  });

  test('every other value of every byte outside of the signature, every bit of that', () => {
    const accepted: string[] = [];
    message.forEach((byte, at) => {
      const isSignature = at >= message.length - 64;
      for (let change = 1; change < 256; change += 1) {
        if (isSignature && (change & (change - 1)) !== 0) continue;
        const altered = message.slice();
        altered[at] = byte ^ change;
        if (verify(altered, keys) === undefined) accepted.push(`${at}: ${altered[at]}`);
      }
    });
    expect(accepted).toEqual([]);
  });

  test('all algorithms that it does not know', () => {
    for (let algorithm = -300; algorithm < 300; algorithm += 1) {
      if ([-7, -8, -9, -19].includes(algorithm)) continue;
      const altered = parts(cbor(map([1, algorithm])), map(), null, signature);
      expect(verify(altered, keys)).toBe('unsupported');
    }
  });

  test.each([
    ['a header that is not protected', parts(header, map([4, 1]), null, signature), 'unsupported'],
    [
      'a critical header',
      parts(cbor(map([1, -19], [2, [1]])), map(), null, signature),
      'unsupported',
    ],
    ['no algorithm', parts(cbor(map()), map(), null, signature), 'unsupported'],
    ['an empty protected header', parts(new Uint8Array(0), map(), null, signature), 'malformed'],
    ['no signature', parts(header, map(), null, new Uint8Array(0)), 'unsigned'],
    ['a short signature', parts(header, map(), null, signature.slice(1)), 'malformed'],
    ['an attached payload', parts(header, map(), PAYLOAD, signature), 'malformed'],
    ['COSE_Sign', cbor(new Tag([header, map(), null, []], 98)), 'malformed'],
    ['no tag', cbor([header, map(), null, signature]), 'malformed'],
  ])('%s', (_, altered, code) => {
    expect(verify(altered, keys)).toBe(code);
  });

  test('hostile bytes, without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(verify(bytes, keys)).toBeTypeOf('string');
      }),
    );
  });
});
