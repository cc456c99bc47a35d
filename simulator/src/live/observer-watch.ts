// What the observer knows of itself: whether it sees what the broker delivers, and how late.
//
// It sends itself sentinels, by way of the broker and the subscription that it judges by. One that
// comes back proves that whatever was acknowledged before it was sent had its chance to come. One
// that does not, though a later one does, was discarded, and other messages with it perhaps. Pure:
// time is handed in, in ms of the run.

import { Trend } from '../metrics/registry.ts';
import type { Gap, ObserverHealth } from './messages.ts';

/** Between two sentinels. */
export const SENTINEL_INTERVAL_MS = 500;
/** Nothing came for so long, sentinels neither: the observer is deaf. */
export const DEAF_MS = 5000;
/** A pause of the observer's program that counts. */
export const STALL_MS = 100;
/** Where it has been busy for more than this share of the time, its backlog is its own. */
export const BUSY_SHARE = 0.9;
/** A sentinel that takes longer than this is evidence of a backlog. */
export const BACKLOG_MS = 250;
/**
 * Of a session that waited for the observer, a broker may discard what is too much for its queue:
 * mosquitto keeps 1,000 messages, and no broker fewer than this unless it is told to.
 */
export const QUEUE_COUNT_MIN = 100;
/** Sentinels on their way at most. */
export const OUTSTANDING_MAX = 64;

interface Sentinel {
  readonly number: number;
  readonly sentMs: number;
}

export class ObserverWatch {
  /** What was acknowledged up to this moment has come, or will never come. */
  provenMs: number;
  /** True from a pause of the observer on, until all has come that waited meanwhile. */
  isDraining = false;
  /** True when one has come back at all. */
  hasProof = false;
  /** True when the broker said that it does not take them. */
  isRefused = false;
  private nextNumber = 0;
  private nextMs = 0;
  private outstanding: Sentinel[] = [];
  private aliveMs: number;
  /** When something came last, or began to be able to. */
  heardMs: number;
  /** Sentinels from this number on were sent after the last pause. */
  private drainedBy = 0;
  /** The session was lost, or may have lost something: unproven until a sentinel comes back. */
  private isDoubtful = false;
  /** Messages since an interrupted session was resumed; undefined = none was. */
  private resumedCount: number | undefined = undefined;
  /** From when on that session may have lost something. */
  private interruptedMs = 0;
  private readonly gaps: Gap[] = [];
  private readonly delays = new Trend();
  private lostCount = 0;
  private stallCount = 0;
  private stallMsMax = 0;
  private blindMs = 0;
  private leftOutCount = 0;

  constructor(nowMs: number) {
    this.provenMs = nowMs;
    this.aliveMs = nowMs;
    this.heardMs = nowMs;
  }

  // Sentinels.

  /** The next one is due now. */
  hurry(nowMs: number): void {
    this.nextMs = Math.min(this.nextMs, nowMs);
  }

  /** True when one is to be sent. */
  isDue(nowMs: number): boolean {
    return nowMs >= this.nextMs && this.outstanding.length < OUTSTANDING_MAX;
  }

  /** The number that the next sentinel has. */
  get number(): number {
    return this.nextNumber;
  }

  /** The sentinel `number` went out. */
  sent(nowMs: number): void {
    this.outstanding.push({ number: this.nextNumber, sentMs: nowMs });
    this.nextNumber += 1;
    this.nextMs = nowMs + SENTINEL_INTERVAL_MS;
  }

  /** The broker will not pass it on, and says so. */
  refused(number: number): void {
    this.isRefused = true;
    this.outstanding = this.outstanding.filter((sentinel) => sentinel.number !== number);
  }

  /** A sentinel came back; a second copy proves nothing more. */
  returned(number: number, nowMs: number): void {
    this.heardMs = nowMs;
    const at = this.outstanding.findIndex((sentinel) => sentinel.number === number);
    if (at < 0) return;
    const { sentMs } = this.outstanding[at]!;
    if (at > 0 || this.isDoubtful) this.addGap({ fromMs: this.provenMs, toMs: sentMs });
    this.lostCount += at;
    this.outstanding.splice(0, at + 1);
    this.isDoubtful = false;
    this.hasProof = true;
    this.isRefused = false;
    this.provenMs = sentMs;
    this.delays.record(nowMs - sentMs);
    if (number >= this.drainedBy) this.drained(sentMs);
    else this.heard(nowMs);
  }

