// The device's copy of its shadow, key by key, and how it is merged with the cloud's.
//
// Two replicas, so no version vector is needed: a dirty flag says that this one changed, and a
// desired value or timestamp other than the one last seen says that the other did.

import { type Platform, PowerLoss } from '../platform.ts';
import { countOf, type EditsOwner, loadEdits, saveEdits } from './saved-edits.ts';
import type { ShadowCounters } from './shadow-counters.ts';
import { DIRTY, DUE, SENT, ShadowKey } from './shadow-key.ts';
import { isKey, KEY_COUNT_MAX, type ShadowHandler, type ShadowProfile } from './shadow-profile.ts';
import {
  fingerprint,
  isMap,
  meets,
  member,
  newestTimestamp,
  type ShadowMap,
  type ShadowValue,
  sizeLeftAfter,
  VALUE_DEPTH_MAX,
  withoutRemovals,
  withRemovals,
} from './shadow-value.ts';

/** The shadow around a replica: one reference instead of four, in every device. */
export interface ReplicaOwner<Owner> {
  readonly platform: Platform;
  readonly profile: ShadowProfile<Owner>;
  readonly owner: Owner;
  readonly counters: ShadowCounters;
}

export class Replica<Owner> implements EditsOwner {
  first: ShadowKey | undefined = undefined;
  /** Version of the document that was last known; 0 = none. */
  version = 0;
  private count = 0;
  /** The dirty keys are not what the settings hold. */
  private unsaved = false;
  private readonly shadow: ReplicaOwner<Owner>;

  /** Takes up the edits that were saved before a reset. */
  constructor(shadow: ReplicaOwner<Owner>) {
    this.shadow = shadow;
    const { platform, profile } = shadow;
    this.version = loadEdits(platform.settings, profile.settingsKey, this, DIRTY | DUE);
  }

  find(name: string): ShadowKey | undefined {
    let key = this.first;
    while (key !== undefined && key.name !== name) key = key.next;
    return key;
  }

  claim(name: string): ShadowKey | undefined {
    const found = this.find(name);
    if (found !== undefined || this.count >= KEY_COUNT_MAX) return found;
    this.count += 1;
    this.first = new ShadowKey(name, this.first);
    return this.first;
  }

  /** True when a key has one of these flags. */
  some(flags: number): boolean {
    let key = this.first;
    while (key !== undefined && (key.flags & flags) === 0) key = key.next;
    return key !== undefined;
  }

  /** Writes the dirty keys to the settings when they changed since. */
  save(): void {
    if (!this.unsaved) return;
    this.unsaved = false;
    const { settingsKey, valueSizeMax } = this.shadow.profile;
    saveEdits(this.shadow.platform.settings, settingsKey, this, this.version, valueSizeMax);
  }

  /** An edit of the device's, or a value without a handler; false when it is not taken. */
  report(name: string, value: ShadowValue): boolean {
    const before = this.find(name);
    if (before !== undefined && isSame(before.value, value)) return true;
    const key = this.take(name, value);
    if (key === undefined) return false;
    if (this.shadow.profile.handlerOf(name) === undefined) return true;
    const { clock } = this.shadow.platform;
    const epochMs = clock.epochMs();
    key.editedMs = isFinite(epochMs) ? epochMs : -1 - clock.monotonicMs();
    key.flags |= DIRTY;
    this.unsaved = true;
    this.save();
    return true;
  }

  declare(name: string, value: ShadowValue): boolean {
    const key = this.find(name);
    if (key !== undefined && key.value !== undefined) return true;
    return this.take(name, value) !== undefined;
  }

  /** The key with its new value, or undefined and counted when that is not taken. */
  private take(name: string, value: ShadowValue): ShadowKey | undefined {
    const { stateSizeMax, valueSizeMax } = this.shadow.profile;
    let left = sizeLeftAfter(value, VALUE_DEPTH_MAX, valueSizeMax);
    if (left >= 0) left += stateSizeMax - valueSizeMax;
    for (let key = this.first; key !== undefined; key = key.next) {
      if (key.value === undefined || key.name === name) continue;
      left = sizeLeftAfter(key.value, VALUE_DEPTH_MAX, left);
    }
    const key = left >= 0 && isKey(name) ? this.claim(name) : undefined;
    if (key === undefined) this.shadow.counters.overflows += 1;
    else this.setValue(key, value);
    return key;
  }

