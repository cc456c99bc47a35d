// What a connected device takes on XS, part by part, and that it lives within its budget.

import { bundleForXs } from './bundle.ts';
import type { XsEngine } from './engine.ts';
import { type HeapSize, heapOf, limited, newMachine, runFrom, snapshotOf } from './heap.ts';

/** Of a connected device with a 4 KB buffer, three sensors and a shadow, in bytes on 32-bit XS. */
export const DEVICE_BYTES_MAX = 12 * 1024;

/** The order in which they are made. */
export const PARTS = ['buffers', 'profile', 'device'] as const;
export type Part = (typeof PARTS)[number];

export interface DeviceHeap {
  readonly parts: Readonly<Record<Part, HeapSize>>;
  /** The sum of the parts. */
  readonly total: HeapSize;
  /** What a day of messages left behind: nothing, in the steady state. */
  readonly afterDay: HeapSize;
  /** Slots of stack on which it runs. */
  readonly stackSlots: number;
}

function difference(after: HeapSize, before: HeapSize): HeapSize {
  return {
    slots: after.slots - before.slots,
    chunkBytes: after.chunkBytes - before.chunkBytes,
  };
}

/** A machine with the SDK loaded, and nothing made of it. */
export async function loadedDevice(): Promise<Buffer> {
  const script = await bundleForXs({ code: "import './scripts/xs/programs/device.ts';" });
  return runFrom(await newMachine(), async (engine) => {
    await engine.evaluate(script);
    return snapshotOf(engine);
  });
}

async function makeAll(engine: XsEngine): Promise<void> {
  for (const part of PARTS) await engine.command(part);
  await engine.command('day');
}

/** True when the device connects and publishes for a day on a machine with these limits. */
export async function runsWithin(loaded: Buffer, limits: Parameters<typeof limited>[1]) {
  try {
    await runFrom(limited(loaded, limits), makeAll);
    return true;
  } catch {
    return false;
  }
}

/** The smallest power of two, or three quarters of one, of stack on which it runs. */
async function stackOf(loaded: Buffer): Promise<number> {
  for (let slots = 128; slots <= 4096; slots *= 2) {
    for (const stackSlots of [(slots * 3) / 4, slots]) {
      if (await runsWithin(loaded, { stackSlots })) return stackSlots;
    }
  }
  throw new Error('XS: the device needs more than 4,096 slots of stack');
}

export async function measureDevice(loaded: Buffer): Promise<DeviceHeap> {
  return runFrom(loaded, async (engine) => {
    const parts: Partial<Record<Part, HeapSize>> = {};
    // The first snapshot of a machine that was read from one is its base.
    const base = heapOf(await snapshotOf(engine));
    let before = base;
    for (const part of PARTS) {
      await engine.command(part);
      const after = heapOf(await snapshotOf(engine));
      parts[part] = difference(after, before);
      before = after;
    }
    await engine.command('day');
    const afterDay = difference(heapOf(await snapshotOf(engine)), before);
    return {
      parts: parts as Record<Part, HeapSize>,
      total: difference(before, base),
      afterDay,
      stackSlots: await stackOf(loaded),
    };
  });
}
