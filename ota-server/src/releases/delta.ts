// Delta files (`application/flotilla-delta`): a target image described by the base image that a
// device runs. Written here, applied by sdk/src/ota/patch.ts. Integers are little-endian.
//
//   header  0   "FDL1"
//           4   u32  size of the target
//           8   u32  size of the base
//           12  SHA-256 of the base
//           44  u32  count of chunks: one per 4,096 bytes of the target, the last may be shorter
//   table   48  per chunk: u32 where it begins in the body, u32 old offset (below) at that point
//   body        raw deflate (RFC 1951), window of 1,024 bytes, one stream; inflated, it is records
//
// A chunk's records give exactly its bytes: none goes over a boundary of 4,096. In the body a chunk
// begins at a byte, with a block, and refers to nothing before it (a full flush), and it takes at
// most 4,112 bytes. So an applier begins at any chunk with what the table says of it, and can bound
// what it takes. Only the last chunk holds the final block, and nothing follows that.
//
// A record is a variable byte integer (7 bits a byte, least first, bit 7 = more follow; at most 5
// bytes), whose bits 0-1 are the kind and whose rest is n, and then its bytes:
//
//   0  copy    n + 1 bytes of the base from the old offset, which goes on by as many
//   1  add     the same, with n + 1 bytes that follow added to them, modulo 256
//   2  insert  n + 1 bytes that follow; the old offset stays
//   3  seek    moves the old offset: by n / 2 if n is even, by -(n + 1) / 2 if it is odd
//
// That is bsdiff in detools's sequential layout: differences, new bytes and adjustments in turn. A
// copy is a difference of nothing but zeros: it costs 2 bytes for a chunk that did not change, and
// no inflating. The old offset begins at 0 and stays within 0 and the size of the base.

import { createHash } from 'node:crypto';
import { constants, deflateRawSync } from 'node:zlib';
import { findStretches, type Stretch } from './bsdiff.ts';

export const DELTA_MAGIC = 'FDL1';
export const DELTA_CHUNK_SIZE = 4096;
export const DELTA_HEADER_SIZE = 48;
export const DELTA_ENTRY_SIZE = 8;
export const DELTA_WINDOW_BITS = 10;

/**
 * Largest base and target: two slots in 16 MB of flash. Encoding takes about 32 bytes of memory per
 * byte of both, 540 MB at most, and up to 11 s here: give it a thread of its own.
 */
export const DELTA_IMAGE_SIZE_MAX = 8 * 1024 * 1024;

const COPY = 0;
const ADD = 1;
const INSERT = 2;
const SEEK = 3;

/**
 * How long an unchanged run has to be to become a copy of its own within a stretch that differs.
 * Which is best depends on what is around it, so each chunk takes the best of these.
 */
const COPY_SIZES_MIN = [24, 96, 384, Number.POSITIVE_INFINITY];

const STRATEGIES = [constants.Z_DEFAULT_STRATEGY, constants.Z_FILTERED];

/** A stored block: its type, length and complement at a byte boundary (RFC 1951 §3.2.4). */
const STORED_HEAD_SIZE = 5;

/** The delta file that makes `target` from `base`; throws a RangeError above the limits. */
export function encodeDelta(base: Uint8Array, target: Uint8Array): Uint8Array {
  checkSize('base', base);
  checkSize('target', target);
  const count = Math.ceil(target.length / DELTA_CHUNK_SIZE);
  const head = Buffer.alloc(DELTA_HEADER_SIZE + count * DELTA_ENTRY_SIZE);
  head.write(DELTA_MAGIC, 'latin1');
  head.writeUInt32LE(target.length, 4);
  head.writeUInt32LE(base.length, 8);
  createHash('sha256').update(base).digest().copy(head, 12);
  head.writeUInt32LE(count, 44);
  // No chunk, but the final block all the same.
  if (count === 0) return Buffer.concat([head, deflateRawSync(new Uint8Array(0))]);
  const body: Uint8Array[] = [];
  let size = 0;
  let baseAt = 0;
  cutAtChunks(findStretches(base, target)).forEach((stretches, index) => {
    const entryAt = DELTA_HEADER_SIZE + index * DELTA_ENTRY_SIZE;
    head.writeUInt32LE(size, entryAt);
    head.writeUInt32LE(baseAt, entryAt + 4);
    const chunk = encodeChunk({ base, target, stretches, baseAt }, index === count - 1);
    body.push(chunk.bytes);
    size += chunk.bytes.length;
    baseAt = chunk.baseAt;
  });
  return Buffer.concat([head, ...body]);
}

function checkSize(name: string, { length }: Uint8Array): void {
  if (length <= DELTA_IMAGE_SIZE_MAX) return;
  const limit = `${DELTA_IMAGE_SIZE_MAX.toLocaleString('en')} bytes`;
  throw new RangeError(
    `${name} image: ${length.toLocaleString('en')} bytes, a delta takes at most ${limit}: ` +
      'publish the full image alone',
  );
}

