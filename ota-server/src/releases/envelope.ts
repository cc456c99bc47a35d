// Writes SUIT envelopes (draft-ietf-suit-manifest) in the profile that the SDK's manifest.ts reads,
// and signs them (COSE_Sign1, RFC 9052 §4).

import { createHash } from 'node:crypto';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import { SIGNATURE_SIZE } from '@flotilla/sdk/ota/cose';
import { ENVELOPE_SIZE_MAX } from '@flotilla/sdk/ota/manifest';
import { encode, type Item } from './cbor.ts';
import type { ReleaseKey } from './keys.ts';
import type { VersionCondition } from './release.ts';
import { COMPARISONS, parseVersion } from './version.ts';

/** The image for one slot. */
export interface EnvelopeImage {
  /** SHA-256 of the image file, 32 bytes. */
  readonly digest: Uint8Array;
  /** Bytes of the image file; at least 1. */
  readonly size: number;
}

export interface EnvelopeOptions {
  /** 0 to 4294967295. */
  readonly sequence: number;
  /** `major.minor.patch`. */
  readonly version: string;
  /** UUIDs, 16 bytes each. */
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  /** One that runs in either slot, or one for slot 0 and one for slot 1. */
  readonly images: readonly [EnvelopeImage] | readonly [EnvelopeImage, EnvelopeImage];
  /** From this epoch second on devices refuse it. */
  readonly expiresS?: number;
  /** What the running version has to be. */
  readonly requires?: VersionCondition;
}

const U32_MAX = 0xffffffff;
const SLOTS: readonly number[] = [0, 1];
const TAG_ENVELOPE = 107;
const MEMBER_AUTHENTICATION = 2;
const MEMBER_MANIFEST = 3;
const TAG_SIGN1 = 18;
const ALGORITHM_SHA256 = -16;
const COMPONENT: Item = [Uint8Array.of(0)];
/** Reporting policy of a condition: always. */
const REPORT_ALWAYS = 15;
/** Of a fetch: when it failed. */
const REPORT_FAILURE = 2;
/** Of the slot: every device fails one of the two. */
const REPORT_SLOT = 5;
const UUID_SIZE = 16;
const DIGEST_SIZE = 32;

/** The name of an image file: what it holds. */
export function imageName(digest: Uint8Array): string {
  return `${toHex(digest)}.bin`;
}

/**
 * The signed envelope. Throws a RangeError that names every option that is out of its range.
 */
export function writeEnvelope(options: EnvelopeOptions, key: ReleaseKey): Uint8Array {
  const mistakes = mistakesOf(options);
  if (mistakes.length > 0) throw new RangeError(mistakes.join('; '));
  const manifest = encode(manifestOf(options));
  // The digest covers the head of the byte string too.
  const digest = encode([ALGORITHM_SHA256, sha256(encode(manifest))]);
  const authentication = encode([digest, signDigest(digest, key)]);
  const members = new Map<Item, Item>([
    [MEMBER_AUTHENTICATION, authentication],
    [MEMBER_MANIFEST, manifest],
  ]);
  const envelope = new Uint8Array(encode(new CborTag(TAG_ENVELOPE, members)));
  if (envelope.length > ENVELOPE_SIZE_MAX) {
    throw new RangeError(`the envelope has ${envelope.length} bytes, at most ${ENVELOPE_SIZE_MAX}`);
  }
  return envelope;
}

/** The COSE_Sign1 over a detached payload. */
export function signDigest(payload: Uint8Array, key: ReleaseKey): Uint8Array {
  const header = encode(new Map([[1, key.coseAlgorithm]]));
  const signature = key.sign(encode(['Signature1', header, new Uint8Array(0), payload]));
  if (signature.length !== SIGNATURE_SIZE) {
    throw new RangeError(`sign: expected ${SIGNATURE_SIZE} bytes, got ${signature.length}`);
  }
  return encode(new CborTag(TAG_SIGN1, [header, new Map(), null, signature]));
}

function manifestOf(options: EnvelopeOptions): Item {
  const { expiresS, requires, sequence, version } = options;
  const parameters = new Map<Item, Item>([
    [1, options.vendorId],
    [2, options.classId],
    ...(expiresS === undefined ? [] : [[4, expiresS] as const]),
    ...(requires === undefined ? [] : [[28, encode(conditionOf(requires))] as const]),
  ]);
  const images = bothSlots(options.images);
  const shared: Item[] = [
    ...[20, parameters],
    ...[15, eachSlot((slot) => imageParameters(images[slot] as EnvelopeImage))],
    ...[1, REPORT_ALWAYS, 2, REPORT_ALWAYS],
    ...(requires === undefined ? [] : [28, REPORT_ALWAYS]),
    ...(expiresS === undefined ? [] : [4, REPORT_ALWAYS]),
  ];
  const install: Item[] = [
    ...[15, eachSlot((slot) => new Map([[21, imageName((images[slot] as EnvelopeImage).digest)]]))],
    ...[21, REPORT_FAILURE, 3, REPORT_ALWAYS],
  ];
  const common = new Map<Item, Item>([
    [2, [COMPONENT]],
    [4, encode(shared)],
  ]);
  const text = new Map([['en', new Map([[COMPONENT, new Map([[6, version]])]])]]);
  return new Map<Item, Item>([
    [1, 1],
    [2, sequence],
    [3, encode(common)],
    [7, encode([3, REPORT_ALWAYS])],
    [20, encode(install)],
    [23, encode(text)],
  ]);
}

/** Alternatives that set the parameters of the slot that the device writes. */
function eachSlot(parameters: (slot: number) => Item): Item {
  return SLOTS.map((slot) =>
    encode([20, new Map([[5, slot]]), 5, REPORT_SLOT, 20, parameters(slot)]),
  );
}

function imageParameters({ digest, size }: EnvelopeImage): Item {
  return new Map<Item, Item>([
    [3, encode([ALGORITHM_SHA256, digest])],
    [14, size],
  ]);
}

function bothSlots([first, second = first]: EnvelopeOptions['images']) {
  return [first, second] as const;
}

function conditionOf({ comparison, version }: VersionCondition): Item {
  return [COMPARISONS.indexOf(comparison) + 1, parseVersion(version) as readonly number[]];
}

function mistakesOf(options: EnvelopeOptions): string[] {
  const { classId, expiresS = U32_MAX, images, requires, sequence, vendorId, version } = options;
  return [
    ...rangeMistake('sequence', sequence, 0, U32_MAX),
    ...versionMistake('version', version),
    ...sizeMistake('vendorId', vendorId, UUID_SIZE),
    ...sizeMistake('classId', classId, UUID_SIZE),
    ...images.flatMap(({ digest, size }, index) => [
      ...sizeMistake(`images[${index}].digest`, digest, DIGEST_SIZE),
      ...rangeMistake(`images[${index}].size`, size, 1, U32_MAX),
    ]),
    ...rangeMistake('expiresS', expiresS, 1, U32_MAX),
    ...(requires === undefined ? [] : versionMistake('requires.version', requires.version)),
  ];
}

function rangeMistake(name: string, value: number, min: number, max: number): string[] {
  const fits = Number.isInteger(value) && value >= min && value <= max;
  return fits ? [] : [`${name}: expected ${min}-${max}, got ${value}`];
}

function sizeMistake(name: string, { length }: Uint8Array, size: number): string[] {
  return length === size ? [] : [`${name}: expected ${size} bytes, got ${length}`];
}

function versionMistake(name: string, version: string): string[] {
  return parseVersion(version) === undefined ? [`${name}: expected 1.2.3, got ${version}`] : [];
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}
