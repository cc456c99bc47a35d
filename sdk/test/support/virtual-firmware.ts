// Two slots, a bootloader that tries a staged image a few times, and power that can be cut at any
// operation. The bootloader runs only images that it knows: that stands for their signature.

import { sha256 } from '@noble/hashes/sha2.js';
import {
  type BootLogEntry,
  type BootReason,
  type Firmware,
  type Partition,
  PowerLoss,
} from '../../src/platform.ts';
import { Nor } from '../buffer/nor.ts';

/** Boots of an image on trial until the bootloader goes back. */
const TRIES = 3;

export interface TestImage {
  readonly version: string;
  readonly bytes: Uint8Array;
}

const digests = new WeakMap<TestImage, Uint8Array>();

/** SHA-256 of an image, which does not change: every boot asks for it, and XS takes 25 ms. */
export function digestOf(image: TestImage): Uint8Array {
  const digest = digests.get(image) ?? sha256(image.bytes);
  digests.set(image, digest);
  return digest;
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, start.length), start) === 0;
}

/** Power that goes at a chosen operation: in the middle of it, before or after it. */
export class PowerSwitch {
  /** Operations so far. */
  count = 0;
  /** The operation that is cut; 0 = none. */
  cutAt = 0;
  isOff = false;

  /** Runs `whole`, or `part` where the power goes. */
  operate(whole: () => void, part: () => void): void {
    if (this.isOff) throw new PowerLoss();
    this.count += 1;
    if (this.count === this.cutAt) {
      this.isOff = true;
      part();
      throw new PowerLoss();
    }
    whole();
  }

  check(): void {
    if (this.isOff) throw new PowerLoss();
  }
}

class SwitchedPartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment: number;
  readonly erasedValue: number;
  private readonly nor: Nor;
  private readonly power: PowerSwitch;
  private readonly isLocked: () => boolean;

  constructor(nor: Nor, power: PowerSwitch, isLocked: () => boolean) {
    this.nor = nor;
    this.power = power;
    this.isLocked = isLocked;
    this.size = nor.size;
    this.sectorSize = nor.sectorSize;
    this.writeAlignment = nor.writeAlignment;
    this.erasedValue = nor.erasedValue;
  }

  read(address: number, into: Uint8Array): void {
    this.power.check();
    this.nor.read(address, into);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.isLocked()) throw new Error('slot: the running image is on trial');
    const { nor, power } = this;
    const half = (end - start) >> 1;
    const part = half - (half % nor.writeAlignment);
    power.operate(
      () => nor.write(address, bytes, start, end),
      () => part > 0 && nor.write(address, bytes, start, start + part),
    );
  }

  eraseBlock(address: number): void {
    if (this.isLocked()) throw new Error('slot: the running image is on trial');
    const { nor, power } = this;
    power.operate(
      () => nor.eraseBlock(address),
      () => nor.bytes.fill(0x0f, address, address + (nor.sectorSize >> 1)),
    );
  }
}

export class VirtualBoot {
  readonly slots: readonly [Nor, Nor];
  readonly power = new PowerSwitch();
  readonly images: TestImage[] = [];
  /** Versions whose program crashes before it does anything. */
  readonly crashing = new Set<string>();
  /** What must never happen. */
  readonly violations: string[] = [];
  readonly log: BootLogEntry[] = [];
  active = 0;
  /** Boots that the image in the active slot has left; 0 = it is confirmed. */
  tries = 0;
  /** Tells that a restart is wanted. */
  restartWanted = false;
  stageCount = 0;
  nextReason: BootReason = 'power-on';
  /** What may be staged: the content of the slot. */
  expected: Uint8Array | undefined = undefined;

  constructor(sectorCount: number, sectorSize: number, first: TestImage) {
    this.slots = [new Nor(sectorCount, sectorSize, 4), new Nor(sectorCount, sectorSize, 4)];
    this.install(0, first);
  }

