// A flash small enough to compare whole, and the plainest model of what it has to do.

import { PowerLoss } from '@flotilla/sdk/platform';
import fc from 'fast-check';
import { ContentPool } from '../../src/flash/content.ts';
import type { Fault } from '../../src/flash/faults.ts';
import { Flash, FlashError } from '../../src/flash/flash.ts';
import type { Geometry } from '../../src/flash/geometry.ts';

export const TINY: Geometry = {
  name: 'tiny',
  size: 1024,
  sectorSize: 256,
  pageSize: 64,
  writeAlignment: 1,
  enduranceMax: 1000,
  eraseUs: 1000,
  programUs: 64,
  readUs: 256,
};

/** An erased, powered chip. */
export function tinyFlash(changes: Partial<Geometry> = {}): Flash {
  const geometry = { ...TINY, ...changes };
  return new Flash(geometry, new ContentPool(geometry.sectorSize));
}

export function contentOf(flash: Flash): Uint8Array {
  const bytes = new Uint8Array(flash.geometry.size);
  flash.read(0, bytes);
  return bytes;
}

/** Runs `act`, whose first operation is cut as `fault` says, and starts the next boot. */
export function cutBy(flash: Flash, fault: Fault, act: () => void): void {
  let asked = false;
  flash.hook = () => {
    if (asked) throw new Error('went on after a cut');
    asked = true;
    return fault;
  };
  try {
    act();
    throw new Error(`${fault.kind} did not cut the power`);
  } catch (error) {
    if (!(error instanceof PowerLoss)) throw error;
  } finally {
    flash.hook = undefined;
  }
  flash.powerOn();
}

export type Step =
  | { readonly kind: 'erase'; readonly sector: number }
  | { readonly kind: 'program'; readonly address: number; readonly bytes: Uint8Array }
  | { readonly kind: 'power-on' }
  | { readonly kind: 'clone' }
  | { readonly kind: 'rebase' };

const sectorCount = TINY.size / TINY.sectorSize;

/** Programs begin anywhere and are short, page-sized or longer than a sector. */
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('erase'), sector: fc.nat(sectorCount - 1) }),
    },
    {
      weight: 6,
      arbitrary: fc
        .record({
          address: fc.oneof(
            fc.nat(TINY.size - 1),
            fc.nat(TINY.size / TINY.pageSize - 1).map((page) => page * TINY.pageSize),
          ),
          size: fc.oneof(fc.nat(20), fc.constant(TINY.pageSize), fc.nat(600)),
          seed: fc.nat(255),
        })
        .map(({ address, seed, size }) => ({
          kind: 'program',
          address,
          bytes: Uint8Array.from(
            { length: Math.min(size, TINY.size - address) },
            (_, index) => (index * 7 + seed) & 0xff,
          ),
        })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom({ kind: 'power-on' }, { kind: 'clone' }, { kind: 'rebase' }),
    },
  ) as fc.Arbitrary<Step>,
  { maxLength: 40 },
);

/** Bytes and wear; nothing is shared and nothing is clever. */
export class FlashModel {
  bytes = new Uint8Array(TINY.size).fill(0xff);
  wear = new Uint32Array(sectorCount);

  copy(): FlashModel {
    const model = new FlashModel();
    model.bytes = this.bytes.slice();
    model.wear = this.wear.slice();
    return model;
  }

  /** True when the step is allowed; a program goes on page by page until it is not. */
  run(step: Step): boolean {
    if (step.kind === 'erase') {
      const start = step.sector * TINY.sectorSize;
      this.bytes.fill(0xff, start, start + TINY.sectorSize);
      this.wear[step.sector]! += 1;
    } else if (step.kind === 'program') {
      const { address, bytes } = step;
      for (let done = 0; done < bytes.length; ) {
        const at = address + done;
        const count = Math.min(bytes.length - done, TINY.pageSize - (at % TINY.pageSize));
        if (this.bytes.subarray(at, at + count).some((byte) => byte !== 0xff)) return false;
        this.bytes.set(bytes.subarray(done, done + count), at);
        done += count;
      }
    }
    return true;
  }
}

/** Runs a step on a flash; false where it throws a FlashError. */
export function runStep(flash: Flash, step: Step): boolean {
  try {
    if (step.kind === 'erase') flash.erase(step.sector * TINY.sectorSize);
    else if (step.kind === 'program') flash.program(step.address, step.bytes);
    else if (step.kind === 'power-on') flash.powerOn();
    else if (step.kind === 'rebase') flash.rebase(flash.toLayout());
    return true;
  } catch (error) {
    if (error instanceof FlashError) return false;
    throw error;
  }
}
