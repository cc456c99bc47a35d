// Applies delta files as they arrive; their layout is at the head of
// ota-server/src/releases/delta.ts. A download begins with the header and goes on with the body:
//
//   header.begin(chunkIndex, sizeMax);            // 0, or the first chunk that is not in flash
//   at = header.push(bytes, 0, bytes.length);     // until header.state is 'ready'
//   applier.begin(header, running, sink);         // after the caller compared the base
//   applier.push(bytes, at, bytes.length);
//   applier.finish();
//
// From chunk 0 on that is one request for the whole file. To resume at chunk k, ask for the bytes
// [0, patchTableEnd(k)) and then for those from `header.bodyOffset` on: an entry of the table is all
// that is needed of what came before.

import { assert } from '../assert.ts';
import { INFLATE_WORK_SIZE, Inflate, type InflateTarget } from './inflate.ts';

/** Bytes of output between places where an applier can begin; the last may be fewer. */
export const PATCH_CHUNK_SIZE = 4096;
/** The most that a chunk takes of the body. */
const CHUNK_BODY_SIZE_MAX = 4112;
const HEADER_SIZE = 48;
const BASE_DIGEST_AT = 12;
const DIGEST_SIZE = 32;
const ENTRY_SIZE = 8;
const MAGIC = [0x46, 0x44, 0x4c, 0x31];
/** How much of the old image is read at once. */
const OLD_SIZE = 256;
/**
 * Whether a chunk takes too much is looked at once in so many bytes of the body, wherever those are
 * cut, so that the answer is the same for any cut.
 */
const PIECE_SIZE = 256;
/** Pieces within which no chunk ends; the 5 bytes that end a chunk can come after its output. */
const PIECE_COUNT_MAX = Math.floor((CHUNK_BODY_SIZE_MAX + 5) / PIECE_SIZE);

/** Bytes that a `PatchApplier` works in. */
export const PATCH_WORK_SIZE = INFLATE_WORK_SIZE + PATCH_CHUNK_SIZE + OLD_SIZE;

export type PatchError =
  /** Not a delta file, or one of another kind. */
  | 'unsupported'
  /** Bytes that no encoder writes, or that reach past the old image. */
  | 'corrupt'
  /** More output than was allowed or announced, more input than that can take, or bytes after it. */
  | 'too-long'
  /** The old image is larger than what there is to read. */
  | 'wrong-base'
  /** It ended too early. */
  | 'truncated';

/** The end in the file of what has to be read to begin at this chunk. */
export function patchTableEnd(chunkIndex: number): number {
  return HEADER_SIZE + (chunkIndex + 1) * ENTRY_SIZE;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at + 3] as number) << 24) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 1] as number) << 8) |
      (bytes[at] as number)) >>>
    0
  );
}

/** Reads the header and one entry of the table, which it does not keep. */
export class PatchHeader {
  error: PatchError | undefined = undefined;
  /**
   * 'ready': the fields below are valid. 'body': so they are, and the table is over, as it is needed
   * where the body follows in the same answer.
   */
  state: 'header' | 'table' | 'ready' | 'body' = 'header';
  /** Bytes of the whole output, and of the image that it is made from. */
  outputSize = 0;
  baseSize = 0;
  /** Where the body, from this chunk on, begins in the file. */
  bodyOffset = 0;
  /** The chunk to begin at, and where in the old image that does. */
  chunkIndex = 0;
  oldOffset = 0;
  /** The header, and then one entry after another. */
  private readonly bytes = new Uint8Array(HEADER_SIZE + ENTRY_SIZE);
  private count = 0;
  private offset = 0;
  private sizeMax = 0;
  private tableEnd = 0;

  /** Begins at the file's first byte. An output of more than `sizeMax` bytes is refused. */
  begin(chunkIndex: number, sizeMax: number): void {
    this.error = undefined;
    this.state = 'header';
    this.chunkIndex = chunkIndex;
    this.sizeMax = sizeMax;
    this.count = 0;
    this.offset = 0;
  }

  /**
   * Takes of bytes[start, end) what belongs to header and table, and returns the offset after that:
   * `end`, or less where the body begins. Nothing is taken after an error.
   */
  push(bytes: Uint8Array, start: number, end: number): number {
    assert(start >= 0 && start <= end && end <= bytes.length, 'patch range past its bytes');
    let at = start;
    while (at < end && this.state !== 'body' && this.error === undefined) {
      const inEntry = (this.offset - HEADER_SIZE) % ENTRY_SIZE;
      this.bytes[this.offset < HEADER_SIZE ? this.offset : HEADER_SIZE + inEntry] = bytes[
        at
      ] as number;
      at += 1;
      this.offset += 1;
      if (this.offset === HEADER_SIZE) this.readHeader();
      else if (this.offset === patchTableEnd(this.chunkIndex)) this.readEntry();
      if (this.offset === this.tableEnd && this.state === 'ready') this.state = 'body';
    }
    return at;
  }