/** Stretches by chunk; those that go over a boundary are split there. */
function cutAtChunks(stretches: readonly Stretch[]): Stretch[][] {
  const chunks: Stretch[][] = [];
  for (const { start, size, baseStart } of stretches) {
    for (let done = 0; done < size; ) {
      const at = start + done;
      const part = Math.min(size - done, DELTA_CHUNK_SIZE - (at % DELTA_CHUNK_SIZE));
      if (at % DELTA_CHUNK_SIZE === 0) chunks.push([]);
      const partBase = baseStart === undefined ? undefined : baseStart + done;
      chunks.at(-1)!.push({ start: at, size: part, baseStart: partBase });
      done += part;
    }
  }
  return chunks;
}

interface Chunk {
  readonly base: Uint8Array;
  readonly target: Uint8Array;
  readonly stretches: readonly Stretch[];
  /** The old offset where it begins. */
  readonly baseAt: number;
}

interface EncodedChunk {
  readonly bytes: Uint8Array;
  /** The old offset where it ends. */
  readonly baseAt: number;
}

/** The shortest form of the chunk that we know. */
function encodeChunk(chunk: Chunk, isLast: boolean): EncodedChunk {
  // New bytes as they are bound what a chunk takes, whatever the compressor does.
  const { stretches } = chunk;
  const size = stretches.reduce((sum, stretch) => sum + stretch.size, 0);
  const fresh = { start: stretches[0]!.start, size, baseStart: undefined };
  const plain = recordsOf({ ...chunk, stretches: [fresh] }, 0);
  let best = { bytes: stored(plain.bytes, isLast), baseAt: plain.baseAt };
  const tried = new Set<string>();
  for (const copySizeMin of COPY_SIZES_MIN) {
    const { bytes, baseAt } = recordsOf(chunk, copySizeMin);
    const text = bytes.toString('latin1');
    if (tried.has(text)) continue;
    tried.add(text);
    const block = stored(bytes, isLast);
    if (block.length < best.bytes.length) best = { bytes: block, baseAt };
    for (const strategy of STRATEGIES) {
      const deflated = deflateRawSync(bytes, {
        level: 9,
        memLevel: 9,
        windowBits: DELTA_WINDOW_BITS,
        strategy,
        finishFlush: isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH,
      });
      if (deflated.length < best.bytes.length) best = { bytes: deflated, baseAt };
    }
  }
  return best;
}

/** The records of a chunk, with copies of at least `copySizeMin` bytes within what differs. */
function recordsOf({ base, target, stretches, baseAt }: Chunk, copySizeMin: number) {
  const bytes: number[] = [];
  let at = baseAt;
  const head = (kind: number, n: number) => {
    let rest = n * 4 + kind;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  };
  for (const { start, size, baseStart } of stretches) {
    if (baseStart === undefined) {
      head(INSERT, size - 1);
      for (let index = 0; index < size; index += 1) bytes.push(target[start + index]!);
      continue;
    }
    const shift = baseStart - at;
    if (shift !== 0) head(SEEK, shift > 0 ? shift * 2 : -shift * 2 - 1);
    at = baseStart + size;
    const old = base.subarray(baseStart, at);
    for (const run of runsOf(old, target.subarray(start, start + size), copySizeMin)) {
      head(run.same ? COPY : ADD, run.end - run.start - 1);
      if (run.same) continue;
      for (let index = run.start; index < run.end; index += 1) {
        bytes.push((target[start + index]! - old[index]!) & 255);
      }
    }
  }
  return { bytes: Buffer.from(bytes), baseAt: at };
}

interface Run {
  readonly start: number;
  readonly end: number;
  readonly same: boolean;
}

/** Cuts equal runs of at least `sameSizeMin` bytes out; what is equal as a whole is one. */
function runsOf(old: Uint8Array, fresh: Uint8Array, sameSizeMin: number): Run[] {
  const runs: Run[] = [];
  const size = old.length;
  let changedAt = 0;
  for (let at = 0; at < size; ) {
    let end = at;
    while (end < size && old[end] === fresh[end]) end += 1;
    if (end - at >= sameSizeMin || end - at === size) {
      if (at > changedAt) runs.push({ start: changedAt, end: at, same: false });
      runs.push({ start: at, end, same: true });
      changedAt = end;
    }
    at = Math.max(end, at + 1);
  }
  if (size > changedAt) runs.push({ start: changedAt, end: size, same: false });
  return runs;
}

/** One stored block; it ends at a byte, so it needs no flush. */
function stored(bytes: Uint8Array, isLast: boolean): Uint8Array {
  const block = Buffer.alloc(STORED_HEAD_SIZE + bytes.length);
  block[0] = isLast ? 1 : 0;
  block.writeUInt16LE(bytes.length, 1);
  block.writeUInt16LE(~bytes.length & 0xffff, 3);
  block.set(bytes, STORED_HEAD_SIZE);
  return block;
}
