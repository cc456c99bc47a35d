// The devices' side of the ledger: what the devices of one worker produced, dropped and had
// acknowledged. The observer's side is in the observer.

import type { Device } from '@flotilla/sdk';
import type { DeviceAccount } from './account.ts';
import { AcknowledgementLog } from './acknowledgement-log.ts';
import { SequenceSet } from './sequence-set.ts';

/**
 * A gap counts until this long after the observer was back: a device hears of its
 * acknowledgement later than the broker made it.
 */
const GAP_SLACK_MS = 500;

/** Of a device whose program was reset, as of the last time. */
interface ResetAccount {
  readonly produced: number;
  readonly missed: number;
  /** In its RAM when it was reset, without an acknowledgement. */
  readonly volatile: SequenceSet;
}

/** In `inOrder`: look into the set. */
const IN_SET = 0xffffffff;

export class DeviceLedger {
  /** How many messages were acknowledged, of those devices where it was one after the other. */
  private readonly inOrder: Uint32Array;
  /** Rare, so made when first needed. */
  private readonly acknowledgedSets = new Map<number, SequenceSet>();
  /** By local index, then by cause. */
  private readonly droppedSets = new Map<number, Map<string, SequenceSet>>();
  private readonly log = new AcknowledgementLog();
  private readonly gaps: { fromMs: number; toMs: number }[] = [];
  private readonly unwatchedSets = new Map<number, SequenceSet>();
  /** Of devices whose program was reset. */
  private readonly resets = new Map<number, ResetAccount>();

  /** For local device indices below `count`. */
  constructor(count: number) {
    this.inOrder = new Uint32Array(count);
  }

  acknowledged(localIndex: number, sequence: number, nowMs: number): void {
    const next = this.inOrder[localIndex]!;
    if (sequence === next) this.inOrder[localIndex] = next + 1;
    else this.acknowledgedSet(localIndex).add(sequence);
    this.log.add(localIndex, sequence, nowMs);
    if (this.gaps.length === 0) return;
    for (const gap of this.gaps) {
      if (nowMs <= gap.toMs) setOf(this.unwatchedSets, localIndex).add(sequence);
    }
  }

  dropped(localIndex: number, sequence: number, cause: string): void {
    let byCause = this.droppedSets.get(localIndex);
    if (byCause === undefined) {
      byCause = new Map();
      this.droppedSets.set(localIndex, byCause);
    }
    setOf(byCause, cause).add(sequence);
  }

  /** The observer's session was gone: what was acknowledged meanwhile was not watched. */
  addGap(gap: { readonly fromMs: number; readonly toMs: number }): void {
    const toMs = gap.toMs + GAP_SLACK_MS;
    this.log.forEach(gap.fromMs, toMs, (localIndex, sequence) => {
      setOf(this.unwatchedSets, localIndex).add(sequence);
    });
    this.gaps.push({ fromMs: gap.fromMs, toMs });
  }

  /** Forgets what can matter no more: acknowledgements long past, and gaps that are over. */
  prune(nowMs: number): void {
    this.log.prune(nowMs);
    while (this.gaps.length > 0 && this.gaps[0]!.toMs < nowMs) this.gaps.shift();
  }

  /** The program of a device ends: what only its RAM holds is lost with it. */
  restarted(localIndex: number, device: Device): void {
    const lost = this.resets.get(localIndex)?.volatile ?? new SequenceSet();
    device.forEachPending((sequence) => lost.add(sequence));
    const { missedCount, packCount } = device.sampler;
    this.resets.set(localIndex, { produced: packCount, missed: missedCount, volatile: lost });
  }

  /** A program begins; its sequence goes on where the one before ended, so that each is one message. */
  started(localIndex: number, { sampler }: Device): void {
    const before = this.resets.get(localIndex);
    if (before === undefined) return;
    sampler.packCount = before.produced;
    sampler.missedCount = before.missed;
  }

  /** The account of a device; one that never started produced nothing. */
  account(deviceIndex: number, localIndex: number, device: Device | undefined): DeviceAccount {
    const pending = new SequenceSet();
    device?.forEachPending((sequence) => pending.add(sequence));
    const reset = this.resets.get(localIndex);
    return {
      device: deviceIndex,
      produced: device?.sampler.packCount ?? reset?.produced ?? 0,
      acknowledged: this.acknowledgedSet(localIndex).toRanges(),
      dropped: Object.fromEntries(
        [...(this.droppedSets.get(localIndex) ?? [])].map(([cause, set]) => [
          cause,
          set.toRanges(),
        ]),
      ),
      pending: pending.toRanges(),
      unwatched: this.unwatchedSets.get(localIndex)?.toRanges() ?? [],
      ...(reset === undefined ? {} : { volatile: reset.volatile.toRanges() }),
    };
  }

  private acknowledgedSet(localIndex: number): SequenceSet {
    const count = this.inOrder[localIndex]!;
    if (count !== IN_SET) {
      this.acknowledgedSets.set(localIndex, SequenceSet.fromRanges(count > 0 ? [0, count] : []));
      this.inOrder[localIndex] = IN_SET;
    }
    return this.acknowledgedSets.get(localIndex)!;
  }
}

function setOf<Key>(sets: Map<Key, SequenceSet>, key: Key): SequenceSet {
  let set = sets.get(key);
  if (set === undefined) {
    set = new SequenceSet();
    sets.set(key, set);
  }
  return set;
}
