// Hostile bytes: nothing throws, nothing past the end matters, and the reader, the value builder
// and cbor-x agree on what is well-formed. SEED=… repeats a run, COUNT=… makes it longer.

import { deepStrictEqual } from 'node:assert';
import { Encoder } from 'cbor-x';
import { expect, test } from 'vitest';
import { type CborError, CborReader } from '../../src/codec/cbor-read.ts';
import { CborTag, readValue, writeValue } from '../../src/codec/cbor-value.ts';
import { POISON_START, poisoned, toHex } from './bytes.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(process.env.COUNT ?? 1_000_000);
/** One in so many is compared with the oracle and under another poison. */
const SAMPLE = 16;
const SIZE_MAX = 48;
const LIMITS = { depthMax: 6, countMax: 40, sizeMax: SIZE_MAX };

/** Faults of the encoding itself: whoever reads the bytes must find them (RFC 8949 App. C, F). */
const MALFORMED: readonly (CborError | undefined)[] = [
  'truncated',
  'reserved-additional-information',
  'bad-break',
  'bad-chunk',
  'bad-simple',
];
/** Faults that only whoever builds a value minds. */
const VALUE_ONLY: readonly (CborError | undefined)[] = [
  'unsupported-simple',
  'unsupported-key',
  'duplicate-key',
  'too-long',
];

/** A 32-bit generator (mulberry32): uniform on [0, bound). */
class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  below(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  }
}

/** Heads that lead on: containers, chunks, tags, breaks, short strings, each wide argument. */
const HEADS = [
  0x00, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x20, 0x38, 0x3b, 0x40, 0x41, 0x43, 0x58, 0x5f, 0x60, 0x61,
  0x62, 0x78, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x98, 0x9f, 0xa0, 0xa1, 0xa2, 0xb8, 0xbf, 0xc1, 0xc4,
  0xd8, 0xf4, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xff,
];

/** Noise, noise made of likely heads, or a valid encoding with a few bytes changed. */
function fillHostile(random: Random, bytes: Uint8Array): number {
  const kind = random.below(3);
  let size = random.below(SIZE_MAX);
  if (kind === 2) {
    size = Math.min(SIZE_MAX, writeValue(bytes, 0, anyValue(random, 4), 8));
    for (let change = random.below(4); change > 0; change -= 1) {
      bytes[random.below(size)] = random.below(256);
    }
    return random.below(4) === 0 ? random.below(size + 1) : size;
  }
  for (let index = 0; index < size; index += 1) {
    const isHead = kind === 1 && random.below(4) > 0;
    bytes[index] = isHead ? (HEADS[random.below(HEADS.length)] as number) : random.below(256);
  }
  return size;
}

function anyValue(random: Random, depth: number): unknown {
  const count = random.below(5);
  switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
      return random.below(2 ** 32) - 2 ** random.below(32);
    case 1:
      return random.below(1000) / 8;
    case 2:
      return 'é水😀text'.slice(0, random.below(8));
    case 3:
      return new Uint8Array(count);
    case 4:
      return [undefined, null, true, false][random.below(4)];
    case 5:
      return Array.from({ length: count }, () => anyValue(random, depth - 1));
    case 6:
      return new CborTag(32 + random.below(9), anyValue(random, depth - 1));
  }
  const keys = Array.from({ length: count }, (_, index) => `k${index}`);
  return Object.fromEntries(keys.map((key) => [key, anyValue(random, depth - 1)]));
}

interface Outcome {
  value: unknown;
  error: CborError | undefined;
  /** From the start of the bytes: of the fault, or after the value. */
  offset: number;
}

function build(reader: CborReader, bytes: Uint8Array, start: number, end: number): Outcome {
  reader.reset(bytes, start, end);
  const value = readValue(reader, LIMITS);
  const offset = reader.error === undefined ? reader.offset : reader.errorOffset;
  return { value, error: reader.error, offset: offset - start };
}

/** `skip` finds the same fault, unless a value's; and what `skip` takes can fail for a value. */
function checkSkip(reader: CborReader, bytes: Uint8Array, end: number, built: Outcome): void {
  reader.reset(bytes, 0, end);
  reader.skip(LIMITS.depthMax);
  if (VALUE_ONLY.includes(built.error)) return;
  const offset = reader.error === undefined ? reader.offset : reader.errorOffset;
  if (reader.error !== built.error || offset !== built.offset) {
    expect.fail(`skip: ${reader.error} at ${offset}; value: ${built.error} at ${built.offset}`);
  }
}

function checkPoison(reader: CborReader, content: Uint8Array, built: Outcome): void {
  for (const poison of [0x00, 0x80, 0xff]) {
    const bytes = poisoned(content, poison);
    deepStrictEqual(build(reader, bytes, POISON_START, POISON_START + content.length), built);
  }
}

const oracle = new Encoder({ mapsAsObjects: true, useRecords: false, tagUint8Array: false });
const compared = { values: 0, refusals: 0 };

/** Where cbor-x takes what RFC 8949 forbids: a break as an item, `f800`-`f81f`. */
const ORACLE_TAKES: readonly (CborError | undefined)[] = ['bad-break', 'bad-simple'];

function checkOracle(content: Uint8Array, built: Outcome): void {
  let decoded: unknown;
  let refusal: string | undefined;
  try {
    decoded = oracle.decode(content);
  } catch (error) {
    refusal = String(error);
  }
  if (built.error === undefined && built.offset === content.length) {
    // It gives many tags a meaning, and has no strings of indefinite length.
    if (holdsTag(built.value) || refusal?.includes('Indefinite length not supported')) return;
    expect(refusal).toBe(undefined);
    deepStrictEqual(plain(decoded), built.value);
    compared.values += 1;
  } else if (built.error === undefined || MALFORMED.includes(built.error)) {
    if (ORACLE_TAKES.includes(built.error)) return;
    if (refusal === undefined) expect.fail(`${built.error ?? 'trailing'}, but cbor-x took it`);
    compared.refusals += 1;
  }
}

function holdsTag(value: unknown): boolean {
  if (value instanceof CborTag) return true;
  return value !== null && typeof value === 'object' && Object.values(value).some(holdsTag);
}

/** What cbor-x decoded, as readValue would make it. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  const copy = Object.create(null);
  for (const [key, member] of Object.entries(value)) copy[key] = plain(member);
  return copy;
}

test('a million hostile byte strings', { timeout: 900_000 + COUNT / 100 }, () => {
  console.log(`SEED=${SEED} COUNT=${COUNT}`);
  const random = new Random(SEED);
  const bytes = new Uint8Array(SIZE_MAX);
  const reader = new CborReader();
  let acceptedCount = 0;
  for (let index = 0; index < COUNT; index += 1) {
    const size = fillHostile(random, bytes);
    try {
      const built = build(reader, bytes, 0, size);
      if (built.error === undefined) acceptedCount += 1;
      checkSkip(reader, bytes, size, built);
      if (index % SAMPLE === 0) {
        const content = bytes.slice(0, size);
        checkPoison(reader, content, built);
        checkOracle(content, built);
      }
    } catch (error) {
      throw new Error(`SEED=${SEED} input ${index}: ${toHex(bytes.subarray(0, size))}`, {
        cause: error,
      });
    }
  }
  // Or the inputs would not be worth the time.
  expect(acceptedCount).toBeGreaterThan(COUNT / 8);
  expect(compared.values).toBeGreaterThan(COUNT / SAMPLE / 16);
  expect(compared.refusals).toBeGreaterThan(COUNT / SAMPLE / 8);
});
