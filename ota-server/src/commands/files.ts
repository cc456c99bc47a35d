// Files that commands read and write. Whatever lies at a path that a user gave, the outcome is the
// file or one clear line.

import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { CommandError } from './command-error.ts';

/** The largest firmware image that is read. */
export const IMAGE_SIZE_MAX = 64 * 1024 * 1024;
/** Keys and envelopes are small. */
export const SMALL_SIZE_MAX = 64 * 1024;

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  ELOOP: 'its symbolic links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  ENOSPC: 'no space left',
  EROFS: 'on a read-only file system',
  EEXIST: 'is there already; it is not overwritten',
};

function failure(path: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new CommandError(`${path}: ${CAUSES[code] ?? message}`);
}

/** The content of a regular file of at most `sizeMax` bytes. Throws a CommandError. */
export function readBytes(path: string, sizeMax: number): Uint8Array {
  try {
    // A pipe or a device could hang or never end.
    const stats = statSync(path);
    if (stats.isDirectory()) throw new CommandError(`${path}: is a folder`);
    if (!stats.isFile()) throw new CommandError(`${path}: is not a regular file`);
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      if (size > sizeMax) {
        throw new CommandError(`${path}: ${size} bytes are too many, at most ${sizeMax} are read`);
      }
      // What the file has grown by since is left out: it could go on for ever.
      const bytes = new Uint8Array(size);
      let done = 0;
      for (let count = -1; count !== 0 && done < size; done += count) {
        count = readSync(file, bytes, done, size - done, null);
      }
      return bytes.subarray(0, done);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw failure(path, error);
  }
}

/** The text of a small file. Throws a CommandError. */
export function readText(path: string): string {
  return Buffer.from(readBytes(path, SMALL_SIZE_MAX)).toString('utf8');
}

/** True where there is anything at this path. Throws a CommandError. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw failure(path, error);
  }
}

/** Names of the files in a folder; none where there is no such folder. Throws a CommandError. */
export function filesIn(path: string): string[] {
  try {
    return exists(path) ? readdirSync(path) : [];
  } catch (error) {
    throw failure(path, error);
  }
}

/** Makes a folder with those above it, unless it is there. Throws a CommandError. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw failure(path, error);
  }
}

/** Writes a file that must not be there yet. Throws a CommandError. */
export function createFile(path: string, bytes: Uint8Array | string, mode = 0o666): void {
  try {
    writeNew(path, Buffer.from(bytes), mode);
  } catch (error) {
    throw failure(path, error);
  }
}

/**
 * Writes a file, or replaces it at once: it is written beside and renamed, so that an interruption
 * leaves the old one or the new one. Throws a CommandError.
 */
export function replaceFile(path: string, bytes: Uint8Array): void {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isFile()) {
      throw new CommandError(`${path}: is not a regular file`);
    }
    writeNew(beside, bytes, 0o666);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw failure(path, error);
  }
}

function writeNew(path: string, bytes: Uint8Array, mode: number): void {
  const file = openSync(path, 'wx', mode);
  try {
    let done = 0;
    while (done < bytes.length) done += writeSync(file, bytes, done);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
