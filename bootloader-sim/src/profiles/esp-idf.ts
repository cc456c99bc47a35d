// The stock scheme of ESP-IDF (bootloader_support, app_update): otadata in two sectors, E9 images.
// It is modelled with its hazards: the state of the active entry is changed in place, by erasing
// its sector and writing it again, and no CRC covers the state.

import type { BootReason, Partition } from '@flotilla/sdk/platform';
import { espSequenceCrc } from '../crc32.ts';
import { FlashPartition } from '../flash/flash.ts';
import { readEspImage } from '../images/esp-idf.ts';
import {
  type BootDecision,
  type ImageVerdict,
  type Machine,
  type Region,
  verifyRegion,
} from '../machine.ts';
import type { Profile } from './profile.ts';

const ENTRY_SIZE = 32;
/** esp_ota_img_states_t. */
const NEW = 0;
const PENDING_VERIFY = 1;
const VALID = 2;
const INVALID = 3;
const ABORTED = 4;
const UNDEFINED = 0xffffffff;

export interface EspIdfOptions {
  /** CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE. */
  readonly rollback: boolean;
  /** CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK. */
  readonly antiRollback: boolean;
}

interface Entry {
  readonly sequence: number;
  readonly state: number;
}

export function createEspIdfProfile(options: EspIdfOptions): Profile {
  return {
    name: 'esp-idf',
    verify: verifyEsp,
    decide: (machine, reset) => decide(machine, reset, options),
    stage(machine, slot) {
      const target = slot === 0 ? 1 : 0;
      const data = otadata(machine);
      const entries = [readEntry(data, 0), readEntry(data, 1)] as const;
      const active = activeOf(entries);
      const present = active < 0 ? 0 : entries[active as 0 | 1]!.sequence;
      // esp_rewrite_ota_data: the next sequence of this slot, into the other sector.
      let sequence = present + 1;
      while ((sequence - 1) % 2 !== target) sequence += 1;
      const state = options.rollback ? NEW : UNDEFINED;
      writeEntry(data, active === 0 ? 1 : 0, { sequence, state });
    },
    confirm(machine, slot) {
      setState(machine, VALID);
      if (options.antiRollback) raiseCounter(machine, slot);
    },
    reject(machine) {
      setState(machine, INVALID);
    },
  };
}

function verifyEsp(machine: Machine, region: Region): ImageVerdict {
  return verifyRegion(machine, region, (bytes) => {
    // As stock does: an image whose header says that it has no hash is taken without one.
    const result = readEspImage(bytes, machine.crypto, { hashRequired: false });
    if (!result.ok) return result;
    const { digest, secureVersion, version } = result.image;
    const size = result.image.totalSize;
    return { ok: true, version, securityVersion: secureVersion, digest, keyDigest: '', size };
  });
}

function otadata({ flash, layout }: Machine): Partition {
  return new FlashPartition(flash, layout.record.start, layout.record.size);
}

/** An entry that counts: sequence set, CRC right, state neither INVALID nor ABORTED. */
function readEntry(data: Partition, sector: number): Entry | undefined {
  const bytes = new Uint8Array(ENTRY_SIZE);
  data.read(sector * data.sectorSize, bytes);
  const view = new DataView(bytes.buffer);
  const sequence = view.getUint32(0, true);
  const state = view.getUint32(24, true);
  if (sequence === UNDEFINED || view.getUint32(28, true) !== espSequenceCrc(sequence)) {
    return undefined;
  }
  return state === INVALID || state === ABORTED ? undefined : { sequence, state };
}

/** Erases the sector and writes the entry: what was there is gone until the write is whole. */
function writeEntry(data: Partition, sector: number, { sequence, state }: Entry): void {
  const bytes = new Uint8Array(ENTRY_SIZE).fill(0xff);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, sequence, true);
  view.setUint32(24, state, true);
  view.setUint32(28, espSequenceCrc(sequence), true);
  data.eraseBlock(sector * data.sectorSize);
  data.write(sector * data.sectorSize, bytes, 0, ENTRY_SIZE);
}

/** The sector of the entry with the highest sequence, or -1. */
function activeOf(entries: readonly (Entry | undefined)[]): number {
  const [a, b] = entries;
  if (a === undefined) return b === undefined ? -1 : 1;
  return b === undefined || a.sequence > b.sequence ? 0 : 1;
}

/** Changes the state of the active entry, in place. */
function setState(machine: Machine, state: number): void {
  const data = otadata(machine);
  const entries = [readEntry(data, 0), readEntry(data, 1)];
  const sector = activeOf(entries);
  const entry = entries[sector];
  if (entry !== undefined) writeEntry(data, sector, { ...entry, state });
}

function raiseCounter(machine: Machine, slot: number): void {
  const { fuses } = machine;
  const verdict = verifyEsp(machine, machine.layout.slots[slot as 0 | 1]);
  if (!verdict.ok) return;
  // esp_efuse_update_secure_version: past the fuses it returns an error, and the app stays VALID.
  if (verdict.securityVersion > fuses.rollbackCounterMax) return;
  fuses.raiseCounter(verdict.securityVersion);
}

function decide(machine: Machine, reset: BootReason, options: EspIdfOptions): BootDecision {
  const data = otadata(machine);
  let reverted = false;
  let entries = [readEntry(data, 0), readEntry(data, 1)];
  if (options.rollback) {
    // bootloader_common: what was pending at the last boot did not confirm itself.
    for (const [sector, entry] of entries.entries()) {
      if (entry?.state !== PENDING_VERIFY) continue;
      writeEntry(data, sector, { ...entry, state: ABORTED });
      reverted = true;
    }
    entries = [readEntry(data, 0), readEntry(data, 1)];
  }
  const active = activeOf(entries);
  // Without any entry the first slot runs (there is no factory image in this layout).
  const preferred = active < 0 ? 0 : (entries[active]!.sequence - 1) % 2;
  const order = preferred === 0 ? [0, 1] : [1, 0];
  for (const slot of order) {
    const verdict = verifyEsp(machine, machine.layout.slots[slot as 0 | 1]);
    const { rollbackCounter } = machine.fuses;
    if (!verdict.ok) continue;
    if (options.antiRollback && verdict.securityVersion < rollbackCounter) continue;
    const entry = active < 0 ? undefined : entries[active]!;
    const fresh = options.rollback && slot === preferred && entry?.state === NEW;
    if (fresh) writeEntry(data, active, { ...entry, state: PENDING_VERIFY });
    return {
      outcome: 'slot',
      slot,
      version: verdict.version,
      securityVersion: verdict.securityVersion,
      digest: verdict.digest,
      trial: fresh,
      reset,
      reverted: reverted || slot !== preferred,
      reason: active < 0 ? 'no otadata' : slot === preferred ? 'otadata' : 'the other slot failed',
    };
  }
  return {
    outcome: 'halt',
    slot: -1,
    version: '',
    securityVersion: 0,
    digest: new Uint8Array(0),
    trial: false,
    reset,
    reverted,
    reason: 'no bootable app',
    haltCode: 'no-bootable-image',
  };
}
