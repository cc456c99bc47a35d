// Delta files for tests of the applier: from records that a test writes, with what they should
// give by a model of its own. The real encoder is ota-server's, and is tested there against this
// very applier.

import { constants, deflateRawSync } from 'node:zlib';
import { Random } from '../support/random.ts';

export const CHUNK_SIZE = 4096;

export type DeltaRecord =
  | { readonly kind: 'copy'; readonly size: number }
  | { readonly kind: 'add'; readonly bytes: Uint8Array }
  | { readonly kind: 'insert'; readonly bytes: Uint8Array }
  | { readonly kind: 'seek'; readonly by: number };

const KINDS = { copy: 0, add: 1, insert: 2, seek: 3 } as const;

export function encodeRecord(record: DeltaRecord): number[] {
  const content = 'bytes' in record ? [...record.bytes] : [];
  const size = record.kind === 'copy' ? record.size : content.length;
  const count =
    record.kind !== 'seek' ? size - 1 : record.by >= 0 ? 2 * record.by : -2 * record.by - 1;
  const head: number[] = [];
  let rest = count * 4 + KINDS[record.kind];
  for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128);
  return [...head, rest, ...content];
}

export interface DeltaFile {
  readonly bytes: Uint8Array;
  readonly output: Uint8Array;
  readonly bodyOffset: number;
  /** Where each chunk begins in the body. */
  readonly offsets: readonly number[];
}

export interface Head {
  readonly outputSize: number;
  readonly baseSize: number;
  readonly count: number;
  readonly magic?: string;
}

export function headOf({ outputSize, baseSize, count, magic = 'FDL1' }: Head): Buffer {
  const head = Buffer.alloc(48);
  head.write(magic, 'latin1');
  head.writeUInt32LE(outputSize, 4);
  head.writeUInt32LE(baseSize, 8);
  for (let index = 0; index < 32; index += 1) head[12 + index] = index + 1;
  head.writeUInt32LE(count, 44);
  return head;
}

/** The most that a chunk may take of the body. */
export const CHUNK_BODY_SIZE_MAX = 4112;

/** Each chunk deflated by itself, as a stream that goes on; stored where that is shorter. */
export function deflateChunks(chunks: readonly Uint8Array[]): Buffer[] {
  return chunks.map((chunk, index) => {
    const isLast = index === chunks.length - 1;
    const finishFlush = isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH;
    const deflated = deflateRawSync(chunk, { windowBits: 10, level: 9, finishFlush });
    return deflated.length > chunk.length + 5 ? storedBlock(chunk, isLast) : deflated;
  });
}

export function storedBlock(content: Uint8Array, isLast = false): Buffer {
  const head = Buffer.alloc(5, isLast ? 1 : 0);
  head.writeUInt16LE(content.length, 1);
  head.writeUInt16LE(65535 - content.length, 3);
  return Buffer.concat([head, content]);
}

/** A file of these records, a list per chunk. */
export function deltaFile(base: Uint8Array, chunks: readonly DeltaRecord[][]): DeltaFile {
  const output: number[] = [];
  const entries: number[] = [];
  let old = 0;
  for (const records of chunks) {
    entries.push(old);
    for (const record of records) {
      const size =
        record.kind === 'copy' ? record.size : record.kind === 'add' ? record.bytes.length : 0;
      for (let index = 0; index < size; index += 1) {
        const added = record.kind === 'add' ? record.bytes[index]! : 0;
        output.push((base[old + index]! + added) % 256);
      }
      if (record.kind === 'insert') output.push(...record.bytes);
      old += record.kind === 'seek' ? record.by : size;
    }
  }
  const bodies = deflateChunks(
    chunks.length === 0 ? [new Uint8Array(0)] : chunks.map(encodeRecords),
  );
  const table = Buffer.alloc(8 * chunks.length);
  const offsets: number[] = [];
  let offset = 0;
  chunks.forEach((_, index) => {
    table.writeUInt32LE(offset, 8 * index);
    table.writeUInt32LE(entries[index]!, 8 * index + 4);
    offsets.push(offset);
    offset += bodies[index]!.length;
  });
  const head = headOf({
    outputSize: output.length,
    baseSize: base.length,
    count: chunks.length,
  });
  const bytes = Buffer.concat([head, table, ...bodies]);
  return {
    bytes,
    output: Uint8Array.from(output),
    bodyOffset: head.length + table.length,
    offsets,
  };
}

export function encodeRecords(records: readonly DeltaRecord[]): Uint8Array {
  return Uint8Array.from(records.flatMap(encodeRecord));
}

/** A base and valid records for it: every kind, every size, chunks of 4,096 bytes and a rest. */
export function randomDelta(seed: number): { readonly base: Uint8Array; readonly file: DeltaFile } {
  const random = new Random(seed);
  const noise = (size: number) => Uint8Array.from({ length: size }, () => random.below(256));
  const calm = (size: number) =>
    Uint8Array.from({ length: size }, () => (random.oneIn(9) ? random.below(9) : 0));
  const base = noise(random.oneIn(6) ? random.below(300) : random.below(12_000));
  const outputSize = random.oneIn(8) ? random.below(3) : random.below(14_000);
  const chunks: DeltaRecord[][] = [];
  let old = 0;
  const chunkOf = (size: number, isCalm: boolean) => {
    const records: DeltaRecord[] = [];
    let at = old;
    for (let left = size; left > 0; ) {
      if (random.oneIn(3)) {
        const to = random.between(0, base.length);
        records.push({ kind: 'seek', by: to - at });
        at = to;
      }
      const part = random.oneIn(3) ? left : random.between(1, Math.min(left, 700));
      const kind = part <= base.length - at ? random.below(3) : 2;
      if (kind === 0) records.push({ kind: 'copy', size: part });
      else if (kind === 1) records.push({ kind: 'add', bytes: calm(part) });
      else {
        const bytes = isCalm || random.oneIn(2) ? calm(part) : noise(part);
        records.push({ kind: 'insert', bytes });
      }
      if (kind < 2) at += part;
      left -= part;
    }
    return { records, at };
  };
  for (let done = 0; done < outputSize; done += CHUNK_SIZE) {
    const size = Math.min(CHUNK_SIZE, outputSize - done);
    let chunk = chunkOf(size, false);
    // What is noise in many records takes more than an encoder may.
    const taken = deflateChunks([encodeRecords(chunk.records)])[0]!.length;
    if (taken > CHUNK_BODY_SIZE_MAX - 5) chunk = chunkOf(size, true);
    chunks.push(chunk.records);
    old = chunk.at;
  }
  return { base, file: deltaFile(base, chunks) };
}