  private setValue(key: ShadowKey, value: ShadowValue): void {
    if (isSame(key.value, value)) return;
    const whole = withRemovals(value, key.value);
    key.value = this.isData(whole) ? whole : value;
    key.flags = (key.flags | DUE) & ~SENT;
  }

  /**
   * Takes a whole document as the new baseline, of `version`. What is DUE afterwards is what the
   * cloud lacks.
   */
  acceptDocument(
    version: number,
    desired: unknown,
    reported: unknown,
    desiredMetadata: unknown,
  ): void {
    this.version = version;
    const { keys } = this.shadow.profile;
    for (let index = 0; index < keys.length; index += 1) {
      const name = keys[index] as string;
      const isDesired = member(desired, name) !== undefined;
      if (isDesired && this.claim(name) === undefined) this.shadow.counters.overflows += 1;
    }
    for (let key = this.first; key !== undefined; key = key.next) {
      const { name } = key;
      const wish = member(desired, name);
      if (this.shadow.profile.handlerOf(name) !== undefined) {
        this.acceptWish(key, wish, newestTimestamp(member(desiredMetadata, name)));
      }
      this.compareReported(key, member(reported, name));
    }
  }

  private acceptWish(key: ShadowKey, wish: unknown, timestampS: number): void {
    if (wish === undefined || wish === null) {
      this.see(key, undefined, 0);
    } else if (key.value !== undefined && meets(wish, key.value)) {
      if ((key.flags & DIRTY) !== 0) this.settle(key);
      this.see(key, wish, timestampS);
    } else if (this.isNews(key, wish, timestampS)) {
      if ((key.flags & DIRTY) !== 0) this.resolve(key, wish as ShadowValue, timestampS);
      else this.apply(key, wish as ShadowValue, timestampS);
    }
  }

  private compareReported(key: ShadowKey, reported: unknown): void {
    if (key.value === undefined) return;
    const whole = withRemovals(key.value, reported);
    if (this.isData(whole)) key.value = whole;
    const isReported = meets(key.value, reported);
    if (isReported && (key.flags & DIRTY) === 0) key.flags &= ~DUE;
    else key.flags |= DUE;
  }

  /** The shadow does not exist: it is made by reporting all. */
  acceptAbsence(): void {
    this.version = 0;
    for (let key = this.first; key !== undefined; key = key.next) {
      this.see(key, undefined, 0);
      this.compareReported(key, undefined);
    }
  }

  /**
   * Takes a delta. False when it is not enough: with edits of our own only the document shows
   * what the cloud changed, and of an object a delta holds but the members that differ. And what
   * is news in a version that is known already tells of another document: one that was deleted,
   * whose versions this one has again.
   */
  acceptDelta(version: number, delta: ShadowMap, metadata: unknown): boolean {
    const { keys } = this.shadow.profile;
    if (this.some(DIRTY)) return false;
    for (let index = 0; index < keys.length; index += 1) {
      if (isMap(member(delta, keys[index] as string))) return false;
    }
    const isKnown = version === this.version;
    this.version = version;
    for (let index = 0; index < keys.length; index += 1) {
      const name = keys[index] as string;
      const wish = member(delta, name);
      if (wish === undefined || wish === null) continue;
      const key = this.claim(name);
      const timestampS = newestTimestamp(member(metadata, name));
      if (key === undefined) this.shadow.counters.overflows += 1;
      else if (meets(wish, key.value)) {
        this.see(key, wish, timestampS);
        // The cloud does not know yet, or has forgotten.
        key.flags |= DUE;
      } else if (this.isNews(key, wish, timestampS)) {
        if (isKnown) return false;
        this.apply(key, wish as ShadowValue, timestampS);
      }
    }
    return true;
  }

  /** The update with all SENT keys was accepted. */
  acceptUpdate(desiredMetadata: unknown): void {
    for (let key = this.first; key !== undefined; key = key.next) {
      if ((key.flags & SENT) === 0) continue;
      if (key.value !== undefined) key.value = withoutRemovals(key.value);
      if (isWish(key)) {
        this.see(key, key.value, newestTimestamp(member(desiredMetadata, key.name)));
      }
      this.settle(key);
      key.flags &= ~(DUE | SENT);
    }
  }

  private settle(key: ShadowKey): void {
    if ((key.flags & DIRTY) === 0) return;
    key.flags &= ~DIRTY;
    key.editedMs = 0;
    this.unsaved = true;
  }

