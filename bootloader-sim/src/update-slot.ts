// The `firmware` of the SDK's platform on this boot model: what an update client drives is what
// the campaign tests.

import type { BootLogEntry, BootReason, Firmware, Partition } from '@flotilla/sdk/platform';
import type { Bootloader } from './bootloader.ts';
import { FlashError, FlashPartition } from './flash/flash.ts';
import type { BootDecision } from './machine.ts';

export class UpdateSlot implements Firmware {
  readonly version: string;
  readonly digest: Uint8Array;
  /** The inactive slot; not to be written while the running image is on trial. */
  readonly slot: Partition;
  private onTrial: boolean;
  private readonly bootloader: Bootloader;
  private readonly decision: BootDecision;
  private readonly onRestart: () => void;

  /** For the program that `decision` started in a slot. `onRestart` resets the machine. */
  constructor(bootloader: Bootloader, decision: BootDecision, onRestart: () => void) {
    const { flash, layout } = bootloader.machine;
    this.bootloader = bootloader;
    this.decision = decision;
    this.onRestart = onRestart;
    this.version = decision.version;
    this.digest = decision.digest;
    this.onTrial = decision.trial;
    const { size, start } = layout.slots[decision.slot === 0 ? 1 : 0];
    this.slot = new GuardedPartition(new FlashPartition(flash, start, size), () => this.onTrial);
  }

  get trial(): boolean {
    return this.onTrial;
  }

  stage(): void {
    if (this.onTrial) throw new FlashError('stage: the running image is on trial');
    this.bootloader.profile.stage(this.bootloader.machine, this.decision.slot);
  }

  /** Does nothing where there is no trial to end, as in the recovery image. */
  confirm(): void {
    if (!this.onTrial) return;
    this.bootloader.profile.confirm(this.bootloader.machine, this.decision.slot);
    this.onTrial = false;
  }

  /** The reason is the update client's to report; the record keeps that it was a rejection. */
  reject(_reason: string): void {
    if (this.decision.slot < 0) throw new FlashError('reject: the recovery image runs');
    this.bootloader.profile.reject(this.bootloader.machine, this.decision.slot);
  }

  restart(): void {
    this.onRestart();
  }

  bootReason(): BootReason {
    return this.decision.reset;
  }

  bootLog(): readonly BootLogEntry[] {
    return this.bootloader.entries();
  }
}

/**
 * While the running image is on trial, the other slot is the only one known to be good: erasing
 * it would leave nothing to go back to.
 */
class GuardedPartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment: number;
  readonly erasedValue: number;
  private readonly inner: Partition;
  private readonly isLocked: () => boolean;

  constructor(inner: Partition, isLocked: () => boolean) {
    this.inner = inner;
    this.isLocked = isLocked;
    this.size = inner.size;
    this.sectorSize = inner.sectorSize;
    this.writeAlignment = inner.writeAlignment;
    this.erasedValue = inner.erasedValue;
  }

  read(address: number, into: Uint8Array): void {
    this.inner.read(address, into);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    this.checkUnlocked();
    this.inner.write(address, bytes, start, end);
  }

  eraseBlock(address: number): void {
    this.checkUnlocked();
    this.inner.eraseBlock(address);
  }

  private checkUnlocked(): void {
    if (this.isLocked()) throw new FlashError('the running image is on trial: confirm it first');
  }
}
