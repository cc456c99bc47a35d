// NOR flash: erase by sector to FF, program 1 → 0 by page, wear, time, and power that can be cut
// in the middle of either. Stricter than silicon: programming a byte that is not erased throws,
// where real flash would silently AND the bits.

import { type Partition, PowerLoss } from '@flotilla/sdk/platform';
import {
  type ContentPool,
  isSameContent,
  type SectorContent,
  type WeakBits,
  weakZeros,
} from './content.ts';
import type { Fault, FlashOperation } from './faults.ts';
import { ERASED, type Geometry } from './geometry.ts';
import { flip, isProgramFault, type PageProgram, programBits, tearErase } from './torn.ts';

/** A bug of the driver above: wrong range, alignment, or a program without an erase. */
export class FlashError extends Error {
  override readonly name = 'FlashError';
}

/** Decides at each operation whether the power is cut there; undefined = it is not. */
export type FaultHook = (operation: FlashOperation) => Fault | undefined;

/** The state of a flash that many devices share, by sector. */
export interface Layout {
  readonly contents: readonly SectorContent[];
  readonly wear: Uint32Array;
}

/** A sector that this flash has changed since its layout. Immutable: clones share it. */
interface OwnSector {
  readonly sector: number;
  readonly content: SectorContent;
  readonly wear: number;
}

/** A sector whose pages are being programmed: a private copy, not interned yet. */
interface Draft {
  readonly sector: number;
  readonly bytes: Uint8Array;
  weakBits: readonly WeakBits[];
}

const NO_OWN_SECTORS: readonly OwnSector[] = [];

export class Flash {
  readonly geometry: Geometry;
  /** Time spent since the start, µs. */
  busyUs = 0;
  /** Boots so far; weak bits read differently on each. */
  bootCount = 0;
  /** Operations since power-on. */
  operationCount = 0;
  /** Asked at every operation. */
  hook: FaultHook | undefined = undefined;
  /** Read glitch: flips bits of what is read, by address; for tests of single reads. */
  readGlitch: ((address: number, into: Uint8Array) => void) | undefined = undefined;
  private readonly pool: ContentPool;
  private layout: Layout | undefined;
  /** Ascending; replaced and never changed, so that a clone costs nothing. */
  private own: readonly OwnSector[] = NO_OWN_SECTORS;
  private draft: Draft | undefined = undefined;
  private powered = true;

  /** An erased chip, or one that begins as `layout`, which is shared and never changed. */
  constructor(geometry: Geometry, pool: ContentPool, layout?: Layout) {
    this.geometry = geometry;
    this.pool = pool;
    this.layout = layout;
    const { pageSize, sectorSize, size } = geometry;
    if (sectorSize !== pool.sectorSize || size % sectorSize !== 0 || sectorSize % pageSize !== 0) {
      throw new FlashError(`${geometry.name}: not made of sectors of ${pool.sectorSize}`);
    }
    if (layout !== undefined) this.checkLayout(layout);
  }

  get sectorCount(): number {
    return this.geometry.size / this.geometry.sectorSize;
  }

  /** A chip in the same state, cheap, without the hooks. */
  clone(): Flash {
    this.settle();
    const copy = new Flash(this.geometry, this.pool, this.layout);
    copy.own = this.own;
    copy.busyUs = this.busyUs;
    copy.bootCount = this.bootCount;
    copy.operationCount = this.operationCount;
    copy.powered = this.powered;
    return copy;
  }

  /**
   * The present state as a layout that other chips can begin with. Throws where bits are weak: they
   * age with the boots of one chip.
   */
  toLayout(): Layout {
    if (this.hasWeakBits) throw new FlashError('a chip with weak bits is no layout');
    const contents: SectorContent[] = [];
    const wear = new Uint32Array(this.sectorCount);
    for (let sector = 0; sector < this.sectorCount; sector += 1) {
      contents.push(this.contentOf(sector));
      wear[sector] = this.wearOf(sector);
    }
    return { contents, wear };
  }

