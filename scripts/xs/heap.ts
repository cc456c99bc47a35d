// What a program takes on XS, read from a snapshot of its collected heap, and machines with heaps of
// a fixed size, made by changing what a snapshot asks for when it is read again.
//
// A snapshot is a list of atoms: size u32 (big-endian, with the head), name, content. CREA holds
// the sizes of the machine, BLOC the chunks, HEAP the slots (moddable/xs/sources/xsSnapshot.c).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XsEngine } from './engine.ts';

/** Bytes of a slot: two pointers and their flags on this machine, half of it on a 32-bit one. */
export const SLOT_SIZE = 32;
export const SLOT_SIZE_32 = 16;

export interface HeapSize {
  readonly slots: number;
  /** Strings, buffers, arrays and code, with their heads; of a 32-bit machine, at most. */
  readonly chunkBytes: number;
}

/** RAM on a 32-bit XS. */
export function bytesOn32({ chunkBytes, slots }: HeapSize): number {
  return slots * SLOT_SIZE_32 + chunkBytes;
}

interface Atom {
  readonly start: number;
  readonly end: number;
}

const ATOM_HEAD_SIZE = 8;

function atomOf(snapshot: Buffer, name: string): Atom {
  for (let at = ATOM_HEAD_SIZE; at + ATOM_HEAD_SIZE <= snapshot.length; ) {
    const end = at + snapshot.readUInt32BE(at);
    const found = snapshot.toString('latin1', at + 4, at + ATOM_HEAD_SIZE);
    if (found === name) return { start: at + ATOM_HEAD_SIZE, end };
    at = end;
  }
  throw new Error(`XS: no ${name} in the snapshot`);
}

/** The heap as it is on this machine, for limits of its own. */
function heapHere(snapshot: Buffer): HeapSize {
  const blocks = atomOf(snapshot, 'BLOC');
  const heap = atomOf(snapshot, 'HEAP');
  return { slots: (heap.end - heap.start) / SLOT_SIZE, chunkBytes: blocks.end - blocks.start };
}

/** Head of a chunk: its size, aligned, and a pointer (txChunk in xsAll.h). */
const CHUNK_HEAD_SIZE = 16;
const CHUNK_HEAD_SIZE_32 = 8;
/** Where a slot has its kind, and one of an array the offset of its items (txSlot in xsAll.h). */
const KIND_AT = 8;
const ARRAY_KIND = 16;
const ADDRESS_AT = 16;

/**
 * The heap as it would be on a 32-bit machine: heads of chunks and items of arrays are half as
 * large there. What chunks are rounded up by is counted as it is here, twice as much.
 */
export function heapOf(snapshot: Buffer): HeapSize {
  const { slots } = heapHere(snapshot);
  const blocks = atomOf(snapshot, 'BLOC');
  const heap = atomOf(snapshot, 'HEAP');
  const arrays = new Set<number>();
  for (let slot = heap.start; slot < heap.end; slot += SLOT_SIZE) {
    if (snapshot[slot + KIND_AT] !== ARRAY_KIND) continue;
    arrays.add(Number(snapshot.readBigUInt64LE(slot + ADDRESS_AT)));
  }
  let chunkBytes = 0;
  for (let at = blocks.start; at < blocks.end; ) {
    const size = snapshot.readUInt32LE(at);
    if (size < CHUNK_HEAD_SIZE) throw new Error(`XS: no chunk at ${at - blocks.start} of BLOC`);
    const content = size - CHUNK_HEAD_SIZE;
    const isArray = arrays.has(at - blocks.start + CHUNK_HEAD_SIZE);
    const contentOn32 = isArray ? (content * SLOT_SIZE_32) / SLOT_SIZE : content;
    chunkBytes += CHUNK_HEAD_SIZE_32 + contentOn32;
    at += size;
  }
  return { slots, chunkBytes };
}

/** Offsets of 32-bit fields in CREA (txCreation in xsAll.h). */
const INITIAL_CHUNK_SIZE = 0;
const INCREMENTAL_CHUNK_SIZE = 4;
const INITIAL_HEAP_COUNT = 8;
const INCREMENTAL_HEAP_COUNT = 12;
const STACK_COUNT = 16;

export interface Limits {
  /** Room for so much more than the snapshot holds; the machine ends where it is not enough. */
  readonly free?: HeapSize;
  readonly stackSlots?: number;
  /** A heap of so much to begin with, before anything is collected. */
  readonly initial?: HeapSize;
}

/** The same program for a machine with these limits. */
export function limited(snapshot: Buffer, limits: Limits): Buffer {
  const changed = Buffer.from(snapshot);
  const { start } = atomOf(changed, 'CREA');
  if (limits.stackSlots !== undefined) {
    changed.writeInt32LE(limits.stackSlots, start + STACK_COUNT);
  }
  if (limits.initial !== undefined) {
    changed.writeInt32LE(limits.initial.chunkBytes, start + INITIAL_CHUNK_SIZE);
    changed.writeInt32LE(limits.initial.slots, start + INITIAL_HEAP_COUNT);
  }
  if (limits.free !== undefined) {
    const { chunkBytes, slots } = heapHere(snapshot);
    changed.writeInt32LE(chunkBytes + limits.free.chunkBytes, start + INITIAL_CHUNK_SIZE);
    // 0 = a heap of fixed size.
    changed.writeInt32LE(0, start + INCREMENTAL_CHUNK_SIZE);
    changed.writeInt32LE(slots + limits.free.slots + 2, start + INITIAL_HEAP_COUNT);
    changed.writeInt32LE(0, start + INCREMENTAL_HEAP_COUNT);
  }
  return changed;
}

function withFile<T>(run: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-xs-'));
  return run(join(folder, 'heap.xss')).finally(() => rmSync(folder, { recursive: true }));
}

export function snapshotOf(engine: XsEngine): Promise<Buffer> {
  return withFile(async (path) => {
    await engine.snapshot(path);
    return readFileSync(path);
  });
}

/** Calls `run` with a machine that goes on from the snapshot, and ends it. */
export function runFrom<T>(
  snapshot: Buffer,
  run: (engine: XsEngine) => Promise<T>,
  onPrint?: (line: string) => void,
): Promise<T> {
  return withFile(async (path) => {
    writeFileSync(path, snapshot);
    const engine = new XsEngine(path, onPrint);
    try {
      return await run(engine);
    } finally {
      await engine.stop();
    }
  });
}

/** A new machine, with the engine's own sizes where no others are given. */
export async function newMachine(limits: Limits = {}): Promise<Buffer> {
  const engine = new XsEngine();
  try {
    return limited(await snapshotOf(engine), limits);
  } finally {
    await engine.stop();
  }
}
