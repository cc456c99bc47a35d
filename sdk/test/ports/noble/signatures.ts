// Signatures, right and wrong in every way that libraries are known to judge differently, made from
// a seed with the scalars in hand: so also those that no honest signer makes.

import { createHash } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { Random } from '../../support/random.ts';

export interface SignatureCase {
  readonly kind: Kind;
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

const { n: ORDER, p: PRIME } = Point.CURVE();

/** A point of order 8 (the first of libsodium's list of small order). */
const TORSION = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');

/** Encodings of the eight points of small order. */
export const SMALL_ORDER_KEYS: readonly Uint8Array[] = Array.from({ length: 8 }, (_, index) =>
  (index === 0 ? Point.ZERO : TORSION.multiply(BigInt(index))).toBytes(),
);

/** The same, and others of y = 0 … 18, with p added or with a sign of zero: not canonical. */
export const NON_CANONICAL_POINTS: readonly Uint8Array[] = [
  ...Array.from({ length: 19 }, (_, index) => littleEndian(PRIME + BigInt(index))),
  ...Array.from({ length: 19 }, (_, index) => littleEndian((1n << 255n) + PRIME + BigInt(index))),
  littleEndian((1n << 255n) + 1n),
  littleEndian((1n << 255n) + PRIME - 1n),
];

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from(
    { length: 32 },
    (_, index) => Number((value >> BigInt(8 * index)) & 255n) & 255,
  );
}

function scalarOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  return scalarOf(createHash('sha512').update(r).update(key).update(message).digest()) % ORDER;
}

export const KINDS = [
  'right',
  'a bit of the signature',
  'a bit of the message',
  'a bit of the key',
  'another key',
  'S + L',
  'S above 2^255',
  'small-order key, forged',
  'non-canonical key, forged',
  'non-canonical R',
  'key with torsion',
  'R with torsion',
  'both with torsion',
  'zero R and S',
  'random bytes',
  'wrong length',
] as const;
export type Kind = (typeof KINDS)[number];

/** Cases of every kind in turn, as many as wanted. */
export function signatureCases(seed: number, count: number): SignatureCase[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) =>
    caseOf(KINDS[index % KINDS.length] as Kind, random),
  );
}

function randomBytes(random: Random, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => random.below(256));
}

function randomScalar(random: Random): bigint {
  return (scalarOf(randomBytes(random, 40)) % (ORDER - 1n)) + 1n;
}

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[random.below(copy.length)]! ^= 1 << random.below(8);
  return copy;
}

interface Torsion {
  readonly ofKey: Point;
  readonly ofR: Point;
}

/** A signature as its equation has it: S = r + k a, whatever torsion the points carry. */
function sign(random: Random, torsion: Torsion): Omit<SignatureCase, 'kind'> {
  const secret = randomScalar(random);
  const nonce = randomScalar(random);
  const message = randomBytes(random, 1 + random.below(200));
  const publicKey = Point.BASE.multiply(secret).add(torsion.ofKey).toBytes();
  const r = Point.BASE.multiply(nonce).add(torsion.ofR).toBytes();
  const s = (nonce + challenge(r, publicKey, message) * secret) % ORDER;
  return { publicKey, message, signature: joined(r, littleEndian(s)) };
}

const NONE: Torsion = { ofKey: Point.ZERO, ofR: Point.ZERO };

function torsionOf(random: Random): Point {
  return TORSION.multiply(BigInt(random.between(1, 7)));
}

/** A signature by a key for which no secret is needed: R = S B, right where k A is zero. */
function forged(publicKey: Uint8Array, random: Random): Omit<SignatureCase, 'kind'> {
  const s = randomScalar(random);
  const r = Point.BASE.multiply(s).toBytes();
  for (;;) {
    const message = randomBytes(random, 8);
    if (challenge(r, publicKey, message) % 8n !== 0n) continue;
    return { publicKey, message, signature: joined(r, littleEndian(s)) };
  }
}

function caseOf(kind: Kind, random: Random): SignatureCase {
  const good = sign(random, NONE);
  const r = good.signature.subarray(0, 32);
  const s = scalarOf(good.signature.subarray(32));
  switch (kind) {
    case 'right':
      return { kind, ...good };
    case 'a bit of the signature':
      return { kind, ...good, signature: flipped(good.signature, random) };
    case 'a bit of the message':
      return { kind, ...good, message: flipped(good.message, random) };
    case 'a bit of the key':
      return { kind, ...good, publicKey: flipped(good.publicKey, random) };
    case 'another key':
      return { kind, ...good, publicKey: sign(random, NONE).publicKey };
    case 'S + L':
      return { kind, ...good, signature: joined(r, littleEndian(s + ORDER)) };
    case 'S above 2^255':
      return { kind, ...good, signature: joined(r, littleEndian(s + 8n * ORDER)) };
    case 'small-order key, forged':
      return { kind, ...forged(random.pick(SMALL_ORDER_KEYS), random) };
    case 'non-canonical key, forged':
      return { kind, ...forged(random.pick(NON_CANONICAL_POINTS), random) };
    case 'non-canonical R':
      return {
        kind,
        ...good,
        signature: joined(random.pick(NON_CANONICAL_POINTS), littleEndian(s)),
      };
    case 'key with torsion':
      return { kind, ...sign(random, { ...NONE, ofKey: torsionOf(random) }) };
    case 'R with torsion':
      return { kind, ...sign(random, { ...NONE, ofR: torsionOf(random) }) };
    case 'both with torsion':
      return { kind, ...sign(random, { ofKey: torsionOf(random), ofR: torsionOf(random) }) };
    case 'zero R and S':
      return { kind, ...good, signature: joined(SMALL_ORDER_KEYS[0]!, new Uint8Array(32)) };
    case 'random bytes': {
      const publicKey = randomBytes(random, 32);
      return { kind, publicKey, message: good.message, signature: randomBytes(random, 64) };
    }
    case 'wrong length': {
      const ofKey = random.oneIn(2);
      const part = ofKey ? good.publicKey : good.signature;
      const wrong = random.oneIn(2) ? part.slice(0, random.below(part.length)) : joined(part, r);
      return ofKey ? { kind, ...good, publicKey: wrong } : { kind, ...good, signature: wrong };
    }
  }
}
