import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  INFLATE_WORK_SIZE,
  Inflate,
  type InflateError,
  type InflateTarget,
} from '../../src/ota/inflate.ts';
import { POISON_START, poisoned } from '../codec/bytes.ts';
import { Random } from '../support/random.ts';

const GUARD = 0xa7;

/** An inflater in work memory at an odd offset, with guards around that nobody may touch. */
class Scene implements InflateTarget {
  readonly output: number[] = [];
  readonly inflate: Inflate;
  private readonly memory = new Uint8Array(INFLATE_WORK_SIZE + 64).fill(GUARD);
  private readonly outputMax: number;

  constructor(outputMax = Number.POSITIVE_INFINITY, offset = 31) {
    this.outputMax = outputMax;
    const work = this.memory.subarray(offset, offset + INFLATE_WORK_SIZE).fill(0);
    this.inflate = new Inflate(work, this);
    this.inflate.begin();
  }

  onInflated(bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end; at += 1) this.output.push(bytes[at]!);
    return this.output.length <= this.outputMax;
  }

  /** Pushes pieces of these sizes in turn, each amid bytes that do not matter. */
  push(bytes: Uint8Array, sizes: readonly number[]): InflateError | undefined {
    let error: InflateError | undefined;
    for (let at = 0, index = 0; at < bytes.length; index += 1) {
      const piece = bytes.subarray(at, at + sizes[index % sizes.length]!);
      error = this.inflate.push(
        poisoned(piece, index & 255),
        POISON_START,
        POISON_START + piece.length,
      );
      at += piece.length;
    }
    return error;
  }

  get bytes(): Buffer {
    return Buffer.from(this.output);
  }

  get isIntact(): boolean {
    const { memory } = this;
    const { byteOffset } = memory;
    const isGuard = (byte: number) => byte === GUARD;
    return byteOffset === 0 && memory.subarray(0, 31).every(isGuard) && memory.at(-1) === GUARD;
  }
}

