// Shadow documents as bytes. A codec is a pair of functions, so that a device carries the one
// that it uses: CBOR here, JSON for AWS in json-codec.ts.

import { CborReader, readValue } from '../codec/cbor.ts';
import { writeValue } from '../codec/cbor-value.ts';
import { isMap, type ShadowMap, sizeLeftAfter } from './shadow-value.ts';

/**
 * Levels of a document: the root, state or metadata, desired, a value's own six, and the
 * timestamp at the end of metadata, with room to spare.
 */
export const DOCUMENT_DEPTH_MAX = 12;
/** Values in a document: what a hostile one can make the heap grow by. */
export const DOCUMENT_COUNT_MAX = 256;

export interface ShadowCodec {
  /** The document in source[start, end), or undefined when it is none within the limits. */
  read(source: Uint8Array, start: number, end: number, sizeMax: number): ShadowMap | undefined;
  /** Writes a document; an offset past target.length says that it did not fit. */
  write(target: Uint8Array, offset: number, document: ShadowMap): number;
}

/** For our own service. */
export const cborCodec: ShadowCodec = {
  read(source: Uint8Array, start: number, end: number, sizeMax: number): ShadowMap | undefined {
    if (end - start > sizeMax) return undefined;
    const reader = new CborReader();
    reader.reset(source, start, end);
    const limits = { depthMax: DOCUMENT_DEPTH_MAX, countMax: DOCUMENT_COUNT_MAX, sizeMax };
    const document = readValue(reader, limits);
    if (!reader.finish() || !isMap(document)) return undefined;
    // CBOR says more than JSON: bytes, tags and NaN are no values of a shadow. A byte of it can be
    // a number, which is counted as nine.
    return sizeLeftAfter(document, DOCUMENT_DEPTH_MAX, sizeMax * 9) < 0 ? undefined : document;
  },
  write(target: Uint8Array, offset: number, document: ShadowMap): number {
    return writeValue(target, offset, document, DOCUMENT_DEPTH_MAX);
  },
};
