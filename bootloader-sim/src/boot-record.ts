// The hardened boot record: 32 bytes that ESP-IDF can read too, in two sectors that are written
// in turn. Each record holds the whole state, so the newest whole record is the truth, and a cut
// write leaves the one before.
//
//   0 ota_seq u32   4 "ABM1"   8 stateA triesA stateB triesB   12 version flags FF FF
//  16 CRC-32 of bytes 0-15 and 24-31   20 its complement   24 ota_state u32   28 CRC of ota_seq

import type { Partition } from '@flotilla/sdk/platform';
import { crc32, espSequenceCrc } from './crc32.ts';

export const RECORD_SIZE = 32;
const MAGIC = 0x314d4241; // "ABM1", little-endian.
const VERSION = 1;

/** States of a slot, in ESP-IDF's numbers (esp_ota_img_states_t). */
export const SLOT_NEW = 0;
/** On trial: it was started and has not confirmed itself. */
export const SLOT_PENDING = 1;
export const SLOT_VALID = 2;
export const SLOT_INVALID = 3;
export const SLOT_EMPTY = 0xff;

const ESP_ABORTED = 4;

export interface SlotState {
  readonly state: number;
  /** Boots left for a slot that is NEW or PENDING. */
  readonly tries: number;
}

/** Why the active slot is active; kept in the flags, so that it survives a reset. */
export const REASON_PROVISIONED = 0;
export const REASON_STAGED = 1;
export const REASON_CONFIRMED = 2;
/** The trial image used up its tries. */
export const REASON_TRIES_USED = 3;
/** The image rejected itself. */
export const REASON_REJECTED = 4;
/** Signature, digest or security version of the other image did not verify. */
export const REASON_NOT_VERIFIED = 5;
export const REASON_NAMES = [
  'provisioned',
  'staged',
  'confirmed',
  'tries used up',
  'rejected by the application',
  'not verified',
] as const;

export interface BootRecord {
  readonly sequence: number;
  readonly active: 0 | 1;
  readonly slots: readonly [SlotState, SlotState];
  /** REASON_… */
  readonly reason: number;
  /** An entry of ESP-IDF itself, without our fields: it is read, never written. */
  readonly stock: boolean;
}

/** The record as bytes; `active` is told by the sequence (ESP-IDF: slot = (seq - 1) mod 2). */
export function encodeRecord(record: BootRecord): Uint8Array {
  const bytes = new Uint8Array(RECORD_SIZE).fill(0xff);
  const view = new DataView(bytes.buffer);
  const [a, b] = record.slots;
  view.setUint32(0, record.sequence, true);
  view.setUint32(4, MAGIC, true);
  bytes.set([a.state, a.tries, b.state, b.tries, VERSION, record.reason], 8);
  view.setUint32(24, record.slots[record.active].state, true);
  view.setUint32(28, espSequenceCrc(record.sequence), true);
  const crc = crc32(bytes, 24, 32, crc32(bytes, 0, 16));
  view.setUint32(16, crc, true);
  view.setUint32(20, ~crc >>> 0, true);
  return bytes;
}

/** The record in these 32 bytes, or undefined when it is none. */
export function decodeRecord(bytes: Uint8Array): BootRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
  const sequence = view.getUint32(0, true);
  if (sequence === 0xffffffff || sequence === 0) return undefined;
  if (view.getUint32(28, true) !== espSequenceCrc(sequence)) return undefined;
  const active = ((sequence - 1) % 2) as 0 | 1;
  if (view.getUint32(4, true) !== MAGIC) return decodeStock(bytes, sequence, active);
  const crc = crc32(bytes, 24, 32, crc32(bytes, 0, 16));
  if (view.getUint32(16, true) !== crc || view.getUint32(20, true) !== ~crc >>> 0) {
    return undefined;
  }
  if (bytes[12] !== VERSION) return undefined;
  const slots: [SlotState, SlotState] = [
    { state: bytes[8]!, tries: bytes[9]! },
    { state: bytes[10]!, tries: bytes[11]! },
  ];
  return { sequence, active, slots, reason: bytes[13]!, stock: false };
}

/** An entry of ESP-IDF (rule 5): its label is FF, its state is of the active slot only. */
function decodeStock(bytes: Uint8Array, sequence: number, active: 0 | 1): BootRecord | undefined {
  for (let at = 4; at < 24; at += 1) if (bytes[at] !== 0xff) return undefined;
  const raw = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE).getUint32(24, true);
  if (raw === SLOT_INVALID || raw === ESP_ABORTED) return undefined;
  // Without rollback in use the state stays undefined (FFFFFFFF): the slot runs for good.
  const state = raw === 0xffffffff ? SLOT_VALID : raw;
  const tried: SlotState = { state, tries: state === SLOT_VALID ? 0 : 1 };
  const other: SlotState = { state: SLOT_EMPTY, tries: 0 };
  const slots: [SlotState, SlotState] = active === 0 ? [tried, other] : [other, tried];
  return { sequence, active, slots, reason: REASON_PROVISIONED, stock: true };
}

/** The two sectors of the record. */
export class RecordStore {
  private readonly partition: Partition;
  /** Sector of the winning record, of the last `load` or `save`. */
  private sector: 0 | 1 = 1;
  private sequence = 0;

  /** `partition`: two sectors. */
  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** The newest whole record, or undefined when there is none. */
  load(): BootRecord | undefined {
    let winner: BootRecord | undefined;
    this.sector = 1;
    this.sequence = 0;
    for (const sector of [0, 1] as const) {
      const bytes = new Uint8Array(RECORD_SIZE);
      this.partition.read(sector * this.partition.sectorSize, bytes);
      const record = decodeRecord(bytes);
      if (record === undefined || (winner && record.sequence <= winner.sequence)) continue;
      winner = record;
      this.sector = sector;
      this.sequence = record.sequence;
    }
    return winner;
  }

  /**
   * Writes the state to the other sector (rule 1) under the next sequence that names `active`;
   * call after `load`. The record before it stays until the write is whole.
   */
  save(state: Pick<BootRecord, 'active' | 'slots' | 'reason'>): BootRecord {
    let sequence = this.sequence + 1;
    if ((sequence - 1) % 2 !== state.active) sequence += 1;
    const record: BootRecord = { ...state, sequence, stock: false };
    const sector = this.sector === 0 ? 1 : 0;
    const address = sector * this.partition.sectorSize;
    this.partition.eraseBlock(address);
    const bytes = encodeRecord(record);
    this.partition.write(address, bytes, 0, bytes.length);
    this.sector = sector;
    this.sequence = sequence;
    return record;
  }
}