  /**
   * Makes `layout` the shared base of this chip, which then holds nothing of its own; throws unless
   * it is equal to the present state.
   */
  rebase(layout: Layout): void {
    this.checkLayout(layout);
    for (let sector = 0; sector < this.sectorCount; sector += 1) {
      const isSame = isSameContent(layout.contents[sector]!, this.contentOf(sector));
      if (!isSame || layout.wear[sector] !== this.wearOf(sector)) {
        throw new FlashError(`sector ${sector} is not as in the layout`);
      }
    }
    this.layout = layout;
    this.own = NO_OWN_SECTORS;
  }

  /** Power comes back: the next boot begins. */
  powerOn(): void {
    this.settle();
    this.powered = true;
    this.bootCount += 1;
    this.operationCount = 0;
  }

  /** Power goes between two operations. */
  cut(): PowerLoss {
    this.powered = false;
    return new PowerLoss();
  }

  /** Fills `into` from `address`. */
  read(address: number, into: Uint8Array): void {
    this.checkPower();
    this.checkRange(address, into.length);
    const { readUs, sectorSize } = this.geometry;
    this.busyUs += (readUs * into.length) / sectorSize;
    let done = 0;
    while (done < into.length) {
      const at = address + done;
      const sector = Math.floor(at / sectorSize);
      const offset = at % sectorSize;
      const count = Math.min(into.length - done, sectorSize - offset);
      this.readSector(sector, offset, into, done, count);
      done += count;
    }
    this.readGlitch?.(address, into);
  }

  /** Erases the sector that begins at `address`. */
  erase(address: number): void {
    const { eraseUs, enduranceMax, sectorSize } = this.geometry;
    this.checkPower();
    this.checkRange(address, sectorSize);
    if (address % sectorSize !== 0) {
      throw new FlashError(`erase at ${address}: not the start of a sector`);
    }
    const sector = address / sectorSize;
    const fault = this.begin('erase', address, sectorSize);
    if (fault?.kind === 'cut-before') throw this.cut();
    this.busyUs += eraseUs;
    const wear = this.wearOf(sector) + 1;
    // A worn-out sector keeps what it holds, as chips do that report success all the same.
    const isStuck = wear > enduranceMax;
    this.set(sector, isStuck ? this.contentOf(sector) : this.erased(sector, fault), wear);
    if (fault !== undefined) throw this.cut();
  }

  /** Programs bytes[start, end) at `address`, one operation per page; all must be erased. */
  program(address: number, bytes: Uint8Array, start = 0, end = bytes.length): void {
    const { pageSize, writeAlignment } = this.geometry;
    this.checkPower();
    this.checkRange(address, end - start);
    if (!(start >= 0 && end <= bytes.length)) {
      throw new FlashError(`program of [${start}, ${end}) of ${bytes.length} bytes`);
    }
    if (address % writeAlignment !== 0 || (end - start) % writeAlignment !== 0) {
      throw new FlashError(`program of ${end - start} at ${address}: units of ${writeAlignment}`);
    }
    let from = start;
    while (from < end) {
      const at = address + from - start;
      const count = Math.min(end - from, pageSize - (at % pageSize));
      this.programPage(at, bytes, from, from + count);
      from += count;
    }
  }

  wearOf(sector: number): number {
    const index = this.ownIndexOf(sector);
    return index >= 0 ? this.own[index]!.wear : (this.layout?.wear[sector] ?? 0);
  }

  /**
   * Identifies what a range holds, by whole sectors: never equal for different contents, equal for
   * equal ones that were interned alike. It holds a `w` where reads differ from boot to boot.
   */
  contentKey(address: number, size: number): string {
    this.checkPower();
    const { sectorSize } = this.geometry;
    const first = Math.floor(address / sectorSize);
    const last = Math.ceil((address + size) / sectorSize);
    let key = this.readGlitch === undefined ? '' : 'w';
    for (let sector = first; sector < last; sector += 1) {
      const { id, weakBits } = this.contentOf(sector);
      key += weakBits.length === 0 ? `${id},` : `${id}w${this.bootCount},`;
    }
    return key;
  }

