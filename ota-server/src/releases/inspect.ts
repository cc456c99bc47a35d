// What envelopes say: to whoever trusts one of their signers (`readRelease`), and to people, verified
// or not (`inspectEnvelope`). Both decode the whole of it, which devices never do; a release is what
// the reader of the devices makes of it.

import { createHash } from 'node:crypto';
import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import { nodeCrypto } from '@flotilla/sdk/node';
import {
  authenticateManifest,
  ManifestFields,
  readManifest,
  type TrustedKey,
} from '@flotilla/sdk/ota/manifest';
import { CborItemError, decode, encode } from './cbor.ts';
import { messageOf } from './messages.ts';
import type { Release, ReleaseImage, ReleaseResult, VersionCondition } from './release.ts';
import { COMPARISONS, compareVersions } from './version.ts';

/** One sequence: codes and arguments as they are in the envelope, decoded. */
export type Sequence = readonly unknown[];

/** Of a file that need not be trustworthy. */
export interface EnvelopeContent {
  readonly size: number;
  readonly coseAlgorithm: number;
  /** As the envelope says it, and whether it is that of the manifest. */
  readonly manifestDigest: Uint8Array;
  readonly digestMatches: boolean;
  readonly sequence: number;
  /** `major.minor.patch`, or undefined where the text says none. */
  readonly version: string | undefined;
  readonly vendorId: Uint8Array | undefined;
  readonly classId: Uint8Array | undefined;
  readonly expiresS: number | undefined;
  readonly requires: VersionCondition | undefined;
  readonly images: readonly Partial<ReleaseImage>[];
}

/** No envelope; the message says what is wrong. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError';
}

/** Of try-each; devices take none in another. */
const TRY_EACH_DEPTH_MAX = 4;
const TAG_ENVELOPE = 107;
const TAG_SIGN1 = 18;
const U32_MAX = 0xffffffff;

/** The release of an envelope that one of `keys` signed; never throws on hostile bytes. */
export function readRelease(envelope: Uint8Array, keys: readonly TrustedKey[]): ReleaseResult {
  const code = authenticateManifest(envelope, 0, envelope.length, keys, nodeCrypto);
  if (code !== undefined) return refusal(code);
  let content: EnvelopeContent;
  try {
    content = inspectEnvelope(envelope);
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    return refusal('malformed', error.message);
  }
  const { requires } = content;
  const fields = new ManifestFields();
  const images: ReleaseImage[] = [];
  for (const slot of [0, 1]) {
    // A device that every condition holds for: what it would be told is the release.
    const target = {
      vendorId: content.vendorId ?? new Uint8Array(0),
      classId: content.classId ?? new Uint8Array(0),
      slot,
      slotSize: U32_MAX,
      sequence: 0,
      version: requires === undefined ? '' : fulfilling(requires),
      timeS: 0,
    };
    const code = readManifest(envelope, 0, envelope.length, keys, target, nodeCrypto, fields);
    if (code !== undefined) return refusal(code);
    images.push({ slot, digest: fields.digest.slice(), size: fields.size, uri: fields.uri });
  }
  const [first, second] = images as [ReleaseImage, ReleaseImage];
  const { expiresS, sequence, version } = fields;
  const isRollback =
    requires?.comparison === 'equal' && compareVersions(version, requires.version) < 0;
  const release: Release = {
    envelope: new Uint8Array(envelope),
    version,
    sequence,
    digest: first.digest,
    size: first.size,
    images: [first, second],
    // Both conditions held, so both were there.
    vendorId: content.vendorId!,
    classId: content.classId!,
    expiresS,
    requires,
    rollbackFrom: isRollback ? requires.version : undefined,
  };
  return { ok: true, release };
}

function refusal(reason: string, message = messageOf(reason)): ReleaseResult {
  return { ok: false, reason, message };
}

/** A running version that the condition holds for. */
function fulfilling({ comparison, version }: VersionCondition): string {
  if (comparison === 'greater') return '999999999.0.0';
  return comparison === 'lesser' ? '0.0.0' : version;
}

/**
 * What an envelope says, verified or not. Parameters are those of the whole sequences, whatever
 * conditions stand between them. Throws an EnvelopeError where it is not one.
 */
