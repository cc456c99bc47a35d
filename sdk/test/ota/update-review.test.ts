// What a review of the update client found: states it could not leave, and what it took for good.

import { describe, expect, test } from 'vitest';
import { inactiveSlot } from '../../src/ota/update-boot.ts';
import type { Firmware } from '../../src/platform.ts';
import { envelopeOf, NEXT, RUNNING, similar, UpdateScene } from '../support/update-scene.ts';
import { digestOf } from '../support/virtual-firmware.ts';
import { simpleDelta } from './delta-file.ts';
import { ed25519Signer } from './suit-envelope.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

describe('sources', () => {
  test('of two images of one size, one for each slot, it takes the one that the manifest names', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    const own = `/blobs/${hex(digestOf(NEXT))}.bin`;
    const other = `/blobs/${'00'.repeat(32)}.bin`;
    const size = NEXT.bytes.length;
    scene.server.blobs.set(`${own}?expires=1`, NEXT.bytes);
    scene.server.blobs.set(other, new Uint8Array(size));
    scene.server.update!.sources = [
      { url: `${own}?expires=1`, size },
      { url: other, size },
    ];
    scene.start();
    expect(scene.untilConfirmed(NEXT, HOUR_MS)).toBe(true);
    expect(scene.http.log.filter((line) => line.includes(other))).toEqual([]);
  });

  test('a server that asks to wait (429) does not cost the delta', () => {
    const target = similar(RUNNING, '2.0.0');
    const delta = simpleDelta(RUNNING, target);
    const scene = new UpdateScene();
    scene.release(target);
    scene.server.offerDelta(delta, RUNNING);
    let count = 0;
    scene.server.fault = (kind, answer) => {
      if (kind !== 'blob') return answer;
      count += 1;
      return count === 1 ? { status: 429 } : answer;
    };
    scene.start();
    expect(scene.untilConfirmed(target, HOUR_MS)).toBe(true);
    expect(scene.http.readCount).toBe(delta.length);
  });

  test.each([
    [0, 1],
    [1, 0],
    [-1, 0],
  ])('while slot %i runs, slot %i is written; -1 is the recovery image', (slot, inactive) => {
    const entry = { slot, version: '', decision: 'selected', reason: '' };
    const firmware = { bootLog: () => [entry] } as unknown as Firmware;
    expect(inactiveSlot(firmware)).toBe(inactive);
  });
});

describe('without memory', () => {
  test.each([
    ['anything', 0],
    ['an exchange', 1024],
    ['the page of a download', 256],
  ])('for %s it waits, and goes on when there is some', (_, sizeOf) => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    const { memory } = scene;
    const allocate = memory.allocate.bind(memory);
    let isFull = true;
    let refusedCount = 0;
    memory.allocate = (size) => {
      const isMeant = sizeOf === 0 || (sizeOf === 256 ? size === 256 : size >= sizeOf);
      if (!isFull || !isMeant) return allocate(size);
      refusedCount += 1;
      throw new Error('no room');
    };
    scene.start();
    scene.advance(2 * HOUR_MS);
    expect(refusedCount).toBeGreaterThan(0);
    expect(scene.version).toBe(RUNNING.version);
    isFull = false;
    expect(scene.untilConfirmed(NEXT, 3 * HOUR_MS)).toBe(true);
  });
});

describe('what it tells and is told', () => {
  test('a refused offer without a version: its report and the next checks can be read', () => {
    const scene = new UpdateScene();
    scene.release(NEXT, { version: '', envelope: envelopeOf(NEXT, {}, ed25519Signer(99)) });
    scene.start();
    scene.advance(3 * HOUR_MS);
    expect(scene.server.stages()).toEqual(['failed: manifest: wrong-signature']);
    expect(scene.server.reports[0]?.version).toBeUndefined();
    expect(scene.server.checks.length).toBeGreaterThan(1);
    expect(scene.server.checks.at(-1)?.failed).toBeUndefined();
  });

  test('a page of somebody else is no sign that the update server can be reached', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.start();
    expect(scene.until(() => scene.version === NEXT.version, HOUR_MS)).toBe(true);
    const { fault } = scene.server;
    const page = { status: 200, body: Uint8Array.of(0x3c, 0x70, 0x3e) };
    scene.server.fault = () => page;
    scene.advance(HOUR_MS);
    expect(scene.boot.tries).toBeGreaterThan(0);
    scene.server.fault = fault;
    expect(scene.until(() => scene.boot.tries === 0, 2 * HOUR_MS)).toBe(true);
    expect(scene.version).toBe(NEXT.version);
  });

  test('an image that waits for charge before it is staged does not use up its starts', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.charge = 1;
    scene.start();
    for (let turn = 0; turn < 5; turn += 1) {
      const { length } = scene.told.filter((stage) => stage === 'verified');
      const isVerified = () => scene.told.filter((stage) => stage === 'verified').length > length;
      expect(scene.until(isVerified, 6 * HOUR_MS)).toBe(true);
      scene.charge = 0.1;
      scene.advance(10 * MINUTE_MS);
      scene.charge = 1;
    }
    expect(scene.untilConfirmed(NEXT, 6 * HOUR_MS)).toBe(true);
  });
});
