// What the flash log knows of its sectors: a few numbers for each, in one typed array.

// Fields of a sector.
export const STATE = 0;
export const PRIORITY = 1;
/** Records that are not released. */
export const LIVE_COUNT = 2;
/** Erases so far. */
export const WEAR = 3;
/** Number of the present use; see LogSectors. */
export const ALLOCATION = 4;
/** Log sequence number of the first record: the order of a chain. */
export const FIRST_LSN = 5;
/** Offset after the last record. */
export const END = 6;
const FIELD_COUNT = 7;

// States.
/** May be erased and used. */
export const FREE = 0;
/** Holds records of a chain. */
export const IN_CHAIN = 1;
/** Did not take what was programmed: not used until the next mount. */
export const WORN = 2;

export const NONE = -1;

export class SectorTable {
  readonly count: number;
  private readonly fields: Uint32Array;

  constructor(count: number) {
    this.count = count;
    this.fields = new Uint32Array(count * FIELD_COUNT);
  }

  get(sector: number, field: number): number {
    return this.fields[sector * FIELD_COUNT + field] as number;
  }

  set(sector: number, field: number, value: number): void {
    this.fields[sector * FIELD_COUNT + field] = value;
  }

  add(sector: number, field: number, change: number): void {
    this.set(sector, field, this.get(sector, field) + change);
  }

  freeCount(): number {
    let count = 0;
    for (let sector = 0; sector < this.count; sector += 1) {
      if (this.get(sector, STATE) === FREE) count += 1;
    }
    return count;
  }

  freeCountOfWear(wear: number): number {
    let count = 0;
    for (let sector = 0; sector < this.count; sector += 1) {
      if (this.get(sector, STATE) === FREE && this.get(sector, WEAR) === wear) count += 1;
    }
    return count;
  }

  /** The least worn sector in this state, or NONE. */
  coldest(state: number): number {
    let coldest = NONE;
    for (let sector = 0; sector < this.count; sector += 1) {
      if (this.get(sector, STATE) !== state) continue;
      if (coldest === NONE || this.get(sector, WEAR) < this.get(coldest, WEAR)) coldest = sector;
    }
    return coldest;
  }

  /** The sector of a chain that would hold this log sequence number, or NONE. */
  sectorOf(priority: number, lsn: number): number {
    let found = NONE;
    for (let sector = 0; sector < this.count; sector += 1) {
      if (!this.isInChain(sector, priority)) continue;
      const first = this.get(sector, FIRST_LSN);
      if (first <= lsn && (found === NONE || first > this.get(found, FIRST_LSN))) found = sector;
    }
    return found;
  }

  /** The next sector of a chain, or NONE; the first one after NONE. */
  after(priority: number, previous: number): number {
    const floor = previous === NONE ? 0 : this.get(previous, FIRST_LSN);
    let found = NONE;
    for (let sector = 0; sector < this.count; sector += 1) {
      if (!this.isInChain(sector, priority)) continue;
      const first = this.get(sector, FIRST_LSN);
      if (first > floor && (found === NONE || first < this.get(found, FIRST_LSN))) found = sector;
    }
    return found;
  }

  /** The last sector of a chain, or NONE. */
  newest(priority: number): number {
    return this.sectorOf(priority, 0xffffffff);
  }

  private isInChain(sector: number, priority: number): boolean {
    return this.get(sector, STATE) === IN_CHAIN && this.get(sector, PRIORITY) === priority;
  }
}
