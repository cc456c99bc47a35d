// Ed25519 of the noble port against OpenSSL's, by every kind of signature that is judged differently
// somewhere. SEED=… repeats a run, COUNT=… makes it longer. The same cases run on XS: test/xs.test.ts.

import { hashes, verify } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { verifyEd25519 } from '../../../ports/noble/ed25519.ts';
import { nodeCrypto } from '../../../ports/node/crypto.ts';
import { KINDS, NON_CANONICAL_POINTS, SMALL_ORDER_KEYS, signatureCases } from './signatures.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(process.env.COUNT ?? 2000);

/** Keys that we refuse, whatever OpenSSL does: that depends on its version. */
const REFUSED = ['small-order key, forged', 'non-canonical key, forged'];

// The library's own verification, as the judge of forgeries.
hashes.sha512 = sha512;

describe('Ed25519 over noble', () => {
  test('decides as OpenSSL does, but for keys of small order', () => {
    console.log(`SEED=${SEED} COUNT=${COUNT} sdk/test/ports/noble/ed25519.test.ts`);
    const accepted = new Map<string, number>();
    for (const { kind, message, publicKey, signature } of signatureCases(SEED, COUNT)) {
      const ours = verifyEd25519(publicKey, message, signature);
      const theirs = nodeCrypto.verify('ed25519', publicKey, message, signature);
      const expected = REFUSED.includes(kind) ? false : theirs;
      if (ours !== expected) throw new Error(`SEED=${SEED} ${kind}: ${ours}`);
      if (theirs) accepted.set(kind, (accepted.get(kind) ?? 0) + 1);
    }
    // The cases are what they are called: of those with a key with torsion some are right.
    const share = Math.floor(COUNT / KINDS.length);
    expect(accepted.get('right')).toBeGreaterThanOrEqual(share);
    expect(accepted.get('key with torsion')).toBeGreaterThan(0);
    expect(accepted.get('key with torsion')).toBeLessThan(share);
    expect(accepted.get('S + L')).toBeUndefined();
    expect(accepted.get('R with torsion')).toBeUndefined();
  });

  test('a forgery under a key of small order fits the equation, and is refused', () => {
    const forgeries = signatureCases(3, 160).filter(({ kind }) => kind.startsWith('small-order'));
    expect(forgeries).toHaveLength(10);
    for (const { message, publicKey, signature } of forgeries) {
      expect(verify(signature, message, publicKey, { zip215: true })).toBe(true);
      expect(verifyEd25519(publicKey, message, signature)).toBe(false);
    }
  });

  test('keys of small order and encodings beside the canonical one verify nothing', () => {
    const [right] = signatureCases(1, 1);
    const zero = new Uint8Array(64);
    zero[0] = 1;
    for (const publicKey of [...SMALL_ORDER_KEYS, ...NON_CANONICAL_POINTS]) {
      expect(verifyEd25519(publicKey, right!.message, right!.signature)).toBe(false);
      expect(verifyEd25519(publicKey, right!.message, zero)).toBe(false);
    }
  });

  test('every length but the right one is refused', () => {
    const [right] = signatureCases(2, 1);
    const { message, publicKey, signature } = right!;
    for (let size = 0; size <= 96; size += 1) {
      const bytes = new Uint8Array(size);
      bytes.set(signature.subarray(0, size));
      expect(verifyEd25519(publicKey, message, bytes)).toBe(size === 64);
      bytes.set(publicKey.subarray(0, size));
      expect(verifyEd25519(bytes.fill(7, 32), message, signature)).toBe(size === 32);
    }
  });
});
