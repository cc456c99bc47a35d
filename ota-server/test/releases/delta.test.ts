import { createHash } from 'node:crypto';
import { inflateRawSync } from 'node:zlib';
import { PATCH_WORK_SIZE, PatchApplier, PatchHeader, patchTableEnd } from '@flotilla/sdk/ota/patch';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findStretches } from '../../src/releases/bsdiff.ts';
import {
  DELTA_CHUNK_SIZE,
  DELTA_ENTRY_SIZE,
  DELTA_HEADER_SIZE,
  DELTA_IMAGE_SIZE_MAX,
  encodeDelta,
} from '../../src/releases/delta.ts';
import { longestMatches, suffixArray } from '../../src/releases/suffix-array.ts';

const applier = new PatchApplier(new Uint8Array(PATCH_WORK_SIZE));
const header = new PatchHeader();

/** What the device makes of a delta file, from a chunk on; it answers with a code or with bytes. */
function apply(file: Uint8Array, base: Uint8Array, chunkIndex = 0, pieceSize = 1000) {
  const parts: Buffer[] = [];
  const source = {
    size: base.length,
    read(address: number, into: Uint8Array) {
      if (address < 0 || address + into.length > base.length) throw new Error('read outside');
      into.set(base.subarray(address, address + into.length));
    },
  };
  header.begin(chunkIndex, 1 << 24);
  const tableSize = chunkIndex === 0 ? file.length : patchTableEnd(chunkIndex);
  let at = header.push(file, 0, tableSize);
  if (header.error !== undefined) return header.error;
  if (chunkIndex > 0) at = header.bodyOffset;
  applier.begin(header, source, {
    write: (bytes, start, end) => parts.push(Buffer.from(bytes.subarray(start, end))),
  });
  for (; at < file.length; at += pieceSize) {
    applier.push(file, at, Math.min(file.length, at + pieceSize));
  }
  return applier.finish() ?? Buffer.concat(parts);
}

/** Numbers from a seed (a linear congruential generator, as in POSIX's example of rand). */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

type Kind = 'noise' | 'text' | 'code' | 'blank';

function imageOf(seed: number, size: number, kind: Kind): Uint8Array {
  const below = randomFrom(seed);
  const image = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) {
    if (kind === 'noise') image[at] = below(256);
    else if (kind === 'text') image[at] = 97 + below(below(20) + 1);
    // Words that share their upper bytes, as addresses do.
    else if (kind === 'code') image[at] = at % 4 > 1 ? 0x40 + (below(9) >> 3) : below(256);
    else image[at] = 0xff;
  }
  return image;
}

/** What `act` gives, and how long this thread took: what else the machine does is not in it. */
function timed<Value>(act: () => Value): [value: Value, cpuUs: number] {
  const before = process.threadCpuUsage();
  const value = act();
  const { system, user } = process.threadCpuUsage(before);
  return [value, system + user];
}

/** An edit of an image, places and sizes in thousandths of it. */
const edits = fc.array(
  fc.record({
    kind: fc.constantFrom('change', 'insert', 'remove', 'move', 'shift'),
    at: fc.nat(999),
    size: fc.nat(150),
    seed: fc.nat(1000),
  }),
  { maxLength: 6 },
);

type Edit = typeof edits extends fc.Arbitrary<(infer Item)[]> ? Item : never;

function edited(image: Uint8Array, list: readonly Edit[]): Uint8Array {
  let bytes = Buffer.from(image);
  for (const { kind, at, size, seed } of list) {
    const start = Math.floor((bytes.length * at) / 1000);
    const end = Math.min(bytes.length, start + Math.floor((bytes.length * size) / 1000));
    const part = bytes.subarray(start, end);
    const [before, after] = [bytes.subarray(0, start), bytes.subarray(end)];
    if (kind === 'change') bytes = Buffer.concat([before, imageOf(seed, size, 'noise'), after]);
    else if (kind === 'insert')
      bytes = Buffer.concat([before, imageOf(seed, size * 9, 'text'), part, after]);
    else if (kind === 'remove') bytes = Buffer.concat([before, after]);
    else if (kind === 'move') bytes = Buffer.concat([part, after, before]);
    else {
      // Addresses that all moved by as much.
      const moved = Buffer.from(part);
      for (let index = 0; index < moved.length; index += 8) moved[index]! += seed;
      bytes = Buffer.concat([before, moved, after]);
    }
  }
  return bytes;
}

const kinds = fc.constantFrom<Kind>('noise', 'text', 'code', 'blank');
const pairs = fc
  .record({ seed: fc.nat(1 << 20), size: fc.nat(30_000), kind: kinds, list: edits })
  .map((spec) => ({ ...spec, toString: () => JSON.stringify(spec) }));

function pairOf(spec: { seed: number; size: number; kind: Kind; list: readonly Edit[] }) {
  const base = imageOf(spec.seed, spec.size, spec.kind);
  return { base, target: edited(base, spec.list) };
}

