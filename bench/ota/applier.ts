// The applier on XS: that it gives the target, what it takes of RAM, and what it leaves behind.

import { bundleForXs } from '../../scripts/xs/bundle.ts';
import type { XsEngine } from '../../scripts/xs/engine.ts';
import { bytesOn32, heapOf, newMachine, runFrom, snapshotOf } from '../../scripts/xs/heap.ts';
import { crc32 } from '../../sdk/src/buffer/crc32.ts';

export interface ApplierFigures {
  /** On 32-bit XS: applier, work memory and header reader. */
  readonly ramBytes: number;
  /** How much more there is after a whole image. */
  readonly leftBytes: number;
  /** For the whole image, on this machine. */
  readonly applyMs: number;
}

/** Bytes of one command. */
const COMMAND_SIZE = 32_768;

async function load(engine: XsEngine, name: string, bytes: Uint8Array): Promise<void> {
  await engine.command(`${name}${bytes.length}`);
  for (let at = 0; at < bytes.length; at += COMMAND_SIZE) {
    await engine.command(`+${Buffer.from(bytes.subarray(at, at + COMMAND_SIZE)).toString('hex')}`);
  }
}

/** Applies the delta on an XS machine; throws when it does not give the target. */
export async function measureApplier(
  base: Uint8Array,
  delta: Uint8Array,
  target: Uint8Array,
): Promise<ApplierFigures> {
  const script = await bundleForXs({ code: "import './bench/ota/inside/applier.ts';" });
  const loaded = await runFrom(await newMachine(), async (engine) => {
    await engine.evaluate(script);
    await load(engine, 'base ', base);
    await load(engine, 'delta ', delta);
    return snapshotOf(engine);
  });
  return runFrom(loaded, async (engine) => {
    // The first snapshot of a machine that was read from one is its base.
    const before = bytesOn32(heapOf(await snapshotOf(engine)));
    await engine.command('make');
    const made = bytesOn32(heapOf(await snapshotOf(engine)));
    const startMs = performance.now();
    const found = await engine.command('apply');
    const applyMs = performance.now() - startMs;
    const applied = bytesOn32(heapOf(await snapshotOf(engine)));
    const expected = `${target.length} ${crc32(target, 0, target.length, 0)}`;
    if (found !== expected) throw new Error(`XS: expected ${expected}, the applier gave ${found}`);
    return { ramBytes: made - before, leftBytes: applied - made, applyMs };
  });
}