  /** Whether the delta is from the image with this SHA-256. */
  isFrom(digest: Uint8Array): boolean {
    if (digest.length !== DIGEST_SIZE) return false;
    for (let index = 0; index < DIGEST_SIZE; index += 1) {
      if (this.bytes[BASE_DIGEST_AT + index] !== digest[index]) return false;
    }
    return true;
  }

  private readHeader(): void {
    const { bytes } = this;
    for (let index = 0; index < MAGIC.length; index += 1) {
      if (bytes[index] !== MAGIC[index]) this.error = 'unsupported';
    }
    this.outputSize = readUint32(bytes, 4);
    this.baseSize = readUint32(bytes, 8);
    this.count = readUint32(bytes, 44);
    this.tableEnd = HEADER_SIZE + this.count * ENTRY_SIZE;
    this.state = 'table';
    if (this.error !== undefined) return;
    if (this.outputSize > this.sizeMax) this.error = 'too-long';
    else if (
      this.count !== Math.ceil(this.outputSize / PATCH_CHUNK_SIZE) ||
      this.chunkIndex > Math.max(0, this.count - 1)
    ) {
      this.error = 'corrupt';
    } else if (this.count === 0) {
      this.oldOffset = 0;
      this.bodyOffset = HEADER_SIZE;
      this.state = 'ready';
    }
  }

  private readEntry(): void {
    const { bytes, chunkIndex } = this;
    const patchOffset = readUint32(bytes, HEADER_SIZE);
    this.oldOffset = readUint32(bytes, HEADER_SIZE + 4);
    this.bodyOffset = this.tableEnd + patchOffset;
    if (
      patchOffset > chunkIndex * CHUNK_BODY_SIZE_MAX ||
      this.oldOffset > this.baseSize ||
      (chunkIndex === 0 && (patchOffset > 0 || this.oldOffset > 0))
    ) {
      this.error = 'corrupt';
    } else this.state = 'ready';
  }
}

/** The old image; a `Partition` is one. */
export interface PatchSource {
  readonly size: number;
  /** Fills `into` from `address`. */
  read(address: number, into: Uint8Array): void;
}

/** Takes the output in order: PATCH_CHUNK_SIZE bytes a call, the last call the rest. */
export interface PatchSink {
  /** bytes[start, end) are valid within this call. */
  write(bytes: Uint8Array, start: number, end: number): void;
}

/** Kinds of records, and what `kind` is between them. */
const COPY = 0;
const ADD = 1;
const INSERT = 2;
const SEEK = 3;
/** A variable byte integer's fifth byte counts so much; there is no sixth. */
const SCALE_MAX = 268435456;

/** One patch at a time; `begin` forgets all of the one before. */
export class PatchApplier implements InflateTarget {
  error: PatchError | undefined = undefined;
  /** Bytes of the output that the sink has had, those before the first chunk included. */
  outputCount = 0;
  private readonly inflate: Inflate;
  private readonly chunk: Uint8Array;
  private readonly oldRoom: Uint8Array;
  private old: Uint8Array;
  private oldStart = 0;
  private oldOffset = 0;
  private baseSize = 0;
  private outputSize = 0;
  private source: PatchSource | undefined = undefined;
  private sink: PatchSink | undefined = undefined;
  /** Bytes of the chunk that are there, and that there will be. */
  private chunkCount = 0;
  private chunkSize = 0;
  /** Bytes of the present piece, and whole pieces since the one in which a chunk ended. */
  private pieceSize = 0;
  private pieceCount = 0;
  /** An ADD or INSERT with so many bytes to come; with none the next byte is of a record's head. */
  private kind = INSERT;
  private remaining = 0;
  private value = 0;
  private scale = 1;

  /** Works in `work`, which has at least PATCH_WORK_SIZE bytes and belongs to it from now on. */
  constructor(work: Uint8Array) {
    assert(work.length >= PATCH_WORK_SIZE, 'too little work memory for a patch');
    const chunkAt = INFLATE_WORK_SIZE;
    const oldAt = chunkAt + PATCH_CHUNK_SIZE;
    this.inflate = new Inflate(work.subarray(0, chunkAt), this);
    this.chunk = work.subarray(chunkAt, oldAt);
    this.oldRoom = work.subarray(oldAt, oldAt + OLD_SIZE);
    this.old = this.oldRoom;
  }

  /** Begins at the chunk that `header`, which is ready, was asked for. */
  begin(header: PatchHeader, source: PatchSource, sink: PatchSink): PatchError | undefined {
    assert(header.state === 'ready' || header.state === 'body', 'patch header is not ready');
    this.inflate.begin();
    this.error = header.baseSize > source.size ? 'wrong-base' : undefined;
    this.source = source;
    this.sink = sink;
    this.baseSize = header.baseSize;
    this.outputSize = header.outputSize;
    this.oldOffset = header.oldOffset;
    this.outputCount = header.chunkIndex * PATCH_CHUNK_SIZE;
    // A smaller image is read whole, not past its end.
    this.old = this.baseSize < OLD_SIZE ? this.oldRoom.subarray(0, this.baseSize) : this.oldRoom;
    // Nothing of it is read yet: no address is within.
    this.oldStart = -OLD_SIZE;
    this.kind = INSERT;
    this.remaining = 0;
    this.value = 0;
    this.scale = 1;
    this.pieceSize = 0;
    this.beginChunk();
    return this.error;
  }

