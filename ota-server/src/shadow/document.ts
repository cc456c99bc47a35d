// The state of a shadow as a tree of values, and what is done with it: merge, difference,
// timestamps, size. Rules of AWS IoT's shadow documents
// (docs.aws.amazon.com/iot/latest/developerguide/device-shadow-document.html).
//
// Trees have no prototype and are never changed: a merge makes a new one and shares what stayed.

/** An object of a document. */
export interface Tree {
  readonly [key: string]: Value;
}

export type Value = boolean | number | string | null | readonly Value[] | Tree;

/** The two sections of a state; one without members is absent. */
export interface State {
  readonly desired?: Tree;
  readonly reported?: Tree;
}

/** Of one device. `metadata` has the shape of `state`, with `{timestamp}` for each leaf. */
export interface Shadow {
  readonly state: State;
  readonly metadata: State;
  /** 1 after creation; one more after each update. */
  readonly version: number;
  /** Bytes of the state as JSON in UTF-8: what counts towards STATE_SIZE_MAX. */
  readonly size: number;
}

export const SECTIONS = ['desired', 'reported'] as const;

type Members = Record<string, Value>;

/** An object without prototype, so that no key means more than another. */
export function emptyTree(): Record<string, never> {
  return Object.create(null) as Record<string, never>;
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A tree with these members; those that are undefined are left out. */
export function treeOf(members: Readonly<Record<string, Value | undefined>>): Tree {
  const tree: Members = emptyTree();
  for (const [key, value] of Object.entries(members)) if (value !== undefined) tree[key] = value;
  return tree;
}

/**
 * Merges a patch into a tree as RFC 7396 says: objects member by member, null removes, anything
 * else, arrays too, replaces.
 */
export function merge(tree: Tree | undefined, patch: Tree): Tree {
  const merged: Members = Object.assign(emptyTree(), tree);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = isTree(value) ? merge(treeAt(merged, key), value) : value;
  }
  return merged;
}

/** The metadata after `patch` was merged into a state: the patch's leaves have `stamp`. */
export function mergeMetadata(metadata: Tree | undefined, patch: Tree, stamp: Tree): Tree {
  const merged: Members = Object.assign(emptyTree(), metadata);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      delete merged[key];
    } else if (isTree(value)) {
      // Where a leaf was, an object begins anew: the leaf's timestamp must not stay.
      const before = treeAt(merged, key);
      merged[key] = mergeMetadata(isStamp(before) ? undefined : before, value, stamp);
    } else {
      merged[key] = stamped(value, stamp);
    }
  }
  return merged;
}

/** The metadata of a leaf that was set at `timestampS`, one object for all leaves of an update. */
export function createStamp(timestampS: number): Tree {
  return treeOf({ timestamp: timestampS });
}

/** A value's shape with `stamp` for each leaf. AWS stamps each element of an array. */
export function stamped(value: Value, stamp: Tree): Value {
  if (Array.isArray(value)) return value.map((element) => stamped(element, stamp));
  if (!isTree(value)) return stamp;
  const members: Members = emptyTree();
  for (const [key, member] of Object.entries(value)) members[key] = stamped(member, stamp);
  return members;
}

/**
 * The leaves of `desired` that `reported` lacks or has otherwise, with their path from the root;
 * undefined when there are none. An array is a leaf. What only `reported` has is no difference,
 * nor is an empty object: it holds no leaf.
 */
export function difference(
  desired: Tree | undefined,
  reported: Tree | undefined,
): Tree | undefined {
  const differing: Members = emptyTree();
  for (const [key, value] of Object.entries(desired ?? {})) {
    const other = reported?.[key];
    if (isTree(value)) {
      const part = difference(value, isTree(other) ? other : undefined);
      if (part !== undefined) differing[key] = part;
    } else if (!equal(value, other)) {
      differing[key] = value;
    }
  }
  return Object.keys(differing).length === 0 ? undefined : differing;
}

/** The part of `metadata` that a part of its state has. */
export function metadataOf(metadata: Tree | undefined, part: Tree): Tree {
  const members: Members = emptyTree();
  for (const [key, value] of Object.entries(part)) {
    const found = metadata?.[key];
    if (found === undefined) continue;
    members[key] = isTree(value) && isTree(found) ? metadataOf(found, value) : found;
  }
  return members;
}

/** Deep equality of values. */
export function equal(a: Value, b: Value | undefined): boolean {
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return a.every((element, index) => equal(element, b[index]));
  }
  if (!isTree(a)) return a === b;
  if (!isTree(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => equal(a[key] as Value, b[key]));
}

/** Bytes of a state as JSON in UTF-8, without white space. */
export function stateSize(state: State): number {
  return Buffer.byteLength(JSON.stringify(state));
}

function treeAt(tree: Tree, key: string): Tree | undefined {
  const value = tree[key];
  return isTree(value) ? value : undefined;
}

/** True for the metadata of a leaf. Metadata of an object named `timestamp` holds no number. */
function isStamp(metadata: Tree | undefined): boolean {
  return typeof metadata?.timestamp === 'number';
}
