// The ledger: where every message went. Devices know what they produced, dropped, still hold and
// what was acknowledged; the observer knows what came out of the broker. A message is in exactly
// one account:
//
//   produced = observed + lost + unseen + unobservable + dropped + volatile + pending

import { SequenceSet } from './sequence-set.ts';

/** What the side of the devices knows of one device; ranges as `SequenceSet.toRanges` gives. */
export interface DeviceAccount {
  readonly device: number;
  readonly produced: number;
  readonly acknowledged: readonly number[];
  /** By the cause of the drop, in the words of the SDK. */
  readonly dropped: Readonly<Record<string, readonly number[]>>;
  readonly pending: readonly number[];
  /** Acknowledged while the observer's session was gone. */
  readonly unwatched: readonly number[];
  /** In RAM without an acknowledgement when the program was reset. */
  readonly volatile?: readonly number[];
}

/** Messages of one fleet by where they went. */
export interface FleetAccount {
  lost: number;
  unseen: number;
  unobservable: number;
  dropped: number;
  /** The same by cause. */
  readonly droppedBy: Record<string, number>;
  volatile: number;
  pending: number;
}

/**
 * Classifies what the observer did not see of one device and adds it to `fleet`.
 * `confirmed` is false at QoS 0, where a written message is not an acknowledged one.
 */
export function settleDevice(
  fleet: FleetAccount,
  account: DeviceAccount,
  seen: SequenceSet,
  confirmed: boolean,
): void {
  const acknowledged = SequenceSet.fromRanges(account.acknowledged);
  const dropped = Object.entries(account.dropped).map(
    ([cause, ranges]) => [cause, SequenceSet.fromRanges(ranges)] as const,
  );
  const pending = SequenceSet.fromRanges(account.pending);
  const unwatched = SequenceSet.fromRanges(account.unwatched);
  const volatile = SequenceSet.fromRanges(account.volatile ?? []);
  seen.forEachMissing(account.produced, (sequence) => {
    const [cause] = dropped.find(([, sequences]) => sequences.has(sequence)) ?? [];
    if (unwatched.has(sequence)) fleet.unobservable += 1;
    else if (acknowledged.has(sequence)) {
      if (confirmed) fleet.unseen += 1;
      else fleet.lost += 1;
    } else if (cause !== undefined) {
      fleet.dropped += 1;
      fleet.droppedBy[cause] = (fleet.droppedBy[cause] ?? 0) + 1;
    } else if (pending.has(sequence)) fleet.pending += 1;
    else if (volatile.has(sequence)) fleet.volatile += 1;
    else fleet.lost += 1;
  });
}

/**
 * As `settleDevice` for messages that say nothing of themselves, of which only the count `seen` is
 * known: those that did not come are taken to be those of which the device knows that they did not
 * go out, then those that nobody watched, then the unacknowledged. A copy too many hides a message
 * that is missing. Returns how many came beyond what was produced: copies.
 */
export function settleCounted(
  fleet: FleetAccount,
  account: DeviceAccount,
  seen: number,
  confirmed: boolean,
): number {
  let missing = Math.max(0, account.produced - seen);
  const take = (ranges: readonly number[]): number => {
    const count = Math.min(missing, SequenceSet.fromRanges(ranges).count);
    missing -= count;
    return count;
  };
  for (const [cause, ranges] of Object.entries(account.dropped)) {
    const count = take(ranges);
    if (count === 0) continue;
    fleet.dropped += count;
    fleet.droppedBy[cause] = (fleet.droppedBy[cause] ?? 0) + count;
  }
  fleet.pending += take(account.pending);
  fleet.volatile += take(account.volatile ?? []);
  fleet.unobservable += take(account.unwatched);
  const known = [
    account.acknowledged,
    ...Object.values(account.dropped),
    account.pending,
    account.volatile ?? [],
  ];
  const unacknowledged =
    account.produced - known.reduce((sum, ranges) => sum + SequenceSet.fromRanges(ranges).count, 0);
  const lost = confirmed ? Math.min(missing, Math.max(0, unacknowledged)) : missing;
  fleet.lost += lost;
  fleet.unseen += missing - lost;
  return Math.max(0, seen - account.produced);
}