/** Content with runs, repetitions near and far, and noise. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.record({ byte: fc.nat(255), count: fc.nat(700) }),
      fc.record({ back: fc.integer({ min: 1, max: 1500 }), size: fc.nat(300) }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => {
    const bytes: number[] = [];
    for (const part of parts) {
      if (part instanceof Uint8Array) bytes.push(...part);
      else if ('byte' in part) bytes.push(...Array.from({ length: part.count }, () => part.byte));
      else for (let index = 0; index < part.size; index += 1) bytes.push(bytes.at(-part.back) ?? 7);
    }
    return Uint8Array.from(bytes);
  });

const options: fc.Arbitrary<ZlibOptions> = fc.record({
  windowBits: fc.constantFrom(9, 10),
  level: fc.nat(9),
  memLevel: fc.integer({ min: 1, max: 9 }),
  strategy: fc.constantFrom(
    constants.Z_DEFAULT_STRATEGY,
    constants.Z_FILTERED,
    constants.Z_HUFFMAN_ONLY,
    constants.Z_RLE,
    constants.Z_FIXED,
  ),
});

const sizes = fc.oneof(
  fc.constant([1]),
  fc.constant([100_000]),
  fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
);

describe('what zlib deflates', () => {
  test('is inflated, however it is cut', () => {
    fc.assert(
      fc.property(content, options, sizes, (bytes, choice, cuts) => {
        const scene = new Scene();
        expect(scene.push(deflateRawSync(bytes, choice), cuts)).toBe(undefined);
        expect(scene.inflate.done).toBe(true);
        expect(scene.bytes.equals(bytes)).toBe(true);
        expect(scene.isIntact).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test('all blocks are met: stored, fixed, dynamic', () => {
    const types = new Set<number>();
    const random = new Random(3);
    const text = Uint8Array.from({ length: 3000 }, () => 97 + ((random.below(64) ** 2) >> 8));
    for (const level of [0, 9]) {
      for (const strategy of [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED]) {
        const deflated = deflateRawSync(text, { windowBits: 10, level, strategy });
        types.add((deflated[0]! >> 1) & 3);
        const scene = new Scene();
        expect(scene.push(deflated, [1])).toBe(undefined);
        expect(scene.bytes.equals(text)).toBe(true);
      }
    }
    expect([...types].sort()).toEqual([0, 1, 2]);
  });

  test('goes on after a full flush as from the beginning', () => {
    const parts = [new Uint8Array(5000).fill(1), new Uint8Array(300).fill(2)];
    const flush = { windowBits: 10, finishFlush: constants.Z_FULL_FLUSH };
    const scene = new Scene();
    expect(scene.push(deflateRawSync(parts[0]!, flush), [7])).toBe(undefined);
    expect(scene.inflate.done).toBe(false);
    scene.inflate.begin();
    expect(scene.push(deflateRawSync(parts[1]!, { windowBits: 10 }), [7])).toBe(undefined);
    expect(scene.inflate.done).toBe(true);
    expect(scene.bytes.equals(Buffer.concat(parts))).toBe(true);
  });

  test('cut short at any place, is a beginning of the output and not done', () => {
    const random = new Random(11);
    const bytes = Uint8Array.from({ length: 1500 }, () => random.below(random.below(40) + 1));
    for (const level of [0, 9]) {
      const deflated = deflateRawSync(bytes, { windowBits: 10, level });
      for (let size = 0; size < deflated.length; size += 1) {
        const scene = new Scene();
        scene.push(deflated.subarray(0, size), [64]);
        expect(scene.inflate.error).toBe(undefined);
        expect(scene.inflate.done).toBe(false);
        expect(scene.bytes.equals(bytes.subarray(0, scene.output.length))).toBe(true);
      }
    }
  });
});

/** What zlib makes of bytes that may end anywhere. */
function zlibOf(bytes: Uint8Array): Buffer | undefined {
  try {
    return inflateRawSync(bytes, { windowBits: 10, finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return undefined;
  }
}

/** Says of any bytes what zlib says of them. */
function checkHostile(bytes: Uint8Array): InflateError | undefined {
  const scene = new Scene();
  const error = scene.push(bytes, [bytes.length]);
  const bytewise = new Scene();
  expect(bytewise.push(bytes, [1])).toBe(error);
  expect(bytewise.bytes.equals(scene.bytes)).toBe(true);
  const found = zlibOf(bytes);
  expect(scene.isIntact).toBe(true);
  if (error === undefined || error === 'trailing-bytes') {
    // A stream that ends within bits that are no symbol has not come to its error.
    if (found === undefined) expect(scene.inflate.done).toBe(false);
    else expect(scene.bytes.equals(found)).toBe(true);
    // zlib says nothing of what follows the final block.
  } else if (error !== 'bad-distance') {
    // zlib notices some errors later, but never goes on without one.
    expect(zlibOf(Buffer.concat([bytes, new Uint8Array(64)]))).toBe(undefined);
  } else if (found !== undefined) {
    // zlib, with its output in one piece, sees farther back than the window.
    expect(found.subarray(0, scene.output.length).equals(scene.bytes)).toBe(true);
  }
  return error;
}

describe('hostile bytes', () => {
  test('changed streams give a code, or what zlib makes of them', () => {
    const seen = new Set<InflateError | undefined>();
    fc.assert(
      fc.property(
        content,
        options,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        (bytes, choice, changes) => {
          const deflated = Uint8Array.from(deflateRawSync(bytes, choice));
          for (const [place, change] of changes) deflated[place % deflated.length]! ^= change;
          seen.add(checkHostile(deflated));
        },
      ),
      { numRuns: 250 },
    );
    expect(seen.size).toBeGreaterThan(2);
  });

  test('noise of every type of block gives a code, or what zlib makes of it', () => {
    const random = new Random(77);
    const seen = new Set<InflateError | undefined>();
    for (let run = 0; run < 3000; run += 1) {
      const bytes = Uint8Array.from({ length: random.between(1, 60) }, () => random.below(256));
      bytes[0] = (bytes[0]! & 0xf8) | (random.below(4) << 1) | random.below(2);
      // Half of the dynamic ones with few codes, which have a chance to be complete.
      if (run & 1) for (let at = 2; at < bytes.length; at += 1) bytes[at]! &= random.uint32();
      seen.add(checkHostile(bytes));
    }
    for (const code of ['bad-block', 'bad-lengths', 'bad-distance', 'trailing-bytes'] as const) {
      expect(seen).toContain(code);
    }
  });

  test('a target that takes no more is left alone', () => {
    const deflated = deflateRawSync(new Uint8Array(1_000_000), { windowBits: 10 });
    const scene = new Scene(5000);
    expect(scene.push(deflated, [deflated.length])).toBe('stopped');
    expect(scene.output.length).toBe(5 * 1024);
    expect(scene.push(Uint8Array.of(1, 2, 3), [1])).toBe('stopped');
    expect(scene.output.length).toBe(5 * 1024);
  });
});

/** Writes the bits of a stream, least first; Huffman codes most first (RFC 1951 §3.1.1). */
class Bits {
  private readonly bits: number[] = [];

  number(value: number, count: number): this {
    for (let bit = 0; bit < count; bit += 1) this.bits.push((value >> bit) & 1);
    return this;
  }

  code(value: number, count: number): this {
    for (let bit = count - 1; bit >= 0; bit -= 1) this.bits.push((value >> bit) & 1);
    return this;
  }

  /** A literal below 144 of a fixed block. */
  literal(byte: number): this {
    return this.code(0x30 + byte, 8);
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.bits.length / 8));
    this.bits.forEach((bit, index) => {
      bytes[index >> 3]! |= bit << (index & 7);
    });
    return bytes;
  }
}

