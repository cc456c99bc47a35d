// The hardened profile: MCUboot images, the whole-state record, and six rules (see boot-record.ts
// and docs/boot.md): write the other sector; count the try before the jump; burn the rollback
// counter only for a verified image with a durable VALID record; commit the record again after an
// unclean reset; take stock entries as they are; never trust an erased look.

import { toHex } from '@flotilla/sdk/codec/bytes';
import type { BootReason } from '@flotilla/sdk/platform';
import {
  type BootRecord,
  REASON_CONFIRMED,
  REASON_NAMES,
  REASON_NOT_VERIFIED,
  REASON_PROVISIONED,
  REASON_REJECTED,
  REASON_STAGED,
  REASON_TRIES_USED,
  RecordStore,
  SLOT_EMPTY,
  SLOT_INVALID,
  SLOT_NEW,
  SLOT_PENDING,
  SLOT_VALID,
  type SlotState,
} from '../boot-record.ts';
import { FlashPartition } from '../flash/flash.ts';
import { formatVersion, publicKeyInfo, verifyImage } from '../images/mcuboot.ts';
import {
  type BootDecision,
  type ImageVerdict,
  type Machine,
  type Region,
  verifyRegion,
} from '../machine.ts';
import type { Profile } from './profile.ts';

/** Boots that a new image gets to confirm itself. */
export const TRIES_MAX = 3;

type Image = Extract<ImageVerdict, { readonly ok: true }>;

/** Parts that a campaign leaves out to prove that they are needed; none in a product. */
export interface HardenedVariant {
  /** Rule 4: the record is committed again after an unclean reset. */
  readonly recommit: boolean;
}

export function createHardenedProfile(variant: HardenedVariant = { recommit: true }): Profile {
  return {
    name: 'hardened',
    verify: verifyHardened,
    decide: (machine, reset) => new Decision(machine, reset, variant).decide(),
    stage(machine, slot) {
      const store = storeOf(machine);
      const record = loadRunning(store, slot);
      const target = other(slot);
      const slots = withSlot(record.slots, target, { state: SLOT_NEW, tries: TRIES_MAX });
      store.save({ active: target, slots, reason: REASON_STAGED });
    },
    confirm(machine, slot) {
      const store = storeOf(machine);
      const record = loadRunning(store, slot);
      if (record.active === slot && record.slots[record.active].state === SLOT_VALID) return;
      const slots = withSlot(record.slots, slot, { state: SLOT_VALID, tries: 0 });
      store.save({ active: slot as 0 | 1, slots, reason: REASON_CONFIRMED });
    },
    reject(machine, slot) {
      const store = storeOf(machine);
      const record = loadRunning(store, slot);
      const slots = withSlot(record.slots, slot, { state: SLOT_INVALID, tries: 0 });
      store.save({ active: other(slot), slots, reason: REASON_REJECTED });
    },
  };
}

function verifyHardened(machine: Machine, region: Region): ImageVerdict {
  return verifyRegion(machine, region, (bytes) => {
    const { crypto, keys } = machine;
    const result = verifyImage(bytes, keys, crypto);
    if (!result.ok) return result;
    const { digest, securityCounter, version } = result.image;
    return {
      ok: true,
      version: formatVersion(version),
      securityVersion: securityCounter,
      digest,
      keyDigest: toHex(crypto.sha256(publicKeyInfo(result.signer))),
      size: result.image.totalSize,
    };
  });
}

function storeOf({ flash, layout }: Machine): RecordStore {
  return new RecordStore(new FlashPartition(flash, layout.record.start, layout.record.size));
}

/** The record that the running program goes on from; the boot before it wrote one. */
function loadRunning(store: RecordStore, slot: number): BootRecord {
  return store.load() ?? provisioned(slot as 0 | 1);
}

function provisioned(active: 0 | 1): BootRecord {
  const empty: SlotState = { state: SLOT_EMPTY, tries: 0 };
  const slots = withSlot([empty, empty], active, { state: SLOT_NEW, tries: TRIES_MAX });
  return { sequence: 0, active, slots, reason: REASON_PROVISIONED, stock: false };
}

function other(slot: number): 0 | 1 {
  return slot === 0 ? 1 : 0;
}

