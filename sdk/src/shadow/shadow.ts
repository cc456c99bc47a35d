// The device's shadow client: brings `desired` into force, reports what is in force, and merges
// what both sides changed while they were apart. The protocol is that of AWS IoT (Developer
// Guide, "Device Shadow MQTT topics", "Device Shadow service documents").
//
// Sans-IO: messages, connections and time come in by calls; requests go out in `pump` only, one
// at a time. A get shows the whole document, so there the baseline is set and conflicts are
// decided; a delta is the short way for a device without edits of its own.

import { pauseMs } from '../backoff.ts';
import type { Platform } from '../platform.ts';
import { isWish, Replica, type ReplicaOwner } from './replica.ts';
import { countOf } from './saved-edits.ts';
import { ShadowCounters } from './shadow-counters.ts';
import { DUE, SENT, type ShadowKey } from './shadow-key.ts';
import type { ShadowProfile } from './shadow-profile.ts';
import {
  isMap,
  member,
  type ShadowMap,
  type ShadowValue,
  withoutRemovals,
} from './shadow-value.ts';

/** How long an answer may take, in ms; after failures longer, since it doubles. */
export const ANSWER_MS_MIN = 10000;
export const ANSWER_MS_MAX = 80000;
/** First and longest pause before a repetition, in ms (full jitter, doubling). */
export const RETRY_MS_MIN = 1000;
export const RETRY_MS_MAX = 60000;
/** Failures in a row after which the shadow rests. */
export const RETRY_COUNT_MAX = 8;
/** How long it rests then, unless a new connection comes first. */
export const REST_MS = 15 * 60 * 1000;
/** What an old delta makes us ask waits this long, so that many of them ask once. */
export const STALE_PAUSE_MS = 1000;

/** Names below `shadow/` that the device subscribes to, by QoS 1. */
export const SHADOW_TOPICS: readonly string[] = [
  'get/accepted',
  'get/rejected',
  'update/accepted',
  'update/rejected',
  'update/delta',
  'delete/accepted',
];

/** Error codes that the client acts upon ("Device Shadow error messages"). */
const NOT_FOUND = 404;
const CONFLICT = 409;
const TOO_MANY_REQUESTS = 429;
const INTERNAL_ERROR = 500;

/** The device behind a shadow. */
export interface ShadowOwner {
  /**
   * Publishes payload[0, size) to `shadow/{name}`, now; at QoS 0 as well as 1, since what is lost
   * is asked again. False: there is no room; the owner calls `pump` when there is.
   */
  publishShadow(name: string, payload: Uint8Array, size: number): boolean;
  /**
   * It is `epochMs` ± `uncertaintyMs` by the service's clock: its timestamps are whole seconds,
   * and the answer took its time.
   */
  onShadowTime(epochMs: number, uncertaintyMs: number): void;
}

/** 'merging' = handlers may be running: what they report goes out afterwards. */
type ShadowState = 'offline' | 'idle' | 'getting' | 'updating' | 'merging';

export class Shadow<Owner extends ShadowOwner> implements ReplicaOwner<Owner> {
  state: ShadowState = 'offline';
  readonly counters = new ShadowCounters();
  readonly platform: Platform;
  readonly profile: ShadowProfile<Owner>;
  readonly owner: Owner;
  private readonly replica: Replica<Owner>;
  private getDue = false;
  /** No room was found: `pump` tries again, and no timer. */
  private blocked = false;
  /** Newest delta that came while the document was on its way. */
  private heardVersion = 0;
  /** Names the request under way, in base 36. */
  private token = 0;
  /** Failed requests in a row. */
  private failureCount = 0;
  /** When the answer is overdue; when idle, before which no request goes out. */
  private atMs = 0;

  /** Takes up the edits that were saved before a reset. */
  constructor(platform: Platform, profile: ShadowProfile<Owner>, owner: Owner) {
    this.platform = platform;
    this.profile = profile;
    this.owner = owner;
    this.replica = new Replica<Owner>(this);
  }

  /** What is in force for `key`, or undefined. */
  valueOf(key: string): ShadowValue | undefined {
    const found = this.replica.find(key);
    const value = found === undefined ? undefined : found.value;
    return value === undefined ? undefined : withoutRemovals(value);
  }