  /** True while any sector has weak bits. */
  get hasWeakBits(): boolean {
    this.settle();
    return this.own.some(({ content }) => content.weakBits.length > 0);
  }

  /** Flips one bit at rest; a weak one becomes a strong 0. */
  flipBit(address: number, bit: number): void {
    const { sectorSize } = this.geometry;
    this.checkRange(address, 1);
    const sector = Math.floor(address / sectorSize);
    const { bytes, weakBits } = flip(this.contentOf(sector), address % sectorSize, bit);
    this.set(sector, this.pool.withWeakBits(bytes, weakBits), this.wearOf(sector));
  }

  private begin(
    kind: FlashOperation['kind'],
    address: number,
    size: number,
    bytes?: Uint8Array,
  ): Fault | undefined {
    const index = this.operationCount;
    this.operationCount += 1;
    return this.hook?.({ kind, index, address, size, ...(bytes === undefined ? {} : { bytes }) });
  }

  private programPage(address: number, source: Uint8Array, start: number, end: number): void {
    const { enduranceMax, pageSize, programUs, sectorSize } = this.geometry;
    const size = end - start;
    const bytes = this.hook === undefined ? undefined : source.subarray(start, end);
    const fault = this.begin('program', address, size, bytes);
    if (fault?.kind === 'cut-before') throw this.cut();
    if (fault !== undefined && !isProgramFault(fault)) {
      throw new FlashError(`${fault.kind} is no fault of a program`);
    }
    this.busyUs += (programUs * size) / pageSize;
    const sector = Math.floor(address / sectorSize);
    const offset = address % sectorSize;
    // Stuck: what was not erased cannot take new bits; the driver learns it by reading back.
    const isStuck = this.wearOf(sector) > enduranceMax;
    if (!isStuck) this.checkErased(sector, offset, size);
    this.fill(this.open(sector), { offset, source, start, end }, isStuck, fault);
    // A draft stays open only where the next page may follow: a chip at rest holds none.
    const endsInPage = (offset + size) % pageSize !== 0;
    if (fault !== undefined || endsInPage || offset + size === sectorSize) this.settle();
    if (fault !== undefined) throw this.cut();
  }

  private fill(draft: Draft, page: PageProgram, isStuck: boolean, fault: Fault | undefined): void {
    const isWhole = fault === undefined || fault.kind === 'cut-after';
    if (isWhole && !isStuck && draft.weakBits.length === 0) {
      const { end, offset, source, start } = page;
      for (let index = start; index < end; index += 1) {
        draft.bytes[offset + index - start] = source[index]!;
      }
      return;
    }
    draft.weakBits = programBits(draft, page, isWhole ? undefined : fault, this.bootCount);
  }

  /** What reads as erased only on this boot passes: a driver that trusts that learns it later. */
  private checkErased(sector: number, offset: number, size: number): void {
    const { bytes, weakBits } = this.bitsOf(sector);
    let at = offset;
    while (at < offset + size && bytes[at] === ERASED) at += 1;
    if (weakBits.length > 0) {
      const isErased = (each: number) => weakZeros(weakBits, sector, each, this.bootCount) === 0;
      for (let each = offset; each < at; each += 1) if (!isErased(each)) at = each;
    }
    if (at === offset + size) return;
    throw new FlashError(`program at ${sector * this.geometry.sectorSize + at}: not erased`);
  }

  /** What an erase leaves, whole or cut. */
  private erased(sector: number, fault: Fault | undefined): SectorContent {
    if (fault === undefined || fault.kind === 'cut-after') return this.pool.erased;
    const torn = tearErase(this.contentOf(sector), fault, this.bootCount);
    if (torn === undefined) throw new FlashError(`${fault.kind} is no fault of an erase`);
    return this.pool.withWeakBits(torn.bytes, torn.weakBits);
  }

