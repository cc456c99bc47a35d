// Where shadows are kept: in memory. Full means full: a shadow is never given up to make
// room for another, new ones are refused.

import type { Shadow } from './document.ts';

/** Shadows in memory. */
export const SHADOW_COUNT_MAX = 100_000;
/** Bytes of all states in memory, as JSON; on the heap they take some ten times that. */
export const SHADOWS_SIZE_MAX = 134_217_728;

export interface ShadowStore {
  read(key: string): Shadow | undefined;
  /** False when there is no room; what was kept before then stays. */
  write(key: string, shadow: Shadow): boolean;
  remove(key: string): void;
}

export interface MemoryStoreLimits {
  readonly countMax: number;
  readonly sizeMax: number;
}

export class MemoryStore implements ShadowStore {
  private readonly shadows = new Map<string, Shadow>();
  private readonly limits: MemoryStoreLimits;
  private size = 0;

  constructor(limits: Partial<MemoryStoreLimits> = {}) {
    this.limits = { countMax: SHADOW_COUNT_MAX, sizeMax: SHADOWS_SIZE_MAX, ...limits };
  }

  get count(): number {
    return this.shadows.size;
  }

  read(key: string): Shadow | undefined {
    return this.shadows.get(key);
  }

  write(key: string, shadow: Shadow): boolean {
    const before = this.shadows.get(key);
    const size = this.size + shadow.size - (before?.size ?? 0);
    const isNew = before === undefined;
    if (size > this.limits.sizeMax) return false;
    if (isNew && this.shadows.size >= this.limits.countMax) return false;
    this.shadows.set(key, shadow);
    this.size = size;
    return true;
  }

  remove(key: string): void {
    this.size -= this.shadows.get(key)?.size ?? 0;
    this.shadows.delete(key);
  }
}
