// A log on a modelled chip, and what its user knows: every append, release and drop that returned,
// and what was under way when the power went. After each boot the log is held against that.

import { ContentPool, Flash, FlashPartition, W25Q32 } from '@flotilla/bootloader-sim';
import { PowerLoss } from '@flotilla/sdk/platform';
import { FlashLog, type FlashLogOwner } from '../../sdk/src/buffer/flash-log.ts';
import { WORK_SIZE } from '../../sdk/src/buffer/log-sectors.ts';
import type { FullPolicy, Priority } from '../../sdk/src/buffer/outbox.ts';
import { Random } from '../../sdk/test/support/random.ts';

/** Small sectors: so few operations already erase, drop and move. */
export const SECTOR_SIZE = 512;
const POOL = new ContentPool(SECTOR_SIZE);
const PRIORITIES: readonly Priority[] = [0, 1, 2];

export interface ChipOptions {
  readonly sectorCount: number;
  readonly writeAlignment: number;
  readonly enduranceMax?: number;
}

export function newChip(options: ChipOptions): Flash {
  const { enduranceMax = 1_000_000, sectorCount, writeAlignment } = options;
  const size = sectorCount * SECTOR_SIZE;
  return new Flash(
    { ...W25Q32, name: 'log', size, sectorSize: SECTOR_SIZE, writeAlignment, enduranceMax },
    POOL,
  );
}

export type Step =
  | { readonly kind: 'append'; readonly priority: Priority; readonly size: number }
  /** Of the record at this position of those that wait, oldest first. */
  | { readonly kind: 'release'; readonly nth: number };

/** What the user knows of a record. */
type Fate =
  /** The append returned: it is there. */
  | 'durable'
  /** The release returned, or a boot showed that it is not there: it is never there again. */
  | 'gone'
  /** The append was cut: the next boot decides. */
  | 'appending'
  /** The release was cut: it may come back until it is released again. */
  | 'releasing'
  /** Told as dropped in a call that was cut: the next boot decides. */
  | 'dropping';

export interface KnownRecord {
  readonly sequence: number;
  readonly priority: Priority;
  readonly size: number;
  fate: Fate;
}

