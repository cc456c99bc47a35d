// Writes JSON (RFC 8259) into the caller's buffer. As for CBOR, an offset past target.length says
// that the bytes did not fit: a caller checks once, at the end.

import { assert } from '../assert.ts';
import { writeUtf8 } from './text.ts';

const QUOTE = 0x22;
const HEX = '0123456789abcdef';

/**
 * Writes null, booleans, finite numbers, strings, arrays, and the own enumerable properties of
 * any other object. Anything else is a bug and throws.
 *
 * Returns the offset after it. An offset past target.length says that it did not fit, or that it
 * nests deeper than `depthMax`.
 */
export function writeJson(
  target: Uint8Array,
  offset: number,
  value: unknown,
  depthMax: number,
): number {
  if (typeof value === 'string') return writeString(target, offset, value);
  if (value === null || typeof value === 'boolean') return writeUtf8(target, offset, `${value}`);
  if (typeof value === 'number') {
    assert(isFinite(value), 'json: no finite number');
    return writeUtf8(target, offset, `${value}`);
  }
  assert(typeof value === 'object', 'json: neither data nor an object');
  if (depthMax <= 0) return target.length + 1;
  if (Array.isArray(value)) {
    let next = writeByte(target, offset, 0x5b);
    for (let index = 0; index < value.length && next <= target.length; index += 1) {
      if (index > 0) next = writeByte(target, next, 0x2c);
      next = writeJson(target, next, value[index], depthMax - 1);
    }
    return writeByte(target, next, 0x5d);
  }
  const map = value as Record<string, unknown>;
  const keys = Object.keys(map);
  let next = writeByte(target, offset, 0x7b);
  for (let index = 0; index < keys.length && next <= target.length; index += 1) {
    const key = keys[index] as string;
    if (index > 0) next = writeByte(target, next, 0x2c);
    next = writeByte(target, writeString(target, next, key), 0x3a);
    next = writeJson(target, next, map[key], depthMax - 1);
  }
  return writeByte(target, next, 0x7d);
}

function writeByte(target: Uint8Array, offset: number, byte: number): number {
  target[offset] = byte;
  return offset + 1;
}

/** Escapes what must be (RFC 8259 §7), and nothing else. */
function writeString(target: Uint8Array, offset: number, text: string): number {
  let next = writeByte(target, offset, QUOTE);
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= 0x20 && code !== QUOTE && code !== 0x5c) continue;
    next = writeUtf8(target, next, text.substring(start, index));
    next = writeUtf8(
      target,
      next,
      code < 0x20
        ? `\\u00${HEX.charAt(code >> 4)}${HEX.charAt(code & 15)}`
        : `\\${text.charAt(index)}`,
    );
    start = index + 1;
  }
  return writeByte(target, writeUtf8(target, next, text.substring(start, text.length)), QUOTE);
}
