// Images with TLVs that no honest tool writes, signed all the same: what a parser must expect.

import type { SigningKey } from '../../src/node-crypto.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';

export interface Tlv {
  readonly type: number;
  readonly data: Uint8Array | readonly number[];
  /** What its length field says, where that is a lie. */
  readonly size?: number;
}

export interface Forgery {
  readonly payload?: Uint8Array;
  readonly flags?: number;
  readonly protectedTlvs?: readonly Tlv[];
  /** What the header says of their size, where that is a lie. */
  readonly protectedSize?: number;
  /** Given the digest and the signature that an honest image would carry. */
  readonly unprotectedTlvs?: (digest: Uint8Array, signature: Uint8Array) => readonly Tlv[];
}

export const KEYHASH = 0x01;
export const SHA256 = 0x10;
export const SHA384 = 0x11;
export const SHA512 = 0x12;
export const ECDSA = 0x22;
export const ED25519 = 0x24;
export const SIG_PURE = 0x25;
export const ENCX25519 = 0x33;
export const DEPENDENCY = 0x40;
export const SEC_CNT = 0x50;

const HEADER_SIZE = 32;

function area(magic: number, tlvs: readonly Tlv[]): Buffer {
  const entries = tlvs.map(({ type, data, size = data.length }) => {
    const header = Buffer.alloc(4);
    header.writeUInt16LE(type, 0);
    header.writeUInt16LE(size, 2);
    return Buffer.concat([header, Uint8Array.from(data)]);
  });
  const info = Buffer.alloc(4);
  info.writeUInt16LE(magic, 0);
  info.writeUInt16LE(4 + entries.reduce((sum, each) => sum + each.length, 0), 2);
  return Buffer.concat([info, ...entries]);
}

/** KEYHASH of `key` for images with SHA-256, and what it is the hash of. */
export function keyHashOf({ publicKey }: SigningKey): Uint8Array {
  const prefix = Buffer.from('302a300506032b6570032100', 'hex');
  return nodeCrypto.sha256(Buffer.concat([prefix, publicKey]));
}

/** The unprotected TLVs of an honest image. */
export function honest(key: SigningKey, digest: Uint8Array, signature: Uint8Array): Tlv[] {
  return [
    { type: SHA256, data: digest },
    { type: KEYHASH, data: keyHashOf(key) },
    { type: ED25519, data: signature },
  ];
}

/** An image with header of 32 bytes and SHA-256, whose digest and signature are right. */
export function forge(key: SigningKey, forgery: Forgery): Uint8Array {
  const { payload = Uint8Array.of(1, 2, 3, 4), protectedTlvs = [], flags = 0 } = forgery;
  const header = Buffer.alloc(HEADER_SIZE);
  const protectedArea = protectedTlvs.length === 0 ? Buffer.alloc(0) : area(0x6908, protectedTlvs);
  header.writeUInt32LE(0x96f3b83d, 0);
  header.writeUInt16LE(HEADER_SIZE, 8);
  header.writeUInt16LE(forgery.protectedSize ?? protectedArea.length, 10);
  header.writeUInt32LE(payload.length, 12);
  header.writeUInt32LE(flags, 16);
  const region = Buffer.concat([header, payload, protectedArea]);
  const digest = nodeCrypto.sha256(region);
  const signature = key.sign(digest);
  const tlvs = forgery.unprotectedTlvs?.(digest, signature) ?? honest(key, digest, signature);
  return new Uint8Array(Buffer.concat([region, area(0x6907, tlvs)]));
}
