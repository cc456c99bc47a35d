// Reads any SenML pack in CBOR record by record (RFC 8428 §6): keys in any order, long heads,
// indefinite lengths, decimal fractions. For servers and observers; devices only write.

import {
  type CborError,
  CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_FLOAT,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_SIMPLE,
  TYPE_TAG,
  TYPE_TEXT,
} from './cbor-read.ts';
import { SIMPLE_FALSE, SIMPLE_TRUE } from './cbor-write.ts';
import {
  isNameCharacter,
  LABEL_BASE_NAME,
  LABEL_BASE_SUM,
  LABEL_BASE_TIME,
  LABEL_BASE_UNIT,
  LABEL_BASE_VALUE,
  LABEL_BASE_VERSION,
  LABEL_BOOLEAN_VALUE,
  LABEL_DATA_VALUE,
  LABEL_NAME,
  LABEL_STRING_VALUE,
  LABEL_SUM,
  LABEL_TIME,
  LABEL_UNIT,
  LABEL_UPDATE_TIME,
  LABEL_VALUE,
} from './senml-write.ts';

/** The version of RFC 8428; later ones must not be read (§4.4). */
export const VERSION = 10;
/** Containers within each other in a field that is passed over. */
export const UNKNOWN_FIELD_DEPTH_MAX = 4;

export type RecordError =
  | CborError
  /** A later version than 10, or not the same in all records (§4.4). */
  | 'unsupported-version'
  /** A field whose label ends in '_' must be understood (§4.4). */
  | 'unsupported-field'
  /** An empty name, or a character that §4.5.1 does not allow. */
  | 'bad-name'
  /** NaN or an infinity, which no JSON number is (§6). */
  | 'bad-number'
  /** A record with neither a value nor a sum, which is no mere set of base fields either (§4.2). */
  | 'no-value'
  | 'several-values';

/** `valueLabel` of a record without a value. */
export const VALUE_NONE = -1;

const ABSENT = -1;
const TAG_DECIMAL_FRACTION = 4;

/**
 * Pulls the records of one pack; the fields describe the record of the last `next`, base fields
 * applied. Reused for every pack of a thread. Strings are told by the offset of their CBOR item,
 * -1 where absent, and fetched by `text` or `bytes`.
 */
export class SenmlReader {
  readonly cbor = new CborReader();
  error: RecordError | undefined = undefined;
  /** First byte of the CBOR item at fault, or of the record. */
  errorOffset = 0;

  /** First byte of the record. */
  recordOffset = 0;
  /** Seconds: see ABSOLUTE_TIME_S_MIN. */
  timeS = 0;
  /** LABEL_VALUE, LABEL_STRING_VALUE, LABEL_BOOLEAN_VALUE, LABEL_DATA_VALUE or VALUE_NONE. */
  valueLabel = VALUE_NONE;
  /** The value when it is a number. */
  number = 0;
  /** The value when it is a boolean. */
  boolean = false;
  /** The value when it is a string or data. */
  stringAt = ABSENT;
  /** NaN = absent. */
  sum = 0;
  /** Seconds; NaN = absent. */
  updateTimeS = 0;
  nameAt = ABSENT;
  unitAt = ABSENT;

  /** In force, from this record or an earlier one. */
  baseNameAt = ABSENT;
  baseTimeS = 0;
  /** The number of records where the pack tells it, else COUNT_INDEFINITE. */
  recordCount = 0;

  private nameSize = 0;
  private baseNameSize = 0;
  private baseUnitAt = ABSENT;
  private baseValue = 0;
  private baseSum = NaN;
  private version = VERSION;
  private recordIndex = 0;
  /** One bit per label of this record, from LABEL_BASE_SUM up. */
  private labels = 0;

  /** Begins the pack in source[start, end); false when that does not begin with an array. */
  begin(source: Uint8Array, start: number, end: number): boolean {
    this.cbor.reset(source, start, end);
    this.error = undefined;
    this.errorOffset = 0;
    this.baseNameAt = ABSENT;
    this.baseNameSize = 0;
    this.baseUnitAt = ABSENT;
    this.baseTimeS = 0;
    this.baseValue = 0;
    this.baseSum = NaN;
    this.version = VERSION;
    this.recordIndex = 0;
    this.recordCount = 0;
    this.recordOffset = start;
    if (!this.cbor.readType(TYPE_ARRAY)) return this.failAsCbor();
    this.recordOffset = this.cbor.offset;
    this.recordCount = this.cbor.value;
    return true;
  }

