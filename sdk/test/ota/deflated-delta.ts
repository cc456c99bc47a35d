// Delta files whose chunks are deflated by zlib, and random ones of them.

import { constants, deflateRawSync } from 'node:zlib';
import { Random } from '../support/random.ts';
import {
  CHUNK_SIZE,
  type DeltaFile,
  type DeltaRecord,
  deltaFile,
  encodeRecords,
  type Pack,
  storedBlock,
} from './delta-file.ts';

/** The most that a chunk may take of the body. */
const CHUNK_BODY_SIZE_MAX = 4112;

/** Deflated; stored where that is shorter. */
export const deflateChunks: Pack = (chunks) =>
  chunks.map((chunk, index) => {
    const isLast = index === chunks.length - 1;
    const finishFlush = isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH;
    const deflated = deflateRawSync(chunk, { windowBits: 10, level: 9, finishFlush });
    return deflated.length > chunk.length + 5 ? storedBlock(chunk, isLast) : deflated;
  });

export function deflatedFile(base: Uint8Array, chunks: readonly DeltaRecord[][]): DeltaFile {
  return deltaFile(base, chunks, { pack: deflateChunks });
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
  return { base, file: deflatedFile(base, chunks) };
}
