// NOR flash: erase by sector to FF, program 1 → 0 by page, wear, time, and power that can be cut
// in the middle of either. Stricter than silicon: programming a byte that is not erased throws,
// where real flash would silently AND the bits.

import { type Partition, PowerLoss } from '@flotilla/sdk/platform';
import type { ContentPool, SectorContent, WeakBits } from './content.ts';
import type { Fault, FlashOperation } from './faults.ts';
import { ERASED, type Geometry } from './geometry.ts';
import { mix } from './mix.ts';

/** A bug of the driver above: wrong range, alignment, or a program without an erase. */
export class FlashError extends Error {
  override readonly name = 'FlashError';
}

/** Decides at each operation whether the power is cut there; undefined = it is not. */
export type FaultHook = (operation: FlashOperation) => Fault | undefined;

/** The state of a flash that many devices share: sectors that differ from erased, and wear. */
export interface Layout {
  readonly contents: ReadonlyMap<number, SectorContent>;
  readonly wear: ReadonlyMap<number, number>;
}

const EMPTY_LAYOUT: Layout = { contents: new Map(), wear: new Map() };

/** A sector that this flash has changed since its layout. */
interface OwnSector {
  content: SectorContent;
  wear: number;
  /** While its bytes are being programmed: a private copy, not interned yet. */
  draft: Uint8Array | undefined;
}

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
  private layout: Layout;
  private own: Map<number, OwnSector> | undefined = undefined;
  private powered = true;

  /** An erased chip, or one that begins as `layout`, which is shared and never changed. */
  constructor(geometry: Geometry, pool: ContentPool, layout: Layout = EMPTY_LAYOUT) {
    this.geometry = geometry;
    this.pool = pool;
    this.layout = layout;
  }

  get sectorCount(): number {
    return this.geometry.size / this.geometry.sectorSize;
  }

  /** A chip in the same state, cheap: sectors are copied when one of the two changes them. */
  clone(): Flash {
    const copy = new Flash(this.geometry, this.pool, this.layout);
    if (this.own !== undefined) {
      copy.own = new Map();
      for (const [sector, { wear }] of this.own) {
        copy.own.set(sector, { content: this.contentOf(sector), wear, draft: undefined });
      }
    }
    copy.busyUs = this.busyUs;
    copy.bootCount = this.bootCount;
    copy.operationCount = this.operationCount;
    copy.powered = this.powered;
    return copy;
  }

  /** The present state as a layout that other chips can begin with. */
  toLayout(): Layout {
    const contents = new Map(this.layout.contents);
    const wear = new Map(this.layout.wear);
    for (const sector of this.own?.keys() ?? []) {
      contents.set(sector, this.contentOf(sector));
      wear.set(sector, this.wearOf(sector));
    }
    return { contents, wear };
  }

  /** Makes `layout`, which must be equal to the present state, the shared base of this chip. */
  rebase(layout: Layout): void {
    for (const sector of this.own?.keys() ?? []) {
      const content = layout.contents.get(sector) ?? this.pool.erased;
      const same = content === this.contentOf(sector);
      if (!same || (layout.wear.get(sector) ?? 0) !== this.wearOf(sector)) {
        throw new FlashError(`sector ${sector} is not as in the layout`);
      }
    }
    this.layout = layout;
    this.own = undefined;
  }

  /** Power comes back: the next boot begins. */
  powerOn(): void {
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
    if (address % sectorSize !== 0)
      throw new FlashError(`erase at ${address}: not a sector's start`);
    const sector = address / sectorSize;
    const fault = this.begin('erase', address, sectorSize);
    if (fault?.kind === 'cut-before') throw this.cut();
    this.busyUs += eraseUs;
    const wear = this.wearOf(sector) + 1;
    // A worn-out sector keeps what it holds, as chips do that report success all the same.
    const stuck = wear > enduranceMax;
    const content = stuck ? this.contentOf(sector) : this.erased(sector, fault);
    this.set(sector, content, wear);
    if (fault !== undefined) throw this.cut();
  }

  /** Programs bytes[start, end) at `address`, one operation per page; all must be erased. */
  program(address: number, bytes: Uint8Array, start = 0, end = bytes.length): void {
    const { pageSize, writeAlignment } = this.geometry;
    this.checkPower();
    this.checkRange(address, end - start);
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
    return this.own?.get(sector)?.wear ?? this.layout.wear.get(sector) ?? 0;
  }

  /** Identifies what a range of whole sectors holds: equal for equal content, weak bits apart. */
  contentKey(address: number, size: number): string {
    const { sectorSize } = this.geometry;
    const first = Math.floor(address / sectorSize);
    const last = Math.ceil((address + size) / sectorSize);
    let key = '';
    for (let sector = first; sector < last; sector += 1) {
      const { id, weak } = this.contentOf(sector);
      key += weak === undefined ? `${id},` : `${id}w${this.bootCount},`;
    }
    return key;
  }

  /** True while any sector has weak bits. */
  get hasWeakBits(): boolean {
    if (this.own === undefined) return false;
    for (const { content } of this.own.values()) if (content.weak !== undefined) return true;
    return false;
  }

  /** Flips one bit at rest. */
  flipBit(address: number, bit: number): void {
    const { sectorSize } = this.geometry;
    this.checkRange(address, 1);
    const sector = Math.floor(address / sectorSize);
    const bytes = this.contentOf(sector).bytes.slice();
    bytes[address % sectorSize]! ^= 1 << bit;
    this.set(sector, this.pool.intern(bytes), this.wearOf(sector));
  }

  private begin(
    kind: FlashOperation['kind'],
    address: number,
    size: number,
    bytes?: Uint8Array,
  ): Fault | undefined {
    const index = this.operationCount;
    this.operationCount += 1;
    if (this.hook === undefined) return undefined;
    return this.hook({ kind, index, address, size, ...(bytes === undefined ? {} : { bytes }) });
  }

  private programPage(address: number, bytes: Uint8Array, start: number, end: number): void {
    const { programUs, pageSize, sectorSize } = this.geometry;
    const sector = Math.floor(address / sectorSize);
    const offset = address % sectorSize;
    const fault = this.begin('program', address, end - start, bytes.subarray(start, end));
    if (fault?.kind === 'cut-before') throw this.cut();
    this.busyUs += (programUs * (end - start)) / pageSize;
    const own = this.owned(sector);
    const { weak } = own.content;
    const draft = own.draft ?? own.content.bytes.slice();
    if (own.wear > this.geometry.enduranceMax) {
      // Stuck: what was not erased cannot take new bits; the driver learns it by reading back.
      for (let index = start; index < end; index += 1)
        draft[offset + index - start]! &= bytes[index]!;
      own.draft = draft;
      if (fault !== undefined) throw this.cut();
      return;
    }
    for (let index = start; index < end; index += 1) {
      const at = offset + index - start;
      if (draft[at] !== ERASED) {
        throw new FlashError(`program at ${address + index - start}: not erased`);
      }
    }
    if (own.draft === undefined && weak !== undefined && touches(weak.mask, offset, end - start)) {
      // Erased but weak: it may read as erased, so a driver that trusts that gets away with it
      // here, and finds other bits on a later boot.
      this.programWeak(sector, offset, bytes, start, end);
      if (fault !== undefined) throw this.cut();
      return;
    }
    own.draft = draft;
    if (fault === undefined || fault.kind === 'cut-after') {
      draft.set(bytes.subarray(start, end), offset);
    } else {
      this.tear(sector, draft, offset, bytes, start, end, fault);
    }
    if (fault !== undefined) throw this.cut();
  }

  /** Programs over weak bits: those that become 0 are strong then, the others stay weak. */
  private programWeak(
    sector: number,
    offset: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const content = this.contentOf(sector);
    const weak = content.weak as WeakBits;
    const next = content.bytes.slice();
    const mask = weak.mask.slice();
    for (let index = start; index < end; index += 1) {
      const at = offset + index - start;
      next[at] = bytes[index]!;
      mask[at]! &= bytes[index]!;
    }
    const result = this.pool.withWeakBits(next, { ...weak, mask });
    this.set(sector, result, this.wearOf(sector));
  }

  /** Leaves in `draft`, or as weak bits, what a cut program leaves. */
  private tear(
    sector: number,
    draft: Uint8Array,
    offset: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    fault: Fault,
  ): void {
    const mask = new Uint8Array(draft.length);
    let weakCount = 0;
    let bitIndex = 0;
    for (let index = start; index < end; index += 1) {
      const at = offset + index - start;
      const position = index - start;
      let value = bytes[index]!;
      if (fault.kind === 'program-prefix' && position >= fault.size) value = ERASED;
      if (fault.kind === 'program-suffix' && position < end - start - fault.size) value = ERASED;
      for (let bit = 0; bit < 8; bit += 1) {
        if (((value >> bit) & 1) === 1) continue;
        const chosen = isChosen(fault, bitIndex);
        bitIndex += 1;
        if (!chosen) continue;
        value |= 1 << bit; // Left erased, or strong 1 under a weak bit.
        if (fault.kind === 'program-weak' || fault.kind === 'program-weak-bit') {
          mask[at]! |= 1 << bit;
          weakCount += 1;
        }
      }
      draft[at] = value;
    }
    if (weakCount === 0) return;
    const { lag, weak: kind } = fault as Extract<Fault, { kind: 'program-weak-bit' }>;
    const weak: WeakBits = { mask, kind, lag, sinceBoot: this.bootCount };
    this.set(sector, this.pool.withWeakBits(draft.slice(), weak), this.wearOf(sector));
  }

  /** What an erase leaves, whole or cut. */
  private erased(sector: number, fault: Fault | undefined): SectorContent {
    if (fault === undefined || fault.kind === 'cut-after') return this.pool.erased;
    const before = this.contentOf(sector).bytes;
    const { sectorSize } = this.geometry;
    const next = new Uint8Array(sectorSize).fill(ERASED);
    switch (fault.kind) {
      case 'erase-zeros':
        next.fill(0);
        break;
      case 'erase-bits':
        for (let at = 0; at < sectorSize; at += 1) next[at] = before[at]! | mix(fault.seed, at);
        break;
      case 'erase-half': {
        const from = fault.half === 0 ? sectorSize / 2 : 0;
        next.set(before.subarray(from, from + sectorSize / 2), from);
        break;
      }
      case 'erase-weak': {
        const mask = before.map((byte) => ~byte);
        const { lag, weak: kind } = fault;
        const weak = { mask, kind, lag, sinceBoot: this.bootCount };
        return this.pool.withWeakBits(next, weak);
      }
      default:
        throw new FlashError(`${fault.kind} is no fault of an erase`);
    }
    return this.pool.intern(next);
  }

  private readSector(
    sector: number,
    offset: number,
    into: Uint8Array,
    at: number,
    count: number,
  ): void {
    const draft = this.own?.get(sector)?.draft;
    if (draft !== undefined) {
      into.set(draft.subarray(offset, offset + count), at);
      return;
    }
    const { bytes, weak } = this.contentOf(sector);
    into.set(bytes.subarray(offset, offset + count), at);
    if (weak === undefined) return;
    for (let index = 0; index < count; index += 1) {
      const bits = weak.mask[offset + index]!;
      if (bits === 0) continue;
      into[at + index]! &= ~(bits & this.zeros(weak, sector, offset + index));
    }
  }

  /** Which weak bits of a byte read as 0 on this boot. */
  private zeros(weak: WeakBits, sector: number, offset: number): number {
    const age = this.bootCount - weak.sinceBoot;
    if (weak.kind === 'fading') return age <= weak.lag ? 0xff : 0;
    if (weak.kind === 'growing') return age <= weak.lag ? 0 : 0xff;
    return mix(Math.imul(this.bootCount + 31 * weak.lag, 0x9e3779b1) + sector, offset);
  }

  private contentOf(sector: number): SectorContent {
    const own = this.own?.get(sector);
    if (own === undefined) return this.layout.contents.get(sector) ?? this.pool.erased;
    if (own.draft !== undefined) {
      own.content = this.pool.intern(own.draft);
      own.draft = undefined;
    }
    return own.content;
  }

  private owned(sector: number): OwnSector {
    this.own ??= new Map();
    let own = this.own.get(sector);
    if (own === undefined) {
      const content = this.layout.contents.get(sector) ?? this.pool.erased;
      own = { content, wear: this.layout.wear.get(sector) ?? 0, draft: undefined };
      this.own.set(sector, own);
    }
    return own;
  }

  private set(sector: number, content: SectorContent, wear: number): void {
    const own = this.owned(sector);
    own.content = content;
    own.wear = wear;
    own.draft = undefined;
  }

  private checkPower(): void {
    if (!this.powered) throw new PowerLoss();
  }

  private checkRange(address: number, size: number): void {
    if (address < 0 || address + size > this.geometry.size) {
      throw new FlashError(`${size} bytes at ${address}: past ${this.geometry.size}`);
    }
  }
}

/** True for the bits, counted over those that become 0, that the fault keeps from doing so. */
function isChosen(fault: Fault, bitIndex: number): boolean {
  switch (fault.kind) {
    case 'program-bits':
    case 'program-weak':
      return (mix(fault.seed, bitIndex) & 1) === 1;
    case 'program-short':
    case 'program-weak-bit':
      return fault.bit === bitIndex;
    default:
      return false;
  }
}

function touches(mask: Uint8Array, offset: number, size: number): boolean {
  for (let at = offset; at < offset + size; at += 1) if (mask[at] !== 0) return true;
  return false;
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