export function inspectEnvelope(envelope: Uint8Array): EnvelopeContent {
  const members = mapOf('the envelope', taggedWith(TAG_ENVELOPE, decoded(envelope)));
  const [digestBytes, signature] = listOf('the authentication', nested(members.get(2)));
  const manifestBytes = members.get(3);
  const [, digest] = listOf('the digest', nested(digestBytes));
  const [header] = listOf('the signature', taggedWith(TAG_SIGN1, nested(signature)));
  const manifest = mapOf('the manifest', nested(manifestBytes));
  const common = mapOf('common', nested(manifest.get(3)));
  const shared = parametersOf(nested(common.get(4)));
  const install = parametersOf(nested(manifest.get(20)));
  const computed = digestOf(manifestBytes as Uint8Array);
  const manifestDigest = bytesOf(digest) ?? new Uint8Array(0);
  const sequence = manifest.get(2);
  return {
    size: envelope.length,
    coseAlgorithm: Number(mapOf('the header', nested(header)).get(1)),
    manifestDigest,
    digestMatches: isSameBytes(computed, manifestDigest),
    sequence: typeof sequence === 'number' ? sequence : Number.NaN,
    version: textVersion(manifest.get(23)),
    vendorId: bytesOf(firstOf(shared, 1)),
    classId: bytesOf(firstOf(shared, 2)),
    expiresS: numberOf(firstOf(shared, 4)),
    requires: conditionOf(firstOf(shared, 28)),
    images: imagesOf(shared, install),
  };
}

/** Parameters of one alternative, or of what is outside of any. */
type Parameters = ReadonlyMap<unknown, unknown>;

/** All override-parameters of a sequence, merged for each alternative; the first is outside of any. */
function parametersOf(sequence: unknown, depth = 0): Parameters[] {
  if (depth > TRY_EACH_DEPTH_MAX) throw new EnvelopeError('try-each is nested too deep');
  const outside = new Map<unknown, unknown>();
  const groups: Parameters[] = [outside];
  const commands = listOf('a sequence', sequence);
  for (let index = 0; index + 1 < commands.length; index += 2) {
    const argument = commands[index + 1];
    if (commands[index] === 20) assign(outside, mapOf('parameters', argument));
    if (commands[index] !== 15) continue;
    for (const alternative of listOf('try-each', argument)) {
      const inside = new Map<unknown, unknown>();
      for (const group of parametersOf(nested(alternative), depth + 1)) assign(inside, group);
      groups.push(inside);
    }
  }
  return groups;
}

function assign(to: Map<unknown, unknown>, from: Parameters): void {
  for (const [key, value] of from) to.set(key, value);
}

function firstOf(groups: readonly Parameters[], key: number): unknown {
  return groups.find((group) => group.has(key))?.get(key);
}

/** The images by slot, as far as they are said. */
function imagesOf(shared: readonly Parameters[], install: readonly Parameters[]) {
  return shared
    .filter((group) => group.has(3))
    .map((group) => {
      const slot = numberOf(group.get(5));
      const isSame = (other: Parameters) => other.has(21) && numberOf(other.get(5)) === slot;
      const uri = install.find(isSame)?.get(21);
      return {
        ...(slot === undefined ? {} : { slot }),
        ...(typeof uri === 'string' ? { uri } : {}),
        digest: bytesOf(listOf('a digest', nested(group.get(3)))[1]) ?? new Uint8Array(0),
        size: numberOf(group.get(14)) ?? Number.NaN,
      };
    });
}

/** {language: {component: {6: version}}} */
function textVersion(text: unknown): string | undefined {
  if (text === undefined) return undefined;
  const [language] = mapOf('the text', nested(text)).values();
  for (const member of mapOf('the text', language).values()) {
    if (!(member instanceof Map)) continue;
    const version = member.get(6);
    if (typeof version === 'string') return version;
  }
  return undefined;
}

function conditionOf(parameter: unknown): VersionCondition | undefined {
  if (parameter === undefined) return undefined;
  const [code, parts] = listOf('a version', nested(parameter));
  const comparison = COMPARISONS[Number(code) - 1];
  if (comparison === undefined) throw new EnvelopeError(`an unknown comparison, ${code}`);
  return { comparison, version: listOf('a version', parts).join('.') };
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof CborItemError)) throw error;
    throw new EnvelopeError(`no SUIT envelope: ${error.message}`);
  }
}

/** What is in a byte string. */
function nested(value: unknown): unknown {
  const bytes = bytesOf(value);
  if (bytes === undefined) throw new EnvelopeError('no SUIT envelope: a byte string is missing');
  return decoded(bytes);
}

function taggedWith(tag: number, value: unknown): unknown {
  if (value instanceof CborTag && value.tag === tag) return value.value;
  throw new EnvelopeError(`no SUIT envelope: tag ${tag} is missing`);
}

function mapOf(name: string, value: unknown): Parameters {
  if (value instanceof Map) return value;
  throw new EnvelopeError(`no SUIT envelope: ${name} is not a map`);
}

function listOf(name: string, value: unknown): Sequence {
  if (Array.isArray(value)) return value;
  throw new EnvelopeError(`no SUIT envelope: ${name} is not an array`);
}

function bytesOf(value: unknown): Uint8Array | undefined {
  return value instanceof Uint8Array ? new Uint8Array(value) : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** SHA-256 of a byte string with its head. */
function digestOf(content: Uint8Array): Uint8Array {
  return createHash('sha256').update(encode(content)).digest();
}
