// Reads the packs that senml-write.ts describes: whose they are, their sequence and times, and
// their samples. For servers and observers; devices only write.

import { INTEGER_MAX } from './cbor-write.ts';
import { type RecordError, SenmlReader, VALUE_NONE } from './senml-read.ts';
import {
  LABEL_BASE_NAME,
  LABEL_BOOLEAN_VALUE,
  LABEL_STRING_VALUE,
  LABEL_VALUE,
  SEQUENCE_NAME,
  UNCERTAINTY_NAME,
  UNCERTAINTY_UNIT,
} from './senml-write.ts';

export type PackError =
  | RecordError
  /** The first record is not {n: "seq", v: an integer of 0 to 2^53 - 1}. */
  | 'no-sequence'
  /** The first record has no base name of the form "<device id>:" or "<device id>/<stream>:". */
  | 'bad-base-name'
  /** A later record has a base name: its samples could be another device's. */
  | 'several-base-names';

const SLASH = 0x2f;
const COLON = 0x3a;

/** What a pack says. Reused for every pack of a thread; valid as long as its source. */
export class Pack {
  readonly records = new SenmlReader();
  error: PackError | undefined = undefined;
  /** First byte of the CBOR item at fault, or of its record. */
  errorOffset = 0;

  sequence = 0;
  /** Seconds: since 1970 from ABSOLUTE_TIME_S_MIN on, else relative to now. */
  baseTimeS = 0;
  /**
   * Ranges of the source; the stream's is empty where there is none. All are -1 when the base name
   * came in chunks, which no Flotilla device sends: then `deviceId()` and `stream()` tell.
   */
  deviceIdStart = -1;
  deviceIdEnd = -1;
  streamStart = -1;
  streamEnd = -1;

  /** Set by `readPack` only: plus or minus seconds, NaN = not told. */
  uncertaintyS = NaN;
  /** Set by `readPack` only. */
  sampleCount = 0;

  /** The sample of the last `nextSample`. `name` is relative to the base name. */
  name = '';
  /** '' = none. */
  unit = '';
  value: number | string | boolean | Uint8Array = 0;
  /** Base time and offset, in seconds; see `baseTimeS`. */
  timeS = 0;

  /**
   * Moves on to the next sample of a pack that `readPack` has accepted; false after the last.
   * Records without a value (sums, mere base fields) are passed over.
   */
  nextSample(): boolean {
    const records = this.records;
    do {
      if (!records.next()) return false;
    } while (records.valueLabel === VALUE_NONE);
    this.name = records.text(records.nameAt);
    this.unit = records.text(records.unitAt);
    this.timeS = records.timeS;
    if (records.valueLabel === LABEL_VALUE) this.value = records.number;
    else if (records.valueLabel === LABEL_BOOLEAN_VALUE) this.value = records.boolean;
    else if (records.valueLabel === LABEL_STRING_VALUE) this.value = records.text(records.stringAt);
    else this.value = records.bytes(records.stringAt);
    return true;
  }

  deviceId(): string {
    const baseName = this.baseName();
    const slash = baseName.indexOf('/');
    return slash < 0 ? baseName : baseName.substring(0, slash);
  }

  /** '' where there is none. */
  stream(): string {
    const baseName = this.baseName();
    const slash = baseName.indexOf('/');
    return slash < 0 ? '' : baseName.substring(slash + 1);
  }

  /** Without the colon. */
  private baseName(): string {
    const text = this.records.text(this.records.baseNameAt);
    return text.substring(0, text.length - 1);
  }
}

/**
 * Reads the first record only: sequence, base time, device and stream. Allocates nothing. The
 * rest of the pack may still be wrong. False = `head.error`.
 */
export function readPackHead(source: Uint8Array, start: number, end: number, head: Pack): boolean {
  const records = head.records;
  head.error = undefined;
  head.errorOffset = 0;
  head.uncertaintyS = NaN;
  head.sampleCount = 0;
  if (!records.begin(source, start, end) || !records.next()) {
    return fail(head, 'no-sequence', records.recordOffset);
  }
  const { number } = records;
  if (
    records.valueLabel !== LABEL_VALUE ||
    !records.isText(records.nameAt, SEQUENCE_NAME) ||
    !(number >= 0 && number <= INTEGER_MAX && Math.floor(number) === number)
  ) {
    return fail(head, 'no-sequence', records.recordOffset);
  }
  head.sequence = number;
  head.baseTimeS = records.baseTimeS;
  return splitBaseName(head) || fail(head, 'bad-base-name', records.recordOffset);
}

/**
 * Reads and checks a whole pack, so that none is stored by halves; `pack.nextSample` then tells
 * its samples in turn. False = `pack.error`.
 */
export function readPack(source: Uint8Array, start: number, end: number, pack: Pack): boolean {
  if (!readPackHead(source, start, end, pack)) return false;
  const records = pack.records;
  for (let index = 1; records.next(); index += 1) {
    if (records.has(LABEL_BASE_NAME)) {
      return fail(pack, 'several-base-names', records.baseNameAt);
    }
    if (index === 1 && isUncertainty(records)) pack.uncertaintyS = records.number;
    else if (records.valueLabel !== VALUE_NONE) pack.sampleCount += 1;
  }
  if (records.error !== undefined) return fail(pack, records.error, records.errorOffset);
  // All is known to be right; back to the first sample.
  records.begin(source, start, end);
  records.next();
  return isNaN(pack.uncertaintyS) || records.next();
}

function isUncertainty(records: SenmlReader): boolean {
  return (
    records.valueLabel === LABEL_VALUE &&
    records.isText(records.nameAt, UNCERTAINTY_NAME) &&
    records.isText(records.unitAt, UNCERTAINTY_UNIT)
  );
}

/**
 * Finds "<device id>" and "<stream>" in the base name; false when it has another form. The id is
 * not empty: a name begins with a letter or digit.
 */
function splitBaseName(head: Pack): boolean {
  head.deviceIdStart = -1;
  head.deviceIdEnd = -1;
  head.streamStart = -1;
  head.streamEnd = -1;
  const { cbor, baseNameAt } = head.records;
  if (!head.records.seek(baseNameAt)) return false;
  if (cbor.indefinite) {
    const text = cbor.text();
    return text.charCodeAt(text.length - 1) === COLON;
  }
  const { source, contentStart } = cbor;
  const colon = cbor.contentEnd - 1;
  if (source[colon] !== COLON) return false;
  let slash = contentStart;
  while (slash < colon && source[slash] !== SLASH) slash += 1;
  head.deviceIdStart = contentStart;
  head.deviceIdEnd = slash;
  head.streamStart = slash < colon ? slash + 1 : colon;
  head.streamEnd = colon;
  return true;
}

/** A fault of the records comes before what it led to. */
function fail(pack: Pack, error: PackError, offset: number): boolean {
  const { records } = pack;
  pack.error = records.error === undefined ? error : records.error;
  pack.errorOffset = records.error === undefined ? offset : records.errorOffset;
  return false;
}
