// Files that commands read and write. Whatever lies at a path that a user gave, the outcome is the
// file or one clear line.

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CommandError } from './errors.ts';

/** The largest file that is read: flash of a chip, images of firmware. */
export const FILE_SIZE_MAX = 64 * 1024 * 1024;
/** Keys, fuses and envelopes are small. */
export const TEXT_SIZE_MAX = 64 * 1024;

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

/** What went wrong with a file, in words. */
export function causeOf({ code = '', message }: NodeJS.ErrnoException): string {
  return CAUSES[code] ?? message;
}

function failure(path: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  return new CommandError(`${path}: ${causeOf(error as NodeJS.ErrnoException)}`);
}

/** A pipe or a device could hang or never end, and must not be replaced by a file. */
function checkRegular(path: string, stats: Stats): void {
  if (stats.isDirectory()) throw new CommandError(`${path}: is a folder`);
  if (!stats.isFile()) throw new CommandError(`${path}: is not a regular file`);
}

/** The content of a file of at most `sizeMax` bytes. Throws a CommandError. */
export function readBytes(path: string, sizeMax = FILE_SIZE_MAX): Uint8Array {
  try {
    checkRegular(path, statSync(path));
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

/** The text of a file of at most `sizeMax` bytes. Throws a CommandError. */
export function readText(path: string, sizeMax = TEXT_SIZE_MAX): string {
  return Buffer.from(readBytes(path, sizeMax)).toString('utf8');
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
    throw isThere(error) ? new CommandError(`${path}: is not a folder`) : failure(path, error);
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
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined) checkRegular(path, stats);
    const target = stats === undefined ? path : realpathSync(path);
    const beside = besideOf(target);
    try {
      writeNew(beside, bytes, stats?.mode ?? 0o666);
      renameSync(beside, target);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    }
  } catch (error) {
    throw failure(path, error);
  }
}

/**
 * Writes what a command reports: into a file, whose folder is made and which is replaced at once,
 * or into a pipe or device that is there (`/dev/stdout`). Throws a CommandError.
 */
export function writeOutput(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.isFile()) replaceFile(path, Buffer.from(text));
    else writeFileSync(path, text);
  } catch (error) {
    throw failure(path, isThere(error) ? { code: 'ENOTDIR' } : error);
  }
}

/**
 * Finds out before the work whether `writeOutput` will be able to: makes the folder, and tries to
 * write there. Throws a CommandError.
 */
export function checkOutput(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory() === true) throw new CommandError(`${path}: is a folder`);
    if (stats !== undefined) accessSync(path, constants.W_OK);
    if (stats !== undefined && !stats.isFile()) return;
    const beside = besideOf(stats === undefined ? path : realpathSync(path));
    try {
      writeNew(beside, new Uint8Array(0), 0o666);
    } finally {
      rmSync(beside, { force: true });
    }
  } catch (error) {
    throw failure(path, isThere(error) ? { code: 'ENOTDIR' } : error);
  }
}

/** Where a file is written before it takes the place of `target`. */
function besideOf(target: string): string {
  return `${target}.${process.pid}.tmp`;
}

/** A folder was to be made where there is something else. */
function isThere(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
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
