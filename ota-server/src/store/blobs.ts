// Images and deltas: in a directory, each under the SHA-256 of its bytes, or in memory for tests
// and simulations. A blob is either whole or not there.

import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

/** What a blob is, and the end of its name. */
export type BlobKind = 'bin' | 'delta';

export interface StoredBlob {
  /** `<hex SHA-256>.<kind>`. */
  readonly name: string;
  readonly size: number;
  /** Lowercase hex. */
  readonly sha256: string;
}

export interface Blobs {
  /**
   * Stores what comes, at most `sizeMax` bytes; throws BlobTooLarge past it. Whatever goes wrong,
   * nothing of it stays. Storing the same bytes again is fine.
   */
  write(source: AsyncIterable<Uint8Array>, kind: BlobKind, sizeMax: number): Promise<StoredBlob>;
  /** The bytes [start, end); the range must be within the blob. */
  read(name: string, start: number, end: number): Readable;
  /** Bytes of the blob, or undefined when there is none. */
  size(name: string): Promise<number | undefined>;
  remove(name: string): Promise<void>;
}

/** The source gave more than the limit. */
export class BlobTooLarge extends Error {
  override readonly name = 'BlobTooLarge';
}

const PART = '.part';

export class FileBlobs implements Blobs {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes the folder, and clears what uploads that a crash cut have left there. */
  static async open(folder: string): Promise<FileBlobs> {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      if (name.endsWith(PART)) await rm(join(folder, name), { force: true });
    }
    return new FileBlobs(folder);
  }

  async write(
    source: AsyncIterable<Uint8Array>,
    kind: BlobKind,
    sizeMax: number,
  ): Promise<StoredBlob> {
    const part = join(this.folder, `${randomUUID()}${PART}`);
    const hash = createHash('sha256');
    let size = 0;
    try {
      const file = await open(part, 'wx');
      try {
        for await (const chunk of source) {
          size += chunk.length;
          if (size > sizeMax) throw new BlobTooLarge();
          hash.update(chunk);
          await file.writeFile(chunk);
        }
        // What a release names must survive a power cut that follows the answer.
        await file.sync();
      } finally {
        await file.close();
      }
      const sha256 = hash.digest('hex');
      const name = `${sha256}.${kind}`;
      await rename(part, join(this.folder, name));
      return { name, size, sha256 };
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }

  read(name: string, start: number, end: number): Readable {
    if (start === end) return Readable.from([]);
    return createReadStream(join(this.folder, name), { start, end: end - 1 });
  }

  async size(name: string): Promise<number | undefined> {
    try {
      return (await stat(join(this.folder, name))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.folder, name), { force: true });
  }
}

export class MemoryBlobs implements Blobs {
  private readonly blobs = new Map<string, Buffer>();

  async write(
    source: AsyncIterable<Uint8Array>,
    kind: BlobKind,
    sizeMax: number,
  ): Promise<StoredBlob> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of source) {
      size += chunk.length;
      if (size > sizeMax) throw new BlobTooLarge();
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const name = `${sha256}.${kind}`;
    this.blobs.set(name, bytes);
    return { name, size, sha256 };
  }

  read(name: string, start: number, end: number): Readable {
    const bytes = this.blobs.get(name);
    if (bytes === undefined) throw new Error(`no blob ${name}`);
    return Readable.from([bytes.subarray(start, end)], { objectMode: false });
  }

  async size(name: string): Promise<number | undefined> {
    return this.blobs.get(name)?.length;
  }

  async remove(name: string): Promise<void> {
    this.blobs.delete(name);
  }
}
