// The end of a run's accounts: what each device produced against what the observer saw of it.

import { PLAIN_HEAD_SIZE } from '../fleet/plain-payload.ts';
import { type FleetAccount, settleCounted, settleDevice } from '../ledger/account.ts';
import { SequenceSet } from '../ledger/sequence-set.ts';
import { Registry, type RegistryWire } from '../metrics/registry.ts';
import type { FleetDrops } from '../report/summary.ts';
import type { Fleet } from '../scenario/schema.ts';
import type { WorkerResult } from './messages.ts';

/**
 * Adds the ledger's terms to `registry`; `seen` has ranges of observed sequences by device. Returns
 * the causes of what was dropped, of fleets that dropped something.
 */
export function settleLedger(
  registry: Registry,
  fleets: readonly Fleet[],
  results: readonly WorkerResult[],
  seen: readonly (readonly number[])[],
): FleetDrops[] {
  const totals = fleets.map(emptyAccount);
  const ends: number[] = [];
  for (const { count } of fleets) ends.push((ends.at(-1) ?? 0) + count);
  for (const { accounts } of results) {
    for (const account of accounts) {
      const fleet = ends.findIndex((end) => account.device < end);
      const ranges = seen[account.device] ?? [];
      const { kind, payloadSize, qos } = fleets[fleet]!;
      const set = SequenceSet.fromRanges(ranges);
      if (kind === 'device' || payloadSize >= PLAIN_HEAD_SIZE) {
        settleDevice(totals[fleet]!, account, set, qos > 0);
        continue;
      }
      const copies = settleCounted(totals[fleet]!, account, set.count, qos > 0);
      registry.counter('messages_observed', fleet).add(-copies);
      registry.counter('messages_duplicated', fleet).add(copies);
    }
  }
  for (const [fleet, total] of totals.entries()) {
    registry.counter('messages_lost', fleet).add(total.lost);
    registry.counter('messages_unseen', fleet).add(total.unseen);
    registry.counter('messages_unobservable', fleet).add(total.unobservable);
    registry.counter('messages_dropped', fleet).add(total.dropped);
    registry.counter('messages_volatile', fleet).add(total.volatile);
    registry.counter('messages_pending', fleet).add(total.pending);
  }
  return totals.flatMap(({ dropped, droppedBy }, fleet) => {
    return dropped === 0 ? [] : [{ fleet: fleets[fleet]!.name, causes: droppedBy }];
  });
}

/**
 * Leaves the devices of workers without a result out of the ledger, but for what was observed of
 * them: they hang, and have no accounts. `lastOf` gives the last report of a worker, which
 * `registry` has. Returns the results of the others.
 */
export function leaveOutHanging(
  registry: Registry,
  fleets: readonly Fleet[],
  results: readonly (WorkerResult | undefined)[],
  lastOf: (worker: number) => RegistryWire | undefined,
  seen: readonly (readonly number[])[],
): WorkerResult[] {
  return results.flatMap((result, worker) => {
    if (result !== undefined) return [result];
    const isIts = (device: number) => device % results.length === worker;
    leaveOut(registry, fleets, lastOf(worker), seen, isIts);
    return [];
  });
}

function leaveOut(
  registry: Registry,
  fleets: readonly Fleet[],
  reported: RegistryWire | undefined,
  seen: readonly (readonly number[])[],
  isIts: (device: number) => boolean,
): void {
  const last = reported && Registry.fromWire(reported);
  let device = 0;
  for (const [fleet, { count }] of fleets.entries()) {
    let observed = 0;
    for (const end = device + count; device < end; device += 1) {
      if (isIts(device)) observed += SequenceSet.fromRanges(seen[device] ?? []).count;
    }
    const produced = last?.counter('messages_produced', fleet).value ?? 0;
    registry.counter('messages_produced', fleet).add(observed - produced);
  }
}

function emptyAccount(): FleetAccount {
  return {
    lost: 0,
    unseen: 0,
    unobservable: 0,
    dropped: 0,
    droppedBy: {},
    volatile: 0,
    pending: 0,
  };
}
