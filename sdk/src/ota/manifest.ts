// The manifest of an update: a SUIT envelope (draft-ietf-suit-manifest) in our profile.
//
//   107({2: bstr [bstr SUIT_Digest, bstr COSE_Sign1], 3: bstr manifest})
//   manifest {1: 1, 2: sequence, 3: bstr common, ? 7: bstr validate, ? 9: bstr invoke,
//             20: bstr install, 23: bstr text}
//
// The digest and its signature are checked before anything of the manifest is read. All of it has
// to be encoded deterministically, so no byte of an envelope can change without being refused.

import {
  type CborReader,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_INTEGER,
  TYPE_MAP,
  TYPE_TAG,
  TYPE_TEXT,
} from '../codec/cbor-read.ts';
import { readUtf8 } from '../codec/text.ts';
import type { Crypto } from '../platform.ts';
import { type TrustedKey, verifySign1 } from './cose.ts';
import {
  CommandRun,
  NUMBER_MAX,
  SECTION_INSTALL,
  SECTION_INVOKE,
  SECTION_SHARED,
  SECTION_VALIDATE,
  type UpdateTarget,
  versionPart,
} from './manifest-commands.ts';
import { enter, leave, readExact, readStrict } from './strict-cbor.ts';

export type { TrustedKey } from './cose.ts';
export type { UpdateTarget } from './manifest-commands.ts';

/** Largest envelope in bytes; ours have about 600. */
export const ENVELOPE_SIZE_MAX = 2048;

const DIGEST_SIZE = 32;
const TAG_ENVELOPE = 107;
const KEY_AUTHENTICATION = 2;
const KEY_MANIFEST = 3;
const MANIFEST_VERSION = 1;
const KEY_VERSION = 1;
const KEY_SEQUENCE = 2;
const KEY_COMMON = 3;
const KEY_VALIDATE = 7;
const KEY_INVOKE = 9;
const KEY_INSTALL = 20;
const KEY_TEXT = 23;
const KEY_COMPONENTS = 2;
const KEY_SHARED = 4;
const KEY_COMPONENT_VERSION = 6;
/** Characters of a version; three numbers of nine digits. */
const VERSION_SIZE_MAX = 29;
const LANGUAGE_SIZE_MAX = 16;

/** What a manifest says to this device; valid after `readManifest` found it good. */
export class ManifestFields {
  /** 32 bits. */
  sequence = 0;
  /** `major.minor.patch`. */
  version = '';
  /** SHA-256 of the image file. */
  readonly digest: Uint8Array = new Uint8Array(DIGEST_SIZE);
  /** Bytes of the image file, at least 1 and at most the slot's. */
  size = 0;
  /** Relative name of the image file. */
  uri = '';
  /** From this epoch second on it is refused; 0 = never. */
  expiresS = 0;
  /** It has an expiry, and the time to check it against is not known. */
  timeUnknown = false;
}

/**
 * Checks the envelope in envelope[start, end) and reads what it says to `target`. Undefined when all
 * of it is good, and then `into` is filled; otherwise `into` is untouched, and the code is
 *
 * - `truncated`, `malformed`, `too-long` (ENVELOPE_SIZE_MAX): no envelope of ours;
 * - `unsigned`, `wrong-digest` (of the manifest), `wrong-signature`: nobody of `keys` signed it;
 * - `unsupported`: a command, parameter, member or algorithm that is not in our profile;
 * - `wrong-vendor`, `wrong-class`, `wrong-slot`, `wrong-version`, `expired`, `aborted`: the first
 *   condition that does not hold;
 * - `old-sequence`: below the stored one; `too-large`: the image does not fit into the slot.
 *
 * Never throws on hostile bytes; its memory does not depend on them.
 */
export function readManifest(
  envelope: Uint8Array,
  start: number,
  end: number,
  keys: readonly TrustedKey[],
  target: UpdateTarget,
  crypto: Crypto,
  into: ManifestFields,
): string | undefined {
  const run = new CommandRun(target);
  const code = authenticate(run, envelope, start, end, keys, crypto);
  if (code !== undefined) return code;
  const { reader } = run;
  reader.reset(envelope, reader.contentStart, reader.contentEnd);
  const parsed = new ParsedManifest();
  if (!readMembers(run, parsed)) return run.fault === undefined ? 'malformed' : run.fault;
  return judge(run, parsed, target, into);
}

/**
 * Undefined when one of `keys` signed the envelope in envelope[start, end): the first codes of
 * `readManifest`. Nothing of the manifest is read.
 */
