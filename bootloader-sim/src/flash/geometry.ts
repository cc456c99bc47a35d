// Chips as the flash model sees them.

export interface Geometry {
  readonly name: string;
  /** Bytes; a multiple of `sectorSize`. */
  readonly size: number;
  /** Smallest erasable unit, bytes. */
  readonly sectorSize: number;
  /** Largest unit that one program operation takes, bytes. */
  readonly pageSize: number;
  /** Programs start and end on multiples of this many bytes. */
  readonly writeAlignment: number;
  /** Erase cycles that a sector endures; then it is stuck. */
  readonly enduranceMax: number;
  readonly eraseUs: number;
  /** Of a whole page; a part takes its share. */
  readonly programUs: number;
  /** Of a whole sector; a part takes its share. */
  readonly readUs: number;
}

/** What an erased byte reads as. */
export const ERASED = 0xff;

/** Winbond W25Q32JV: 4 MB serial NOR (datasheet rev. G, §9.6 AC characteristics, typical). */
export const W25Q32: Geometry = {
  name: 'W25Q32',
  size: 4 * 1024 * 1024,
  sectorSize: 4096,
  pageSize: 256,
  writeAlignment: 1,
  enduranceMax: 100_000,
  eraseUs: 45_000,
  programUs: 400,
  readUs: 460,
};

/** The same family at 16 MB. */
export const W25Q128: Geometry = { ...W25Q32, name: 'W25Q128', size: 16 * 1024 * 1024 };

/** A chip just large enough for a layout; otherwise like a W25Q32. */
export function chipOf(size: number, writeAlignment = 1): Geometry {
  return { ...W25Q32, name: `nor-${size}`, size, writeAlignment };
}
