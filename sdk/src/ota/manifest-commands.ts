// The command sequences of a SUIT manifest (draft-ietf-suit-manifest §8.4), as far as our profile
// goes: a flat array of codes and arguments, run against what the device is. It fails closed: an
// unknown command or parameter refuses the whole manifest, also where it would not be run.

import {
  CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_TEXT,
} from '../codec/cbor-read.ts';
import { enter, leave, readExact, readStrict } from './strict-cbor.ts';

/** What the device is, and what it knows. */
export interface UpdateTarget {
  /** UUIDs, 16 bytes each. */
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  /** Index of the inactive slot: 0 or 1. */
  readonly slot: number;
  /** Bytes of that slot. */
  readonly slotSize: number;
  /** The stored sequence number; lower ones are refused. */
  readonly sequence: number;
  /** The running version, `major.minor.patch`; what follows the third number is ignored. */
  readonly version: string;
  /** A lower bound of the true epoch time in seconds; 0 = unknown, and expiry is not checked. */
  readonly timeS: number;
}

/** The sequence that runs; it decides which commands and parameters are allowed. */
export const SECTION_SHARED = 1;
export const SECTION_VALIDATE = 2;
export const SECTION_INVOKE = 4;
export const SECTION_INSTALL = 8;

/** Commands of one sequence. */
export const COMMAND_COUNT_MAX = 32;
/** Alternatives of one try-each. */
export const ALTERNATIVE_COUNT_MAX = 8;
/** Bytes of a URI. */
export const URI_SIZE_MAX = 128;
/** Largest sequence number, time and size: 32 bits. */
export const NUMBER_MAX = 4294967295;

const CONDITION_VENDOR = 1;
const CONDITION_CLASS = 2;
const CONDITION_IMAGE_MATCH = 3;
const CONDITION_USE_BEFORE = 4;
const CONDITION_SLOT = 5;
const CONDITION_ABORT = 14;
const CONDITION_VERSION = 28;
const DIRECTIVE_SET_COMPONENT_INDEX = 12;
const DIRECTIVE_TRY_EACH = 15;
const DIRECTIVE_OVERRIDE_PARAMETERS = 20;
const DIRECTIVE_FETCH = 21;
const DIRECTIVE_INVOKE = 23;

const PARAMETER_VENDOR = 1;
const PARAMETER_CLASS = 2;
const PARAMETER_DIGEST = 3;
const PARAMETER_USE_BEFORE = 4;
const PARAMETER_SLOT = 5;
const PARAMETER_SIZE = 14;
const PARAMETER_URI = 21;
const PARAMETER_VERSION = 28;

/** Four bits say when to report (§8.4.7); 15 = always. */
const REPORTING_POLICY_MAX = 15;
const UUID_SIZE = 16;
const DIGEST_SIZE = 32;
/** COSE algorithm of SHA-256 (RFC 9054). */
const ALGORITHM_SHA256 = -16;
const VERSION_PART_COUNT = 3;

/** Comparisons of a version (draft-ietf-suit-update-management §4.3). */
const COMPARISON_GREATER = 1;
const COMPARISON_GREATER_EQUAL = 2;
const COMPARISON_EQUAL = 3;
const COMPARISON_LESSER_EQUAL = 4;
const COMPARISON_LESSER = 5;

/** Of an alternative that is not run because an earlier one succeeded. */
const NOT_RUN = 'not-run';
/** Of a parameter that is not set: no item begins at the first byte of an envelope's manifest. */
const UNSET = 0;

/**
 * Runs the sequences of one manifest. Every command is read and checked; those after a failed
 * condition, and those of alternatives that are not taken, have no effect.
 *
 * Parameters are kept as places in the source, so its memory does not grow with the manifest.
 */
export class CommandRun {
  readonly reader = new CborReader();
  /** Why the manifest is not for this profile, beyond what `reader.error` says. */
  fault: string | undefined = undefined;
  /** The first condition that failed, as a code of `readManifest`. */
  failure: string | undefined = undefined;

