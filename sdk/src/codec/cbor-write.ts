// Writes CBOR (RFC 8949) into the caller's buffer, deterministically (§4.2.1): shortest heads,
// shortest exact numbers, definite lengths.
//
// Every function writes at `offset` and returns the offset after. An offset past target.length
// says that the bytes did not fit: what lies past the end is not written, so a caller checks
// once, at the end. Hence writing to an empty target measures.

import { writeUtf8 } from './text.ts';
import { writeUint32 } from './uint32.ts';

/** Major types (RFC 8949 §3.1) for `writeHead`. */
export const MAJOR_UNSIGNED = 0;
export const MAJOR_NEGATIVE = 1;
export const MAJOR_BYTES = 2;
export const MAJOR_TEXT = 3;
export const MAJOR_ARRAY = 4;
export const MAJOR_MAP = 5;
export const MAJOR_TAG = 6;
export const MAJOR_SIMPLE = 7;

/** Simple values (RFC 8949 §3.3). */
export const SIMPLE_FALSE = 20;
export const SIMPLE_TRUE = 21;
export const SIMPLE_NULL = 22;
export const SIMPLE_UNDEFINED = 23;

/** 2^53 - 1: up to here, and down to its negative, every integer is exact in a double. */
export const INTEGER_MAX = 9007199254740991;

const TWO_32 = 4294967296;

// 2^512, 2^256 … 2^1: any double is scaled into [1, 2) in ten steps, each exact.
const POWERS: readonly number[] = [
  1.3407807929942597e154,
  1.157920892373162e77,
  3.4028236692093846e38,
  18446744073709552000,
  TWO_32,
  65536,
  256,
  16,
  4,
  2,
];

/** Bytes of a head with this argument: 1, 2, 3, 5 or 9. */
export function headSize(argument: number): number {
  if (argument < 24) return 1;
  if (argument < 256) return 2;
  if (argument < 65536) return 3;
  return argument < TWO_32 ? 5 : 9;
}

/**
 * Writes a major type with its argument, an integer of 0 to 2^53 - 1: the length of a string
 * whose content follows, the count of an array or of a map's pairs, a tag's number.
 */
export function writeHead(
  target: Uint8Array,
  offset: number,
  major: number,
  argument: number,
): number {
  const type = major << 5;
  if (argument < 24) {
    target[offset] = type | argument;
    return offset + 1;
  }
  if (argument < 256) {
    target[offset] = type | 24;
    target[offset + 1] = argument;
    return offset + 2;
  }
  if (argument < 65536) {
    target[offset] = type | 25;
    return writeUint16(target, offset + 1, argument);
  }
  if (argument < TWO_32) {
    target[offset] = type | 26;
    return writeUint32(target, offset + 1, argument);
  }
  const high = Math.floor(argument / TWO_32);
  target[offset] = type | 27;
  writeUint32(target, offset + 1, high);
  return writeUint32(target, offset + 5, argument - high * TWO_32);
}

export function writeArrayHead(target: Uint8Array, offset: number, count: number): number {
  return writeHead(target, offset, MAJOR_ARRAY, count);
}

/** `count` pairs follow, in the bytewise order of their encoded keys (RFC 8949 §4.2.1). */
export function writeMapHead(target: Uint8Array, offset: number, count: number): number {
  return writeHead(target, offset, MAJOR_MAP, count);
}

/** One item follows, which the tag is about. */
export function writeTag(target: Uint8Array, offset: number, tag: number): number {
  return writeHead(target, offset, MAJOR_TAG, tag);
}

/** Writes an integer of -(2^53 - 1) to 2^53 - 1. */
export function writeInteger(target: Uint8Array, offset: number, value: number): number {
  if (value < 0) return writeHead(target, offset, MAJOR_NEGATIVE, -1 - value);
  return writeHead(target, offset, MAJOR_UNSIGNED, value);
}

/** Writes a simple value: SIMPLE_FALSE … SIMPLE_UNDEFINED, 0-19, or 32-255. */
export function writeSimple(target: Uint8Array, offset: number, value: number): number {
  return writeHead(target, offset, MAJOR_SIMPLE, value);
}

