// The machine that a campaign breaks: a small chip with stage 2, record, two slots, recovery; and
// the images that run on it.

import { toHex } from '@flotilla/sdk/codec/bytes';
import type { BootCrypto } from '../crypto.ts';
import { ContentPool } from '../flash/content.ts';
import { Flash, FlashPartition } from '../flash/flash.ts';
import { chipOf } from '../flash/geometry.ts';
import { Fuses } from '../fuses.ts';
import type { FlashLayout, ImageVerdict, Machine } from '../machine.ts';
import type { Profile } from '../profiles/profile.ts';
import type { Flow, Hostile } from './flows.ts';

const SECTOR = 4096;
/** The image of an update: 16 erases and 256 page programs. */
export const IMAGE_SIZE = 16 * SECTOR;
/** Images that only have to be there are small. */
export const SMALL_SIZE = 2 * SECTOR;

export const LAYOUT: FlashLayout = {
  stage2: { start: 0, size: SECTOR },
  record: { start: SECTOR, size: 2 * SECTOR },
  slots: [
    { start: 3 * SECTOR, size: IMAGE_SIZE },
    { start: 3 * SECTOR + IMAGE_SIZE, size: IMAGE_SIZE },
  ],
  recovery: { start: 3 * SECTOR + 2 * IMAGE_SIZE, size: SMALL_SIZE },
};
const CHIP_SIZE = 3 * SECTOR + 2 * IMAGE_SIZE + SMALL_SIZE;

/** Images as files, by what they are for. `final` is what a staged update installs at the end. */
export type GoodImage = 'old' | 'running' | 'next' | 'next-secure' | 'final' | 'recovery';

/** Makes the images of one format. */
export interface ImageFactory {
  /** An image of exactly `size` bytes. */
  good(version: string, securityVersion: number, size: number): Uint8Array;
  /** Images that must not run; formats without signatures know fewer. */
  hostile(kind: Hostile): Uint8Array | undefined;
}

export interface CampaignWorld {
  readonly profile: Profile;
  readonly crypto: BootCrypto;
  readonly keys: readonly Uint8Array[];
  /** Hex SHA-256 of the keys that the fuses trust. */
  readonly keyDigests: readonly string[];
  readonly images: Readonly<Record<GoodImage, Uint8Array>>;
  readonly hostile: Readonly<Partial<Record<Hostile, Uint8Array>>>;
  /** Names of the good images by the hex digest that a boot reports. */
  readonly names: ReadonlyMap<string, GoodImage>;
  readonly pool: ContentPool;
  readonly verdicts: Map<string, ImageVerdict>;
}

/** The security version that the chip begins with. */
export const COUNTER_START = 1;

export function createWorld(
  profile: Profile,
  crypto: BootCrypto,
  keys: readonly Uint8Array[],
  keyDigests: readonly string[],
  factory: ImageFactory,
): CampaignWorld {
  const images: Record<GoodImage, Uint8Array> = {
    old: factory.good('0.9.0', 1, SMALL_SIZE),
    running: factory.good('1.0.0', 1, IMAGE_SIZE),
    next: factory.good('2.0.0', 1, IMAGE_SIZE),
    'next-secure': factory.good('2.0.0', 2, IMAGE_SIZE),
    final: factory.good('3.0.0', 2, SMALL_SIZE),
    // Recovery must outlive every counter.
    recovery: factory.good('0.1.0', 32, SMALL_SIZE),
  };
  const hostile: Partial<Record<Hostile, Uint8Array>> = {};
  for (const kind of HOSTILE_KINDS) {
    const bytes = factory.hostile(kind);
    if (bytes !== undefined) hostile[kind] = bytes;
  }
  const pool = new ContentPool(SECTOR);
  const verdicts = new Map<string, ImageVerdict>();
  const world = { profile, crypto, keys, keyDigests, images, hostile, pool, verdicts };
  const names = nameDigests({ ...world, names: new Map() });
  pool.pin();
  return { ...world, names };
}

const HOSTILE_KINDS: readonly Hostile[] = [
  'wrong-key',
  'payload-flipped',
  'downgraded',
  'truncated',
  'wrong-digest',
  'counter-unprotected',
  'encrypted',
  'garbage',
];

/** The digest under which a boot reports each good image: what the profile itself reads. */
function nameDigests(world: CampaignWorld): Map<string, GoodImage> {
  const names = new Map<string, GoodImage>();
  for (const [name, bytes] of Object.entries(world.images) as [GoodImage, Uint8Array][]) {
    const machine = emptyMachine(world);
    const slot = LAYOUT.slots[0];
    machine.flash.program(slot.start, bytes);
    const verdict = world.profile.verify(machine, slot);
    if (!verdict.ok) throw new Error(`campaign image ${name}: ${verdict.reason}`);
    names.set(toHex(verdict.digest), name);
  }
  return names;
}

function emptyMachine(world: CampaignWorld): Machine {
  const { crypto, keyDigests, keys, pool, verdicts } = world;
  const flash = new Flash(chipOf(CHIP_SIZE), pool);
  flash.powerOn();
  const stage2 = new Uint8Array(LAYOUT.stage2.size).fill(0x5a);
  flash.program(LAYOUT.stage2.start, stage2);
  const fuses = new Fuses({
    secureBoot: keyDigests.length > 0,
    keyDigests,
    revokedKeys: 0,
    stage2Digest: toHex(crypto.sha256(stage2)),
    rollbackBits: 2 ** COUNTER_START - 1,
    rollbackBitCount: 32,
  });
  return { flash, fuses, layout: LAYOUT, crypto, keys, verdicts };
}

/**
 * A machine in the field: version 1 runs in the flow's slot and is VALID, version 0.9, the one
 * before it, is still in the other slot, recovery is in place.
 */
export function fieldMachine(world: CampaignWorld, flow: Flow): Machine {
  const machine = emptyMachine(world);
  const { flash } = machine;
  const { images, profile } = world;
  const other = flow.startSlot === 0 ? 1 : 0;
  flash.program(LAYOUT.slots[other].start, images.old);
  flash.program(LAYOUT.slots[flow.startSlot].start, images.running);
  flash.program(LAYOUT.recovery!.start, images.recovery);
  // As an update would have left it: staged from the old slot, started, confirmed.
  profile.confirm(machine, other);
  profile.stage(machine, other);
  flash.powerOn();
  profile.decide(machine, 'restart');
  profile.confirm(machine, flow.startSlot);
  flash.powerOn();
  profile.decide(machine, 'restart');
  return machine;
}

/** Copies `image` into a slot as an update client does: every sector is erased first (rule 6). */
export function writeSlot(
  machine: Machine,
  slot: number,
  image: Uint8Array,
  erasesAlways: boolean,
): void {
  const { start, size } = LAYOUT.slots[slot as 0 | 1];
  const partition = new FlashPartition(machine.flash, start, size);
  const sector = new Uint8Array(SECTOR);
  for (let address = 0; address < image.length; address += SECTOR) {
    partition.read(address, sector);
    if (erasesAlways || sector.some((byte) => byte !== 0xff)) partition.eraseBlock(address);
    const end = Math.min(image.length, address + SECTOR);
    partition.write(address, image, address, end);
  }
}
