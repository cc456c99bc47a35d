import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeMemory } from '../../../ports/node/memory.ts';
import { NodePlatform } from '../../../ports/node/platform.ts';
import { StreamBuffers } from '../../../ports/node/stream.ts';

const SLAB_SIZE = 1 << 20;
const POOLED_SIZE_MAX = 16384;

function memory(packetSizeMax = 4096): NodeMemory {
  return new NodeMemory(new StreamBuffers(packetSizeMax));
}

/** True when the two views share a byte. */
function overlap(left: Uint8Array, right: Uint8Array): boolean {
  return (
    left.buffer === right.buffer &&
    left.byteOffset < right.byteOffset + right.length &&
    right.byteOffset < left.byteOffset + left.length
  );
}

describe('device memory', () => {
  test('is zeroed, of the size asked for, and of one owner until it is released', () => {
    // Few sizes, so that released views come back; beyond a slab and beyond what shares one.
    const size = fc.oneof(
      fc.constantFrom(0, 1, 100, 4352, POOLED_SIZE_MAX, POOLED_SIZE_MAX + 1, SLAB_SIZE + 1),
      fc.nat(300_000),
    );
    const step = fc.record({ size, release: fc.boolean(), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const given = memory();
        const owned: { view: Uint8Array; mark: number }[] = [];
        for (const [index, { size, release, pick }] of steps.entries()) {
          if (release && owned.length > 0) {
            const [{ view, mark }] = owned.splice(pick % owned.length, 1) as [(typeof owned)[0]];
            expect(view.every((byte) => byte === mark)).toBe(true);
            given.release(view);
          } else {
            const view = given.allocate(size);
            expect(view.length).toBe(size);
            expect(view.every((byte) => byte === 0)).toBe(true);
            expect(owned.some((other) => overlap(other.view, view))).toBe(false);
            const mark = (index % 255) + 1;
            owned.push({ view: view.fill(mark), mark });
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('that was released is handed out again', () => {
    const given = memory();
    const first = given.allocate(4352);
    const second = given.allocate(4352);
    given.release(first);
    expect(given.allocate(100)).not.toBe(first);
    expect(given.allocate(4352)).toBe(first);
    expect(given.allocate(4352)).not.toBe(second);
  });

  test('of a large packet goes when it is released, whatever sizes come', () => {
    const given = memory();
    const size = POOLED_SIZE_MAX + 1;
    const first = given.allocate(size);
    given.release(first);
    expect(given.allocate(size)).not.toBe(first);
  });

  test('of many devices shares slabs', () => {
    const given = memory();
    const views = Array.from({ length: 1000 }, () => given.allocate(4352));
    expect(new Set(views.map(({ buffer }) => buffer)).size).toBe(5);
  });

  test('throws where the size is none', () => {
    expect(() => memory().allocate(-1)).toThrow(RangeError);
  });
});

describe('shared buffers', () => {
  test.each([100, 4096, 16_384, 100_000])('hold packets of %i bytes', (packetSizeMax) => {
    const { transmit, scratch, receive } = memory(packetSizeMax);
    expect(transmit.length).toBe(packetSizeMax);
    expect(scratch.length).toBeGreaterThanOrEqual(transmit.length);
    expect(receive.length).toBeGreaterThan(0);
    expect(overlap(transmit, scratch) || overlap(transmit, receive)).toBe(false);
    expect(overlap(scratch, receive)).toBe(false);
  });

  test('are the platform’s', () => {
    const platform = new NodePlatform({ packetSizeMax: 20_000 });
    expect(platform.memory.transmit.length).toBe(20_000);
    expect(platform.memory.transmit).toBe(platform.memory.transmit);
    expect(platform.memory.heapUsed()).toBeGreaterThan(1_000_000);
  });
});
