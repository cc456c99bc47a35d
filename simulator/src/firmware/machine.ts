// The machine of one simulated device with firmware: flash, fuses and a bootloader. What a thread's
// machines have in common is in `MachineKind`: a machine at rest holds what its flash changed.

import {
  type BootDecision,
  Bootloader,
  ContentPool,
  chipOf,
  createHardenedProfile,
  type Fault,
  Flash,
  type FlashLayout,
  type FlashOperation,
  FlashPartition,
  Fuses,
  type ImageVerdict,
  type Layout,
  type Machine,
  type Region,
  UpdateSlot,
} from '@flotilla/bootloader-sim';
import { publicKeyInfo } from '@flotilla/bootloader-sim/images/mcuboot';
import { nodeCrypto } from '@flotilla/bootloader-sim/node-crypto';
import { type BootReason, type Firmware, type Partition, PowerLoss } from '@flotilla/sdk';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { POWER_STREAM, randomUint32, randomUnit } from '../fleet/random.ts';
import { type CatalogueImage, SECURITY_COUNTER_START } from './catalogue.ts';

const SECTOR_SIZE = 4096;
const STAGE2: Region = { start: 0, size: SECTOR_SIZE };
const RECORD: Region = { start: SECTOR_SIZE, size: 2 * SECTOR_SIZE };
const SLOTS_START = 3 * SECTOR_SIZE;
const ROLLBACK_BIT_COUNT = 32;
/** Power cuts within one boot; after them it is let be, or a scenario could hold it up for ever. */
const POWER_CUTS_MAX = 16;

/** What the machines of one thread share. */
export class MachineParts {
  readonly pool = new ContentPool(SECTOR_SIZE);
  readonly profile = createHardenedProfile();
  readonly verdicts = new Map<string, ImageVerdict>();
  /** SHA-256 of image files by what the flash holds. */
  readonly fileDigests = new Map<string, Uint8Array>();
}

export interface MachineKindOptions {
  /** In slot 0, confirmed. */
  readonly factory: CatalogueImage;
  /** Largest image that is to fit a slot, bytes. */
  readonly imageSizeMax: number;
  /** Keys that the fuses trust, raw. */
  readonly keys: readonly Uint8Array[];
}

/** What all machines of a fleet have in common as they leave the factory. */
export class MachineKind {
  readonly parts: MachineParts;
  readonly layout: FlashLayout;
  private readonly base: Layout;
  private readonly fuses: Fuses;
  private readonly keys: readonly Uint8Array[];
  private readonly chipSize: number;

  constructor(parts: MachineParts, { factory, imageSizeMax, keys }: MachineKindOptions) {
    const slotSize = Math.ceil(imageSizeMax / SECTOR_SIZE) * SECTOR_SIZE;
    this.parts = parts;
    this.keys = keys;
    this.chipSize = SLOTS_START + 2 * slotSize;
    this.layout = {
      stage2: STAGE2,
      record: RECORD,
      slots: [
        { start: SLOTS_START, size: slotSize },
        { start: SLOTS_START + slotSize, size: slotSize },
      ],
    };
    const stage2 = new Uint8Array(STAGE2.size).fill(0x5a);
    this.fuses = new Fuses({
      secureBoot: true,
      keyDigests: keys.map((key) => toHex(nodeCrypto.sha256(publicKeyInfo(key)))),
      revokedKeys: 0,
      stage2Digest: toHex(nodeCrypto.sha256(stage2)),
      rollbackBits: 2 ** SECURITY_COUNTER_START - 1,
      rollbackBitCount: ROLLBACK_BIT_COUNT,
    });
    this.base = this.provision(stage2, factory);
  }

  /** A machine as it leaves the factory. */
  create(): Machine {
    return this.machineOn(new Flash(chipOf(this.chipSize), this.parts.pool, this.base));
  }

  private machineOn(flash: Flash): Machine {
    const { fuses, keys, layout, parts } = this;
    const { verdicts } = parts;
    return { flash, fuses: fuses.clone(), layout, crypto: nodeCrypto, keys, verdicts };
  }

  /** The flash of a machine whose factory image was started and confirmed. */
  private provision(stage2: Uint8Array, factory: CatalogueImage): Layout {
    const flash = new Flash(chipOf(this.chipSize), this.parts.pool);
    flash.powerOn();
    flash.program(STAGE2.start, stage2);
    flash.program(this.layout.slots[0].start, factory.bytes);
    const bootloader = new Bootloader(this.machineOn(flash), this.parts.profile);
    const decision = bootloader.boot('power-on');
    if (decision.outcome !== 'slot') {
      throw new Error(`firmware ${factory.version} does not start: ${decision.reason}`);
    }
    this.parts.profile.confirm(bootloader.machine, decision.slot);
    return flash.toLayout();
  }
}

/** Power cuts at random flash operations of one device. */
export interface PowerCuts {
  readonly seed: number;
  readonly device: number;
  /** Mean operations between two cuts; 0 = none. */
  readonly meanOperations: number;
  onCut?(): void;
}