  /** Places of contents; UNSET before the parameter. */
  digestAt = UNSET;
  uriStart = UNSET;
  uriEnd = UNSET;
  size = 0;
  /** Epoch time in seconds that was checked; 0 = none. */
  expiresS = 0;
  /** Which conditions held. */
  isVendorChecked = false;
  isClassChecked = false;
  isFetched = false;
  isMatched = false;

  private readonly target: UpdateTarget;
  private vendorAt = UNSET;
  private classAt = UNSET;
  private versionAt = UNSET;
  private versionEnd = UNSET;
  private slot = -1;
  private useBeforeS = 0;

  constructor(target: UpdateTarget) {
    this.target = target;
  }

  /** Runs the sequence in the byte string that is read next; false when it cannot be. */
  run(section: number): boolean {
    return this.runSequence(section, false);
  }

  /** Notes that what was read, if it was, is more than our profile has; returns false. */
  refuse(): boolean {
    if (this.reader.error === undefined) this.fault = 'unsupported';
    return false;
  }

  /** Reads a SUIT_Digest: [-16, 32 bytes]; the content is where the reader says. */
  readDigest(): boolean {
    const { reader } = this;
    if (!readExact(reader, TYPE_ARRAY, 2)) return this.spoil();
    if (!readExact(reader, TYPE_INTEGER, ALGORITHM_SHA256)) return this.refuse();
    return readExact(reader, TYPE_BYTES, DIGEST_SIZE) || this.spoil();
  }

  /** Notes an item that is not what belongs there; returns false. */
  spoil(): boolean {
    return this.reader.fail('unexpected-type', this.reader.itemOffset);
  }

  private runSequence(section: number, isAlternative: boolean): boolean {
    const { reader } = this;
    const end = enter(reader);
    if (!readStrict(reader, TYPE_ARRAY)) return false;
    const count = reader.value;
    if (count % 2 !== 0) return this.spoil();
    if (count > COMMAND_COUNT_MAX * 2) return this.refuse();
    for (let index = 0; index < count; index += 2) {
      if (!readStrict(reader, TYPE_INTEGER)) return false;
      if (!this.runCommand(reader.value, section, isAlternative)) return false;
    }
    return leave(reader, end);
  }

  private runCommand(code: number, section: number, isAlternative: boolean): boolean {
    switch (code) {
      case DIRECTIVE_SET_COMPONENT_INDEX:
        // Our manifests have one component.
        return readExact(this.reader, TYPE_INTEGER, 0) || this.refuse();
      case DIRECTIVE_TRY_EACH:
        return isAlternative ? this.refuse() : this.tryEach(section);
      case DIRECTIVE_OVERRIDE_PARAMETERS:
        return this.overrideParameters(section);
      case DIRECTIVE_FETCH:
        return this.readPolicy() && this.fetch(section);
      case DIRECTIVE_INVOKE:
        return this.readPolicy() && (section === SECTION_INVOKE || this.refuse());
      default:
        return isCondition(code) ? this.readPolicy() && this.check(code, section) : this.refuse();
    }
  }

  /** The argument of conditions, fetch and invoke. */
  private readPolicy(): boolean {
    const { reader } = this;
    if (!readStrict(reader, TYPE_INTEGER)) return false;
    const isPolicy = reader.value >= 0 && reader.value <= REPORTING_POLICY_MAX;
    return isPolicy || this.refuse();
  }

  /** The first alternative whose conditions hold counts (§8.4.10.2). */
  private tryEach(section: number): boolean {
    const { reader } = this;
    const before = this.failure;
    let isDone = before !== undefined;
    let last: string | undefined;
    if (!readStrict(reader, TYPE_ARRAY)) return false;
    const count = reader.value;
    if (count === 0) return this.spoil();
    if (count > ALTERNATIVE_COUNT_MAX) return this.refuse();
    for (let index = 0; index < count; index += 1) {
      this.failure = isDone ? NOT_RUN : undefined;
      if (!this.runSequence(section, true)) return false;
      if (isDone) continue;
      if (this.failure === undefined) isDone = true;
      else last = this.failure;
    }
    this.failure = isDone ? before : last;
    return true;
  }

