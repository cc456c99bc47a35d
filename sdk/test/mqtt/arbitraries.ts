// Fields of packets for fast-check, as both we and mqtt-packet take them.

import fc from 'fast-check';
import type { Qos } from '../../src/mqtt/packet.ts';

export const words = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((s) => !s.includes('\0'));
export const topic = words.map((s) => s.replaceAll(/[#+]/g, '/')).filter((s) => s.length > 0);
export const filter = words.filter((s) => s.length > 0);
export const payload = fc.uint8Array({ maxLength: 200 });
export const binary = fc.uint8Array({ maxLength: 20 });
export const qos = fc.constantFrom<Qos>(0, 1, 2);
export const u16 = fc.oneof(
  fc.integer({ min: 1, max: 65535 }),
  fc.constantFrom(1, 255, 256, 65535),
);
export const u32 = fc.oneof(
  fc.integer({ min: 0, max: 4294967295 }),
  fc.constantFrom(0, 4294967295),
);
export const length = fc.oneof(
  fc.integer({ min: 1, max: 268435455 }),
  fc.constantFrom(1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455),
);
export function maybe<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}
/** Names are unique: mqtt-packet keeps pairs in an object, and loses what is said twice. */
export const pairs = fc.uniqueArray(fc.tuple(words, words), {
  selector: ([name]) => name,
  maxLength: 4,
});
export type Pairs = [string, string][];

export function sorted(list: Pairs): Pairs {
  return [...list].sort((a, b) => (a[0] < b[0] ? -1 : 1));
}
/** The user properties of a parsed mqtt-packet packet; their order is lost there. */
export function oraclePairs(properties: unknown): Pairs {
  return sorted(
    Object.entries(((properties ?? {}) as { userProperties?: object }).userProperties ?? {}),
  );
}

/** Bytes as numbers, to compare; undefined stays what it is. */
export function list(value: Uint8Array | undefined): number[] | undefined {
  return value === undefined ? undefined : [...value];
}