function entryOf(file: Uint8Array, index: number): readonly [patchOffset: number, old: number] {
  const view = Buffer.from(file.buffer, file.byteOffset);
  const at = DELTA_HEADER_SIZE + index * DELTA_ENTRY_SIZE;
  return [view.readUInt32LE(at), view.readUInt32LE(at + 4)];
}

/** The layout that the head of delta.ts promises. */
function checkLayout(file: Uint8Array, base: Uint8Array, target: Uint8Array): void {
  const head = Buffer.from(file);
  expect(head.toString('latin1', 0, 4)).toBe('FDL1');
  expect(head.readUInt32LE(4)).toBe(target.length);
  expect(head.readUInt32LE(8)).toBe(base.length);
  expect(head.subarray(12, 44).equals(createHash('sha256').update(base).digest())).toBe(true);
  const count = Math.ceil(target.length / DELTA_CHUNK_SIZE);
  expect(head.readUInt32LE(44)).toBe(count);
  const bodyOffset = DELTA_HEADER_SIZE + count * DELTA_ENTRY_SIZE;
  // One stream for any inflater, and nothing after it.
  const whole = inflateRawSync(file.subarray(bodyOffset), { windowBits: 10, info: true });
  expect((whole as unknown as { engine: { bytesWritten: number } }).engine.bytesWritten).toBe(
    file.length - bodyOffset,
  );
  let before = 0;
  for (let index = 0; index < count; index += 1) {
    const [patchOffset, old] = entryOf(file, index);
    expect(patchOffset - before).toBeLessThanOrEqual(index === 0 ? 0 : 4112);
    if (index > 0) expect(patchOffset).toBeGreaterThan(before);
    expect(old).toBeLessThanOrEqual(base.length);
    before = patchOffset;
  }
  if (count > 0) expect(file.length - bodyOffset - before).toBeLessThanOrEqual(4112);
}

