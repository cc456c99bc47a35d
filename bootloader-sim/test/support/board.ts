// A board for tests: a small chip with stage 2, record, two slots and room for recovery, and the
// images of the vectors' key.

import { readFileSync } from 'node:fs';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { Bootloader } from '../../src/bootloader.ts';
import { ContentPool } from '../../src/flash/content.ts';
import { Flash } from '../../src/flash/flash.ts';
import { chipOf } from '../../src/flash/geometry.ts';
import { type FuseState, Fuses } from '../../src/fuses.ts';
import { createEspImage } from '../../src/images/esp-idf.ts';
import { parseVersion, publicKeyInfo } from '../../src/images/mcuboot.ts';
import { createImage } from '../../src/images/mcuboot-write.ts';
import type { FlashLayout, Machine } from '../../src/machine.ts';
import { nodeCrypto, readPrivateKeyPem, type SigningKey } from '../../src/node-crypto.ts';
import type { Profile } from '../../src/profiles/profile.ts';

const SECTOR = 4096;
const SLOT_SIZE = 2 * SECTOR;

export const LAYOUT: FlashLayout = {
  stage2: { start: 0, size: SECTOR },
  record: { start: SECTOR, size: 2 * SECTOR },
  slots: [
    { start: 3 * SECTOR, size: SLOT_SIZE },
    { start: 5 * SECTOR, size: SLOT_SIZE },
  ],
  recovery: { start: 7 * SECTOR, size: SECTOR },
};

function keyOf(name: string): SigningKey {
  const path = new URL(`../vectors/mcuboot/${name}.pem`, import.meta.url);
  return readPrivateKeyPem(readFileSync(path, 'utf8'));
}

export const KEY = keyOf('key');
export const OTHER_KEY = keyOf('other-key');

export function digestOf({ publicKey }: SigningKey): string {
  return toHex(nodeCrypto.sha256(publicKeyInfo(publicKey)));
}

/** A signed MCUboot image of a few hundred bytes. */
export function imageOf(version: string, securityCounter = 0, key = KEY): Uint8Array {
  const payload = Uint8Array.from({ length: 300 }, (_, index) => index + version.length);
  const options = { payload, version: parseVersion(version)!, securityCounter };
  const sign = (message: Uint8Array) => key.sign(message);
  return createImage({ ...options, digest: 'sha256' }, key.publicKey, nodeCrypto, sign);
}

/** An image of ESP-IDF's. */
export function espImageOf(version: string, secureVersion = 0): Uint8Array {
  return createEspImage(
    {
      chipId: 5,
      minChipRevision: 0,
      maxChipRevision: 99,
      entryAddress: 0,
      secureVersion,
      version,
      projectName: 'test',
      time: '',
      date: '',
      idfVersion: '',
      elfDigest: new Uint8Array(32),
      segments: [{ loadAddress: 0, data: new Uint8Array(64) }],
    },
    nodeCrypto,
  );
}

export interface Board {
  readonly machine: Machine;
  readonly bootloader: Bootloader;
}

export interface BoardOptions {
  readonly slots?: readonly [Uint8Array | undefined, Uint8Array | undefined];
  readonly recovery?: Uint8Array;
  readonly fuses?: Partial<FuseState>;
}

/** A board with these images, as its production line leaves it: no record yet, powered. */
export function createBoard(profile: Profile, options: BoardOptions = {}): Board {
  const flash = new Flash(chipOf(8 * SECTOR), new ContentPool(SECTOR));
  const stage2 = new Uint8Array(SECTOR).fill(0x5a);
  flash.program(LAYOUT.stage2.start, stage2);
  for (const [slot, image] of (options.slots ?? []).entries()) {
    if (image !== undefined) flash.program(LAYOUT.slots[slot as 0 | 1].start, image);
  }
  if (options.recovery !== undefined) flash.program(LAYOUT.recovery!.start, options.recovery);
  const fuses = new Fuses({
    secureBoot: true,
    keyDigests: [digestOf(KEY)],
    revokedKeys: 0,
    stage2Digest: toHex(nodeCrypto.sha256(stage2)),
    rollbackBits: 0,
    rollbackBitCount: 32,
    ...options.fuses,
  });
  const keys = [KEY.publicKey, OTHER_KEY.publicKey];
  const machine = { flash, fuses, layout: LAYOUT, crypto: nodeCrypto, keys, verdicts: new Map() };
  flash.powerOn();
  return { machine, bootloader: new Bootloader(machine, profile) };
}
