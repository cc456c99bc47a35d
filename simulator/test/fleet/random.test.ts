// The counter-based generator: MurmurHash3 as published, even, and independent where it must be.
// The samples are fixed, so these tests do not waver; limits are far beyond chance.

import { describe, expect, test } from 'vitest';
import { randomNormal, randomUint32, randomUnit } from '../../src/fleet/random.ts';

const COUNT = 100_000;

/** MurmurHash3 (x86, 32 bits) over bytes, as Appleby published it. */
function murmur3(bytes: Uint8Array, seed: number): number {
  const scramble = (block: number) => {
    const mixed = Math.imul(block, 0xcc9e2d51);
    return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length & ~3;
  let hash = seed;
  for (let at = 0; at < whole; at += 4) {
    hash ^= scramble(view.getUint32(at, true));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= whole; at -= 1) tail = (tail << 8) | bytes[at]!;
  hash ^= scramble(tail) ^ bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function words(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer);
}

/** Chi-squared of `counts` against an even distribution. */
function chiSquared(counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const expected = total / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

function correlation(left: readonly number[], right: readonly number[]): number {
  const mean = (list: readonly number[]) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const [leftMean, rightMean] = [mean(left), mean(right)];
  let product = 0;
  let leftSquare = 0;
  let rightSquare = 0;
  for (const [index, x] of left.entries()) {
    const y = right[index]!;
    product += (x - leftMean) * (y - rightMean);
    leftSquare += (x - leftMean) ** 2;
    rightSquare += (y - rightMean) ** 2;
  }
  return product / Math.sqrt(leftSquare * rightSquare);
}

/** Each one number away from the draws (seed 1, device 2, stream 3, counter n). */
const NEIGHBOURS: readonly [string, (counter: number) => number][] = [
  ['the next counter', (counter) => randomUint32(1, 2, 3, counter + 1)],
  ['the next stream', (counter) => randomUint32(1, 2, 4, counter)],
  ['the next device', (counter) => randomUint32(1, 3, 3, counter)],
  ['the next seed', (counter) => randomUint32(2, 2, 3, counter)],
];

/** What one number is drawn for, along each of its words. */
const AXES: readonly [string, (index: number) => number][] = [
  ['counters', (index) => randomUint32(1, 2, 3, index)],
  ['streams', (index) => randomUint32(1, 2, index, 0)],
  ['devices', (index) => randomUint32(1, index, 0, 1)],
  ['seeds', (index) => randomUint32(index, 0, 0, 1)],
];

describe('random numbers', () => {
  test('are MurmurHash3 of (seed, device, stream, counter)', () => {
    // The oracle first: vectors that the world knows.
    expect(murmur3(new Uint8Array(0), 1)).toBe(0x514e28b7);
    expect(murmur3(Buffer.from('test'), 0)).toBe(0xba6bd213);
    expect(murmur3(Buffer.from('Hello, world!'), 0x9747b28c)).toBe(0x24884cba);
    expect(murmur3(Buffer.from('The quick brown fox jumps over the lazy dog'), 0x9747b28c)).toBe(
      0x2fa826cd,
    );
    const keys: readonly [number, number, number, number][] = [
      [0, 0, 0, 0],
      [1, 2, 3, 4],
      [0xffffffff, 9_999_999, 16, 0xffffffff],
      [0x80000000, 0x7fffffff, 47, 123_456],
    ];
    for (const key of keys) {
      expect(randomUint32(...key)).toBe(murmur3(words(...key), 0));
    }
  });

  test('are what they were: a seed means the same run for ever', () => {
    const drawn = [0, 1, 2].map((counter) => randomUint32(7, 4999, 16, counter));
    expect(drawn).toEqual(PINNED);
    expect(randomUnit(7, 4999, 16, 0)).toBe(PINNED[0]! / 2 ** 32);
    expect(randomNormal(7, 4999, 16, 0)).toBeCloseTo(PINNED_NORMAL, 12);
  });

  test.each(AXES)('are even along %s: chi-squared over 256 bins of each byte', (_axis, draw) => {
    const bins = [0, 1, 2, 3].map(() => new Array<number>(256).fill(0));
    for (let index = 0; index < COUNT; index += 1) {
      const number = draw(index);
      for (const [at, counts] of bins.entries()) counts[(number >>> (8 * at)) & 255]! += 1;
    }
    for (const counts of bins) {
      // 255 degrees of freedom: mean 255, standard deviation 22.6.
      expect(chiSquared(counts)).toBeGreaterThan(255 - 6 * 22.6);
      expect(chiSquared(counts)).toBeLessThan(255 + 6 * 22.6);
    }
  });

  test.each(AXES)('set every bit half of the time along %s', (_axis, draw) => {
    const counts = new Array<number>(32).fill(0);
    for (let index = 0; index < COUNT; index += 1) {
      const number = draw(index);
      for (let bit = 0; bit < 32; bit += 1) counts[bit]! += (number >>> bit) & 1;
    }
    // Standard deviation of a share: 0.5 / √n.
    for (const count of counts) {
      expect(Math.abs(count / COUNT - 0.5)).toBeLessThan((6 * 0.5) / Math.sqrt(COUNT));
    }
  });

  test.each(NEIGHBOURS)('do not follow %s', (_what, neighbour) => {
    const own: number[] = [];
    const other: number[] = [];
    let equalBits = 0;
    for (let counter = 0; counter < COUNT; counter += 1) {
      own.push(randomUint32(1, 2, 3, counter));
      other.push(neighbour(counter));
      let difference = own[counter]! ^ other[counter]!;
      equalBits += 32;
      for (; difference !== 0; difference &= difference - 1) equalBits -= 1;
    }
    expect(Math.abs(correlation(own, other))).toBeLessThan(6 / Math.sqrt(COUNT));
    expect(Math.abs(equalBits / (32 * COUNT) - 0.5)).toBeLessThan(3 / Math.sqrt(32 * COUNT));
  });

  test('are distinct for distinct keys, as far as 32 bits allow', () => {
    const seen = new Set<number>();
    for (let device = 0; device < 1000; device += 1) {
      for (let counter = 0; counter < 100; counter += 1) {
        seen.add(randomUint32(1, device, 0, counter));
      }
    }
    // Birthdays: n²/2^33 ≈ 1.2 collisions are expected.
    expect(seen.size).toBeGreaterThan(COUNT - 10);
  });

  test('of the unit interval are in [0, 1), with mean 1/2 and variance 1/12', () => {
    let sum = 0;
    let square = 0;
    for (let counter = 0; counter < COUNT; counter += 1) {
      const unit = randomUnit(3, 5, 7, counter);
      expect(unit >= 0 && unit < 1).toBe(true);
      sum += unit;
      square += unit * unit;
    }
    const mean = sum / COUNT;
    expect(mean).toBeCloseTo(0.5, 2);
    expect(square / COUNT - mean * mean).toBeCloseTo(1 / 12, 2);
  });

  test('of the normal distribution have its moments and tails', () => {
    const draws = Array.from({ length: COUNT }, (_, index) => randomNormal(3, 5, 7, 2 * index));
    const moment = (power: number) => draws.reduce((sum, x) => sum + x ** power, 0) / COUNT;
    expect(draws.every(Number.isFinite)).toBe(true);
    expect(moment(1)).toBeCloseTo(0, 1.5);
    expect(moment(2)).toBeCloseTo(1, 1.5);
    expect(Math.abs(moment(3))).toBeLessThan(0.05);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.1);
    const within = (limit: number) => draws.filter((x) => Math.abs(x) < limit).length / COUNT;
    expect(within(1)).toBeCloseTo(0.6827, 2);
    expect(within(2)).toBeCloseTo(0.9545, 2);
    expect(within(3)).toBeCloseTo(0.9973, 2);
    const next = draws.slice(1);
    expect(Math.abs(correlation(draws.slice(0, -1), next))).toBeLessThan(6 / Math.sqrt(COUNT));
  });
});

/** randomUint32(7, 4999, 16, 0 … 2), first drawn when this test was written. */
const PINNED: readonly number[] = [443102489, 2332494631, 2955205714];
const PINNED_NORMAL = -0.4496731696141347;