  private overrideParameters(section: number): boolean {
    const { reader } = this;
    if (!readStrict(reader, TYPE_MAP)) return false;
    const count = reader.value;
    let last = -1;
    for (let index = 0; reader.more(count, index); index += 1) {
      if (!readStrict(reader, TYPE_INTEGER)) return false;
      const key = reader.value;
      // Ascending, as deterministic encoding has them; a second one of a kind has no place.
      if (key <= last) return this.refuse();
      last = key;
      if (!this.readParameter(key, section)) return false;
    }
    return reader.error === undefined;
  }

  /** Reads a parameter, and keeps it unless a condition failed before. */
  private readParameter(key: number, section: number): boolean {
    if ((sectionsOf(key) & section) === 0) return this.refuse();
    const { reader } = this;
    const isLive = this.failure === undefined;
    switch (key) {
      case PARAMETER_VENDOR:
      case PARAMETER_CLASS:
        if (!readExact(reader, TYPE_BYTES, UUID_SIZE)) return this.spoil();
        if (isLive && key === PARAMETER_VENDOR) this.vendorAt = reader.contentStart;
        if (isLive && key === PARAMETER_CLASS) this.classAt = reader.contentStart;
        return true;
      case PARAMETER_DIGEST: {
        const end = enter(reader);
        if (!this.readDigest()) return false;
        if (isLive) this.digestAt = reader.contentStart;
        return leave(reader, end);
      }
      case PARAMETER_URI:
        if (!readStrict(reader, TYPE_TEXT)) return false;
        if (reader.value === 0 || reader.value > URI_SIZE_MAX) return this.refuse();
        if (isLive) this.uriStart = reader.contentStart;
        if (isLive) this.uriEnd = reader.contentEnd;
        return true;
      case PARAMETER_VERSION:
        return this.readVersion(isLive);
      default:
        return this.readNumber(key, isLive);
    }
  }

  private readNumber(key: number, isLive: boolean): boolean {
    const { reader } = this;
    if (!readStrict(reader, TYPE_INTEGER)) return false;
    const value = reader.value;
    if (value < 0) return this.spoil();
    if (value > NUMBER_MAX) return this.refuse();
    if (!isLive) return true;
    if (key === PARAMETER_SLOT) this.slot = value;
    else if (key === PARAMETER_SIZE) this.size = value;
    // 0 is as good as none: a condition on it is refused.
    else this.useBeforeS = value;
    return true;
  }

  /** A version parameter: bstr [comparison, [major, minor, patch]]. */
  private readVersion(isLive: boolean): boolean {
    const { reader } = this;
    const end = enter(reader);
    const start = reader.offset;
    if (!readExact(reader, TYPE_ARRAY, 2)) return this.spoil();
    if (!readStrict(reader, TYPE_INTEGER)) return false;
    if (reader.value < COMPARISON_GREATER || reader.value > COMPARISON_LESSER) return this.refuse();
    if (!readExact(reader, TYPE_ARRAY, VERSION_PART_COUNT)) return this.refuse();
    for (let index = 0; index < VERSION_PART_COUNT; index += 1) {
      if (!readStrict(reader, TYPE_INTEGER)) return false;
      // Negative parts are pre-releases, which our versions do not have.
      if (reader.value < 0 || reader.value > NUMBER_MAX) return this.refuse();
    }
    if (isLive) this.versionAt = start;
    if (isLive) this.versionEnd = reader.end;
    return leave(reader, end);
  }

  private fetch(section: number): boolean {
    if (section !== SECTION_INSTALL) return this.refuse();
    if (this.failure !== undefined) return true;
    if (this.isFetched || this.uriStart === UNSET) return this.refuse();
    this.isFetched = true;
    return true;
  }