  install(slot: 0 | 1, image: TestImage): void {
    if (!this.images.includes(image)) this.images.push(image);
    this.slots[slot].bytes.set(image.bytes);
  }

  /** The image in a slot, if the bootloader would run it. */
  imageIn(slot: number): TestImage | undefined {
    const { bytes } = this.slots[slot] as Nor;
    return this.images.find((image) => beginsWith(bytes, image.bytes));
  }

  /** Powers on: the firmware that runs. */
  boot(): VirtualFirmware {
    this.power.isOff = false;
    this.restartWanted = false;
    const reason = this.nextReason;
    this.nextReason = 'power-on';
    for (;;) {
      const image = this.imageIn(this.active);
      const isSpent = this.tries === 1;
      if (image !== undefined && !isSpent) {
        if (this.tries > 1) this.tries -= 1;
        const isTrial = this.tries > 0;
        if (!isTrial || !this.crashing.has(image.version)) {
          if (isTrial) this.note(image.version, 'trial', 'staged');
          else if (this.log.at(-1)?.decision !== 'reverted') {
            this.note(image.version, 'selected', 'confirmed');
          }
          return new VirtualFirmware(this, this.active, image, reason);
        }
        continue;
      }
      this.revert(isSpent ? 'tries used up' : 'not a valid image');
    }
  }

  revert(reason: string): void {
    if (this.tries === 0) throw new Error(`bricked: ${reason}`);
    this.active = 1 - this.active;
    this.tries = 0;
    this.note(this.imageIn(this.active)?.version ?? '?', 'reverted', reason);
  }

  stage(slot: number): void {
    const bytes = this.slots[slot as 0 | 1].bytes;
    const { expected } = this;
    if (expected === undefined || !beginsWith(bytes, expected)) {
      this.violations.push('staged what was not signed');
    }
    this.power.operate(
      () => this.setTrial(slot),
      // Half of the time it took effect.
      () => this.power.count % 2 === 0 && this.setTrial(slot),
    );
  }

  private setTrial(slot: number): void {
    this.stageCount += 1;
    this.active = slot;
    this.tries = TRIES + 1;
  }

  private note(version: string, decision: string, reason: string): void {
    this.log.push({ slot: this.active, version, decision, reason });
  }
}

export class VirtualFirmware implements Firmware {
  readonly version: string;
  readonly digest: Uint8Array;
  readonly slot: Partition;
  readonly running: Partition;
  private readonly machine: VirtualBoot;
  private readonly index: number;
  private readonly reason: BootReason;

  constructor(machine: VirtualBoot, index: number, image: TestImage, reason: BootReason) {
    this.machine = machine;
    this.index = index;
    this.reason = reason;
    this.version = image.version;
    this.digest = digestOf(image).slice();
    const { power, slots } = machine;
    this.slot = new SwitchedPartition(slots[index === 0 ? 1 : 0], power, () => this.trial);
    this.running = new SwitchedPartition(slots[index as 0 | 1], power, () => true);
  }

  get trial(): boolean {
    return this.machine.active === this.index && this.machine.tries > 0;
  }

  stage(): void {
    if (this.trial) throw new Error('stage: the running image is on trial');
    this.machine.stage(1 - this.index);
  }

  confirm(): void {
    const { machine } = this;
    machine.power.operate(
      () => {
        machine.tries = 0;
      },
      () => {
        if (machine.power.count % 2 === 0) machine.tries = 0;
      },
    );
  }

  reject(reason: string): void {
    const { machine } = this;
    machine.power.operate(
      () => machine.revert(`rejected: ${reason}`),
      () => undefined,
    );
  }

  restart(): void {
    this.machine.power.check();
    this.machine.nextReason = 'restart';
    this.machine.restartWanted = true;
  }

  bootReason(): BootReason {
    return this.reason;
  }

  bootLog(): readonly BootLogEntry[] {
    return this.machine.log;
  }
}
