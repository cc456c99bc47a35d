// Settings over ECMA-419 key-value storage. On ESP32 that is NVS, which writes a value beside the
// old one and switches over when it is whole, and commits every write: a set is atomic.

import KeyValue, { type KeyValueStore } from 'embedded:storage/key-value';
import { SETTINGS_KEY_LENGTH_MAX, type Settings } from '../../src/platform.ts';

export class ModdableSettings implements Settings {
  private readonly store: KeyValueStore;

  /** `path` is the namespace in NVS, at most 15 characters. */
  constructor(path: string) {
    this.store = KeyValue.open({ path, format: 'buffer' });
  }

  get(key: string): Uint8Array | undefined {
    checkKey(key);
    const value = this.store.read(key);
    return value === undefined ? undefined : new Uint8Array(value);
  }

  set(key: string, value: Uint8Array): void {
    checkKey(key);
    this.store.write(key, value);
  }

  delete(key: string): void {
    checkKey(key);
    if (this.store.read(key) !== undefined) this.store.delete(key);
  }
}

/** NVS would cut a longer key short, or refuse it, depending on its version. */
function checkKey(key: string): void {
  if (key.length === 0 || key.length > SETTINGS_KEY_LENGTH_MAX) {
    throw new RangeError(`settings key '${key}': expected 1-${SETTINGS_KEY_LENGTH_MAX} characters`);
  }
}