  /** Version of the document that was last known; 0 = none. */
  get version(): number {
    return this.replica.version;
  }

  /** True when nothing is under way or waits to be sent, unless for longer than a repetition does. */
  get isSettled(): boolean {
    return this.state === 'idle' && (!this.isDue || this.atMs - this.nowMs() > RETRY_MS_MAX);
  }

  /**
   * The value of `key` changed at the device; null removes it. For a key with a handler this is
   * an edit: it is in the settings before this returns, and it is written into `desired` too
   * where the cloud desires another value. False, and counted, when the value is not taken.
   *
   * Publishes nothing and leaves scratch alone: the owner calls `pump` in a turn that may.
   */
  report(key: string, value: ShadowValue): boolean {
    return this.replica.report(key, value);
  }

  /**
   * The value that `key` has from the start, such as a default: reported, but no edit, so a
   * desired value goes before it under every policy. A value that is known already stays.
   */
  declare(key: string, value: ShadowValue): boolean {
    return this.replica.declare(key, value);
  }

  /**
   * The connection is there, and so are the subscriptions to SHADOW_TOPICS. No request goes out
   * before `atMs`.
   */
  onConnected(atMs = this.nowMs()): void {
    this.state = 'idle';
    this.getDue = true;
    this.blocked = false;
    this.failureCount = 0;
    this.atMs = atMs;
  }

  onDisconnected(): void {
    this.state = 'offline';
  }

  /** Monotonic ms at which `tick` and `pump` are wanted next; Infinity = never. */
  get nextDeadlineMs(): number {
    if (this.state === 'getting' || this.state === 'updating') return this.atMs;
    const waits = this.state === 'idle' && !this.blocked && this.isDue;
    return waits ? this.atMs : Number.POSITIVE_INFINITY;
  }

  /** Notices an answer that is overdue at `nowMs`. */
  tick(nowMs: number): void {
    if (nowMs < this.atMs || (this.state !== 'getting' && this.state !== 'updating')) return;
    this.counters.timeouts += 1;
    this.fail(this.state === 'getting');
  }

  /** Publishes what is due, as far as the owner takes it. Writes to the platform's scratch. */
  pump(): void {
    this.blocked = false;
    if (this.state !== 'idle' || this.platform.clock.monotonicMs() < this.atMs) return;
    if (this.getDue) this.sendGet();
    else if (this.replica.some(DUE)) this.sendUpdate();
  }

  /**
   * Takes the message source[start, end) of the topic `shadow/{name}`; false when `name` is none
   * of SHADOW_TOPICS. Hostile documents are counted. The owner calls `pump` after it.
   */
  onMessage(name: string, source: Uint8Array, start: number, end: number): boolean {
    if (SHADOW_TOPICS.indexOf(name) < 0) return false;
    if (this.state === 'offline') return true;
    const { codec, documentSizeMax } = this.profile;
    const document = codec.read(source, start, end, documentSizeMax);
    if (document === undefined || !this.accept(name, document)) this.counters.refused += 1;
    this.replica.save();
    return true;
  }

  /** False when the document is not of the shape that its topic asks for. */
  private accept(name: string, document: ShadowMap): boolean {
    switch (name) {
      case 'get/accepted':
        return this.acceptGet(document);
      case 'update/accepted':
        return this.acceptUpdate(document);
      case 'update/delta':
        return this.acceptDelta(document);
      case 'delete/accepted':
        // Made anew by the reports that follow a get's 404.
        this.getDue = true;
        return true;
      case 'get/rejected':
        return this.reject(document, 'getting');
    }
    return this.reject(document, 'updating');
  }

  /** True when `document` answers the request that is under way in `state`. */
  private isAnswer(document: ShadowMap, state: ShadowState): boolean {
    return this.state === state && member(document, 'clientToken') === this.token.toString(36);
  }

