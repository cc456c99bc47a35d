// Vendor and class ids: UUIDs, or names that give them (draft-ietf-suit-manifest §8.4.8.2).

import { createHash } from 'node:crypto';
import { toHex } from '@flotilla/sdk/codec/bytes';

/** Namespace of domain names (RFC 9562 §6.6). */
const NAMESPACE_DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const UUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const UUID_SIZE = 16;

/** The UUIDv5 of a name (RFC 9562 §5.5). */
export function uuid5(namespace: Uint8Array, name: string): Uint8Array {
  const hash = createHash('sha1').update(namespace).update(name, 'utf8').digest();
  const id = new Uint8Array(hash.subarray(0, UUID_SIZE));
  id[6] = (id[6]! & 0x0f) | 0x50;
  id[8] = (id[8]! & 0x3f) | 0x80;
  return id;
}

/** The bytes of a UUID as text, or undefined. */
export function parseUuid(text: string): Uint8Array | undefined {
  if (!UUID_PATTERN.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text.replaceAll('-', ''), 'hex'));
}

export function formatUuid(id: Uint8Array): string {
  const hex = toHex(id);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A vendor's id: a UUID as it is; a domain name (`example.com`) in the namespace of DNS. */
export function vendorIdOf(text: string): Uint8Array {
  return parseUuid(text) ?? uuid5(parseUuid(NAMESPACE_DNS)!, text);
}

/** A class's id: a UUID as it is; a name (`sensor-v2`) in the namespace of its vendor. */
export function classIdOf(vendorId: Uint8Array, text: string): Uint8Array {
  return parseUuid(text) ?? uuid5(vendorId, text);
}
