// Ed25519 over noble on XS: the same cases as on Node, and the heap that one verification needs.

import { verifyEd25519 } from '../../sdk/ports/noble/ed25519.ts';
import type { SignatureCase } from '../../sdk/test/ports/noble/signatures.ts';
import { bundleForXs } from './bundle.ts';
import type { XsEngine } from './engine.ts';
import { type HeapSize, limited, newMachine, runFrom, snapshotOf } from './heap.ts';

/** DESIGN: what a verification may take for its time, in bytes on 32-bit XS. */
export const VERIFY_BYTES_MAX = 96 * 1024;

/** Cases of one command. */
const BATCH = 50;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function commandOf(cases: readonly SignatureCase[]): string {
  return JSON.stringify(
    cases.map(({ message, publicKey, signature }) => [publicKey, message, signature].map(hex)),
  );
}

/** A machine with the verifier loaded. */
export async function loadedVerifier(): Promise<Buffer> {
  const code = "import './scripts/xs/programs/ed25519.ts';";
  // noble keeps scratch in its modules: it cannot be preloaded, so it is not frozen either.
  const script = await bundleForXs({ code });
  return runFrom(await newMachine(), async (engine) => {
    await engine.evaluate(script);
    return snapshotOf(engine);
  });
}

async function verdicts(engine: XsEngine, cases: readonly SignatureCase[]): Promise<string> {
  let found = '';
  for (let at = 0; at < cases.length; at += BATCH) {
    found += await engine.command(commandOf(cases.slice(at, at + BATCH)));
  }
  return found;
}

/** The kinds of the cases on which XS and Node do not agree. */
export function verifyOnXs(loaded: Buffer, cases: readonly SignatureCase[]): Promise<string[]> {
  return runFrom(loaded, async (engine) => {
    const found = await verdicts(engine, cases);
    return cases
      .filter(({ message, publicKey, signature }, index) => {
        const expected = verifyEd25519(publicKey, message, signature) ? '1' : '0';
        return found[index] !== expected;
      })
      .map(({ kind }) => kind);
  });
}

/** True when a machine with only so much heap to spare accepts this signature. */
export async function verifiesWithin(loaded: Buffer, right: SignatureCase, free: HeapSize) {
  try {
    const accepts = (engine: XsEngine) => verdicts(engine, [right]);
    return (await runFrom(limited(loaded, { free }), accepts)) === '1';
  } catch {
    return false;
  }
}

/** The smallest heap to spare in which it is verified, to within 5 %. */
export async function leastHeap(loaded: Buffer, right: SignatureCase): Promise<HeapSize> {
  const ample: HeapSize = { slots: 16384, chunkBytes: 1 << 20 };
  const least = async (heapOf: (size: number) => HeapSize, most: number) => {
    let [low, high] = [0, most];
    while (high - low > high / 20) {
      const middle = (low + high) >> 1;
      if (await verifiesWithin(loaded, right, heapOf(middle))) high = middle;
      else low = middle;
    }
    return high;
  };
  const slots = await least((size) => ({ ...ample, slots: size }), ample.slots);
  const chunkBytes = await least(
    (size) => ({ slots: slots * 2, chunkBytes: size }),
    ample.chunkBytes,
  );
  return { slots, chunkBytes };
}
