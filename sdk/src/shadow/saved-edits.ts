// Edits that the cloud has not taken yet, as they outlive a reset: the dirty keys with their
// values, what they are based on, and the version of the document. One value of the settings, so
// that a power cut leaves the old ones or the new ones.

import { assert } from '../assert.ts';
import { CborReader, readValue, writeValue } from '../codec/cbor.ts';
import type { Settings } from '../platform.ts';
import { DOCUMENT_COUNT_MAX } from './shadow-codec.ts';
import { DIRTY, type ShadowKey } from './shadow-key.ts';
import { KEY_COUNT_MAX, KEY_SIZE_MAX } from './shadow-profile.ts';
import { isMap, type ShadowValue, sizeLeftAfter, VALUE_DEPTH_MAX } from './shadow-value.ts';

/** Layout: [format, version, {key: [value, seen, seenS, editedMs]}]. */
const FORMAT = 1;
const DEPTH_MAX = VALUE_DEPTH_MAX + 3;
/** Bytes of a key beside its value: name, heads, fingerprint and two times. */
const ENTRY_SIZE_MAX = KEY_SIZE_MAX + 32;

/** Who has the keys. */
export interface EditsOwner {
  readonly first: ShadowKey | undefined;
  /** The key of that name, a new one if need be; undefined when there is no room. */
  claim(name: string): ShadowKey | undefined;
}

/**
 * Writes the dirty keys, of at most `valueSizeMax` bytes each, and the version that they are
 * based on, in one atomic set; where nothing is dirty, nothing is kept.
 */
export function saveEdits(
  settings: Settings,
  settingsKey: string,
  owner: EditsOwner,
  version: number,
  valueSizeMax: number,
): void {
  const edits = Object.create(null) as Record<string, unknown>;
  let count = 0;
  for (let key = owner.first; key !== undefined; key = key.next) {
    if ((key.flags & DIRTY) === 0) continue;
    const editedMs = key.editedMs > 0 ? Math.floor(key.editedMs) : 0;
    edits[key.name] = [key.value, key.seen, key.seenS, editedMs];
    count += 1;
  }
  if (count === 0) {
    settings.delete(settingsKey);
    return;
  }
  // Not the platform's scratch: a program may report while another part builds a message there.
  const bytes = new Uint8Array(count * (valueSizeMax + ENTRY_SIZE_MAX) + 16);
  const end = writeValue(bytes, 0, [FORMAT, version, edits], DEPTH_MAX);
  assert(end <= bytes.length, 'shadow: edits larger than their bound');
  settings.set(settingsKey, bytes.subarray(0, end));
}

/**
 * Hands every saved edit to a key of `owner`, with its value, `seen`, `seenS` and `editedMs` set,
 * and returns the version; 0 and nothing when what was saved cannot be read.
 */
export function loadEdits(
  settings: Settings,
  settingsKey: string,
  owner: EditsOwner,
  flags: number,
): number {
  const bytes = settings.get(settingsKey);
  if (bytes === undefined) return 0;
  const reader = new CborReader();
  reader.reset(bytes, 0, bytes.length);
  const countMax = DOCUMENT_COUNT_MAX + KEY_COUNT_MAX * 8;
  const saved = readValue(reader, { depthMax: DEPTH_MAX, countMax, sizeMax: bytes.length });
  if (!reader.finish() || !Array.isArray(saved) || saved[0] !== FORMAT) return 0;
  const edits: unknown = saved[2];
  if (!isMap(edits)) return 0;
  const names = Object.keys(edits);
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] as string;
    const edit = edits[name];
    if (!Array.isArray(edit)) continue;
    if (sizeLeftAfter(edit[0], VALUE_DEPTH_MAX, bytes.length * 9) < 0) continue;
    const key = owner.claim(name);
    if (key === undefined) break;
    key.value = edit[0] as ShadowValue;
    key.seen = countOf(edit[1]);
    key.seenS = countOf(edit[2]);
    key.editedMs = countOf(edit[3]);
    key.flags = flags;
  }
  return countOf(saved[1]);
}

/** `value` where it is a whole number from 0 on, else 0. */
export function countOf(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0) || Math.floor(value) !== value) return 0;
  // What a reader returns may be boxed as a double; a small integer takes no heap.
  const small = value | 0;
  return small === value ? small : value;
}
