// What a sector holds: immutable and shared by content, so that a million devices with the same
// image hold it once. Weak bits are part of it: bits that an interrupted operation left between 0
// and 1, and that read differently from boot to boot.

import { ERASED } from './geometry.ts';
import { mix } from './mix.ts';

/**
 * How the weak bits of a sector read:
 * `random`: each by chance, anew on each boot;
 * `fading`: as programmed (0) for `lag` boots, as erased (1) from then on;
 * `growing`: as erased for `lag` boots, as programmed from then on.
 */
export type WeakKind = 'random' | 'fading' | 'growing';

/** Bits of a sector that one fault left weak. */
export interface WeakBits {
  /** 1 = this bit is weak. As long as the sector. */
  readonly mask: Uint8Array;
  readonly kind: WeakKind;
  /** Boots after the fault for which the bits read one way; the seed of `random` ones. */
  readonly lag: number;
  /** Number of the boot in which the fault happened. */
  readonly sinceBoot: number;
}

/** Of a sector without weak bits: one array for all. */
export const NO_WEAK_BITS: readonly WeakBits[] = [];

/** Which of the weak bits at `offset` of `sector` read as 0 on boot `boot`. */
export function weakZeros(
  weakBits: readonly WeakBits[],
  sector: number,
  offset: number,
  boot: number,
): number {
  let zeros = 0;
  for (const { kind, lag, mask, sinceBoot } of weakBits) {
    const bits = mask[offset]!;
    if (bits === 0) continue;
    const isLate = boot - sinceBoot > lag;
    if (kind === 'random') {
      zeros |= bits & mix(Math.imul(boot + 31 * lag, 0x9e3779b1) + sector, offset);
    } else if (isLate === (kind === 'growing')) {
      zeros |= bits;
    }
  }
  return zeros;
}

export class SectorContent {
  /** Content of the strong bits; weak bits are 1 here. */
  readonly bytes: Uint8Array;
  /** One entry per fault; a bit is weak in at most one. */
  readonly weakBits: readonly WeakBits[];
  /** Names the content: different contents have different numbers. */
  readonly id: number;

  constructor(bytes: Uint8Array, weakBits: readonly WeakBits[], id: number) {
    this.bytes = bytes;
    this.weakBits = weakBits;
    this.id = id;
  }
}

/** Holds each content without weak bits once; a process needs one pool per sector size. */
export class ContentPool {
  readonly sectorSize: number;
  readonly erased: SectorContent;
  private byHash = new Map<number, SectorContent[]>();
  private pinned = new Map<number, SectorContent[]>();
  private heldCount = 0;
  private idNext = 1;

  constructor(sectorSize: number) {
    this.sectorSize = sectorSize;
    this.erased = this.intern(new Uint8Array(sectorSize).fill(ERASED));
    this.pin();
  }

  /** The one content with these bytes. Takes the array over: the caller must not change it. */
  intern(bytes: Uint8Array): SectorContent {
    const hash = hashOf(bytes);
    const bucket = this.byHash.get(hash);
    const found = bucket?.find((content) => areEqual(content.bytes, bytes));
    if (found !== undefined) return found;
    const content = new SectorContent(bytes, NO_WEAK_BITS, this.idNext);
    this.idNext += 1;
    this.heldCount += 1;
    if (bucket === undefined) this.byHash.set(hash, [content]);
    else bucket.push(content);
    return content;
  }

  /** A content with weak bits, if there are any; these are rare and not shared. */
  withWeakBits(bytes: Uint8Array, weakBits: readonly WeakBits[]): SectorContent {
    if (weakBits.length === 0) return this.intern(bytes);
    const content = new SectorContent(bytes, weakBits, this.idNext);
    this.idNext += 1;
    return content;
  }

  /** Keeps what is held now through every `trim`. */
  pin(): void {
    this.pinned = new Map([...this.byHash].map(([hash, bucket]) => [hash, [...bucket]]));
  }

  /**
   * Forgets what came since `pin` when it is more than `countMax`: between cases of a campaign.
   * Chips keep what they hold; the same bytes are another content from then on.
   */
  trim(countMax: number): void {
    if (this.heldCount <= countMax) return;
    this.byHash = new Map([...this.pinned].map(([hash, bucket]) => [hash, [...bucket]]));
    this.heldCount = 0;
  }
}

/** True where two chips with these contents cannot be told apart. */
export function isSameContent(a: SectorContent, b: SectorContent): boolean {
  if (a === b) return true;
  // Weak bits are not compared: each fault makes its own.
  return a.weakBits.length + b.weakBits.length === 0 && areEqual(a.bytes, b.bytes);
}

/** FNV-1a over 32-bit words (Fowler, Noll and Vo); equality decides, so speed matters more. */
function hashOf(bytes: Uint8Array): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index += 1) {
    hash = Math.imul(hash ^ words[index]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length >> 2);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length >> 2);
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}
