// What an update client remembers over resets, in one value of the settings: a set is atomic, so
// the step of an update and the report of it are never apart.

import { assert } from '../assert.ts';
import { CborReader, readValue, writeValue } from '../codec/cbor.ts';
import { SETTINGS_KEY_LENGTH_MAX, type Settings } from '../platform.ts';

/** Layout: an array that begins with this, then the fields of `UpdateRecord` in their order. */
const FORMAT = 1;
const FIELD_COUNT = 17;
/** Bytes of the encoding: the texts at their bounds, digests, and heads. */
const SIZE_MAX = 704;
const KEY = 'update';
/** Seconds by which the stored time floor may be behind. */
const FLOOR_STEP_S = 24 * 3600;

/** Bounds of texts, in characters of ASCII; longer ones are cut or refused. */
export const ROLLOUT_LENGTH_MAX = 64;
export const VERSION_LENGTH_MAX = 32;
export const ETAG_LENGTH_MAX = 80;
export const REASON_LENGTH_MAX = 64;

/** Where the newest update stands; in `UpdateRecord.phase`. */
export const PHASE_NONE = 0;
export const PHASE_DOWNLOADING = 1;
/** The digest of the slot is right; it may have been staged. */
export const PHASE_VERIFIED = 2;
export const PHASE_STAGED = 3;
/** Its trial failed; the reason is that of the report. */
export const PHASE_REJECTED = 4;
export const PHASE_CONFIRMED = 5;
/** Not to be tried again before the server says so. */
export const PHASE_FAILED = 6;

/** Stages of a report, in the order of an update. */
export type UpdateStage =
  | 'downloading'
  | 'downloaded'
  | 'verified'
  | 'staged'
  | 'rebooting'
  | 'trial'
  | 'confirmed'
  | 'failed'
  | 'reverted';

const NOTHING = new Uint8Array(0);

export class UpdateRecord {
  /** Of the newest confirmed manifest: lower ones are refused. */
  sequence = 0;
  /** Epoch seconds that have passed for certain, 0 = none known; only rises. */
  floorS = 0;
  phase = PHASE_NONE;
  rollout = '';
  attempt = 0;
  version = '';
  /** SHA-256 of the image; empty where its manifest was refused. */
  digest: Uint8Array = NOTHING;
  /** Sequence of its manifest. */
  newSequence = 0;
  /** Bytes from the start of the slot that are programmed, as far as a resume goes. */
  progress = 0;
  /** A letter for the kind of source, and its ETag where that is short enough. */
  etag = '';
  /** Deltas have failed: only the full image will do. */
  needsFull = false;
  /** Times that the slot was staged. */
  stageCount = 0;
  /** Bytes of images and deltas read from the network. */
  byteCount = 0;
  /** What the server has not acknowledged; '' = nothing. */
  reportStage: UpdateStage | '' = '';
  reportReason = '';
  /** Resets that nobody asked for since the last confirmation. */
  abnormalResets = 0;
  /** `floorS` as it was saved. */
  private storedFloorS = 0;
  /** `reportStage` as it was saved. */
  private storedStage: UpdateStage | '' = '';

  /** Begins the record of another update; what is known for good stays. */
  begin(rollout: string, attempt: number, version: string): void {
    this.phase = PHASE_NONE;
    this.rollout = rollout;
    this.attempt = attempt;
    this.version = version;
    this.digest = NOTHING;
    this.newSequence = 0;
    this.restart();
    this.needsFull = false;
    this.stageCount = 0;
    this.byteCount = 0;
  }

  /** Nothing of the image is in the slot any more. */
  restart(): void {
    this.progress = 0;
    this.etag = '';
  }

  /** '' takes the report back. */
  report(stage: UpdateStage | '', reason: string): void {
    this.reportStage = stage;
    this.reportReason = reason.substring(0, REASON_LENGTH_MAX);
  }

  save(settings: Settings): void {
    const bytes = new Uint8Array(SIZE_MAX);
    const end = writeValue(bytes, 0, this.fields(), 2);
    assert(end <= bytes.length && KEY.length <= SETTINGS_KEY_LENGTH_MAX, 'update: record size');
    settings.set(KEY, bytes.subarray(0, end));
    this.storedFloorS = this.floorS;
    this.storedStage = this.reportStage;
  }

  /** Saves that a report was acknowledged, where it was saved that it was not. */
  saveReport(settings: Settings): void {
    if (this.storedStage !== this.reportStage) this.save(settings);
  }

  /** At least `timeS` has passed; saved in steps, so that it does not wear the flash. */
  raiseFloor(timeS: number, settings: Settings): void {
    if (timeS <= this.floorS) return;
    this.floorS = timeS;
    if (timeS - this.storedFloorS >= FLOOR_STEP_S) this.save(settings);
  }

  /** Takes up what was saved; what cannot be read is as if there were nothing. */
  load(settings: Settings): void {
    const bytes = settings.get(KEY);
    if (bytes === undefined) return;
    const reader = new CborReader();
    reader.reset(bytes, 0, bytes.length);
    const limits = { depthMax: 2, countMax: FIELD_COUNT + 1, sizeMax: SIZE_MAX };
    const fields = readValue(reader, limits);
    if (reader.error !== undefined || !this.hasShape(fields)) return;
    this.take(fields);
  }

  private fields(): unknown[] {
    return [
      FORMAT,
      this.sequence,
      this.floorS,
      this.phase,
      this.rollout,
      this.attempt,
      this.version,
      this.digest,
      this.newSequence,
      this.progress,
      this.etag,
      this.needsFull,
      this.stageCount,
      this.byteCount,
      this.reportStage,
      this.reportReason,
      this.abnormalResets,
    ];
  }

  private hasShape(fields: unknown): fields is unknown[] {
    const own = this.fields();
    if (!Array.isArray(fields) || fields.length !== own.length || fields[0] !== FORMAT)
      return false;
    for (let index = 0; index < own.length; index += 1) {
      if (typeof fields[index] !== typeof own[index]) return false;
    }
    return fields[7] instanceof Uint8Array;
  }

  private take(fields: unknown[]): void {
    this.sequence = fields[1] as number;
    this.floorS = fields[2] as number;
    this.phase = fields[3] as number;
    this.rollout = fields[4] as string;
    this.attempt = fields[5] as number;
    this.version = fields[6] as string;
    this.digest = fields[7] as Uint8Array;
    this.newSequence = fields[8] as number;
    this.progress = fields[9] as number;
    this.etag = fields[10] as string;
    this.needsFull = fields[11] as boolean;
    this.stageCount = fields[12] as number;
    this.byteCount = fields[13] as number;
    this.reportStage = fields[14] as UpdateStage | '';
    this.reportReason = fields[15] as string;
    this.abnormalResets = fields[16] as number;
    this.storedFloorS = this.floorS;
    this.storedStage = this.reportStage;
  }
}