export function authenticateManifest(
  envelope: Uint8Array,
  start: number,
  end: number,
  keys: readonly TrustedKey[],
  crypto: Crypto,
): string | undefined {
  return authenticate(new CommandRun(NOBODY), envelope, start, end, keys, crypto);
}

const NO_ID = new Uint8Array(0);
/** Nothing is for this target; no command is run with it. */
const NOBODY: UpdateTarget = {
  vendorId: NO_ID,
  classId: NO_ID,
  slot: -1,
  slotSize: 0,
  sequence: 0,
  version: '',
  timeS: 0,
};

/** Leaves the manifest as the content of the reader's last item. */
function authenticate(
  run: CommandRun,
  envelope: Uint8Array,
  start: number,
  end: number,
  keys: readonly TrustedKey[],
  crypto: Crypto,
): string | undefined {
  if (end - start > ENVELOPE_SIZE_MAX) return 'too-long';
  const { reader } = run;
  reader.reset(envelope, start, end);
  if (!readExact(reader, TYPE_TAG, TAG_ENVELOPE)) return broken(reader);
  if (!readStrict(reader, TYPE_MAP)) return broken(reader);
  const count = reader.value;
  if (!readStrict(reader, TYPE_INTEGER)) return broken(reader);
  const first = reader.value;
  if (first === KEY_MANIFEST) return 'unsigned';
  if (first !== KEY_AUTHENTICATION) return 'unsupported';
  // Integrated payloads and severed members come as further members.
  if (count !== 2) return 'unsupported';
  if (!readStrict(reader, TYPE_BYTES)) return broken(reader);
  const wrapperStart = reader.contentStart;
  const wrapperEnd = reader.contentEnd;
  if (!readExact(reader, TYPE_INTEGER, KEY_MANIFEST)) return broken(reader);
  if (!readStrict(reader, TYPE_BYTES)) return broken(reader);
  // The digest covers the head of the byte string too.
  const manifestStart = reader.itemOffset;
  if (!reader.finish()) return 'malformed';

  reader.reset(envelope, wrapperStart, wrapperEnd);
  if (!readStrict(reader, TYPE_ARRAY)) return 'malformed';
  const blockCount = reader.value;
  if (blockCount === 1) return 'unsigned';
  // Of two signatures one could be altered without notice.
  if (blockCount !== 2) return 'unsupported';
  const outer = enter(reader);
  const digestStart = reader.offset;
  const digestEnd = reader.end;
  if (!run.readDigest()) return run.fault === undefined ? 'malformed' : run.fault;
  const digestAt = reader.contentStart;
  if (!leave(reader, outer)) return 'malformed';
  if (!readStrict(reader, TYPE_BYTES) || !reader.finish()) return 'malformed';
  const sign1Start = reader.contentStart;
  const sign1End = reader.contentEnd;

  const hash = new Uint8Array(DIGEST_SIZE);
  const sha256 = crypto.sha256();
  sha256.update(envelope, manifestStart, end);
  sha256.digest(hash);
  for (let index = 0; index < DIGEST_SIZE; index += 1) {
    if (hash[index] !== envelope[digestAt + index]) return 'wrong-digest';
  }
  reader.reset(envelope, manifestStart, end);
  reader.read();
  return verifySign1(envelope, sign1Start, sign1End, digestStart, digestEnd, keys, crypto);
}

/** More bytes might mend what ends within an item. */
function broken(reader: CborReader): string {
  return reader.error === 'truncated' ? 'truncated' : 'malformed';
}

/** What is read beside the commands. */
class ParsedManifest {
  sequence = 0;
  versionStart = 0;
  versionEnd = 0;
}

/** Reads the members in their order; false with a fault or an error in `run`. */
function readMembers(run: CommandRun, parsed: ParsedManifest): boolean {
  const { reader } = run;
  if (!readStrict(reader, TYPE_MAP)) return false;
  const count = reader.value;
  let last = 0;
  let seen = 0;
  for (let index = 0; reader.more(count, index); index += 1) {
    if (!readStrict(reader, TYPE_INTEGER)) return false;
    const key = reader.value;
    // Ascending: deterministic, and none comes twice.
    if (key <= last) return run.spoil();
    last = key;
    if (!readMember(run, key, parsed)) return false;
    if (isRequired(key)) seen += 1;
  }
  return reader.finish() && (seen === 5 || run.spoil());
}

function isRequired(key: number): boolean {
  return key !== KEY_VALIDATE && key !== KEY_INVOKE;
}