  private acceptGet(document: ShadowMap): boolean {
    const state = member(document, 'state');
    const version = countOf(member(document, 'version'));
    const desired = member(state, 'desired');
    const reported = member(state, 'reported');
    if (version === 0 || !isMap(state) || !isPart(desired) || !isPart(reported)) return false;
    if (!this.isAnswer(document, 'getting')) return true;
    if (this.heardVersion > version) {
      // Older than a delta that came before it, or the shadow was made anew: ask again.
      this.fail(true);
      return true;
    }
    this.tellTime(document);
    const metadata = member(member(document, 'metadata'), 'desired');
    this.state = 'merging';
    this.replica.acceptDocument(version, desired, reported, metadata);
    // Unless a handler ended the connection.
    if (this.isMerging) this.becomeIdle();
    if (!this.replica.some(DUE)) this.failureCount = 0;
    return true;
  }

  private acceptUpdate(document: ShadowMap): boolean {
    const state = member(document, 'state');
    const version = countOf(member(document, 'version'));
    const reported = member(state, 'reported');
    if (version === 0 || !isMap(state) || !isPart(reported)) return false;
    if (!this.isAnswer(document, 'updating')) {
      // Not ours, or not any more: what we reported may be overwritten.
      if (this.holdsAny(reported)) this.getDue = true;
      return true;
    }
    this.tellTime(document);
    this.becomeIdle();
    this.failureCount = 0;
    this.replica.acceptUpdate(member(member(document, 'metadata'), 'desired'));
    // Between the version we knew and this one someone else's update lies, or the shadow was made
    // anew: a delta of it may be lost.
    if (version !== this.replica.version + 1) this.getDue = true;
    this.replica.version = version;
    return true;
  }

  private acceptDelta(document: ShadowMap): boolean {
    const delta = member(document, 'state');
    const version = countOf(member(document, 'version'));
    if (version === 0 || !isMap(delta)) return false;
    if (this.state === 'getting' || this.getDue) {
      // What is asked for will show it, unless it was on its way before.
      if (version > this.heardVersion) this.heardVersion = version;
    } else if (version < this.replica.version) {
      // Late, or of a shadow made anew, whose versions begin again: only a get can tell.
      this.counters.stale += 1;
      this.getDue = true;
      if (this.state === 'idle') this.pauseUntil(this.nowMs() + STALE_PAUSE_MS);
    } else {
      const { state } = this;
      this.state = 'merging';
      if (!this.replica.acceptDelta(version, delta, member(document, 'metadata'))) {
        this.getDue = true;
      }
      if (this.isMerging) this.state = state;
    }
    return true;
  }

  private reject(document: ShadowMap, state: ShadowState): boolean {
    const code = countOf(member(document, 'code'));
    if (code === 0) return false;
    if (!this.isAnswer(document, state)) return true;
    if (state === 'getting' && code === NOT_FOUND) {
      this.tellTime(document);
      this.becomeIdle();
      this.replica.acceptAbsence();
      return true;
    }
    this.counters.rejected += 1;
    if (code === CONFLICT || code === TOO_MANY_REQUESTS || code >= INTERNAL_ERROR) {
      this.fail(state === 'getting' || code === CONFLICT);
      return true;
    }
    // No repetition mends it: what was sent waits for the next connection.
    for (let key = this.replica.first; key !== undefined; key = key.next) {
      if ((key.flags & SENT) !== 0) key.flags &= ~(SENT | DUE);
    }
    this.becomeIdle();
    return true;
  }

  private holdsAny(reported: unknown): boolean {
    for (let key = this.replica.first; key !== undefined; key = key.next) {
      if (member(reported, key.name) !== undefined) return true;
    }
    return false;
  }

  private becomeIdle(): void {
    this.state = 'idle';
    // A get that was asked for meanwhile is in no hurry.
    this.atMs = this.getDue ? this.nowMs() + STALE_PAUSE_MS : this.nowMs();
  }

  /** The request came to nothing: try again after a pause, beginning with a get if `getDue`. */
  private fail(getDue: boolean): void {
    this.state = 'idle';
    this.getDue = this.getDue || getDue;
    this.failureCount += 1;
    if (this.failureCount >= RETRY_COUNT_MAX) {
      this.counters.rests += 1;
      this.failureCount = 0;
      this.atMs = this.nowMs() + REST_MS;
      return;
    }
    const { platform } = this;
    this.atMs = this.nowMs() + pauseMs(platform, RETRY_MS_MIN, RETRY_MS_MAX, this.failureCount);
  }

