// What a device of a fleet costs in memory, flash, record, wear and fuses included: V8's heap and
// array buffers after a collection, over the count of devices. A process of its own, started with
// --expose-gc; prints JSON.

import { Bootloader } from '../../src/bootloader.ts';
import { ContentPool } from '../../src/flash/content.ts';
import { Flash, type Layout } from '../../src/flash/flash.ts';
import { W25Q32 } from '../../src/flash/geometry.ts';
import { type FuseState, Fuses } from '../../src/fuses.ts';
import { parseVersion } from '../../src/images/mcuboot.ts';
import { createImage } from '../../src/images/mcuboot-write.ts';
import type { FlashLayout, Machine } from '../../src/machine.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import { createHardenedProfile } from '../../src/profiles/hardened.ts';
import { UpdateSlot } from '../../src/update-slot.ts';
import { digestOf, KEY } from './board.ts';

const [deviceCount = 100_000, updatedCount = 1000] = process.argv.slice(2).map(Number);

const LAYOUT: FlashLayout = {
  stage2: { start: 0, size: 0x8000 },
  record: { start: 0xd000, size: 0x2000 },
  slots: [
    { start: 0x10000, size: 0x1f0000 },
    { start: 0x200000, size: 0x1f0000 },
  ],
};
const FUSES: FuseState = {
  secureBoot: false,
  keyDigests: [digestOf(KEY)],
  revokedKeys: 0,
  stage2Digest: '',
  rollbackBits: 0,
  rollbackBitCount: 32,
};
const PAYLOAD_SIZE = 128 * 1024;

const pool = new ContentPool(W25Q32.sectorSize);
const verdicts: Machine['verdicts'] = new Map();
const profile = createHardenedProfile();

function imageOf(version: string, securityCounter: number): Uint8Array {
  const payload = Uint8Array.from({ length: PAYLOAD_SIZE }, (_, at) => at * 31 + securityCounter);
  const options = { payload, version: parseVersion(version)!, securityCounter };
  const sign = (message: Uint8Array) => KEY.sign(message);
  return createImage({ ...options, digest: 'sha512' }, KEY.publicKey, nodeCrypto, sign);
}

/** What a fleet keeps of a device; the rest is the same for all. */
interface Device {
  readonly flash: Flash;
  readonly fuses: Fuses;
}

function machineOf({ flash, fuses }: Device): Machine {
  return { flash, fuses, layout: LAYOUT, crypto: nodeCrypto, keys: [KEY.publicKey], verdicts };
}

function boot(device: Device, reset: 'power-on' | 'restart') {
  device.flash.powerOn();
  const bootloader = new Bootloader(machineOf(device), profile);
  const decision = bootloader.boot(reset);
  if (decision.outcome !== 'slot') throw new Error(decision.reason);
  return new UpdateSlot(bootloader, decision, () => undefined);
}

/** Version 2 over version 1, as an update client does it. */
function update(device: Device, image: Uint8Array): void {
  const running = boot(device, 'power-on');
  const { slot } = running;
  for (let at = 0; at < image.length; at += slot.sectorSize) {
    slot.eraseBlock(at);
    slot.write(at, image, at, Math.min(image.length, at + slot.sectorSize));
  }
  running.stage();
  boot(device, 'restart').confirm();
  boot(device, 'restart');
}

function heapSize(): number {
  // A second collection frees what the first one's weak references held.
  for (let count = 0; count < 3; count += 1) globalThis.gc!();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function devicesOf(layout: Layout, count: number): Device[] {
  return Array.from({ length: count }, () => ({
    flash: new Flash(W25Q32, pool, layout),
    fuses: new Fuses(FUSES),
  }));
}

const factory = { flash: new Flash(W25Q32, pool), fuses: new Fuses(FUSES) };
factory.flash.program(LAYOUT.slots[0].start, imageOf('1.0.0', 1));
profile.confirm(machineOf(factory), 0);
boot(factory, 'power-on');
const sold = factory.flash.toLayout();
const next = imageOf('2.0.0', 2);
const [leader] = devicesOf(sold, 1) as [Device];
update(leader, next);
const updated = leader.flash.toLayout();

// A fleet in the field: two images, and since the layout each device was switched on twice, which
// wrote both sectors of its record, and burnt its own fuses.
const before = heapSize();
const fleet = devicesOf(updated, deviceCount);
for (const device of fleet) {
  boot(device, 'power-on');
  boot(device, 'power-on');
}
const field = (heapSize() - before) / deviceCount;

// Devices that made the update themselves, before and after they share the leader's layout.
const base = heapSize();
const others = devicesOf(sold, updatedCount);
for (const device of others) update(device, next);
const own = (heapSize() - base) / updatedCount;
for (const { flash } of others) flash.rebase(updated);
const rebased = (heapSize() - base) / updatedCount;

const wear = fleet.map(({ flash }) => flash.wearOf(13) + flash.wearOf(14));
const counters = fleet.map(({ fuses }) => fuses.rollbackCounter);
console.log(
  JSON.stringify({
    deviceCount: fleet.length,
    updatedCount: others.length,
    field,
    own,
    rebased,
    wears: [...new Set(wear)],
    counters: [...new Set(counters)],
    contentsInFleet: new Set(fleet.slice(-200).map(({ flash }) => flash.contentKey(0, W25Q32.size)))
      .size,
  }),
);
