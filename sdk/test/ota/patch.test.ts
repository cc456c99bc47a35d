import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  PATCH_CHUNK_SIZE,
  PATCH_WORK_SIZE,
  PatchApplier,
  type PatchError,
  PatchHeader,
  patchTableEnd,
} from '../../src/ota/patch.ts';
import { POISON_START, poisoned } from '../codec/bytes.ts';
import { Random } from '../support/random.ts';
import { VirtualMemory } from '../support/virtual-memory.ts';
import { deflateChunks, deflatedFile, randomDelta } from './deflated-delta.ts';
import { CHUNK_SIZE, type DeltaRecord, encodeRecords, headOf, storedBlock } from './delta-file.ts';

const SIZE_MAX = 1 << 20;

/** The old image as a partition: an address out of it is a bug of the applier. */
class OldImage {
  readCount = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  read(address: number, into: Uint8Array): void {
    if (!(address >= 0 && into.length > 0 && address + into.length <= this.size)) {
      throw new Error(`read ${into.length} bytes at ${address} of ${this.size}`);
    }
    this.readCount += 1;
    into.set(this.bytes.subarray(address, address + into.length));
  }
}

/** Takes whole chunks, in order. */
class Sink {
  readonly parts: Buffer[] = [];
  /** Set once there was an error: nothing may come after it. */
  closed = false;

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.closed) throw new Error('written after an error');
    if (this.parts.some(({ length }) => length < CHUNK_SIZE)) throw new Error('after the last');
    if (end - start > CHUNK_SIZE || end <= start) throw new Error(`wrote ${end - start} bytes`);
    this.parts.push(Buffer.from(bytes.subarray(start, end)));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

interface Outcome {
  readonly error: PatchError | undefined;
  readonly output: Buffer;
  readonly readCount: number;
}

interface Options {
  readonly sizes?: readonly number[];
  readonly chunkIndex?: number;
  readonly sizeMax?: number;
}

const applier = new PatchApplier(new Uint8Array(PATCH_WORK_SIZE + 1).subarray(1));
const header = new PatchHeader();

/** Reads the whole file as one download, or from a chunk on as two. */
function apply(bytes: Uint8Array, base: Uint8Array, options: Options = {}): Outcome {
  const { sizes = [4096], chunkIndex = 0, sizeMax = SIZE_MAX } = options;
  const source = new OldImage(base);
  const sink = new Sink();
  const outcome = (error: PatchError | undefined): Outcome => {
    return { error, output: sink.bytes, readCount: source.readCount };
  };
  header.begin(chunkIndex, sizeMax);
  let begun = false;
  let round = 0;
  const push = (end: number, start: number): PatchError | undefined => {
    for (let at = start; at < end; round += 1) {
      const piece = bytes.subarray(at, Math.min(end, at + sizes[round % sizes.length]!));
      const amid = poisoned(piece, round & 255);
      let from = POISON_START;
      if (!begun) {
        from = header.push(amid, from, POISON_START + piece.length);
        if (header.error !== undefined) return header.error;
        const ready = header.state === 'body' || (chunkIndex > 0 && header.state === 'ready');
        if (ready) {
          begun = true;
          const wrong = applier.begin(header, source, sink);
          if (wrong !== undefined) return wrong;
        }
      }
      if (begun) {
        const error = applier.push(amid, from, POISON_START + piece.length);
        if (error !== undefined) sink.closed = true;
        if (error !== undefined) return error;
      }
      at += piece.length;
    }
    return undefined;
  };
  const inTable =
    chunkIndex === 0 ? bytes.length : Math.min(bytes.length, patchTableEnd(chunkIndex));
  let error = push(inTable, 0);
  if (error === undefined && chunkIndex > 0 && begun) error = push(bytes.length, header.bodyOffset);
  if (error !== undefined) {
    if (begun) expect(applier.push(Uint8Array.of(0), 0, 1)).toBe(error);
    return outcome(error);
  }
  if (!begun) return outcome('truncated');
  error = applier.finish();
  expect(applier.outputCount).toBe(chunkIndex * CHUNK_SIZE + sink.bytes.length);
  return outcome(error);
}

