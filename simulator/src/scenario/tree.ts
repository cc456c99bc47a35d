// A scenario file as plain values: copying without shared parts, setting by path, finding the
// place of a value in the file.

import { nearest } from '@flotilla/command-line/nearest';
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import { formatPath, type Path, show } from './mistakes.ts';

/** Deeper than any scenario; what an alias inside itself runs into. */
const DEPTH_MAX = 32;

/** A plain value of YAML: maps have string keys. */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

/** The mistake of a path, found while it is followed. */
export class PathError extends Error {}

/**
 * A copy in which every part is its own, so that setting one fleet's count does not set that of
 * another written as its alias. `text` maps each text of the tree. Throws `PathError` when the
 * tree is too deep.
 */
export function copyTree(
  value: unknown,
  text: (text: string, path: Path) => string = (unchanged) => unchanged,
  path: Path = [],
): Value {
  if (path.length > DEPTH_MAX) throw new PathError(`is nested deeper than ${DEPTH_MAX} levels`);
  if (typeof value === 'string') return text(value, path);
  if (Array.isArray(value)) {
    return value.map((item, index) => copyTree(item, text, [...path, index]));
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, copyTree(item, text, [...path, key])] as const,
    );
    return Object.fromEntries(entries);
  }
  return value as Value;
}

/** `fleets[0].count` and `fleets.thermometers.count` in parts; undefined when it is no path. */
export function parsePath(text: string): (string | number)[] | undefined {
  if (!/^[^.[\]]+(\.[^.[\]]+|\[\d+\])*$/.test(text)) return undefined;
  return Array.from(text.matchAll(/\[(\d+)\]|[^.[\]]+/g), ([part, index]) =>
    index === undefined ? part : Number(index),
  );
}

/**
 * Sets the value at a path, in which entries of a list may go by their names. Maps on the way
 * are created; a list is never extended. Returns the path, by indexes, of what is new: of the
 * value, or of the outermost map that was created. Throws `PathError`.
 */
export function setAt(root: Value, path: Path, value: Value): Path {
  let parent = root;
  const resolved: (string | number)[] = [];
  let created: Path | undefined;
  for (const [depth, part] of path.entries()) {
    const last = depth === path.length - 1;
    const key = Array.isArray(parent) ? entryIndex(parent, part, resolved) : part;
    if (!isParent(parent) || (typeof key === 'number' && !Array.isArray(parent))) {
      throw new PathError(`${formatPath(resolved)} is ${show(parent)}, not a ${listOrMap(key)}`);
    }
    resolved.push(key);
    const members = parent as Record<string | number, Value>;
    if (last) {
      define(members, key, value);
    } else if (!Object.hasOwn(members, key) || members[key] === null) {
      define(members, key, {});
      created ??= [...resolved];
    }
    parent = members[key]!;
  }
  return created ?? resolved;
}

/** An own member even when its name is `__proto__`. */
function define(members: Record<string | number, Value>, key: string | number, value: Value) {
  Object.defineProperty(members, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function isParent(value: Value): value is Value[] | { [key: string]: Value } {
  return typeof value === 'object' && value !== null;
}

function listOrMap(key: string | number): string {
  return typeof key === 'number' ? 'list' : 'map';
}

/** The index of a list entry that is given by its index or by its `name`. */
function entryIndex(list: Value[], part: string | number, path: Path): number {
  const count = `${formatPath(path)} has ${list.length} ${list.length === 1 ? 'entry' : 'entries'}`;
  if (typeof part === 'number') {
    if (part >= list.length) throw new PathError(`no entry [${part}]: ${count}`);
    return part;
  }
  const names = list.map((entry) => (isParent(entry) && !Array.isArray(entry) ? entry.name : null));
  const index = names.indexOf(part);
  if (index >= 0) return index;
  const known = names.filter((name) => typeof name === 'string');
  throw new PathError(`no entry of ${formatPath(path)} is named "${part}"${nearest(part, known)}`);
}

/**
 * The offset in the file of the value at a path, or of the name of that member (`atKey`). For
 * what is not there: the nearest parent that is.
 */
export function offsetOf(document: Document, path: Path, atKey = false): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, part] of path.entries()) {
    const owner = isAlias(node) ? node.resolve(document) : node;
    const pair = isMap(owner) ? findPair(owner.items, part) : undefined;
    const next = isSeq(owner) && typeof part === 'number' ? owner.items[part] : pair?.value;
    const key = startOf(pair?.key);
    if (atKey && depth === path.length - 1) return key ?? offset;
    if (pair === undefined && next === undefined) return offset;
    node = next;
    offset = startOf(next) ?? key ?? offset;
  }
  return offset;
}

function findPair(pairs: readonly Pair[], name: string | number): Pair | undefined {
  return pairs.find(({ key }) => String(isScalar(key) ? key.value : key) === String(name));
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
