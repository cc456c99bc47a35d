// Shadow documents as bytes: CBOR (RFC 8949) below our own topics, JSON (RFC 8259) below AWS's.

import { type CborError, CborReader, readValue, writeValue } from '@flotilla/sdk/codec/cbor';
import { type JsonError, JsonReader } from '@flotilla/sdk/codec/json-read';
import { isUtf8 } from '@flotilla/sdk/codec/text';
import type { Tree } from './document.ts';
import { invalid, REQUEST_DEPTH_MAX, REQUEST_SIZE_MAX, type Refusal } from './request.ts';

export type Encoding = 'cbor' | 'json';

/** `{previous: {metadata: {desired: …}}}` around the deepest state, and `{timestamp}` in it. */
const DOCUMENT_DEPTH_MAX = REQUEST_DEPTH_MAX + 8;
/** Bytes of the largest document we write: two states of 8 KB whose every leaf is stamped. */
const DOCUMENT_SIZE_MAX = 1_048_576;

const scratch = new Uint8Array(DOCUMENT_SIZE_MAX);

const TOO_LARGE: Refusal = {
  code: 413,
  message: 'The payload exceeds the maximum size allowed',
};
const TOO_DEEP = invalid(
  `JSON contains too many levels of nesting; maximum is ${REQUEST_DEPTH_MAX} in a request`,
);
const NOT_UTF8: Refusal = {
  code: 415,
  message: 'Unsupported documented encoding; supported encoding is UTF-8',
};
const BAD_NODE = invalid('State contains an invalid node');

export type Decoded = { readonly body?: unknown; readonly refusal?: Refusal };

/** A request's body; undefined for an empty payload. Objects in it have no prototype. */
export function decodeRequest(payload: Uint8Array, encoding: Encoding): Decoded {
  if (payload.length === 0) return {};
  if (payload.length > REQUEST_SIZE_MAX) return { refusal: TOO_LARGE };
  return decode(payload, encoding, REQUEST_DEPTH_MAX, REQUEST_SIZE_MAX);
}

/** A document that the service sent, or why it is none. */
export function decodeDocument(payload: Uint8Array, encoding: Encoding): Decoded {
  if (payload.length > DOCUMENT_SIZE_MAX) return { refusal: TOO_LARGE };
  return decode(payload, encoding, DOCUMENT_DEPTH_MAX, DOCUMENT_SIZE_MAX);
}

function decode(
  payload: Uint8Array,
  encoding: Encoding,
  depthMax: number,
  sizeMax: number,
): Decoded {
  const limits = { depthMax, countMax: sizeMax, sizeMax };
  if (encoding === 'json') {
    if (!isUtf8(payload, 0, payload.length)) return { refusal: NOT_UTF8 };
    const reader = new JsonReader(payload, 0, payload.length, limits);
    const body = reader.read();
    return reader.error === undefined ? { body } : { refusal: refusalOf(reader.error, 'JSON') };
  }
  const reader = new CborReader();
  reader.reset(payload, 0, payload.length);
  const body = readValue(reader, limits);
  return reader.finish() ? { body } : { refusal: refusalOf(reader.error, 'CBOR') };
}

function refusalOf(error: CborError | JsonError | undefined, name: 'CBOR' | 'JSON'): Refusal {
  switch (error) {
    case 'too-deep':
      return TOO_DEEP;
    case 'too-large':
    case 'too-long':
      return TOO_LARGE;
    case 'invalid-utf8':
      return NOT_UTF8;
    case 'duplicate-key':
    case 'unsupported-key':
    case 'unsupported-integer':
    case 'unsupported-number':
    case 'unsupported-simple':
      return BAD_NODE;
    default:
      return invalid(`Invalid ${name}`);
  }
}

/** A document as bytes of its own. */
export function encodeDocument(document: Tree, encoding: Encoding): Buffer {
  if (encoding === 'json') return Buffer.from(JSON.stringify(document));
  const end = writeValue(scratch, 0, document, DOCUMENT_DEPTH_MAX);
  if (end > scratch.length) throw new RangeError('shadow document past its largest size');
  return Buffer.from(scratch.subarray(0, end));
}