/** A promise that the log did not keep. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

function payloadOf(sequence: number, size: number): Uint8Array {
  const random = new Random(sequence);
  return Uint8Array.from({ length: size }, () => random.uint32());
}

export class Scene implements FlashLogOwner {
  flash: Flash;
  records: KnownRecord[] = [];
  droppedCount = 0;
  private readonly policy: FullPolicy;
  private log: FlashLog | undefined;
  private under: KnownRecord | undefined;

  constructor(flash: Flash, policy: FullPolicy) {
    this.flash = flash;
    this.policy = policy;
  }

  /** The same chip and knowledge, to go on from here in another way. */
  clone(): Scene {
    const copy = new Scene(this.flash.clone(), this.policy);
    copy.records = this.records.map((record) => ({ ...record }));
    copy.droppedCount = this.droppedCount;
    return copy;
  }

  onLogDropped(kind: number, sequence: number): void {
    const record = this.known(sequence);
    if (kind !== kindOf(sequence)) throw new Violation(`drop of ${sequence} as a ${kind}`);
    if (record.fate === 'gone') throw new Violation(`${sequence} came back to be dropped`);
    record.fate = 'dropping';
    this.droppedCount += 1;
  }

  isLogInflight(): boolean {
    return false;
  }

  /** Power on and mount. Throws PowerLoss where the chip's hook says so. */
  boot(): void {
    this.log = undefined;
    this.flash.powerOn();
    this.log = this.mount(this.flash);
  }

  /** Operations of a mount of the chip as it is now. */
  mountOperations(): number {
    const copy = this.flash.clone();
    copy.powerOn();
    this.mount(copy);
    return copy.operationCount;
  }

  take(step: Step): void {
    const log = this.log as FlashLog;
    if (step.kind === 'append') {
      this.append(log, step.priority, step.size);
    } else {
      const waiting = this.records.filter(({ fate }) => fate === 'durable' || fate === 'releasing');
      if (waiting.length === 0) return;
      this.release(log, waiting[step.nth % waiting.length] as KnownRecord);
    }
    for (const record of this.records) if (record.fate === 'dropping') record.fate = 'gone';
  }

  /** Notes what was under way; call it after a PowerLoss. */
  cut(): void {
    if (this.under !== undefined && this.under.fate === 'durable') this.under.fate = 'releasing';
    this.under = undefined;
  }

  /** Holds what the log has against what is known. Throws a Violation. */
  check(): void {
    const log = this.log as FlashLog;
    const seen = new Set<number>();
    for (const priority of PRIORITIES) {
      let previous = -1;
      for (let lsn = 1; log.findOldest(priority, lsn); ) {
        const { found } = log;
        lsn = found.lsn + 1;
        const sequence = this.checkFound(log, priority);
        if (seen.has(sequence)) throw new Violation(`${sequence} is there twice`);
        if (sequence < previous) throw new Violation(`${sequence} after ${previous}`);
        previous = sequence;
        seen.add(sequence);
      }
    }
    for (const record of this.records) {
      const { fate, sequence } = record;
      if (fate === 'durable' && !seen.has(sequence)) throw new Violation(`${sequence} is lost`);
      if (fate === 'gone' && seen.has(sequence)) throw new Violation(`${sequence} came back`);
      // From this boot on it is there, or it is not.
      if (fate === 'appending' || fate === 'dropping') {
        record.fate = seen.has(sequence) ? 'durable' : 'gone';
      }
    }
    if (log.count !== seen.size) throw new Violation(`count ${log.count}, found ${seen.size}`);
    if (log.corruptCount + log.faultCount > 0) throw new Violation('flash blamed without a fault');
  }

  private checkFound(log: FlashLog, priority: Priority): number {
    const { kind, sequence, size, timeMs } = log.found;
    const target = new Uint8Array(size + 2);
    if (!log.read(target, 1)) throw new Violation(`${sequence} is corrupt`);
    const record = this.known(sequence);
    const payload = payloadOf(sequence, record.size);
    const isSame = size === record.size && payload.every((byte, at) => target[at + 1] === byte);
    const isHeader = kind === kindOf(sequence) && timeMs === sequence * 7;
    if (!isSame || !isHeader || priority !== record.priority) {
      throw new Violation(`${sequence} is not what was appended`);
    }
    return sequence;
  }

  private append(log: FlashLog, priority: Priority, size: number): void {
    const sequence = this.records.length;
    const record: KnownRecord = { sequence, priority, size, fate: 'appending' };
    this.records.push(record);
    const payload = payloadOf(sequence, size);
    const { length } = payload;
    const isTaken = log.append(
      kindOf(sequence),
      priority,
      sequence,
      sequence * 7,
      payload,
      0,
      length,
    );
    record.fate = isTaken ? 'durable' : 'gone';
    if (!isTaken && this.policy === 'drop-oldest') throw new Violation(`${sequence} not taken`);
  }

  private release(log: FlashLog, record: KnownRecord): void {
    const { fate, priority, sequence } = record;
    let isFound = log.findOldest(priority, 1);
    while (isFound && log.found.sequence !== sequence) {
      isFound = log.findOldest(priority, log.found.lsn + 1);
    }
    if (!isFound && fate === 'releasing') return;
    if (!isFound) throw new Violation(`${sequence} is lost`);
    this.under = record;
    if (!log.release(priority, log.found.lsn)) throw new Violation(`${sequence} not released`);
    this.under = undefined;
    record.fate = 'gone';
  }

  private mount(flash: Flash): FlashLog {
    const partition = new FlashPartition(flash, 0, flash.geometry.size);
    return new FlashLog(partition, new Uint8Array(WORK_SIZE), this.policy, this);
  }

  private known(sequence: number): KnownRecord {
    const record = this.records[sequence];
    if (record === undefined) throw new Violation(`${sequence} was never appended`);
    return record;
  }
}

/** Runs until it is done or the power is cut; true = it was cut. */
export function runsIntoCut(scene: Scene, run: () => void): boolean {
  try {
    run();
    return false;
  } catch (error) {
    if (!(error instanceof PowerLoss)) throw error;
    scene.cut();
    return true;
  }
}

function kindOf(sequence: number): number {
  return sequence % 3;
}
