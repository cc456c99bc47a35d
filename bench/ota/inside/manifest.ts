// A manifest checked on XS. The command is a public key and an envelope in hex; the answer is
// `good`, or the code of the refusal.

import { sha256 } from '@noble/hashes/sha2.js';
import { verifyEd25519 } from '../../../sdk/ports/noble/ed25519.ts';
import { ManifestFields, readManifest } from '../../../sdk/src/ota/manifest.ts';
import type { Crypto } from '../../../sdk/src/platform.ts';
import { BENCH_TARGET } from '../target.ts';

const crypto: Crypto = {
  sha256: () => {
    const hash = sha256.create();
    return {
      update: (bytes, start, end) => void hash.update(bytes.subarray(start, end)),
      digest: (into) => into.set(hash.digest()),
    };
  },
  verify: (algorithm, publicKey, message, signature) =>
    algorithm === 'ed25519' && verifyEd25519(publicKey, message, signature),
};

function bytesOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

function handleCommand(command: ArrayBuffer): ArrayBufferLike {
  const [key = '', hex = ''] = new TextDecoder().decode(command).split(' ');
  const envelope = bytesOf(hex);
  const keys = [{ algorithm: 'ed25519', key: bytesOf(key) }] as const;
  const fields = new ManifestFields();
  const code = readManifest(envelope, 0, envelope.length, keys, BENCH_TARGET, crypto, fields);
  return new TextEncoder().encode(code ?? 'good').buffer;
}

// The worker looks for it among the globals.
Object.assign(globalThis, { handleCommand });