/** A fixed block: so many literals, a match of 3 bytes at this distance, the end. */
function matchAt(literalCount: number, symbol: number, extra: number, extraBits: number) {
  const bits = new Bits().number(1, 1).number(1, 2);
  for (let index = 0; index < literalCount; index += 1) bits.literal(index % 101);
  return bits.code(1, 7).code(symbol, 5).number(extra, extraBits).code(0, 7).bytes();
}

describe('distances', () => {
  test.each([
    ['the whole window', 1024, 19, 255, 8, undefined],
    ['the whole window, later', 3000, 19, 255, 8, undefined],
    ['one more than the window', 3000, 20, 0, 9, 'bad-distance'],
    ['the first byte', 769, 19, 0, 8, undefined],
    ['one before the first byte', 768, 19, 0, 8, 'bad-distance'],
    ['nothing before', 0, 0, 0, 0, 'bad-distance'],
    ['one byte before', 1, 0, 0, 0, undefined],
    ['a symbol that does not exist', 1024, 30, 0, 14, 'bad-symbol'],
  ] as const)('%s', (_, literalCount, symbol, extra, extraBits, error) => {
    const scene = new Scene();
    expect(scene.push(matchAt(literalCount, symbol, extra, extraBits), [1])).toBe(error);
    expect(scene.inflate.done).toBe(error === undefined);
    if (error === undefined) {
      const distance = symbol === 0 ? 1 : 769 + extra;
      const { output } = scene;
      expect(output.length).toBe(literalCount + 3);
      for (let at = literalCount; at < output.length; at += 1) {
        expect(output[at]).toBe(output[at - distance]);
      }
    } else expect(scene.output.length).toBe(literalCount);
  });
});

/** What a dynamic block says of code lengths, one token after another. */
type Token = 'none' | 'code' | 'repeat' | readonly [kind: 'zeros', count: number];

/**
 * A dynamic block with so many literal and distance codes, of lengths 0 and `size` alone. The code
 * of the lengths is 0 → 00, size → 01, 18 → 10, 16 → 110, 17 → 111.
 */
function dynamicBlock(literals: number, distances: number, size: number, tokens: Token[]): Bits {
  const bits = new Bits().number(1, 1).number(2, 2);
  bits
    .number(literals - 257, 5)
    .number(distances - 1, 5)
    .number(15, 4);
  const sizes: Record<number, number> = { 0: 2, [size]: 2, 18: 2, 16: 3, 17: 3 };
  for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]) {
    bits.number(sizes[symbol] ?? 0, 3);
  }
  for (const token of tokens) {
    if (token === 'none') bits.code(0, 2);
    else if (token === 'code') bits.code(1, 2);
    else if (token === 'repeat') bits.code(6, 3).number(0, 2);
    else if (token[1] < 11) bits.code(7, 3).number(token[1] - 3, 3);
    else bits.code(2, 2).number(token[1] - 11, 7);
  }
  return bits;
}