  private see(key: ShadowKey, wish: unknown, timestampS: number): void {
    const seen = fingerprint(wish);
    const seenS = countOf(timestampS);
    if (seen === key.seen && seenS === key.seenS) return;
    key.seen = seen;
    key.seenS = seenS;
    if ((key.flags & DIRTY) !== 0) this.unsaved = true;
  }

  /** The cloud set it since we last looked, be it to the same value again. */
  private isNews(key: ShadowKey, wish: unknown, timestampS: number): boolean {
    if (fingerprint(wish) !== key.seen) return true;
    if (timestampS === key.seenS || timestampS === 0 || key.seenS === 0) return false;
    // The same value once more, which no delta told: an edit that came later knew of nothing else.
    return (key.flags & DIRTY) === 0 || !(this.editedS(key) > timestampS);
  }

  /** Both sides changed `key`. */
  private resolve(key: ShadowKey, wish: ShadowValue, timestampS: number): void {
    const { policy } = this.shadow.profile;
    this.shadow.counters.conflicts += 1;
    let winner = wish;
    if (policy === 'device-wins') winner = key.value as ShadowValue;
    else if (policy === 'last-writer-wins') {
      // A time that is not known is as good as newest.
      if (timestampS > 0 && this.editedS(key) > timestampS) winner = key.value as ShadowValue;
    } else if (policy !== 'cloud-wins') {
      winner = this.merge(key, wish);
    }
    if (meets(wish, winner)) {
      this.apply(key, winner, timestampS);
      this.settle(key);
      this.see(key, wish, timestampS);
      return;
    }
    // Still dirty: it goes into desired, or the delta would come back for ever.
    if (winner !== key.value) this.apply(key, winner, timestampS);
    this.see(key, wish, timestampS);
    key.flags |= DUE;
  }

  private merge(key: ShadowKey, wish: ShadowValue): ShadowValue {
    const { policy } = this.shadow.profile;
    if (typeof policy !== 'function') return wish;
    try {
      const merged = policy(key.name, key.value as ShadowValue, wish, this.shadow.owner);
      if (this.isData(merged)) return merged;
    } catch (error) {
      if (error instanceof PowerLoss) throw error;
    }
    this.shadow.counters.faults += 1;
    return wish;
  }

  /** Brings `wish` into force; what the handler makes of it is DUE. */
  private apply(key: ShadowKey, wish: ShadowValue, timestampS: number): void {
    const wasDirty = (key.flags & DIRTY) !== 0;
    this.see(key, wish, timestampS);
    const handler = this.shadow.profile.handlerOf(key.name) as ShadowHandler<Owner>;
    try {
      // A wish that could not be reported is not brought into force either.
      const outcome = this.isData(wish) ? handler(wish, this.shadow.owner) : Number.NaN;
      const value = outcome === undefined ? wish : outcome;
      if (this.isData(value)) {
        this.shadow.counters.applied += 1;
        this.setValue(key, value);
        // The handler's program may have reported the new value itself: that is no edit.
        if (!wasDirty && meets(wish, value)) this.settle(key);
        return;
      }
    } catch (error) {
      if (error instanceof PowerLoss) throw error;
    }
    // What was in force is reported once more: that tells the cloud as much.
    this.shadow.counters.faults += 1;
    if (key.value !== undefined) key.flags = (key.flags | DUE) & ~SENT;
  }

  private isData(value: unknown): value is ShadowValue {
    return sizeLeftAfter(value, VALUE_DEPTH_MAX, this.shadow.profile.valueSizeMax) >= 0;
  }

  /** When the edit was made, in epoch seconds; NaN while the time is unknown. */
  private editedS(key: ShadowKey): number {
    const { clock } = this.shadow.platform;
    const { editedMs } = key;
    if (editedMs === 0) return Number.NaN;
    const agoMs = editedMs > 0 ? 0 : clock.monotonicMs() + editedMs + 1;
    return Math.floor((editedMs > 0 ? editedMs : clock.epochMs() - agoMs) / 1000);
  }
}

/** True when a value is known and says the same as `value`. */
function isSame(known: ShadowValue | undefined, value: ShadowValue): boolean {
  return known !== undefined && meets(known, value) && meets(value, known);
}

/** True when an update of `key` must set desired too: an edit of a key that the cloud desires. */
export function isWish(key: ShadowKey): boolean {
  return (key.flags & DIRTY) !== 0 && key.seen !== 0;
}