function withSlot(
  slots: readonly [SlotState, SlotState],
  slot: number,
  state: SlotState,
): [SlotState, SlotState] {
  return slot === 0 ? [state, slots[1]] : [slots[0], state];
}

/** One boot. */
class Decision {
  private readonly machine: Machine;
  private readonly reset: BootReason;
  private readonly variant: HardenedVariant;
  private readonly store: RecordStore;
  private reverted = false;

  constructor(machine: Machine, reset: BootReason, variant: HardenedVariant) {
    this.machine = machine;
    this.reset = reset;
    this.variant = variant;
    this.store = storeOf(machine);
  }

  decide(): BootDecision {
    let record = this.store.load();
    // Only a restart that the program asked for is clean: any other reset may have cut a write,
    // and what reads valid now may not on the next boot.
    const clean = this.reset === 'restart' || this.reset === 'deep-sleep';
    if (record !== undefined && (record.stock || (!clean && this.variant.recommit))) {
      record = this.store.save(record);
    }
    record ??= this.bestGuess();
    for (let step = 0; record !== undefined && step < 2; step += 1) {
      const { active } = record;
      const image = this.imageOf(active, record.slots[active]);
      if (typeof image !== 'number') return this.start(record, image);
      this.reverted = true;
      const slots = withSlot(record.slots, active, { state: SLOT_INVALID, tries: 0 });
      const next = other(active);
      if (slots[next].state !== SLOT_VALID) break;
      record = this.store.save({ active: next, slots, reason: image });
    }
    return this.recover();
  }

  /** The image of a slot that may run, or REASON_… why it may not. */
  private imageOf(slot: 0 | 1, state: SlotState): Image | number {
    const onTrial = state.state === SLOT_NEW || state.state === SLOT_PENDING;
    if (onTrial && state.tries === 0) return REASON_TRIES_USED;
    if (!onTrial && state.state !== SLOT_VALID) return REASON_REJECTED;
    return this.verified(this.machine.layout.slots[slot]) ?? REASON_NOT_VERIFIED;
  }

  /** The image in a region, if it may run. Checked once per boot: a second look may differ. */
  private verified(region: Region): Image | undefined {
    const { fuses } = this.machine;
    const verdict = verifyHardened(this.machine, region);
    if (!verdict.ok || !fuses.trusts(verdict.keyDigest)) return undefined;
    // A version that the counter could not follow must not run either.
    const { securityVersion: version } = verdict;
    return version >= fuses.rollbackCounter && version <= fuses.rollbackCounterMax
      ? verdict
      : undefined;
  }

  private start(record: BootRecord, image: Image): BootDecision {
    const { active } = record;
    const state = record.slots[active];
    const trial = state.state !== SLOT_VALID;
    if (trial) {
      // Before the jump: an image that hangs at its first instruction has used this try.
      const tried = { state: SLOT_PENDING, tries: state.tries - 1 };
      this.store.save({ ...record, slots: withSlot(record.slots, active, tried) });
    } else {
      this.machine.fuses.raiseCounter(image.securityVersion);
    }
    return {
      outcome: 'slot',
      slot: active,
      version: image.version,
      securityVersion: image.securityVersion,
      digest: image.digest,
      trial,
      reset: this.reset,
      reverted: this.reverted,
      reason: REASON_NAMES[record.reason] ?? 'unknown',
    };
  }

  /** Without any record: the best image that verifies gets a trial. */
  private bestGuess(): BootRecord | undefined {
    const [a, b] = this.machine.layout.slots.map(
      (region) => this.verified(region)?.securityVersion,
    );
    if (a === undefined && b === undefined) return undefined;
    return provisioned((b ?? -1) > (a ?? -1) ? 1 : 0);
  }

  private recover(): BootDecision {
    const { recovery } = this.machine.layout;
    const base = { slot: -1, trial: false, reset: this.reset, reverted: this.reverted };
    const image = recovery && this.verified(recovery);
    if (image !== undefined) {
      const { digest, securityVersion, version } = image;
      const reason = 'neither slot may run';
      return { ...base, outcome: 'recovery', version, securityVersion, digest, reason };
    }
    return {
      ...base,
      outcome: 'halt',
      version: '',
      securityVersion: 0,
      digest: new Uint8Array(0),
      reason: 'neither slot nor a recovery image may run',
      haltCode: 'no-bootable-image',
    };
  }
}
