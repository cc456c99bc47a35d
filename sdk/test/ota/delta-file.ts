// Delta files for tests of the applier: from records that a test writes, with what they should
// give by a model of its own. Their blocks are stored, unless they are packed by what
// deflated-delta.ts adds. The real encoder is ota-server's, and is tested there against this very
// applier.

import { digestOf, type TestImage } from '../support/virtual-firmware.ts';

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
  /** SHA-256 of the base. */
  readonly digest?: Uint8Array;
}

const DIGEST = Uint8Array.from({ length: 32 }, (_, index) => index + 1);

export function headOf(fields: Head): Buffer {
  const { baseSize, count, digest = DIGEST, magic = 'FDL1', outputSize } = fields;
  const head = Buffer.alloc(48);
  head.write(magic, 'latin1');
  head.writeUInt32LE(outputSize, 4);
  head.writeUInt32LE(baseSize, 8);
  head.set(digest, 12);
  head.writeUInt32LE(count, 44);
  return head;
}

/** Makes the body of a file: each chunk by itself, as a stream that goes on until the last ends it. */
export type Pack = (chunks: readonly Uint8Array[]) => Uint8Array[];

export const storeChunks: Pack = (chunks) =>
  chunks.map((chunk, index) => storedBlock(chunk, index === chunks.length - 1));

export function storedBlock(content: Uint8Array, isLast = false): Buffer {
  const head = Buffer.alloc(5, isLast ? 1 : 0);
  head.writeUInt16LE(content.length, 1);
  head.writeUInt16LE(65535 - content.length, 3);
  return Buffer.concat([head, content]);
}

interface FileOptions {
  readonly pack?: Pack;
  /** SHA-256 of the base, where anybody looks at it. */
  readonly digest?: Uint8Array;
}

/** A file of these records, a list per chunk. */
export function deltaFile(
  base: Uint8Array,
  chunks: readonly DeltaRecord[][],
  { digest = DIGEST, pack = storeChunks }: FileOptions = {},
): DeltaFile {
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
  const bodies = pack(chunks.length === 0 ? [new Uint8Array(0)] : chunks.map(encodeRecords));
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
    digest,
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

/** A delta of the simplest kind: copies what is the same at the same place, inserts the rest. */
export function simpleDelta(base: TestImage, target: TestImage, pack?: Pack): Uint8Array {
  const chunks: DeltaRecord[][] = [];
  let old = 0;
  for (let start = 0; start < target.bytes.length; start += CHUNK_SIZE) {
    const end = Math.min(start + CHUNK_SIZE, target.bytes.length);
    const records: DeltaRecord[] = [];
    const isSame = (at: number) => base.bytes[at] === target.bytes[at];
    for (let at = start; at < end; ) {
      const copies = isSame(at);
      let size = 1;
      while (at + size < end && isSame(at + size) === copies) size += 1;
      if (copies) {
        if (old !== at) records.push({ kind: 'seek', by: at - old });
        records.push({ kind: 'copy', size });
        old = at + size;
      } else records.push({ kind: 'insert', bytes: target.bytes.subarray(at, at + size) });
      at += size;
    }
    chunks.push(records);
  }
  const digest = digestOf(base);
  const { bytes } = deltaFile(
    base.bytes,
    chunks,
    pack === undefined ? { digest } : { digest, pack },
  );
  return new Uint8Array(bytes);
}