  /** Applies bytes[start, end) of the body; the first error stays, and nothing is written after it. */
  push(bytes: Uint8Array, start: number, end: number): PatchError | undefined {
    assert(start >= 0 && start <= end && end <= bytes.length, 'patch range past its bytes');
    for (let at = start; at < end && this.error === undefined; ) {
      const next = Math.min(at + PIECE_SIZE - this.pieceSize, end);
      const wrong = this.inflate.push(bytes, at, next);
      if (wrong === 'trailing-bytes') this.fail('too-long');
      else if (wrong !== undefined) this.fail('corrupt');
      this.pieceSize += next - at;
      if (this.pieceSize === PIECE_SIZE) this.endPiece();
      at = next;
    }
    return this.error;
  }

  /** The body is over: tells whether all of the output was written. */
  finish(): PatchError | undefined {
    if (this.outputCount < this.outputSize || !this.inflate.done) this.fail('truncated');
    return this.error;
  }

  /** For `Inflate`: takes records, cut anywhere. */
  onInflated(bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end; ) {
      if (this.chunkSize === 0) return this.fail('too-long');
      if (this.remaining > 0) at = this.fill(bytes, at, end);
      else {
        if (!this.readHead(bytes[at] as number)) return false;
        at += 1;
      }
      if (this.chunkCount === this.chunkSize) this.endChunk();
    }
    return true;
  }

  private fail(error: PatchError): false {
    if (this.error === undefined) this.error = error;
    return false;
  }

  private beginChunk(): void {
    this.chunkCount = 0;
    this.chunkSize = Math.min(PATCH_CHUNK_SIZE, this.outputSize - this.outputCount);
    this.pieceCount = -1;
  }

  private endPiece(): void {
    this.pieceSize = 0;
    this.pieceCount += 1;
    if (this.pieceCount > PIECE_COUNT_MAX) this.fail('too-long');
  }

  private endChunk(): void {
    this.outputCount += this.chunkSize;
    (this.sink as PatchSink).write(this.chunk, 0, this.chunkSize);
    this.beginChunk();
  }

  /** Takes a byte of a record's head, and begins the record with the last of them. */
  private readHead(byte: number): boolean {
    this.value += (byte & 127) * this.scale;
    if (byte > 127) {
      if (this.scale === SCALE_MAX) return this.fail('corrupt');
      this.scale *= 128;
      return true;
    }
    const kind = this.value & 3;
    const count = (this.value - kind) / 4;
    this.value = 0;
    this.scale = 1;
    return kind === SEEK ? this.seek(count) : this.beginRecord(kind, count + 1);
  }

  private seek(count: number): boolean {
    // Signs are in bit 0. Doubles: numbers have up to 33 bits here.
    this.oldOffset += count % 2 === 0 ? count / 2 : -(count + 1) / 2;
    return (this.oldOffset >= 0 && this.oldOffset <= this.baseSize) || this.fail('corrupt');
  }

  private beginRecord(kind: number, size: number): boolean {
    // Chunks begin with a record, so the last is the only one that can want too much.
    if (size > this.chunkSize - this.chunkCount) {
      return this.fail(this.outputCount + size > this.outputSize ? 'too-long' : 'corrupt');
    }
    if (kind !== INSERT && size > this.baseSize - this.oldOffset) return this.fail('corrupt');
    if (kind === COPY) this.copy(size);
    else {
      this.kind = kind;
      this.remaining = size;
    }
    return true;
  }

  private copy(size: number): void {
    const end = this.chunkCount + size;
    while (this.chunkCount < end) {
      this.chunk[this.chunkCount] = this.readOld();
      this.chunkCount += 1;
    }
  }

  /** Takes bytes of the present record; returns the offset after them. */
  private fill(bytes: Uint8Array, start: number, end: number): number {
    const next = Math.min(end, start + this.remaining);
    for (let at = start; at < next; at += 1) {
      const byte = bytes[at] as number;
      this.chunk[this.chunkCount] = this.kind === ADD ? (byte + this.readOld()) & 255 : byte;
      this.chunkCount += 1;
    }
    this.remaining -= next - start;
    return next;
  }

  /** The byte at the old offset, which is in the old image and goes on. */
  private readOld(): number {
    let index = this.oldOffset - this.oldStart;
    if (index < 0 || index >= this.old.length) {
      this.oldStart = Math.min(this.oldOffset, this.baseSize - this.old.length);
      (this.source as PatchSource).read(this.oldStart, this.old);
      index = this.oldOffset - this.oldStart;
    }
    this.oldOffset += 1;
    return this.old[index] as number;
  }
}
