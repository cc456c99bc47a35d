// The check: what a device tells of itself, and what the server answers (docs/ota-device.md).

import { INTEGER_MAX, writeValue } from '../codec/cbor.ts';
import {
  CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_FLOAT,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_TEXT,
} from '../codec/cbor-read.ts';
import { ENVELOPE_SIZE_MAX } from './manifest.ts';
import { ROLLOUT_LENGTH_MAX, VERSION_LENGTH_MAX } from './update-state.ts';

/** Bytes of an answer to a check: an envelope and the URLs. */
export const ANSWER_SIZE_MAX = ENVELOPE_SIZE_MAX + 2048;
/** Sources that are looked at; what comes after them is passed over. */
export const SOURCE_COUNT_MAX = 4;
const URL_LENGTH_MAX = 512;
/** Arrays and maps within each other in what is passed over. */
const DEPTH_MAX = 4;
const DIGEST_SIZE = 32;

/** One place to get the image from. */
export interface Source {
  /** Absolute, or relative to the base URL. */
  readonly url: string;
  /** Bytes of the file; unsigned. */
  readonly size: number;
  /** SHA-256 of the image that this is a delta from; absent = the whole image. */
  readonly base: Uint8Array | undefined;
}

/** What a server answers to a check. */
export class Offer {
  /** Epoch ms of the server; 0 = it did not say. */
  nowMs = 0;
  /** Seconds to the next check; 0 = it did not say. */
  pollS = 0;
  hasUpdate = false;
  rollout = '';
  attempt = 0;
  version = '';
  /** Range of the envelope in the answer. */
  envelopeStart = 0;
  envelopeEnd = 0;
  readonly sources: Source[] = [];
}

/**
 * The sources for the image that the manifest calls `name`: of several whole images (one for each
 * slot) those whose URL ends in it. A server may have URLs without names: then all of them.
 */
export function sourcesFor(offer: Offer, name: string): readonly Source[] {
  const found: Source[] = [];
  let isNamed = false;
  for (let index = 0; index < offer.sources.length; index += 1) {
    const source = offer.sources[index] as Source;
    if (source.base === undefined && !isNameOf(source.url, name)) continue;
    if (source.base === undefined) isNamed = true;
    found.push(source);
  }
  return isNamed ? found : offer.sources;
}

function isNameOf(url: string, name: string): boolean {
  const query = url.indexOf('?');
  const end = query < 0 ? url.length : query;
  const start = end - name.length;
  return (
    start >= 0 &&
    url.substring(start, end) === name &&
    (start === 0 || url.charAt(start - 1) === '/')
  );
}

/** Writes a document of text keys; what is undefined is left out. Returns its bytes. */
export function encodeDocument(fields: { readonly [key: string]: unknown }): Uint8Array {
  const document: { [key: string]: unknown } = {};
  const keys = Object.keys(fields);
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] as string;
    if (fields[key] !== undefined) document[key] = fields[key];
  }
  const bytes = new Uint8Array(512);
  const end = writeValue(bytes, 0, document, 2);
  return bytes.subarray(0, end);
}

/** Reads the answer bytes[0, size); undefined when it is not of the shape that is agreed. */
export function readOffer(bytes: Uint8Array, size: number): Offer | undefined {
  const reader = new CborReader();
  const offer = new Offer();
  reader.reset(bytes, 0, size);
  const count = reader.readType(TYPE_MAP) ? reader.value : 0;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (!reader.readType(TYPE_TEXT)) break;
    if (reader.isText('nowMs')) offer.nowMs = readCount(reader);
    else if (reader.isText('pollS')) offer.pollS = readCount(reader);
    else if (reader.isText('update')) readUpdate(reader, offer);
    else reader.skip(DEPTH_MAX);
  }
  reader.finish();
  if (reader.error !== undefined) return undefined;
  const isWhole = offer.envelopeEnd > 0 && offer.rollout !== '' && offer.sources.length > 0;
  return offer.hasUpdate && !isWhole ? undefined : offer;
}

function readUpdate(reader: CborReader, offer: Offer): void {
  offer.hasUpdate = true;
  const count = reader.readType(TYPE_MAP) ? reader.value : 0;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (!reader.readType(TYPE_TEXT)) return;
    if (reader.isText('rollout')) offer.rollout = readShort(reader, ROLLOUT_LENGTH_MAX);
    else if (reader.isText('attempt')) offer.attempt = readCount(reader);
    else if (reader.isText('version')) offer.version = readShort(reader, VERSION_LENGTH_MAX);
    else if (reader.isText('envelope')) readEnvelope(reader, offer);
    else if (reader.isText('sources')) readSources(reader, offer);
    else reader.skip(DEPTH_MAX);
  }
}

function readEnvelope(reader: CborReader, offer: Offer): void {
  if (!reader.readType(TYPE_BYTES)) return;
  if (reader.indefinite || reader.value > ENVELOPE_SIZE_MAX) {
    reader.fail('too-large', reader.itemOffset);
  }
  offer.envelopeStart = reader.contentStart;
  offer.envelopeEnd = reader.contentEnd;
}

function readSources(reader: CborReader, offer: Offer): void {
  const count = reader.readType(TYPE_ARRAY) ? reader.value : 0;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (index >= SOURCE_COUNT_MAX) reader.skip(DEPTH_MAX);
    else readSource(reader, offer);
  }
}

function readSource(reader: CborReader, offer: Offer): void {
  let url = '';
  let size = 0;
  let base: Uint8Array | undefined;
  const count = reader.readType(TYPE_MAP) ? reader.value : 0;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (!reader.readType(TYPE_TEXT)) return;
    if (reader.isText('url')) {
      url = readShort(reader, URL_LENGTH_MAX);
    } else if (reader.isText('size')) {
      size = readCount(reader);
    } else if (reader.isText('base')) {
      if (!reader.readType(TYPE_BYTES)) return;
      if (reader.value !== DIGEST_SIZE) reader.fail('unexpected-type', reader.itemOffset);
      else base = reader.bytes();
    } else {
      reader.skip(DEPTH_MAX);
    }
  }
  if (url !== '' && size > 0) offer.sources.push({ url, size, base });
}

function readCount(reader: CborReader): number {
  if (!reader.read()) return 0;
  // Some encoders write integers beyond 32 bits, such as a time, as floats.
  const isNumber = reader.type === TYPE_INTEGER || reader.type === TYPE_FLOAT;
  const { value } = reader;
  const isCount = isNumber && value >= 0 && value <= INTEGER_MAX && Math.floor(value) === value;
  if (!isCount) reader.fail('unexpected-type', reader.itemOffset);
  return isCount ? value : 0;
}

/** Text that is not longer than its bound in bytes. */
function readShort(reader: CborReader, sizeMax: number): string {
  if (!reader.readType(TYPE_TEXT)) return '';
  if (reader.value > sizeMax) {
    reader.fail('too-large', reader.itemOffset);
    return '';
  }
  return reader.text();
}
