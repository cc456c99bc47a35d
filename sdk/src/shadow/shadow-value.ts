// Values in a shadow: what JSON can say (AWS IoT Developer Guide, "Device Shadow service
// documents"), how two of them compare, and a fingerprint to recognise one again.

import { utf8Size } from '../codec/text.ts';

const hasOwn = Object.prototype.hasOwnProperty;

/** A value of the shadow. Once handed over it belongs to the shadow: do not change it. */
export type ShadowValue =
  | null
  | boolean
  | number
  | string
  | readonly ShadowValue[]
  | { readonly [member: string]: ShadowValue };

/** Part of a document. */
export interface ShadowMap {
  readonly [member: string]: unknown;
}

/** Levels of nesting that a value may have: AWS refuses more with 400. */
export const VALUE_DEPTH_MAX = 6;

export function isMap(value: unknown): value is ShadowMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own member of that name, or undefined. */
export function member(map: unknown, name: string): unknown {
  return isMap(map) && hasOwn.call(map, name) ? map[name] : undefined;
}

/**
 * What is left of `sizeLeft` bytes after `value` in either encoding; negative when it takes more,
 * nests deeper than `depthMax`, or is not data: a function, undefined, bytes, NaN, `__proto__`.
 */
export function sizeLeftAfter(value: unknown, depthMax: number, sizeLeft: number): number {
  if (sizeLeft < 0) return -1;
  if (value === null || typeof value === 'boolean') return sizeLeft - 1;
  if (typeof value === 'number') return isFinite(value) ? sizeLeft - 9 : -1;
  if (typeof value === 'string') return sizeLeft - 3 - utf8Size(value);
  if (typeof value !== 'object' || depthMax <= 0) return -1;
  let left = sizeLeft - 3;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && left >= 0; index += 1) {
      left = sizeLeftAfter(value[index], depthMax - 1, left);
    }
    return left;
  }
  if (!isPlain(value)) return -1;
  const keys = Object.keys(value);
  for (let index = 0; index < keys.length && left >= 0; index += 1) {
    const key = keys[index] as string;
    if (key === '__proto__') return -1;
    left = sizeLeftAfter((value as ShadowMap)[key], depthMax - 1, left - 3 - utf8Size(key));
  }
  return left;
}

/** No instance of a class: bytes and CBOR tags have no place in a shadow. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // `== null`: what Object.create(null) has differs between engines.
  return prototype == null || prototype === Object.prototype;
}

/**
 * True when a delta of `wish` over `have` is empty: members of `wish` are looked at one by one,
 * arrays and plain values must be the same, null is met by nothing, and so is an empty object.
 */
export function meets(wish: unknown, have: unknown): boolean {
  if (wish === null || wish === undefined) return have === null || have === undefined;
  if (isMap(wish)) {
    if (!isMap(have) && have !== null && have !== undefined) return false;
    const keys = Object.keys(wish);
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as string;
      if (!meets(wish[key], member(have, key))) return false;
    }
    return true;
  }
  if (!Array.isArray(wish)) return wish === have;
  if (!Array.isArray(have) || wish.length !== have.length) return false;
  for (let index = 0; index < wish.length; index += 1) {
    if (!meets(wish[index], have[index]) || !meets(have[index], wish[index])) return false;
  }
  return true;
}

/**
 * `value` with null for every member that `old` has and it has not: an update merges objects, so
 * what is gone must be said.
 */
export function withRemovals(value: ShadowValue, old: unknown): ShadowValue {
  if (!isMap(value) || !isMap(old) || meets(old, value)) return value;
  const whole = Object.create(null) as Record<string, ShadowValue>;
  const members = Object.keys(value);
  for (let index = 0; index < members.length; index += 1) {
    const name = members[index] as string;
    whole[name] = withRemovals(value[name] as ShadowValue, member(old, name));
  }
  const olds = Object.keys(old);
  for (let index = 0; index < olds.length; index += 1) {
    const name = olds[index] as string;
    if (member(value, name) === undefined) whole[name] = null;
  }
  return whole;
}

/** `value` without the nulls of `withRemovals`. */
export function withoutRemovals(value: ShadowValue): ShadowValue {
  if (!isMap(value)) return value;
  const left = Object.create(null) as Record<string, ShadowValue>;
  const members = Object.keys(value);
  for (let index = 0; index < members.length; index += 1) {
    const name = members[index] as string;
    const part = value[name] as ShadowValue;
    if (part !== null) left[name] = withoutRemovals(part);
  }
  return left;
}

/** A number of 31 bits that is the same for equal values; 0 for none (undefined or null). */
export function fingerprint(value: unknown): number {
  return value === undefined || value === null ? 0 : (mix(0, value) & 0x7ffffffe) + 1;
}

/** Folds `value` into `hash` (FNV-1a on what tells values apart). */
function mix(hash: number, value: unknown): number {
  if (Array.isArray(value)) {
    let mixed = step(hash, 1);
    for (let index = 0; index < value.length; index += 1) mixed = mix(mixed, value[index]);
    return step(mixed, 2);
  }
  if (!isMap(value)) return mixText(step(hash, typeof value === 'string' ? 3 : 4), `${value}`);
  const keys = Object.keys(value);
  // A sum: the order of members means nothing.
  let sum = keys.length;
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] as string;
    sum = (sum + mix(mixText(5, key), value[key])) | 0;
  }
  return step(step(hash, sum), 6);
}

function mixText(hash: number, text: string): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index += 1) mixed = step(mixed, text.charCodeAt(index));
  return step(mixed, 7);
}

function step(hash: number, value: number): number {
  const mixed = hash ^ value ^ 0x2c9277b5;
  // Times 16777619, in 32 bits: shifts, because a product would not be exact.
  return (
    (mixed + (mixed << 1) + (mixed << 4) + (mixed << 7) + (mixed << 8) + (mixed << 24)) ^
    (mixed >>> 15)
  );
}

/** The newest of the timestamps (s) in a key's metadata, which nests as its value; 0 = none. */
export function newestTimestamp(metadata: unknown): number {
  if (typeof metadata === 'number') return metadata;
  if (typeof metadata !== 'object' || metadata === null) return 0;
  const parts = metadata as ShadowMap;
  const keys = Object.keys(parts);
  let newest = 0;
  for (let index = 0; index < keys.length; index += 1) {
    newest = Math.max(newest, newestTimestamp(parts[keys[index] as string]));
  }
  return newest;
}
