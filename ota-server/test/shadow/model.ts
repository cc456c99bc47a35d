// A second opinion on the shadow's rules: slow, and without a line of the service. A section is a
// list of nodes by path instead of a tree, so merging and comparing have nothing in common.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const OBJECT = Symbol('object');
/** By path as JSON text: `["a","b"]`. */
type Nodes = Map<string, Json | typeof OBJECT>;

function pathsBelow(nodes: Nodes, path: readonly string[]): string[] {
  return [...nodes.keys()].filter((text) => {
    const other = JSON.parse(text) as string[];
    return path.every((key, index) => other[index] === key);
  });
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function put(nodes: Nodes, path: readonly string[], value: Json): void {
  const text = JSON.stringify(path);
  if (!isObject(value) || nodes.get(text) !== OBJECT) {
    for (const below of pathsBelow(nodes, path)) nodes.delete(below);
  }
  if (value === null) return;
  nodes.set(text, isObject(value) ? OBJECT : value);
  if (isObject(value))
    for (const key of Object.keys(value)) put(nodes, [...path, key], value[key]!);
}

function leaves(nodes: Nodes): [path: string[], leaf: Json][] {
  return [...nodes].flatMap(([text, value]) =>
    value === OBJECT ? [] : [[JSON.parse(text) as string[], value] as [string[], Json]],
  );
}

/** Builds a tree of paths and values; of OBJECT nodes too. */
function grow(entries: readonly (readonly [readonly string[], Json])[]): Json {
  const root: { [key: string]: Json } = Object.create(null);
  for (const [path, value] of entries) {
    let at = root;
    for (const key of path.slice(0, -1)) {
      at[key] ??= Object.create(null);
      at = at[key] as { [key: string]: Json };
    }
    const last = path.at(-1);
    if (last !== undefined && !(isObject(value) && at[last] !== undefined)) at[last] = value;
  }
  return root;
}

/** Sorted copies of both, so that the order of members means nothing. */
function same(a: Json, b: Json): boolean {
  return canonical(a) === canonical(b);
}

export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(value[key]!)}`).join()}}`;
}

/** One device's shadow. */
export class ShadowModel {
  version = 0;
  exists = false;
  private readonly sections = { desired: new Map() as Nodes, reported: new Map() as Nodes };

  update(state: { desired?: Json; reported?: Json }): void {
    this.exists = true;
    this.version += 1;
    for (const name of ['desired', 'reported'] as const) {
      const patch = state[name];
      if (patch !== undefined) put(this.sections[name], [], patch);
    }
  }

  delete(): void {
    this.exists = false;
    this.version = 0;
    for (const nodes of Object.values(this.sections)) nodes.clear();
  }

  /** Undefined where the section has no members. */
  section(name: 'desired' | 'reported'): Json | undefined {
    const entries = [...this.sections[name]].map(([text, value]) => {
      return [
        JSON.parse(text) as string[],
        value === OBJECT ? Object.create(null) : value,
      ] as const;
    });
    const tree = grow(entries);
    return Object.keys(tree as object).length === 0 ? undefined : tree;
  }

  /** The deep difference; undefined when there is none. */
  delta(): Json | undefined {
    const { desired, reported } = this.sections;
    const differing = leaves(desired).filter(([path, leaf]) => {
      const other = reported.get(JSON.stringify(path));
      return other === undefined || other === OBJECT || !same(leaf, other);
    });
    return differing.length === 0 ? undefined : grow(differing);
  }
}