export function writeBoolean(target: Uint8Array, offset: number, value: boolean): number {
  return writeHead(target, offset, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

/** Writes bytes[start, end) as a byte string. */
export function writeBytes(
  target: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const next = writeHead(target, offset, MAJOR_BYTES, end - start);
  const after = next + end - start;
  if (after <= target.length) {
    // A view costs memory on a device; most callers write the whole array.
    target.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), next);
  }
  return after;
}

export function writeText(target: Uint8Array, offset: number, text: string): number {
  // Nearly all text is ASCII: write it where it belongs then, and again if the guess was wrong.
  const length = text.length;
  const guess = headSize(length);
  let next = writeUtf8(target, offset + guess, text);
  const size = next - offset - guess;
  if (size !== length && headSize(size) !== guess) {
    next = writeUtf8(target, offset + headSize(size), text);
  }
  writeHead(target, offset, MAJOR_TEXT, size);
  return next;
}

/**
 * Writes any number: a safe integer as such, all else (-0 too) as the shortest float that is
 * exact, NaN as f97e00 (RFC 8949 §4.2.1-2).
 */
export function writeNumber(target: Uint8Array, offset: number, value: number): number {
  if (
    value <= INTEGER_MAX &&
    value >= -INTEGER_MAX &&
    Math.floor(value) === value &&
    (value !== 0 || 1 / value > 0)
  ) {
    return writeInteger(target, offset, value);
  }
  return writeFloat(target, offset, value);
}

/** Writes the shortest float of 16, 32 or 64 bits that is exactly `value`. */
export function writeFloat(target: Uint8Array, offset: number, value: number): number {
  const magnitude = Math.abs(value);
  const negative = value < 0 || (value === 0 && 1 / value < 0);
  if (!(magnitude > 0 && magnitude <= 1.7976931348623157e308)) {
    const bits = magnitude === 0 ? 0 : magnitude > 0 ? 0x7c00 : 0x7e00;
    return writeHalf(target, offset, bits, negative);
  }
  // magnitude = fraction * 2^exponent, 1 <= fraction < 2, or less than 1 for a subnormal. Plain
  // arithmetic: a DataView would cost an object per call, or module state.
  let fraction = magnitude;
  let exponent = 0;
  for (let index = 0, step = 512; step > 0; index += 1, step >>= 1) {
    const power = POWERS[index] as number;
    if (fraction >= power) {
      fraction /= power;
      exponent += step;
    } else if (fraction < 1 && exponent - step >= -1022 && fraction * power < 2) {
      fraction *= power;
      exponent -= step;
    }
  }
  if (exponent <= 127) {
    // In units of the last place of each format; subnormals share the unit of the least normal.
    const half = exponent < -14 ? magnitude * 16777216 : fraction * 1024;
    if (exponent <= 15 && Math.floor(half) === half) {
      return writeHalf(
        target,
        offset,
        half + (exponent < -14 ? 0 : (exponent + 14) << 10),
        negative,
      );
    }
    const single = exponent < -126 ? magnitude * 7.1362384635298e44 : fraction * 8388608;
    if (Math.floor(single) === single) {
      target[offset] = 0xfa;
      const bits = single + (exponent < -126 ? 0 : (exponent + 126) * 8388608);
      return writeUint32(target, offset + 1, negative ? bits + 0x80000000 : bits);
    }
  }
  const double = fraction * 1048576;
  const high = Math.floor(double);
  const bits = high + (fraction < 1 ? 0 : (exponent + 1022) * 1048576);
  target[offset] = 0xfb;
  writeUint32(target, offset + 1, negative ? bits + 0x80000000 : bits);
  return writeUint32(target, offset + 5, (double - high) * TWO_32);
}

function writeHalf(
  target: Uint8Array,
  offset: number,
  magnitudeBits: number,
  negative: boolean,
): number {
  target[offset] = 0xf9;
  return writeUint16(target, offset + 1, negative ? magnitudeBits | 0x8000 : magnitudeBits);
}

function writeUint16(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value >> 8;
  target[offset + 1] = value & 255;
  return offset + 2;
}