  /** Reads the next record; false at the end of the pack and on an error. */
  next(): boolean {
    const cbor = this.cbor;
    if (this.error !== undefined) return false;
    if (!cbor.more(this.recordCount, this.recordIndex)) {
      // A pack that has ended stays so, also when it was of indefinite length.
      this.recordCount = this.recordIndex;
      if (!cbor.finish()) this.failAsCbor();
      return false;
    }
    this.recordIndex += 1;
    this.recordOffset = cbor.offset;
    this.clearRecord();
    if (!cbor.readType(TYPE_MAP)) return this.failAsCbor();
    const count = cbor.value;
    for (let index = 0; cbor.more(count, index); index += 1) {
      if (!this.readField()) return this.failAsCbor();
    }
    if (cbor.error !== undefined) return this.failAsCbor();
    return this.resolve();
  }

  /** True when this record has a field of that label. */
  has(label: number): boolean {
    return (this.labels & bitOf(label)) !== 0;
  }

  /** The string of the item at `at`; '' where absent. */
  text(at: number): string {
    return this.seek(at) ? this.cbor.text() : '';
  }

  /** A copy of the data of the item at `at`; empty where absent. */
  bytes(at: number): Uint8Array {
    return this.seek(at) ? this.cbor.bytes() : new Uint8Array(0);
  }

  /** True when the item at `at` is `text`. */
  isText(at: number, text: string): boolean {
    return this.seek(at) && this.cbor.isText(text);
  }

  /** Describes the item at `at` in `cbor` again; the position in the pack stays. */
  seek(at: number): boolean {
    const cbor = this.cbor;
    if (at === ABSENT) return false;
    const offset = cbor.offset;
    cbor.offset = at;
    const isRead = cbor.read();
    cbor.offset = offset;
    return isRead;
  }

  /** Notes the first error; returns false. */
  fail(error: RecordError, offset: number): boolean {
    if (this.error === undefined) {
      this.error = error;
      this.errorOffset = offset;
    }
    return false;
  }

  private failAsCbor(): boolean {
    const { error, errorOffset } = this.cbor;
    return error === undefined ? false : this.fail(error, errorOffset);
  }

  private clearRecord(): void {
    this.labels = 0;
    this.timeS = 0;
    this.valueLabel = VALUE_NONE;
    this.number = 0;
    this.boolean = false;
    this.stringAt = ABSENT;
    this.sum = NaN;
    this.updateTimeS = NaN;
    this.nameAt = ABSENT;
    this.nameSize = 0;
    this.unitAt = ABSENT;
  }

  private readField(): boolean {
    const cbor = this.cbor;
    if (!cbor.read()) return false;
    if (cbor.type === TYPE_TEXT) return this.skipExtension();
    if (cbor.type !== TYPE_INTEGER) return cbor.fail('unexpected-type', cbor.itemOffset);
    const label = cbor.value;
    // The table of integers is conclusive (§6); what is not in it is ignored like any other (§4.4).
    if (label < LABEL_BASE_SUM || label > LABEL_DATA_VALUE) {
      return cbor.skip(UNKNOWN_FIELD_DEPTH_MAX);
    }
    if (this.has(label)) return cbor.fail('duplicate-key', cbor.itemOffset);
    this.labels |= bitOf(label);
    switch (label) {
      case LABEL_NAME:
        this.nameAt = cbor.offset;
        if (!this.readNameText(false)) return false;
        this.nameSize = cbor.value;
        return true;
      case LABEL_BASE_NAME:
        this.baseNameAt = cbor.offset;
        if (!this.readNameText(true)) return false;
        this.baseNameSize = cbor.value;
        return true;
      case LABEL_UNIT:
        this.unitAt = cbor.offset;
        return cbor.readType(TYPE_TEXT);
      case LABEL_BASE_UNIT:
        this.baseUnitAt = cbor.offset;
        return cbor.readType(TYPE_TEXT);
      case LABEL_BASE_VERSION:
        return this.readVersion();
      case LABEL_VALUE:
      case LABEL_STRING_VALUE:
      case LABEL_BOOLEAN_VALUE:
      case LABEL_DATA_VALUE:
        return this.readValue(label);
    }
    return this.readNumericField(label);
  }

  private readValue(label: number): boolean {
    const cbor = this.cbor;
    if (this.valueLabel !== VALUE_NONE) return this.fail('several-values', cbor.itemOffset);
    this.valueLabel = label;
    if (label === LABEL_VALUE) return this.readNumericField(label);
    if (label === LABEL_BOOLEAN_VALUE) return this.readBoolean();
    this.stringAt = cbor.offset;
    return cbor.readType(label === LABEL_STRING_VALUE ? TYPE_TEXT : TYPE_BYTES);
  }

  private readNumericField(label: number): boolean {
    if (!this.readNumber()) return false;
    const value = this.cbor.value;
    switch (label) {
      case LABEL_VALUE:
        this.number = value;
        return true;
      case LABEL_TIME:
        this.timeS = value;
        return true;
      case LABEL_UPDATE_TIME:
        this.updateTimeS = value;
        return true;
      case LABEL_SUM:
        this.sum = value;
        return true;
      case LABEL_BASE_TIME:
        this.baseTimeS = value;
        return true;
      case LABEL_BASE_VALUE:
        this.baseValue = value;
        return true;
    }
    this.baseSum = value;
    return true;
  }

