// What a device says beside that for which it is there: birth, diagnostics, requests to the shadow.
// Where a broker ends the connection over one of them (an ACL; 3.1.1 has no other word for it), the
// device would come back and say it again, for ever.
//
// After connections that ended early they wait until the next one is stable, and are then said one by
// one: the one that ends it again is left out for a day.

import { readUint32, writeUint32 } from './codec/uint32.ts';
import { STABLE_MS } from './mqtt/client.ts';

/** In the order of their being said. */
export const STATUS = 0;
export const DIAGNOSTICS = 1;
export const SHADOW = 2;
export const SIDE_NAMES: readonly string[] = ['status', 'diagnostics', 'shadow'];
const NONE = -1;

/** Early ends in a row after which they wait. */
export const EARLY_COUNT_MAX = 2;
/** Ends in a row that one of them is left out for. */
export const SUSPECT_COUNT_MAX = 3;
/** From one to the next, where they wait: who ends a connection does so within this. */
export const PROBE_MS = 3000;
export const LEFT_OUT_MS = 24 * 3600 * 1000;

/** Bytes that outlive deep sleep: how long each is left out yet, ms, and the counts. */
export const SIDE_RECORD_SIZE = 16;

/** Made when a connection first ends early, so that most devices have none. */
export class SideMessages {
  /** When each may be said again; 0 = it was not left out. */
  private readonly untilMs = [0, 0, 0];
  private earlyCount = 0;
  /** Said last on this connection, and when. */
  private last = NONE;
  private lastMs = 0;
  private suspect = NONE;
  private suspectCount = 0;

  /** The monotonic ms at which `kind` may be said on a connection that begins at `nowMs`. */
  dueMs(kind: number, nowMs: number): number {
    const waitMs = this.isCareful ? STABLE_MS + kind * PROBE_MS : 0;
    return Math.max(nowMs + waitMs, this.untilMs[kind] as number);
  }

  /** It was said; only the first time on a connection tells something. */
  said(kind: number, nowMs: number): void {
    const isWatched = this.isCareful || (this.untilMs[kind] as number) > 0;
    if (!isWatched || kind <= this.last) return;
    this.last = kind;
    this.lastMs = nowMs;
  }

  /** We ended the connection, which tells at most that it was a stable one. */
  left(nowMs: number, connectedMs: number): void {
    this.last = NONE;
    if (nowMs - connectedMs >= STABLE_MS) this.earlyCount = 0;
  }

  /** The connection ended, and not by us; returns which one is left out from now on, or -1. */
  ended(nowMs: number, connectedMs: number): number {
    const { last, lastMs } = this;
    this.last = NONE;
    if (nowMs - connectedMs < STABLE_MS) {
      // Before anything was said: it ends connections without that too.
      if (this.isCareful) this.suspect = NONE;
      this.earlyCount += 1;
      return NONE;
    }
    if (last === NONE || nowMs - lastMs >= PROBE_MS) {
      // It was not the reason. Where all had their turn, they may be said as before.
      if (last !== NONE) this.untilMs[last] = 0;
      if (nowMs - connectedMs >= STABLE_MS + SIDE_NAMES.length * PROBE_MS) this.earlyCount = 0;
      this.suspect = NONE;
      return NONE;
    }
    this.suspectCount = last === this.suspect ? this.suspectCount + 1 : 1;
    this.suspect = last;
    if (this.suspectCount < SUSPECT_COUNT_MAX) return NONE;
    this.leaveOut(last, nowMs);
    return last;
  }

  leaveOut(kind: number, nowMs: number): void {
    this.untilMs[kind] = nowMs + LEFT_OUT_MS;
  }

  /** Writes what outlives deep sleep. */
  save(target: Uint8Array, offset: number, nowMs: number): void {
    for (let kind = 0; kind < SIDE_NAMES.length; kind += 1) {
      const leftMs = Math.max(0, (this.untilMs[kind] as number) - nowMs);
      writeUint32(target, offset + kind * 4, Math.floor(leftMs));
    }
    const at = offset + SIDE_NAMES.length * 4;
    target[at] = Math.min(255, this.earlyCount);
    target[at + 1] = this.suspect + 1;
    target[at + 2] = Math.min(255, this.suspectCount);
  }

  /** Takes up what `save` wrote. */
  load(source: Uint8Array, offset: number, nowMs: number): void {
    for (let kind = 0; kind < SIDE_NAMES.length; kind += 1) {
      const leftMs = readUint32(source, offset + kind * 4);
      if (leftMs > 0) this.untilMs[kind] = nowMs + leftMs;
    }
    const at = offset + SIDE_NAMES.length * 4;
    this.earlyCount = source[at] as number;
    this.suspect = (source[at + 1] as number) - 1;
    this.suspectCount = source[at + 2] as number;
  }

  private get isCareful(): boolean {
    return this.earlyCount >= EARLY_COUNT_MAX;
  }
}
