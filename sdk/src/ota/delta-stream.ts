// A delta on its way into the slot: header, the one entry of the table that a resume needs, body.

import type { Partition, Platform } from '../platform.ts';
import {
  PATCH_CHUNK_SIZE,
  PATCH_WORK_SIZE,
  PatchApplier,
  PatchHeader,
  type PatchSink,
  patchTableEnd,
} from './patch.ts';
import type { SlotWriter } from './slot-writer.ts';

export class DeltaStream implements PatchSink {
  private readonly platform: Platform;
  private readonly running: Partition;
  /** SHA-256 of the running image. */
  private readonly base: Uint8Array;
  private readonly writer: SlotWriter;
  private readonly imageSize: number;
  private readonly work: Uint8Array;
  private readonly header = new PatchHeader();
  private readonly applier: PatchApplier;
  private hasBegun = false;
  private fault: string | undefined = undefined;

  /** Claims work memory until `release`; throws when there is not enough. */
  constructor(platform: Platform, running: Partition, writer: SlotWriter, imageSize: number) {
    this.platform = platform;
    this.running = running;
    this.base = (platform.firmware as NonNullable<Platform['firmware']>).digest;
    this.writer = writer;
    this.imageSize = imageSize;
    this.work = platform.memory.allocate(PATCH_WORK_SIZE);
    this.applier = new PatchApplier(this.work);
  }

  release(): void {
    this.platform.memory.release(this.work);
  }

  /** Where the slot can go on whose first `progress` bytes are there. */
  resumeAt(progress: number, sectorSize: number): number {
    const address = Math.floor(progress / PATCH_CHUNK_SIZE) * PATCH_CHUNK_SIZE;
    return address % sectorSize === 0 ? address : 0;
  }

  /**
   * Begins at the output's byte `address`, as `resumeAt` gave it. Returns the end of the first
   * range to ask for; then `bodyOffset` says where the second begins. Infinity = one is enough.
   */
  begin(address: number): number {
    const chunkIndex = address / PATCH_CHUNK_SIZE;
    this.hasBegun = false;
    this.fault = undefined;
    this.header.begin(chunkIndex, this.imageSize);
    return chunkIndex === 0 ? Number.POSITIVE_INFINITY : patchTableEnd(chunkIndex);
  }

  /** Where in the file the body goes on; 0 = not known yet. */
  get bodyOffset(): number {
    const { bodyOffset, error, state } = this.header;
    return error === undefined && (state === 'ready' || state === 'body') ? bodyOffset : 0;
  }

  /** Takes the next bytes of the file; a code when they cannot be right. */
  push(bytes: Uint8Array, start: number, end: number): string | undefined {
    const { applier, header } = this;
    let at = start;
    if (!this.hasBegun) {
      at = header.push(bytes, start, end);
      if (header.error !== undefined) return header.error;
      const isReady =
        header.state === 'body' || (header.state === 'ready' && header.chunkIndex > 0);
      if (!isReady) return undefined;
      if (!header.isFrom(this.base)) return 'wrong-base';
      if (header.outputSize !== this.imageSize) return 'wrong-size';
      this.hasBegun = true;
      const code = applier.begin(header, this.running, this);
      if (code !== undefined) return code;
    }
    if (at === end) return undefined;
    const code = applier.push(bytes, at, end);
    return code === undefined ? this.fault : code;
  }

  /** The file is over. */
  finish(): string | undefined {
    return this.hasBegun ? this.applier.finish() : 'truncated';
  }

  /** For the applier. */
  write(bytes: Uint8Array, start: number, end: number): void {
    const code = this.writer.write(bytes, start, end);
    if (code !== undefined) this.fault = code;
  }
}