  private pauseUntil(untilMs: number): void {
    if (this.atMs < untilMs) this.atMs = untilMs;
  }

  private get isMerging(): boolean {
    return this.state === 'merging';
  }

  private get isDue(): boolean {
    return this.getDue || this.replica.some(DUE);
  }

  private nowMs(): number {
    return this.platform.clock.monotonicMs();
  }

  private answerMs(): number {
    return Math.min(ANSWER_MS_MAX, ANSWER_MS_MIN * (1 << this.failureCount));
  }

  private tellTime(document: ShadowMap): void {
    const timestampS = countOf(member(document, 'timestamp'));
    if (timestampS === 0) return;
    const takenMs = this.nowMs() - (this.atMs - this.answerMs());
    // The truth lies between this second's begin, if the answer took no time, and its end plus all
    // of that time.
    const halfMs = (1000 + takenMs) / 2;
    this.owner.onShadowTime(timestampS * 1000 + halfMs, halfMs);
  }

  private sendGet(): void {
    this.renewToken();
    const document = { clientToken: this.token.toString(36) };
    const { scratch } = this.platform.memory;
    const size = this.profile.codec.write(scratch, 0, document);
    this.heardVersion = 0;
    this.getDue = false;
    if (!this.send('getting', 'get', scratch, size)) this.getDue = true;
  }

  /** Sends as many of the keys that are due as fit a document. */
  private sendUpdate(): void {
    this.renewToken();
    const { scratch } = this.platform.memory;
    const sizeMax = Math.min(scratch.length, this.profile.updateSizeMax);
    for (let count = this.mark(Number.POSITIVE_INFINITY); count > 0; count = this.mark(count - 1)) {
      const size = this.profile.codec.write(scratch, 0, this.updateDocument());
      if (size <= sizeMax) {
        this.send('updating', 'update', scratch, size);
        return;
      }
      if (count === 1) this.giveUpSent();
    }
  }

  /** Marks the first `countMax` keys that are due as SENT, and no others; returns how many. */
  private mark(countMax: number): number {
    let count = 0;
    for (let key = this.replica.first; key !== undefined; key = key.next) {
      const isSent = (key.flags & DUE) !== 0 && count < countMax;
      key.flags = isSent ? key.flags | SENT : key.flags & ~SENT;
      if (isSent) count += 1;
    }
    return count;
  }

  /** A key that fits no document by itself. */
  private giveUpSent(): void {
    for (let key = this.replica.first; key !== undefined; key = key.next) {
      if ((key.flags & SENT) !== 0) key.flags &= ~DUE;
    }
    this.counters.overflows += 1;
  }

  private updateDocument(): ShadowMap {
    const reported = Object.create(null) as Record<string, unknown>;
    const desired = Object.create(null) as Record<string, unknown>;
    let wishes = 0;
    for (let key: ShadowKey | undefined = this.replica.first; key !== undefined; key = key.next) {
      if ((key.flags & SENT) === 0) continue;
      reported[key.name] = key.value;
      if (!isWish(key)) continue;
      desired[key.name] = key.value;
      wishes += 1;
    }
    const clientToken = this.token.toString(36);
    if (wishes === 0) return { state: { reported }, clientToken };
    // What the cloud desires may only be overwritten as we know it: a newer one is a conflict.
    const { version } = this.replica;
    if (version === 0) return { state: { reported, desired }, clientToken };
    return { state: { reported, desired }, clientToken, version };
  }

  private renewToken(): void {
    // 31 bits: a small integer on every engine.
    this.token = this.platform.random() >>> 1;
  }

  private send(state: ShadowState, name: string, payload: Uint8Array, size: number): boolean {
    this.state = state;
    const atMs = this.atMs;
    this.atMs = this.nowMs() + this.answerMs();
    if (this.owner.publishShadow(name, payload, size)) return true;
    this.state = 'idle';
    this.atMs = atMs;
    this.blocked = true;
    return false;
  }
}

/** A section of a document: an object, or not there. */
function isPart(part: unknown): boolean {
  return part === undefined || part === null || isMap(part);
}