  // What happens to the observer.

  /** Its program runs; to be called at every tick and before every message. */
  alive(nowMs: number): void {
    const pauseMs = nowMs - this.aliveMs;
    this.aliveMs = nowMs;
    if (pauseMs < STALL_MS) return;
    this.stallCount += 1;
    this.stallMsMax = Math.max(this.stallMsMax, pauseMs);
    this.delays.record(pauseMs);
    // Whether anything came meanwhile, nobody could tell.
    this.heardMs = nowMs;
    this.fellBehind(nowMs);
  }

  /** How busy it has been of late, 0 to 1. */
  busy(share: number, nowMs: number): void {
    const [oldest] = this.outstanding;
    if (share < BUSY_SHARE || oldest === undefined) return;
    if (nowMs - oldest.sentMs > BACKLOG_MS) this.fellBehind(nowMs);
  }

  /** A message of the fleet came: something is heard. */
  heard(nowMs: number): void {
    this.heardMs = nowMs;
    if (this.resumedCount !== undefined) this.resumedCount += 1;
  }

  /** Its connection is back, with its session or without. */
  connected(resumed: boolean, nowMs: number): void {
    this.heardMs = nowMs;
    if (resumed) {
      this.resumedCount = 0;
      this.interruptedMs = this.provenMs;
    } else {
      this.isDoubtful = this.hasProof;
      this.outstanding = [];
    }
    this.fellBehind(nowMs);
  }

  /** A delivery whose latency is the observer's own. */
  leftOut(): void {
    this.leftOutCount += 1;
  }

  // What follows.

  /** True when it is connected in name only. */
  isDeaf(nowMs: number): boolean {
    const [oldest] = this.outstanding;
    if (oldest === undefined || nowMs - oldest.sentMs < DEAF_MS) return false;
    return nowMs - this.heardMs >= DEAF_MS;
  }

  /** True when a sentinel sent at `sinceMs` or later has come back. */
  hasProvenSince(sinceMs: number): boolean {
    return this.hasProof && this.provenMs >= sinceMs && !this.isDoubtful;
  }

  /** True when nothing proves what it sees. */
  isBlind(nowMs: number): boolean {
    if (this.isDoubtful || !this.hasProof) return true;
    const [oldest] = this.outstanding;
    return oldest !== undefined && nowMs - oldest.sentMs >= DEAF_MS;
  }

  /** It ends, and nothing proves what it saw since the last sentinel that came back. */
  endBlind(nowMs: number): Gap {
    const gap = { fromMs: this.provenMs, toMs: nowMs };
    this.blindMs += gap.toMs - gap.fromMs;
    return gap;
  }

  /** The gaps that were found since the last call. */
  takeGaps(): Gap[] {
    return this.gaps.splice(0);
  }

  health(): ObserverHealth {
    return {
      delayMedMs: this.delays.percentile(50),
      delayP99Ms: this.delays.percentile(99),
      delayMaxMs: this.delays.percentile(100),
      sentinels: this.nextNumber,
      sentinelsLost: this.lostCount,
      stalls: this.stallCount,
      stallMaxMs: Math.round(this.stallMsMax),
      blindMs: Math.round(this.blindMs),
      latenciesLeftOut: this.leftOutCount,
    };
  }

  private fellBehind(nowMs: number): void {
    this.isDraining = true;
    this.drainedBy = this.nextNumber;
    this.hurry(nowMs);
  }

  /** All has come that waited for the observer, and a sentinel behind it. */
  private drained(sentMs: number): void {
    this.isDraining = false;
    const count = this.resumedCount ?? 0;
    this.resumedCount = undefined;
    if (count >= QUEUE_COUNT_MIN) this.addGap({ fromMs: this.interruptedMs, toMs: sentMs });
  }

  private addGap(gap: Gap): void {
    this.blindMs += gap.toMs - gap.fromMs;
    this.gaps.push(gap);
  }
}
