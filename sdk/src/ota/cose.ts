// COSE_Sign1 with a detached payload (RFC 9052 §4.2), in the one shape that our envelopes have:
//
//   18([ bstr {1: algorithm}, {}, nil, bstr signature ])
//
// The signature covers the Sig_structure ["Signature1", protected, h'', payload] (§4.4).

import {
  CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_SIMPLE,
  TYPE_TAG,
} from '../codec/cbor-read.ts';
import { SIMPLE_NULL, writeArrayHead, writeBytes, writeText } from '../codec/cbor-write.ts';
import type { Crypto, SignatureAlgorithm } from '../platform.ts';
import { enter, leave, readExact, readStrict } from './strict-cbor.ts';

/** A key that may sign. */
export interface TrustedKey {
  readonly algorithm: SignatureAlgorithm;
  /** Raw, as `Crypto.verify` takes it: 32 bytes of Ed25519, 65 of an uncompressed P-256 point. */
  readonly key: Uint8Array;
}

/** COSE algorithms (RFC 9053 §2, RFC 9864): the last two say the curve, the others leave it open. */
export const ALGORITHM_ES256 = -7;
export const ALGORITHM_EDDSA = -8;
export const ALGORITHM_ESP256 = -9;
export const ALGORITHM_ED25519 = -19;

/** Both algorithms have signatures of 64 bytes. */
export const SIGNATURE_SIZE = 64;
/** Largest payload: it is copied to be verified. */
export const PAYLOAD_SIZE_MAX = 64;

const TAG_SIGN1 = 18;
const HEADER_ALGORITHM = 1;
/** What the Sig_structure holds beside the protected header (at most 4 bytes) and the payload. */
const FRAME_SIZE = 24;

/**
 * Verifies the COSE_Sign1 in source[start, end) over the detached payload
 * source[payloadStart, payloadEnd).
 *
 * Undefined when one of `keys`, of the algorithm that it names, made the signature. Otherwise
 * 'malformed' (not this shape, or not deterministic), 'unsupported' (an unknown algorithm, or more
 * in a header), 'unsigned' (no signature), or 'wrong-signature'.
 */
export function verifySign1(
  source: Uint8Array,
  start: number,
  end: number,
  payloadStart: number,
  payloadEnd: number,
  keys: readonly TrustedKey[],
  crypto: Crypto,
): string | undefined {
  const reader = new CborReader();
  reader.reset(source, start, end);
  if (!readExact(reader, TYPE_TAG, TAG_SIGN1)) return 'malformed';
  if (!readExact(reader, TYPE_ARRAY, 4)) return 'malformed';

  const outer = enter(reader);
  const protectedStart = reader.offset;
  const protectedEnd = reader.end;
  // A further header could be critical (RFC 9052 §3.1); unprotected ones nobody answers for.
  if (!readExact(reader, TYPE_MAP, 1)) return refusal(reader);
  if (!readExact(reader, TYPE_INTEGER, HEADER_ALGORITHM)) return refusal(reader);
  if (!readStrict(reader, TYPE_INTEGER)) return 'malformed';
  const algorithm = signatureAlgorithm(reader.value);
  if (!leave(reader, outer)) return 'malformed';
  if (!readExact(reader, TYPE_MAP, 0)) return refusal(reader);
  if (!readExact(reader, TYPE_SIMPLE, SIMPLE_NULL)) return 'malformed';
  if (!readStrict(reader, TYPE_BYTES) || !reader.finish()) return 'malformed';
  if (algorithm === undefined || payloadEnd - payloadStart > PAYLOAD_SIZE_MAX) return 'unsupported';
  if (reader.value === 0) return 'unsigned';
  if (reader.value !== SIGNATURE_SIZE) return 'malformed';

  const buffer = new Uint8Array(FRAME_SIZE + PAYLOAD_SIZE_MAX);
  let size = writeArrayHead(buffer, 0, 4);
  size = writeText(buffer, size, 'Signature1');
  size = writeBytes(buffer, size, source, protectedStart, protectedEnd);
  size = writeBytes(buffer, size, source, 0, 0);
  size = writeBytes(buffer, size, source, payloadStart, payloadEnd);
  const message = buffer.subarray(0, size);
  const signature = source.subarray(reader.contentStart, reader.contentEnd);
  for (let index = 0; index < keys.length; index += 1) {
    const trusted = keys[index] as TrustedKey;
    if (trusted.algorithm !== algorithm) continue;
    if (crypto.verify(algorithm, trusted.key, message, signature)) return undefined;
  }
  return 'wrong-signature';
}

/** What was read is either no CBOR of ours, or more than we know. */
function refusal(reader: CborReader): string {
  return reader.error === undefined ? 'unsupported' : 'malformed';
}

/** The platform's name of a COSE algorithm, or undefined. */
function signatureAlgorithm(algorithm: number): SignatureAlgorithm | undefined {
  switch (algorithm) {
    case ALGORITHM_ED25519:
    case ALGORITHM_EDDSA:
      return 'ed25519';
    case ALGORITHM_ES256:
    case ALGORITHM_ESP256:
      return 'es256';
    default:
      return undefined;
  }
}