  /** A field of another specification: passed over, unless its label says that it must not be. */
  private skipExtension(): boolean {
    const cbor = this.cbor;
    const label = cbor.text();
    if (label.charAt(label.length - 1) === '_') {
      return this.fail('unsupported-field', cbor.itemOffset);
    }
    return cbor.skip(UNKNOWN_FIELD_DEPTH_MAX);
  }

  private readVersion(): boolean {
    const cbor = this.cbor;
    if (!cbor.readType(TYPE_INTEGER)) return false;
    const isFirst = this.recordIndex === 1;
    if (cbor.value < 1 || cbor.value > VERSION || (!isFirst && cbor.value !== this.version)) {
      return this.fail('unsupported-version', cbor.itemOffset);
    }
    this.version = cbor.value;
    return true;
  }

  private readBoolean(): boolean {
    const cbor = this.cbor;
    if (!cbor.readType(TYPE_SIMPLE)) return false;
    this.boolean = cbor.value === SIMPLE_TRUE;
    if (this.boolean || cbor.value === SIMPLE_FALSE) return true;
    return cbor.fail('unexpected-type', cbor.itemOffset);
  }

  /** Leaves in `cbor.value` an integer, a float or a decimal fraction (RFC 8949 §3.4.4). */
  private readNumber(): boolean {
    const cbor = this.cbor;
    const at = cbor.offset;
    if (!cbor.read()) return false;
    if (cbor.type === TYPE_TAG && cbor.value === TAG_DECIMAL_FRACTION) {
      if (!this.readDecimalFraction()) return false;
    } else if (cbor.type !== TYPE_INTEGER && cbor.type !== TYPE_FLOAT) {
      return cbor.fail('unexpected-type', at);
    }
    return isFinite(cbor.value) || this.fail('bad-number', at);
  }

  private readDecimalFraction(): boolean {
    const cbor = this.cbor;
    const at = cbor.itemOffset;
    if (!cbor.readType(TYPE_ARRAY)) return false;
    const count = cbor.value;
    if (count < 2) return cbor.fail('unexpected-type', at);
    if (!cbor.readType(TYPE_INTEGER)) return false;
    const exponent = cbor.value;
    if (!cbor.readType(TYPE_INTEGER)) return false;
    const mantissa = cbor.value;
    if (cbor.more(count, 2)) return cbor.read() && cbor.fail('unexpected-type', at);
    // The conversion from decimal text rounds correctly; a product of powers would not.
    cbor.value = Number(`${mantissa}e${exponent}`);
    return true;
  }

  /** Applies the base fields (§4.6) and checks the record as a whole. */
  private resolve(): boolean {
    if (this.unitAt === ABSENT) this.unitAt = this.baseUnitAt;
    this.timeS += this.baseTimeS;
    // Not plus 0: that would turn -0 into 0.
    if (this.baseValue !== 0) this.number += this.baseValue;
    if (this.has(LABEL_SUM) || !isNaN(this.baseSum)) {
      this.sum = (this.has(LABEL_SUM) ? this.sum : 0) + (isNaN(this.baseSum) ? 0 : this.baseSum);
    }
    if (!isFinite(this.timeS) || (this.valueLabel === LABEL_VALUE && !isFinite(this.number))) {
      return this.fail('bad-number', this.recordOffset);
    }
    if (this.valueLabel === VALUE_NONE && !this.has(LABEL_SUM)) {
      // §5.1.7 shows a record of base fields alone, which §4.2 would forbid.
      const isBase = (this.labels & ~(bitOf(LABEL_NAME) - 1)) === 0 && this.labels !== 0;
      return isBase || this.fail('no-value', this.recordOffset);
    }
    if (this.baseNameSize > 0) return true;
    // The first character of the whole name is that of `n` here.
    const offset = this.cbor.offset;
    this.cbor.offset = this.nameAt;
    const isName = this.nameSize > 0 && this.readNameText(true);
    this.cbor.offset = offset;
    return isName || this.fail('bad-name', this.recordOffset);
  }

  /** Reads text of the characters that a name may hold, or that it may begin with. */
  private readNameText(first: boolean): boolean {
    const cbor = this.cbor;
    if (!cbor.readType(TYPE_TEXT)) return false;
    const text = cbor.indefinite ? cbor.text() : '';
    const start = cbor.contentStart;
    const end = cbor.indefinite ? start + text.length : cbor.contentEnd;
    for (let at = start; at < end; at += 1) {
      const code = cbor.indefinite ? text.charCodeAt(at - start) : (cbor.source[at] as number);
      if (!isNameCharacter(code, first && at === start)) {
        return this.fail('bad-name', cbor.itemOffset);
      }
    }
    return true;
  }
}

function bitOf(label: number): number {
  return 1 << (label - LABEL_BASE_SUM);
}
