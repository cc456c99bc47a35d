// Settings in files, one per key: written beside, synced, then renamed over the old one, so that
// after a power cut the old or the new value is there.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { SETTINGS_KEY_LENGTH_MAX, type Settings } from '../../src/platform.ts';

/** Keeps settings in `folder`, which is created; file-system errors are thrown as they are. */
export class FileSettings implements Settings {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  get(key: string): Uint8Array | undefined {
    try {
      return new Uint8Array(readFileSync(this.path(key)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  set(key: string, value: Uint8Array): void {
    const path = this.path(key);
    // A name that no key has.
    const pathNew = `${path}~new`;
    const file = openSync(pathNew, 'w');
    try {
      writeFileSync(file, value);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(pathNew, path);
    this.syncFolder();
  }

  delete(key: string): void {
    rmSync(this.path(key), { force: true });
    this.syncFolder();
  }

  /** A rename is durable only when the folder is. */
  private syncFolder(): void {
    if (process.platform === 'win32') return;
    const folder = openSync(this.folder, 'r');
    fsyncSync(folder);
    closeSync(folder);
  }

  private path(key: string): string {
    checkKey(key);
    return join(this.folder, key);
  }
}

/** Throws a RangeError for a key that some port could not keep; `..` is no file's name. */
function checkKey(key: string): void {
  if (key.length > SETTINGS_KEY_LENGTH_MAX || !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(key)) {
    throw new RangeError(
      `settings key '${key}': expected 1-15 of a-z 0-9 . - from a letter or digit to another`,
    );
  }
}

/** Settings that end with the process. */
export class MemorySettings implements Settings {
  private readonly values = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    checkKey(key);
    const value = this.values.get(key);
    return value === undefined ? undefined : new Uint8Array(value);
  }

  set(key: string, value: Uint8Array): void {
    checkKey(key);
    this.values.set(key, new Uint8Array(value));
  }

  delete(key: string): void {
    checkKey(key);
    this.values.delete(key);
  }
}