  private readSector(
    sector: number,
    offset: number,
    into: Uint8Array,
    at: number,
    count: number,
  ): void {
    const { bytes, weakBits } = this.bitsOf(sector);
    into.set(bytes.subarray(offset, offset + count), at);
    if (weakBits.length === 0) return;
    for (let index = 0; index < count; index += 1) {
      into[at + index]! &= ~weakZeros(weakBits, sector, offset + index, this.bootCount);
    }
  }

  /** The present bits, without closing a draft. */
  private bitsOf(sector: number): Draft | SectorContent {
    return this.draft?.sector === sector ? this.draft : this.contentOf(sector);
  }

  private contentOf(sector: number): SectorContent {
    if (this.draft?.sector === sector) this.settle();
    const index = this.ownIndexOf(sector);
    if (index >= 0) return this.own[index]!.content;
    return this.layout?.contents[sector] ?? this.pool.erased;
  }

  private open(sector: number): Draft {
    if (this.draft?.sector === sector) return this.draft;
    this.settle();
    const { bytes, weakBits } = this.contentOf(sector);
    this.draft = { sector, bytes: bytes.slice(), weakBits };
    return this.draft;
  }

  /** Interns what was being programmed. */
  private settle(): void {
    if (this.draft === undefined) return;
    const { bytes, sector, weakBits } = this.draft;
    this.draft = undefined;
    this.set(sector, this.pool.withWeakBits(bytes, weakBits), this.wearOf(sector));
  }

  private set(sector: number, content: SectorContent, wear: number): void {
    if (this.draft?.sector === sector) this.draft = undefined;
    const index = this.ownIndexOf(sector);
    const entry: OwnSector = { sector, content, wear };
    this.own = this.own.toSpliced(index < 0 ? ~index : index, index < 0 ? 0 : 1, entry);
  }

  /** Index in `own`, or the complement of where it belongs. */
  private ownIndexOf(sector: number): number {
    let low = 0;
    let high = this.own.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.own[middle]!.sector < sector) low = middle + 1;
      else high = middle;
    }
    return this.own[low]?.sector === sector ? low : ~low;
  }

  private checkLayout({ contents, wear }: Layout): void {
    if (contents.length !== this.sectorCount || wear.length !== this.sectorCount) {
      throw new FlashError(`a layout of ${contents.length} sectors, not of ${this.sectorCount}`);
    }
  }

  private checkPower(): void {
    if (!this.powered) throw new PowerLoss();
  }

  private checkRange(address: number, size: number): void {
    const isWhole = Number.isInteger(address) && Number.isInteger(size);
    if (!isWhole || address < 0 || size < 0 || address + size > this.geometry.size) {
      throw new FlashError(`${size} bytes at ${address}: past ${this.geometry.size}`);
    }
  }
}

/** A range of a flash as the SDK sees it. */
export class FlashPartition implements Partition {
  readonly size: number;
  readonly sectorSize: number;
  readonly writeAlignment: number;
  readonly erasedValue = ERASED;
  readonly start: number;
  private readonly flash: Flash;

  constructor(flash: Flash, start: number, size: number) {
    const { sectorSize, writeAlignment } = flash.geometry;
    if (start % sectorSize !== 0 || size % sectorSize !== 0 || size <= 0) {
      throw new FlashError(`partition of ${size} at ${start}: whole sectors of ${sectorSize}`);
    }
    this.flash = flash;
    this.start = start;
    this.size = size;
    this.sectorSize = sectorSize;
    this.writeAlignment = writeAlignment;
  }

  read(address: number, into: Uint8Array): void {
    this.check(address, into.length);
    this.flash.read(this.start + address, into);
  }

  write(address: number, bytes: Uint8Array, start: number, end: number): void {
    this.check(address, end - start);
    this.flash.program(this.start + address, bytes, start, end);
  }

  eraseBlock(address: number): void {
    this.check(address, this.sectorSize);
    this.flash.erase(this.start + address);
  }

  private check(address: number, size: number): void {
    if (address < 0 || address + size > this.size) {
      throw new FlashError(`${size} bytes at ${address}: past the partition of ${this.size}`);
    }
  }
}
