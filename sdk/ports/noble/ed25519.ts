// Ed25519 verification (RFC 8032 §5.1.7) for devices without a native one, over the points of
// @noble/ed25519 and the SHA-512 of @noble/hashes.
//
// The library's own `verify` multiplies its base point, for which it builds a table of 1.2 MB on
// XS. Additions and doublings alone build none, and [S]B - [k]A in one pass of both scalars (Straus)
// needs half the doublings. What is verified is public, so time may depend on it.

import { Point } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';

export const PUBLIC_KEY_SIZE = 32;
export const SIGNATURE_SIZE = 64;

/** Bits of the order L of the base point, as of every scalar below it. */
const SCALAR_BITS = 253;

/**
 * True when `signature` is of `message` by `publicKey` (raw, 32 bytes).
 *
 * Cofactorless and canonical, as OpenSSL decides: S must be below L, the key in its one encoding,
 * and R is compared as bytes. Stricter in one thing: a key of small order, under which anybody can
 * sign, verifies nothing. False for whatever is no signature; never throws on any bytes.
 */
export function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_SIZE || signature.length !== SIGNATURE_SIZE) return false;
  const order = Point.CURVE().n;
  const r = signature.subarray(0, 32);
  const s = scalarOf(signature.subarray(32));
  if (s >= order) return false;
  const key = pointOf(publicKey);
  if (key === undefined || key.double().double().double().is0()) return false;
  const digest = sha512.create().update(r).update(publicKey).update(message).digest();
  const found = combine(s, key.negate(), scalarOf(digest) % order).toBytes();
  for (let index = 0; index < r.length; index += 1) {
    if (found[index] !== r[index]) return false;
  }
  return true;
}

/** The point of a canonical encoding (§5.1.3), or undefined. */
function pointOf(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes, false);
  } catch {
    return undefined; // Not below p, not on the curve, or a sign of zero.
  }
}

/** A little-endian integer (§5.1.2). */
function scalarOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index -= 1) {
    value = (value << 8n) | BigInt(bytes[index] as number);
  }
  return value;
}

/** [s]B + [k]A for scalars below L. */
function combine(s: bigint, a: Point, k: bigint): Point {
  const base = Point.BASE;
  const both = base.add(a);
  const bitsOfS = s.toString(2).padStart(SCALAR_BITS, '0');
  const bitsOfK = k.toString(2).padStart(SCALAR_BITS, '0');
  let sum = Point.ZERO;
  for (let index = 0; index < SCALAR_BITS; index += 1) {
    sum = sum.double();
    const hasBase = bitsOfS[index] === '1';
    const hasA = bitsOfK[index] === '1';
    if (hasBase || hasA) sum = sum.add(hasBase ? (hasA ? both : base) : a);
  }
  return sum;
}