  /** Runs a condition; one whose parameter is missing is refused. */
  private check(code: number, section: number): boolean {
    const { target } = this;
    if (code === CONDITION_IMAGE_MATCH) return this.match(section);
    if (this.failure !== undefined) return true;
    switch (code) {
      case CONDITION_VENDOR:
        this.isVendorChecked = this.holdsId(this.vendorAt, target.vendorId);
        return this.expect(this.vendorAt, this.isVendorChecked, 'wrong-vendor');
      case CONDITION_CLASS:
        this.isClassChecked = this.holdsId(this.classAt, target.classId);
        return this.expect(this.classAt, this.isClassChecked, 'wrong-class');
      case CONDITION_SLOT:
        return this.expect(this.slot + 1, this.slot === target.slot, 'wrong-slot');
      case CONDITION_USE_BEFORE:
        this.expiresS = this.useBeforeS;
        // Without a time (0) it holds, and the caller is told.
        return this.expect(this.useBeforeS, target.timeS < this.useBeforeS, 'expired');
      case CONDITION_VERSION:
        return this.expect(this.versionAt, this.holdsVersion(), 'wrong-version');
      default:
        this.failure = 'aborted';
        return true;
    }
  }

  private expect(parameter: number, holds: boolean, code: string): boolean {
    if (parameter === UNSET) return this.refuse();
    if (!holds) this.failure = code;
    return true;
  }

  /** The update client does the matching; here only its place is checked. */
  private match(section: number): boolean {
    if (section === SECTION_SHARED) return this.refuse();
    if (this.failure !== undefined) return true;
    if (this.digestAt === UNSET) return this.refuse();
    if (section === SECTION_INSTALL) this.isMatched = this.isFetched;
    return true;
  }

  private holdsId(at: number, id: Uint8Array): boolean {
    if (at === UNSET || id.length !== UUID_SIZE) return false;
    for (let index = 0; index < UUID_SIZE; index += 1) {
      if (this.reader.source[at + index] !== id[index]) return false;
    }
    return true;
  }

  /** True when the running version stands to the parameter as its comparison says. */
  private holdsVersion(): boolean {
    if (this.versionAt === UNSET) return false;
    const reader = new CborReader();
    reader.reset(this.reader.source, this.versionAt, this.versionEnd);
    reader.read();
    reader.read();
    const comparison = reader.value;
    reader.read();
    let order = 0;
    for (let index = 0; index < VERSION_PART_COUNT; index += 1) {
      const part = versionPart(this.target.version, index);
      if (part < 0 || !reader.read()) return false;
      if (order === 0 && part !== reader.value) order = part > reader.value ? 1 : -1;
    }
    switch (comparison) {
      case COMPARISON_GREATER:
        return order > 0;
      case COMPARISON_GREATER_EQUAL:
        return order >= 0;
      case COMPARISON_EQUAL:
        return order === 0;
      case COMPARISON_LESSER_EQUAL:
        return order <= 0;
      default:
        return order < 0;
    }
  }
}

function isCondition(code: number): boolean {
  const isFirst = code >= CONDITION_VENDOR && code <= CONDITION_SLOT;
  return isFirst || code === CONDITION_ABORT || code === CONDITION_VERSION;
}

/** The sections that may set a parameter. What is checked after a fetch cannot change before it. */
function sectionsOf(parameter: number): number {
  switch (parameter) {
    case PARAMETER_URI:
      return SECTION_INSTALL;
    case PARAMETER_SLOT:
      return SECTION_SHARED | SECTION_INSTALL;
    case PARAMETER_VENDOR:
    case PARAMETER_CLASS:
    case PARAMETER_DIGEST:
    case PARAMETER_SIZE:
    case PARAMETER_USE_BEFORE:
    case PARAMETER_VERSION:
      return SECTION_SHARED;
    default:
      return 0;
  }
}

/**
 * Number `index` (0-2) of a version that begins with `major.minor.patch`; -1 where it does not. Each
 * has at most nine digits.
 */
export function versionPart(version: string, index: number): number {
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let at = 0; at <= version.length; at += 1) {
    const code = at < version.length ? version.charCodeAt(at) : 0;
    if (code >= 0x30 && code <= 0x39) {
      digits += 1;
      if (digits > 9) return -1;
      if (part === index) value = value * 10 + code - 0x30;
    } else {
      // What follows the third number is a build, and says nothing of the order.
      if (digits === 0) return -1;
      if (part === VERSION_PART_COUNT - 1) return value;
      if (code !== 0x2e) return -1;
      part += 1;
      digits = 0;
    }
  }
  return -1;
}
