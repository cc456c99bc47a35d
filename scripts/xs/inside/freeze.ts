// What Moddable's preload does to modules: everything that they hold at their end lies in flash
// and cannot change any more. A module that keeps state, or writes to a shared table, throws here
// as it would there (both are strict code).

const frozen = new Set<unknown>();

/** Values of a module's top-level names, by name. */
type Names = Readonly<Record<string, unknown>>;

interface Census {
  moduleCount: number;
  objectCount: number;
  functionCount: number;
}

const census: Census = { moduleCount: 0, objectCount: 0, functionCount: 0 };

/** Freezes a value and all that it leads to, prototypes, getters and the engine's own included. */
function freezeDeep(value: unknown, path: string): void {
  const isObject = typeof value === 'object' && value !== null;
  if ((!isObject && typeof value !== 'function') || frozen.has(value)) return;
  // Its content cannot be frozen here; in flash it is a read-only buffer. So there must be none.
  if (ArrayBuffer.isView(value) && value.byteLength > 0) {
    throw new TypeError(`${path}: a typed array in a module`);
  }
  if (value instanceof Map || value instanceof Set) throw new TypeError(`${path}: a collection`);
  frozen.add(value);
  Object.freeze(value);
  census[typeof value === 'function' ? 'functionCount' : 'objectCount'] += 1;
  freezeDeep(Object.getPrototypeOf(value), `${path}.prototype`);
  for (const key of Reflect.ownKeys(value as object)) {
    const property = Object.getOwnPropertyDescriptor(value, key) as PropertyDescriptor;
    const name = `${path}.${String(key)}`;
    if ('value' in property) freezeDeep(property.value, name);
    else {
      freezeDeep(property.get, name);
      freezeDeep(property.set, name);
    }
  }
}

/** Called at the end of each module of the SDK, before anything uses it. */
export function freezeModule(path: string, names: Names): void {
  census.moduleCount += 1;
  for (const name of Object.keys(names)) freezeDeep(names[name], `${path}: ${name}`);
}

/** The engine's own objects, which lie in flash too. */
export function freezeEngine(): void {
  for (const value of [Object, Function, Array, String, Number, Boolean, Error, RangeError]) {
    freezeDeep(value, value.name);
  }
  for (const value of [TypeError, RegExp, Date, Uint8Array, ArrayBuffer, DataView]) {
    freezeDeep(value, value.name);
  }
  for (const value of [Math, JSON]) freezeDeep(value, String(value));
}

export function frozenCensus(): Readonly<Census> {
  return census;
}
