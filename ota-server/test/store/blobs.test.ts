import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Blobs, BlobTooLarge, FileBlobs, MemoryBlobs } from '../../src/store/blobs.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blobs-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const [index, size] of sizes.entries()) yield new Uint8Array(size).fill(index + 1);
}

async function* cutAfter(size: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(size);
  throw new Error('the connection was cut');
}

const stores: Record<string, () => Promise<Blobs>> = {
  file: () => FileBlobs.open(folder),
  memory: async () => new MemoryBlobs(),
};

describe.each(Object.keys(stores))('blobs: %s', (name) => {
  test('what was written is read, whole and by range, under its digest', async () => {
    const blobs = await stores[name]!();
    const blob = await blobs.write(chunks(3, 0, 4), 'bin', 7);
    expect(blob).toMatchObject({ size: 7, name: `${blob.sha256}.bin` });
    expect(await blobs.size(blob.name)).toBe(7);
    const bytes = [1, 1, 1, 3, 3, 3, 3];
    for (let start = 0; start <= 7; start += 1) {
      for (let end = start; end <= 7; end += 1) {
        expect([...(await buffer(blobs.read(blob.name, start, end)))]).toEqual(
          bytes.slice(start, end),
        );
      }
    }
    expect(await blobs.write(chunks(3, 0, 4), 'bin', 7)).toEqual(blob);
    await blobs.remove(blob.name);
    expect(await blobs.size(blob.name)).toBeUndefined();
  });

  test('one byte too many, or a cut, leaves nothing', async () => {
    const blobs = await stores[name]!();
    await expect(blobs.write(chunks(3, 5), 'bin', 7)).rejects.toThrow(BlobTooLarge);
    await expect(blobs.write(cutAfter(5), 'bin', 7)).rejects.toThrow('cut');
    expect(await readdir(folder)).toEqual([]);
  });
});

test('what a crash left of uploads is cleared, and blobs stay', async () => {
  const blob = await (await FileBlobs.open(folder)).write(chunks(9), 'delta', 9);
  await writeFile(join(folder, 'half.part'), 'half');
  await FileBlobs.open(folder);
  expect(await readdir(folder)).toEqual([blob.name]);
});