const seeds = fc.nat(1 << 30);
const sizes = fc.oneof(
  fc.constant([1]),
  fc.constant([1 << 20]),
  fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 5 }),
);

describe('a delta file', () => {
  test('gives what its records say, however it is cut', () => {
    fc.assert(
      fc.property(seeds, sizes, (seed, cuts) => {
        const { base, file } = randomDelta(seed);
        const { error, output } = apply(file.bytes, base, { sizes: cuts });
        expect(error).toBe(undefined);
        expect(output.equals(file.output)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('gives the rest of it from every entry of the table', () => {
    for (let seed = 1; seed <= 25; seed += 1) {
      const { base, file } = randomDelta(seed);
      file.offsets.forEach((_, chunkIndex) => {
        const { error, output } = apply(file.bytes, base, { chunkIndex, sizes: [501] });
        expect(error).toBe(undefined);
        expect(output.equals(file.output.subarray(chunkIndex * CHUNK_SIZE))).toBe(true);
        expect(header.bodyOffset).toBe(file.bodyOffset + file.offsets[chunkIndex]!);
      });
    }
  });

  test('reads the old image in pieces, in each once where it goes on', () => {
    const base = Uint8Array.from({ length: 8192 }, (_, index) => index % 251);
    const copy = { kind: 'copy', size: CHUNK_SIZE } as const;
    const file = deflatedFile(base, [[copy], [copy]]);
    const { output, readCount } = apply(file.bytes, base);
    expect(output.equals(base)).toBe(true);
    expect(readCount).toBe(8192 / 256);
  });

  test('may hold a chunk of noise', () => {
    const random = new Random(2);
    const noise = (): DeltaRecord[] => [
      { kind: 'insert', bytes: Uint8Array.from({ length: 4096 }, () => random.below(256)) },
    ];
    const file = deflatedFile(new Uint8Array(0), [noise(), noise(), noise()]);
    expect(file.offsets).toEqual([0, 4103, 8206]);
    for (const size of [1, 4096]) {
      const { error, output } = apply(file.bytes, new Uint8Array(0), { sizes: [size] });
      expect(error).toBe(undefined);
      expect(output.equals(file.output)).toBe(true);
    }
  });

  test('of nothing is a header and a final block', () => {
    const file = deflatedFile(new Uint8Array(10), []);
    for (let size = 0; size < file.bytes.length; size += 1) {
      expect(apply(file.bytes.subarray(0, size), new Uint8Array(10)).error).toBe('truncated');
    }
    expect(apply(file.bytes, new Uint8Array(10))).toMatchObject({ error: undefined });
    expect(file.bytes.length).toBe(50);
  });
});

describe('a damaged delta file', () => {
  test('cut short at any place is truncated, and what is written is right', () => {
    for (const seed of [4, 5, 9]) {
      const { base, file } = randomDelta(seed);
      // Every place in the header and the table, and then about 300 of them.
      const step = Math.max(1, Math.floor(file.bytes.length / 300));
      for (let size = 0; size < file.bytes.length; size += size < 80 ? 1 : step) {
        const { error, output } = apply(file.bytes.subarray(0, size), base);
        expect(error).toBe('truncated');
        expect(output.equals(file.output.subarray(0, output.length))).toBe(true);
      }
    }
  });

  test('changed anywhere gives a code or an output of its size', () => {
    const seen = new Set<PatchError | undefined>();
    fc.assert(
      fc.property(
        seeds,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.boolean(),
        (seed, changes, inBody) => {
          const { base, file } = randomDelta(seed);
          const bytes = Uint8Array.from(file.bytes);
          for (const [place, change] of changes) {
            const from = inBody ? file.bodyOffset : 0;
            bytes[from + (place % (bytes.length - from))]! ^= change;
          }
          const sizeMax = file.output.length;
          const { error, output } = apply(bytes, base, { sizeMax });
          const bytewise = apply(bytes, base, { sizeMax, sizes: [1] });
          expect(bytewise.error).toBe(error);
          expect(bytewise.output.equals(output)).toBe(true);
          seen.add(error);
          expect(output.length).toBeLessThanOrEqual(sizeMax);
          if (error === undefined) expect(output.length).toBe(header.outputSize);
        },
      ),
      { numRuns: 250 },
    );
    for (const code of ['corrupt', 'too-long', 'truncated'] as const) expect(seen).toContain(code);
  });

  test('resumed at a changed entry gives a code or an output of its size', () => {
    const random = new Random(5);
    for (let seed = 1; seed <= 40; seed += 1) {
      const { base, file } = randomDelta(seed);
      const count = file.offsets.length;
      if (count < 2) continue;
      const chunkIndex = random.between(1, count - 1);
      const bytes = Uint8Array.from(file.bytes);
      bytes[48 + 8 * chunkIndex + random.below(8)]! ^= 1 << random.below(8);
      const { output } = apply(bytes, base, { chunkIndex });
      expect(output.length).toBeLessThanOrEqual(file.output.length - chunkIndex * CHUNK_SIZE);
    }
  });

  test('of hostile records never reads or writes outside', () => {
    const random = new Random(99);
    const seen = new Set<PatchError | undefined>();
    for (let run = 0; run < 1500; run += 1) {
      const baseSize = random.oneIn(3) ? random.below(4) : random.below(1000);
      const base = new Uint8Array(baseSize).fill(1);
      const outputSize = random.between(1, 5000);
      const records = Uint8Array.from({ length: random.between(1, 400) }, () =>
        random.oneIn(3) ? random.below(256) : random.below(24),
      );
      const count = Math.ceil(outputSize / CHUNK_SIZE);
      const table = Buffer.alloc(8 * count);
      const head = headOf({ outputSize, baseSize, count });
      const bytes = Buffer.concat([head, table, ...deflateChunks([records])]);
      const { error, output } = apply(bytes, base, { sizes: [random.between(1, 500)] });
      seen.add(error);
      expect(output.length).toBeLessThanOrEqual(outputSize);
    }
    for (const code of ['corrupt', 'truncated'] as const) expect(seen).toContain(code);
  });
});

/** A file of these inflated bytes, for an output of this size. */
function fileOf(records: Uint8Array, outputSize: number, baseSize: number): Buffer {
  const count = Math.ceil(outputSize / CHUNK_SIZE);
  const head = headOf({ outputSize, baseSize, count });
  return Buffer.concat([head, Buffer.alloc(8 * count), ...deflateChunks([records])]);
}

const insert = (size: number): DeltaRecord => ({ kind: 'insert', bytes: new Uint8Array(size) });
const copy = (size: number): DeltaRecord => ({ kind: 'copy', size });
const seek = (by: number): DeltaRecord => ({ kind: 'seek', by });

describe('limits of records', () => {
  const cases: [string, DeltaRecord[], number, PatchError | undefined][] = [
    ['a chunk and another', [insert(4096), insert(4)], 4100, undefined],
    ['over the boundary of chunks', [insert(4095), insert(2)], 8000, 'corrupt'],
    ['one byte more than the output', [insert(11)], 10, 'too-long'],
    ['one record more than the output', [insert(10), insert(1)], 10, 'too-long'],
    ['a seek after the output', [insert(10), seek(0)], 10, 'too-long'],
    ['one byte less than the output', [insert(9)], 10, 'truncated'],
    ['all of the old image', [copy(100)], 100, undefined],
    ['past the old image', [copy(101)], 101, 'corrupt'],
    ['the last byte of the old image', [seek(99), copy(1)], 1, undefined],
    ['after the old image', [seek(100), copy(1)], 1, 'corrupt'],
    ['at the end of the old image', [seek(100), insert(1)], 1, undefined],
    ['beyond the end of the old image', [seek(101), insert(1)], 1, 'corrupt'],
    ['before the old image', [seek(-1), insert(1)], 1, 'corrupt'],
    ['there and back', [seek(50), seek(-50), copy(1)], 1, undefined],
    ['far away', [seek(2 ** 32), insert(1)], 1, 'corrupt'],
  ];
  test.each(cases)('%s', (_, records, outputSize, error) => {
    const base = Uint8Array.from({ length: 100 }, (_each, index) => index);
    const bytes = fileOf(encodeRecords(records), outputSize, base.length);
    for (const size of [1, 5, 1000])
      expect(apply(bytes, base, { sizes: [size] }).error).toBe(error);
  });

  test('a head of six bytes', () => {
    const head = Uint8Array.of(0x83, 0x80, 0x80, 0x80, 0x80, 0);
    expect(apply(fileOf(head, 1, 1), new Uint8Array(1)).error).toBe('corrupt');
  });
});

describe('endless data', () => {
  /** How much is taken of a body that repeats this without end. */
  function taken(file: Buffer, repeated: Uint8Array, baseSize: number): number {
    header.begin(0, SIZE_MAX);
    const at = header.push(file, 0, file.length);
    applier.begin(header, new OldImage(new Uint8Array(baseSize)), new Sink());
    applier.push(file, at, file.length);
    let count = 0;
    while (applier.push(repeated, 0, repeated.length) === undefined && count < 1 << 24) {
      count += repeated.length;
    }
    expect(applier.error).toBe('too-long');
    return count;
  }

  const head = headOf({ outputSize: 10, baseSize: 0, count: 1 });
  const start = Buffer.concat([head, Buffer.alloc(8)]);
  test('of blocks with nothing in them', () => {
    expect(taken(start, storedBlock(new Uint8Array(0)), 0)).toBeLessThan(4112 + 512);
  });

  test('of seeks', () => {
    expect(taken(start, storedBlock(new Uint8Array(200).fill(3)), 0)).toBeLessThan(4112 + 512);
  });

  test('after the output, in the stream and behind it', () => {
    const whole = encodeRecords([insert(10)]);
    const open = Buffer.concat([start, storedBlock(whole)]);
    expect(taken(open, storedBlock(new Uint8Array(0)), 0)).toBeLessThan(4112 + 512);
    const closed = Buffer.concat([start, deflateRawSync(whole)]);
    expect(taken(closed, Uint8Array.of(0), 0)).toBe(0);
  });
});

describe('the header', () => {
  const good = { outputSize: 5000, baseSize: 10, count: 2 };
  test.each([
    ['another magic', { ...good, magic: 'FDL2' }, 0, 5000, 'unsupported'],
    ['an output of the size allowed', good, 0, 5000, undefined],
    ['an output of one byte more', good, 0, 4999, 'too-long'],
    ['too few chunks', { ...good, count: 1 }, 0, 5000, 'corrupt'],
    ['too many chunks', { ...good, count: 3 }, 0, 5000, 'corrupt'],
    ['as many chunks as can be', { ...good, count: 0xffffffff }, 0, 5000, 'corrupt'],
    ['a chunk that is there', good, 1, 5000, undefined],
    ['a chunk that is not there', good, 2, 9999, 'corrupt'],
    ['an old offset at the end', { ...good, baseSize: 0 }, 1, 9999, undefined],
  ] as const)('with %s', (_, head, chunkIndex, sizeMax, error) => {
    const bytes = Buffer.concat([headOf(head), Buffer.alloc(16)]);
    header.begin(chunkIndex, sizeMax);
    header.push(bytes, 0, bytes.length);
    expect(header.error).toBe(error);
    expect(header.state === 'body').toBe(error === undefined);
  });

  test.each([
    [0, 0, 0, undefined],
    [0, 1, 0, 'corrupt'],
    [0, 0, 1, 'corrupt'],
    [1, 4112, 10, undefined],
    [1, 4113, 10, 'corrupt'],
    [1, 4112, 11, 'corrupt'],
    [1, 0xffffffff, 0, 'corrupt'],
  ] as const)('with for chunk %d an entry of %d, %d', (chunkIndex, patchOffset, old, error) => {
    const table = Buffer.alloc(16);
    table.writeUInt32LE(patchOffset, 8 * chunkIndex);
    table.writeUInt32LE(old, 8 * chunkIndex + 4);
    const bytes = Buffer.concat([headOf(good), table]);
    header.begin(chunkIndex, 5000);
    header.push(bytes, 0, patchTableEnd(chunkIndex));
    expect(header.error).toBe(error);
    if (error === undefined) expect(header.bodyOffset).toBe(64 + patchOffset);
  });

  test('says which base it wants', () => {
    const bytes = headOf({ outputSize: 0, baseSize: 10, count: 0 });
    createHash('sha256').update('base').digest().copy(bytes, 12);
    header.begin(0, 0);
    expect(header.push(bytes, 0, 48)).toBe(48);
    expect(header.state).toBe('body');
    const digest = createHash('sha256').update('base').digest();
    expect(header.isFrom(digest)).toBe(true);
    for (let at = 0; at < 32; at += 1) {
      const other = Buffer.from(digest);
      other[at]! ^= 1;
      expect(header.isFrom(other)).toBe(false);
    }
    expect(header.isFrom(digest.subarray(1))).toBe(false);
    expect(applier.begin(header, new OldImage(new Uint8Array(9)), new Sink())).toBe('wrong-base');
    expect(applier.begin(header, new OldImage(new Uint8Array(10)), new Sink())).toBe(undefined);
  });
});

describe('memory', () => {
  const BUDGET = 12 * 1024;
  /** A slot of 32-bit XS, and what objects take there beside their properties. */
  const SLOT_SIZE = 16;
  const OBJECT_SLOTS = 4;

  /** Bytes of objects and properties that can be reached; views of `work` count as objects. */
  function objectBytes(value: unknown, seen: Set<object>): number {
    if (typeof value !== 'object' || value === null || seen.has(value)) return 0;
    seen.add(value);
    let bytes = OBJECT_SLOTS * SLOT_SIZE;
    if (ArrayBuffer.isView(value)) return bytes;
    for (const each of Object.values(value)) bytes += SLOT_SIZE + objectBytes(each, seen);
    return bytes;
  }

  test('is at most 12 KB, work memory and objects', () => {
    const memory = new VirtualMemory(0, 0, 0);
    const fresh = new PatchApplier(memory.allocate(PATCH_WORK_SIZE));
    const total = memory.outstandingSize + objectBytes([fresh, new PatchHeader()], new Set()) + 56;
    expect(memory.allocateCount).toBe(1);
    expect(total).toBeLessThanOrEqual(BUDGET);
    // Less than half of it would be a mistake of the measurement.
    expect(total).toBeGreaterThan(PATCH_CHUNK_SIZE + 1024);
  });

  test('is not taken while it applies', () => {
    const { base, file } = randomDelta(6);
    const source = new OldImage(base);
    const output = new Uint8Array(file.output.length);
    let size = 0;
    const sink = {
      write(bytes: Uint8Array, start: number, end: number) {
        output.set(bytes.subarray(start, end), size);
        size += end - start;
      },
    };
    header.begin(0, SIZE_MAX);
    const at = header.push(file.bytes, 0, file.bytes.length);
    applier.begin(header, source, sink);
    const before = Object.getOwnPropertyNames(applier).length;
    const views = new Set<object>();
    objectBytes(applier, views);
    applier.push(file.bytes, at, file.bytes.length);
    const after = new Set<object>();
    objectBytes(applier, after);
    expect(Object.getOwnPropertyNames(applier).length).toBe(before);
    expect([...after].every((each) => views.has(each))).toBe(true);
    expect(Buffer.from(output).equals(file.output)).toBe(true);
  });
});
