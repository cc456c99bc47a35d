// What the oracles of the tests (mqtt-packet, cbor-x, fast-check) expect of an engine, and XS has
// not. The SDK itself gets none of it: the ban on these names in sdk/src is a test of its own.

// The npm package of that name stands in for it.
import { Buffer } from 'node:buffer';

declare const print: (text: string) => void;

const world = globalThis as unknown as Record<string, unknown>;
const toLine = (...parts: unknown[]) => print(parts.map(String).join(' '));

world.Buffer = Buffer;
world.console = { log: toLine, warn: toLine, error: toLine, info: toLine, debug: toLine };
world.process = {
  env: {},
  argv: [],
  version: '',
  versions: {},
  nextTick: (run: (...args: unknown[]) => void, ...args: unknown[]) =>
    Promise.resolve().then(() => run(...args)),
};
world.setTimeout = () => 0;
world.clearTimeout = () => undefined;

/** As far as documents go: plain data, bytes and maps. */
function cloneOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map(cloneOf);
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, cloneOf(one)]));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cloneOf(one)]));
}

world.structuredClone = cloneOf;