function readMember(run: CommandRun, key: number, parsed: ParsedManifest): boolean {
  const { reader } = run;
  switch (key) {
    case KEY_VERSION:
      return readExact(reader, TYPE_INTEGER, MANIFEST_VERSION) || run.refuse();
    case KEY_SEQUENCE:
      if (!readStrict(reader, TYPE_INTEGER) || reader.value < 0) return run.spoil();
      if (reader.value > NUMBER_MAX) return run.refuse();
      parsed.sequence = reader.value;
      return true;
    case KEY_COMMON:
      return readCommon(run);
    case KEY_VALIDATE:
      return run.run(SECTION_VALIDATE);
    case KEY_INVOKE:
      return run.run(SECTION_INVOKE);
    case KEY_INSTALL:
      return run.run(SECTION_INSTALL);
    case KEY_TEXT:
      return readText(run, parsed);
    default:
      return run.refuse();
  }
}

/** {2: [[h'00']], 4: bstr shared sequence}: one component, and no dependencies. */
function readCommon(run: CommandRun): boolean {
  const { reader } = run;
  const end = enter(reader);
  if (!readExact(reader, TYPE_MAP, 2)) return run.refuse();
  if (!readExact(reader, TYPE_INTEGER, KEY_COMPONENTS)) return run.refuse();
  if (!readExact(reader, TYPE_ARRAY, 1)) return run.refuse();
  if (!readComponent(run)) return false;
  if (!readExact(reader, TYPE_INTEGER, KEY_SHARED)) return run.refuse();
  return run.run(SECTION_SHARED) && leave(reader, end);
}

/** The one component that we know, [h'00']. */
function readComponent(run: CommandRun): boolean {
  const { reader } = run;
  if (!readExact(reader, TYPE_ARRAY, 1)) return run.refuse();
  if (!readStrict(reader, TYPE_BYTES)) return false;
  const isKnown = reader.value === 1 && reader.source[reader.contentStart] === 0;
  return isKnown || run.refuse();
}

/** {language: {[h'00']: {6: version}}} (draft-ietf-suit-manifest §8.6). */
function readText(run: CommandRun, parsed: ParsedManifest): boolean {
  const { reader } = run;
  const end = enter(reader);
  if (!readExact(reader, TYPE_MAP, 1)) return run.refuse();
  if (!readStrict(reader, TYPE_TEXT)) return false;
  if (reader.value > LANGUAGE_SIZE_MAX) return run.refuse();
  if (!readExact(reader, TYPE_MAP, 1)) return run.refuse();
  if (!readComponent(run)) return false;
  if (!readExact(reader, TYPE_MAP, 1)) return run.refuse();
  if (!readExact(reader, TYPE_INTEGER, KEY_COMPONENT_VERSION)) return run.refuse();
  if (!readStrict(reader, TYPE_TEXT)) return false;
  if (reader.value > VERSION_SIZE_MAX) return run.refuse();
  parsed.versionStart = reader.contentStart;
  parsed.versionEnd = reader.contentEnd;
  return leave(reader, end);
}

/** All of it was read; is it for this target, and whole? */
function judge(
  run: CommandRun,
  parsed: ParsedManifest,
  target: UpdateTarget,
  into: ManifestFields,
): string | undefined {
  const { source } = run.reader;
  if (run.failure !== undefined) return run.failure;
  // What is not checked for vendor and class would run on anything, and what is fetched but not
  // matched would be anything.
  if (!run.isVendorChecked || !run.isClassChecked || !run.isMatched) return 'unsupported';
  const version = readUtf8(source, parsed.versionStart, parsed.versionEnd);
  if (!isVersion(version) || run.size === 0) return 'malformed';
  if (parsed.sequence < target.sequence) return 'old-sequence';
  if (run.size > target.slotSize) return 'too-large';
  into.sequence = parsed.sequence;
  into.version = version;
  for (let index = 0; index < DIGEST_SIZE; index += 1) {
    into.digest[index] = source[run.digestAt + index] as number;
  }
  into.size = run.size;
  into.uri = readUtf8(source, run.uriStart, run.uriEnd);
  into.expiresS = run.expiresS;
  into.timeUnknown = run.expiresS !== 0 && target.timeS === 0;
  return undefined;
}

/** `major.minor.patch` without leading zeros, as its numbers say it. */
function isVersion(text: string): boolean {
  const parts = [versionPart(text, 0), versionPart(text, 1), versionPart(text, 2)];
  return text === parts.join('.');
}