describe('a delta', () => {
  test('gives the target on a device, from the beginning and from every chunk', () => {
    fc.assert(
      fc.property(pairs, fc.constantFrom(1, 7, 100_000), (spec, pieceSize) => {
        const { base, target } = pairOf(spec);
        const file = encodeDelta(base, target);
        checkLayout(file, base, target);
        expect(Buffer.from(target).equals(apply(file, base, 0, pieceSize) as Buffer)).toBe(true);
        const count = Math.ceil(target.length / DELTA_CHUNK_SIZE);
        for (let index = 1; index < count; index += 1) {
          const rest = Buffer.from(target).subarray(index * DELTA_CHUNK_SIZE);
          expect(rest.equals(apply(file, base, index) as Buffer)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  const sizes = [0, 1, 2, 255, 256, 4095, 4096, 4097, 8192, 12_289];
  test.each(sizes)('from any to any size, with %d bytes', (size) => {
    for (const other of sizes) {
      const base = imageOf(size, size, 'text');
      const target = imageOf(other, other, 'text');
      const file = encodeDelta(base, target);
      checkLayout(file, base, target);
      expect(Buffer.from(target).equals(apply(file, base) as Buffer)).toBe(true);
    }
  });

  test('of an image and itself takes a few bytes per chunk', () => {
    const image = imageOf(1, 40 * DELTA_CHUNK_SIZE, 'noise');
    const size = encodeDelta(image, image).length - DELTA_HEADER_SIZE;
    expect(size / 40).toBeLessThanOrEqual(DELTA_ENTRY_SIZE + 10);
  });

  test('of unrelated images is hardly more than the target', () => {
    const base = imageOf(1, 50_000, 'noise');
    const target = imageOf(2, 50_000, 'noise');
    expect(encodeDelta(base, target).length).toBeLessThan(target.length * 1.005 + 100);
  });

  test('of code whose addresses moved is a small part of it', () => {
    const base = imageOf(3, 60_000, 'code');
    const target = Uint8Array.from(base);
    for (let at = 0; at < target.length; at += 16) target[at]! += 12;
    expect(encodeDelta(base, target).length).toBeLessThan(target.length / 40);
  });

  test('of short pieces in another order is a part of it', () => {
    const base = imageOf(7, 40_000, 'noise');
    const target = new Uint8Array(base.length);
    for (let at = 0; at < base.length; at += 50) {
      target.set(base.subarray(at, at + 50), (at * 13) % base.length);
    }
    const file = encodeDelta(base, target);
    expect(Buffer.from(target).equals(apply(file, base) as Buffer)).toBe(true);
    expect(file.length).toBeLessThan(target.length / 4);
  });

  test('goes on where it was after a chunk of noise', () => {
    const base = imageOf(4, 4 * DELTA_CHUNK_SIZE, 'noise');
    const noise = imageOf(5, DELTA_CHUNK_SIZE, 'noise');
    const [before, after] = [base.subarray(0, 2 * 4096), base.subarray(2 * 4096)];
    const target = Buffer.concat([before, noise, after]);
    const file = encodeDelta(base, target);
    checkLayout(file, base, target);
    expect(entryOf(file, 3)[1]).toBe(2 * 4096);
    for (let index = 0; index < 5; index += 1) {
      expect(target.subarray(index * 4096).equals(apply(file, base, index) as Buffer)).toBe(true);
    }
  });

  test('of periods and blanks takes no longer than of others', () => {
    const size = 400_000;
    const base = new Uint8Array(size).fill(0xff);
    const target = Uint8Array.from(base);
    // Matches are long everywhere and never to the end: what compares anew at each byte is slow.
    for (let at = 1000; at < target.length; at += 40_000) target[at] = at & 255;
    const others = [6, 7].map((seed) => imageOf(seed, size, 'noise')) as [Uint8Array, Uint8Array];
    const [file, periodsUs] = timed(() => encodeDelta(base, target));
    const [, othersUs] = timed(() => encodeDelta(...others));
    expect(Buffer.from(target).equals(apply(file, base) as Buffer)).toBe(true);
    // Half of it in truth; hundreds of times that where they are compared anew.
    expect(periodsUs).toBeLessThan(3 * othersUs);
  });

  test('is refused above the limit, with what to do', () => {
    const large = new Uint8Array(DELTA_IMAGE_SIZE_MAX + 1);
    const message = /image: 8,388,609 bytes, a delta takes at most 8,388,608 bytes: publish the/;
    expect(() => encodeDelta(large, new Uint8Array(1))).toThrow(message);
    expect(() => encodeDelta(new Uint8Array(1), large)).toThrow(message);
  });
});

/** A text of few symbols has long repetitions, and many of them. */
const texts = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(3), { maxLength: 60 }))
  .map(([count, symbols]) => symbols.map((symbol) => symbol % count));

describe('a suffix array', () => {
  const naive = (text: readonly number[]) => {
    const suffixes = text.map((_, index) => index);
    const before = (left: number, right: number): number => {
      for (; left < text.length && right < text.length; left += 1, right += 1) {
        if (text[left] !== text[right]) return text[left]! - text[right]!;
      }
      return right - left;
    };
    return suffixes.sort(before);
  };

  test('is that of sorting', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect([...suffixArray(Int32Array.from(text), 3)]).toEqual(naive(text));
      }),
      { numRuns: 400 },
    );
  });

  test('is that of sorting, for every text of two symbols up to ten', () => {
    for (let size = 0; size <= 10; size += 1) {
      for (let bits = 0; bits < 1 << size; bits += 1) {
        const text = Array.from({ length: size }, (_, index) => (bits >> index) & 1);
        expect(suffixArray(Int32Array.from(text), 1).join()).toBe(naive(text).join());
      }
    }
  });
});

describe('longest matches', () => {
  test('are as long as can be, and there', () => {
    fc.assert(
      fc.property(texts, texts, (base, target) => {
        const { sizes, starts } = longestMatches(Uint8Array.from(base), Uint8Array.from(target));
        target.forEach((_, at) => {
          let most = 0;
          base.forEach((_each, start) => {
            let size = 0;
            while (
              start + size < base.length &&
              at + size < target.length &&
              base[start + size] === target[at + size]
            ) {
              size += 1;
            }
            most = Math.max(most, size);
          });
          expect(sizes[at]).toBe(most);
          const start = starts[at]!;
          expect(base.slice(start, start + most)).toEqual(target.slice(at, at + most));
        });
      }),
      { numRuns: 200 },
    );
  });
});

/** Texts of two symbols: any alignment is right at half of the places, so alignments overlap. */
const halves = fc.array(fc.nat(1), { minLength: 100, maxLength: 400 });

function expectCover(base: Uint8Array, target: Uint8Array): void {
  let at = 0;
  for (const { start, size, baseStart } of findStretches(base, target)) {
    expect(start).toBe(at);
    expect(size).toBeGreaterThan(0);
    if (baseStart !== undefined) {
      expect(baseStart).toBeGreaterThanOrEqual(0);
      expect(baseStart + size).toBeLessThanOrEqual(base.length);
    }
    at += size;
  }
  expect(at).toBe(target.length);
}

describe('stretches', () => {
  test('cover the target in order, where alignments overlap', () => {
    fc.assert(
      fc.property(halves, halves, fc.nat(90), (left, right, cut) => {
        const base = Uint8Array.from([...left, ...right]);
        expectCover(base, Uint8Array.from([...right.slice(cut), ...left, ...right]));
        expectCover(base, Uint8Array.from([...left.slice(0, -cut), ...right.slice(cut)]));
      }),
      { numRuns: 200 },
    );
  });

  test('cover the target in order, within the base', () => {
    fc.assert(
      fc.property(pairs, (spec) => {
        const { base, target } = pairOf({ ...spec, size: spec.size % 3000 });
        expectCover(base, target);
      }),
      { numRuns: 60 },
    );
  });
});