describe('code lengths', () => {
  const zeros = (count: number): Token => ['zeros', count];
  /** Lengths of symbols 0 and 256, and of no distance. */
  const usual: Token[] = ['code', zeros(138), zeros(117), 'code', 'none'];
  test.each<[string, number, number, number, Token[], InflateError | undefined]>([
    ['of two symbols', 257, 1, 1, usual, undefined],
    ['of an end alone', 257, 1, 1, [zeros(138), zeros(118), 'code', 'none'], undefined],
    [
      'of an end alone, of two bits',
      257,
      1,
      2,
      [zeros(138), zeros(118), 'code', 'none'],
      'bad-lengths',
    ],
    [
      'of three symbols of one bit',
      257,
      1,
      1,
      ['code', 'code', zeros(138), zeros(116), 'code', 'none'],
      'bad-lengths',
    ],
    ['without an end', 257, 1, 1, ['code', 'code', zeros(138), zeros(117), 'none'], 'bad-lengths'],
    [
      'without an end, of two bits',
      257,
      1,
      2,
      ['code', 'repeat', zeros(138), zeros(115), 'none'],
      'bad-lengths',
    ],
    [
      'of four distances of two bits',
      257,
      4,
      1,
      [...usual.slice(0, 4), 'none', 'none', 'code', 'code'],
      undefined,
    ],
    ['of one distance', 257, 1, 1, [...usual.slice(0, 4), 'code'], undefined],
    [
      'of one distance, of two bits',
      257,
      1,
      2,
      ['code', 'code', 'code', zeros(138), zeros(115), 'code', 'code'],
      'bad-lengths',
    ],
    [
      'of too many distances',
      257,
      3,
      1,
      [...usual.slice(0, 4), 'code', 'code', 'code'],
      'bad-lengths',
    ],
    [
      'that repeat nothing',
      257,
      1,
      1,
      ['repeat', zeros(138), zeros(115), 'code', 'none'],
      'bad-lengths',
    ],
    ['that repeat past their count', 257, 1, 1, [...usual.slice(0, 4), zeros(3)], 'bad-lengths'],
    [
      'that repeat one past their count',
      257,
      2,
      1,
      [...usual.slice(0, 4), zeros(3)],
      'bad-lengths',
    ],
    ['that repeat to their count', 257, 3, 1, [...usual.slice(0, 4), zeros(3)], undefined],
    ['of 286 literals', 286, 1, 1, [...usual.slice(0, 4), zeros(30)], undefined],
    ['of 287 literals', 287, 1, 1, [...usual.slice(0, 4), zeros(31)], 'bad-lengths'],
    ['of 30 distances', 257, 30, 1, [...usual.slice(0, 4), zeros(30)], undefined],
    ['of 31 distances', 257, 31, 1, [...usual.slice(0, 4), zeros(31)], 'bad-lengths'],
  ])('%s', (_, literals, distances, size, tokens, error) => {
    // Zeros are a literal, or the end; ones are the end where there are two symbols.
    for (const rest of [0, 0xff]) {
      const bytes = dynamicBlock(literals, distances, size, tokens).number(rest, 8).bytes();
      const found = checkHostile(bytes);
      if (error !== undefined) expect(found).toBe(error);
      else expect(found).not.toBe('bad-lengths');
    }
  });
});

describe('work memory', () => {
  test('holds at an even offset too', () => {
    const scene = new Scene(100, 32);
    expect(scene.push(deflateRawSync(Uint8Array.of(1, 2, 3)), [1])).toBe(undefined);
    expect(scene.output).toEqual([1, 2, 3]);
    expect(scene.isIntact).toBe(true);
  });

  test('of too few bytes is a bug of the caller', () => {
    const target = { onInflated: () => true };
    expect(() => new Inflate(new Uint8Array(INFLATE_WORK_SIZE - 1), target)).toThrow('too little');
  });
});
