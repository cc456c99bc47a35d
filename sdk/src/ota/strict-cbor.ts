// CBOR of a signed envelope: every item must be there in its one deterministic encoding
// (RFC 8949 §4.2.1), so that no byte outside of the signature can be written in another way.

import { type CborReader, TYPE_BYTES, TYPE_INTEGER, TYPE_TEXT } from '../codec/cbor-read.ts';
import { headSize } from '../codec/cbor-write.ts';

/** Reads the next item, which must be of `type` and of definite length with the shortest head. */
export function readStrict(reader: CborReader, type: number): boolean {
  if (!reader.readType(type)) return false;
  const value = reader.value;
  const argument = type === TYPE_INTEGER && value < 0 ? -1 - value : value;
  const isString = type === TYPE_BYTES || type === TYPE_TEXT;
  const headEnd = isString ? reader.contentStart : reader.offset;
  if (!reader.indefinite && headEnd - reader.itemOffset === headSize(argument)) return true;
  return reader.fail('unexpected-type', reader.itemOffset);
}

/**
 * Reads the next item, of `type`: true when its value (an integer, a size, a count) is `value`.
 * Another value is no error of the reader: the caller says what it means.
 */
export function readExact(reader: CborReader, type: number, value: number): boolean {
  return readStrict(reader, type) && reader.value === value;
}

/**
 * Reads a byte string and goes on within it: its content ends the reader until `leave`, which is
 * given what this returns. On an error it changes nothing.
 */
export function enter(reader: CborReader): number {
  const end = reader.end;
  if (!readStrict(reader, TYPE_BYTES)) return end;
  reader.offset = reader.contentStart;
  reader.end = reader.contentEnd;
  return end;
}

/** Ends what `enter` began: the content must have been read to its end. */
export function leave(reader: CborReader, end: number): boolean {
  if (!reader.finish()) return false;
  reader.end = end;
  return true;
}
