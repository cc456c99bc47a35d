// What it takes to check the manifest of an update: on Node with OpenSSL, on XS with noble.

import { generateKeys } from '@flotilla/command-line/keys';
import { writeEnvelope } from '../../ota-server/src/releases/envelope.ts';
import { readPrivateKeyPem, trustedKey } from '../../ota-server/src/releases/keys.ts';
import { bundleForXs } from '../../scripts/xs/bundle.ts';
import { newMachine, runFrom } from '../../scripts/xs/heap.ts';
import { nodeCrypto } from '../../sdk/ports/node/crypto.ts';
import { ManifestFields, readManifest } from '../../sdk/src/ota/manifest.ts';
import { BENCH_TARGET } from './target.ts';

export interface ManifestFigures {
  readonly envelopeBytes: number;
  readonly nodeMs: number;
  readonly xsMs: number;
}

const NODE_COUNT = 500;
const XS_COUNT = 10;

/** Milliseconds per check, parsing, digest and signature included. */
export async function measureManifest(): Promise<ManifestFigures> {
  const key = readPrivateKeyPem(generateKeys('ed25519').privatePem);
  const image = { digest: new Uint8Array(32).fill(3), size: 700_000 };
  const envelope = writeEnvelope(
    {
      sequence: 2,
      version: '1.1.0',
      vendorId: BENCH_TARGET.vendorId,
      classId: BENCH_TARGET.classId,
      images: [image, { ...image, digest: new Uint8Array(32).fill(4) }],
      expiresS: 1_900_000_000,
    },
    key,
  );
  const fields = new ManifestFields();
  const keys = [trustedKey(key)];
  const startMs = performance.now();
  for (let count = 0; count < NODE_COUNT; count += 1) {
    const { length } = envelope;
    const code = readManifest(envelope, 0, length, keys, BENCH_TARGET, nodeCrypto, fields);
    if (code !== undefined) throw new Error(`the manifest is refused: ${code}`);
  }
  const nodeMs = (performance.now() - startMs) / NODE_COUNT;
  return { envelopeBytes: envelope.length, nodeMs, xsMs: await onXs(envelope, key.publicKey) };
}

async function onXs(envelope: Uint8Array, publicKey: Uint8Array): Promise<number> {
  const code = "import './bench/ota/inside/manifest.ts';";
  // noble keeps scratch in its modules: it cannot be frozen.
  const script = await bundleForXs({ code });
  return runFrom(await newMachine(), async (engine) => {
    await engine.evaluate(script);
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    const command = `${hex(publicKey)} ${hex(envelope)}`;
    // The first fills noble's tables.
    await engine.command(command);
    const startMs = performance.now();
    for (let count = 0; count < XS_COUNT; count += 1) {
      const found = await engine.command(command);
      if (found !== 'good') throw new Error(`XS: the manifest is refused: ${found}`);
    }
    return (performance.now() - startMs) / XS_COUNT;
  });
}