/** What a running program does to its machine. */
export interface MachineEvents {
  /** It asks for a reset, which comes after this returned. */
  onRestart(): void;
  /** It ended its trial. */
  onConfirm(): void;
}

/** The machine of one device. */
export class SimulatedMachine {
  /** Set while a program runs. */
  firmware: MachineFirmware | undefined = undefined;
  /** The last boot. */
  decision: BootDecision | undefined = undefined;
  private readonly bootloader: Bootloader;
  private readonly parts: MachineParts;
  private readonly cuts: PowerCuts;
  private operationCount = 0;
  private isSpared = false;

  constructor(kind: MachineKind, cuts: PowerCuts) {
    this.parts = kind.parts;
    this.cuts = cuts;
    this.bootloader = new Bootloader(kind.create(), kind.parts.profile);
    this.bootloader.machine.flash.powerOn();
    if (cuts.meanOperations > 0) this.bootloader.machine.flash.hook = (each) => this.cutAt(each);
  }

  get machine(): Machine {
    return this.bootloader.machine;
  }

  /** From reset to the decision what runs. */
  boot(reset: BootReason, events: MachineEvents): BootDecision {
    this.firmware = undefined;
    const { flash } = this.bootloader.machine;
    let present = reset;
    for (let cut = 0; ; cut += 1) {
      this.isSpared = cut >= POWER_CUTS_MAX;
      // Also a warm reset begins the next boot of a flash: weak bits read anew.
      flash.powerOn();
      try {
        const decision = this.bootloader.boot(present);
        this.decision = decision;
        this.isSpared = false;
        if (decision.outcome === 'slot') {
          this.firmware = new MachineFirmware(this.parts, this.bootloader, decision, events);
        }
        return decision;
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
        present = 'power-on';
      }
    }
  }

  private cutAt({ kind, size }: FlashOperation): Fault | undefined {
    const { device, meanOperations, seed } = this.cuts;
    this.operationCount += 1;
    if (this.isSpared) return undefined;
    const count = this.operationCount;
    if (randomUnit(seed, device, POWER_STREAM, 2 * count) >= 1 / meanOperations) return undefined;
    this.cuts.onCut?.();
    const drawn = randomUint32(seed, device, POWER_STREAM, 2 * count + 1);
    const way = drawn % 4;
    if (way === 0) return { kind: 'cut-before' };
    if (way === 1) return { kind: 'cut-after' };
    if (kind === 'erase') return way === 2 ? { kind: 'erase-zeros' } : erased(drawn);
    return way === 2 ? { kind: 'program-prefix', size: drawn % size } : programmed(drawn);
  }
}

function erased(seed: number): Fault {
  return { kind: 'erase-bits', seed };
}

function programmed(seed: number): Fault {
  return { kind: 'program-bits', seed };
}

/** What the SDK drives: the update slot of the boot model, with the running image to patch from. */
export class MachineFirmware implements Firmware {
  readonly version: string;
  /** SHA-256 of the image file, as manifests and deltas name it. */
  readonly digest: Uint8Array;
  readonly slot: Partition;
  /** The slot that runs. */
  readonly running: Partition;
  private readonly events: MachineEvents;
  private readonly inner: UpdateSlot;

  constructor(
    parts: MachineParts,
    bootloader: Bootloader,
    decision: BootDecision,
    events: MachineEvents,
  ) {
    const { machine } = bootloader;
    const region = machine.layout.slots[decision.slot as 0 | 1];
    this.events = events;
    this.inner = new UpdateSlot(bootloader, decision, () => events.onRestart());
    this.version = this.inner.version;
    this.digest = fileDigest(parts, machine, region, bootloader);
    this.slot = this.inner.slot;
    this.running = new FlashPartition(machine.flash, region.start, region.size);
  }

  get trial(): boolean {
    return this.inner.trial;
  }

  stage(): void {
    this.inner.stage();
  }

  confirm(): void {
    const wasTrial = this.inner.trial;
    this.inner.confirm();
    if (wasTrial) this.events.onConfirm();
  }

  reject(reason: string): void {
    this.inner.reject(reason);
  }

  restart(): void {
    this.inner.restart();
  }

  bootReason(): BootReason {
    return this.inner.bootReason();
  }

  bootLog(): ReturnType<Firmware['bootLog']> {
    return this.inner.bootLog();
  }
}

/** SHA-256 of the image in a region, as its file: the bootloader's digest leaves out what it signs. */
function fileDigest(
  parts: MachineParts,
  machine: Machine,
  region: Region,
  bootloader: Bootloader,
): Uint8Array {
  const verdict = bootloader.profile.verify(machine, region);
  if (!verdict.ok) return new Uint8Array(32); // Only where bits are weak: the boot read others.
  const key = machine.flash.contentKey(region.start, verdict.size);
  const known = parts.fileDigests.get(key);
  if (known !== undefined) return known;
  const bytes = new Uint8Array(verdict.size);
  machine.flash.read(region.start, bytes);
  const digest = nodeCrypto.sha256(bytes);
  if (!key.includes('w')) parts.fileDigests.set(key, digest);
  return digest;
}
