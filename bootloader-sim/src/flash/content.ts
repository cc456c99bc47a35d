// What a sector holds: immutable and shared by content, so that a million devices with the same
// image hold it once. Weak bits are part of it: bits that an interrupted operation left between 0
// and 1, and that read differently from boot to boot.

import { ERASED } from './geometry.ts';

/**
 * How the weak bits of a sector read:
 * `random`: each by chance, anew on each boot;
 * `fading`: as programmed (0) for `lag` boots, as erased (1) from then on;
 * `growing`: as erased for `lag` boots, as programmed from then on.
 */
export type WeakKind = 'random' | 'fading' | 'growing';

/** Bits of a sector that are weak. */
export interface WeakBits {
  /** 1 = this bit is weak. As long as the sector. */
  readonly mask: Uint8Array;
  readonly kind: WeakKind;
  /** Boots after the fault for which the bits read one way; the seed of `random` ones. */
  readonly lag: number;
  /** Number of the boot in which the fault happened. */
  readonly sinceBoot: number;
}

export class SectorContent {
  /** Content of the strong bits; weak bits are 1 here. */
  readonly bytes: Uint8Array;
  readonly weak: WeakBits | undefined;
  /** Names the content: equal for equal strong bytes, different for others. */
  readonly id: number;

  constructor(bytes: Uint8Array, weak: WeakBits | undefined, id: number) {
    this.bytes = bytes;
    this.weak = weak;
    this.id = id;
  }
}

/** Interns contents without weak bits; one per process is enough. */
export class ContentPool {
  readonly erased: SectorContent;
  private readonly sectorSize: number;
  private byHash = new Map<number, SectorContent[]>();
  private pinned = new Map<number, SectorContent[]>();
  private heldCount = 0;
  private idNext = 1;

  constructor(sectorSize: number) {
    this.sectorSize = sectorSize;
    this.erased = this.intern(new Uint8Array(sectorSize).fill(ERASED));
  }

  /** The one content with these bytes. Takes the array over: the caller must not change it. */
  intern(bytes: Uint8Array): SectorContent {
    const hash = hashOf(bytes, this.sectorSize);
    const bucket = this.byHash.get(hash);
    const found = bucket?.find((content) => equal(content.bytes, bytes));
    if (found !== undefined) return found;
    const content = new SectorContent(bytes, undefined, this.idNext);
    this.idNext += 1;
    this.heldCount += 1;
    if (bucket === undefined) this.byHash.set(hash, [content]);
    else bucket.push(content);
    return content;
  }

  /** A content with weak bits; these are rare and not shared. */
  withWeakBits(bytes: Uint8Array, weak: WeakBits): SectorContent {
    const content = new SectorContent(bytes, weak, this.idNext);
    this.idNext += 1;
    return content;
  }

  /** Keeps what is held now through every `trim`. */
  pin(): void {
    this.pinned = new Map([...this.byHash].map(([hash, bucket]) => [hash, [...bucket]]));
  }

  /** Forgets what came since `pin` when it is more than `countMax`: between cases of a campaign. */
  trim(countMax: number): void {
    if (this.heldCount <= countMax) return;
    this.byHash = new Map([...this.pinned].map(([hash, bucket]) => [hash, [...bucket]]));
    this.heldCount = 0;
  }
}

/** FNV-1a over 32-bit words (Fowler, Noll and Vo); equality decides, so speed matters more. */
function hashOf(bytes: Uint8Array, size: number): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, size >> 2);
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index += 1) {
    hash = Math.imul(hash ^ words[index]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length >> 2);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length >> 2);
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}
