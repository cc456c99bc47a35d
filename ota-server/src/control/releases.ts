// The releases that the server can assign. It cannot make one: an envelope gets in when a trusted
// key signed it, an image when its digest is the one in the envelope.

import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import { ENVELOPE_SIZE_MAX, type TrustedKey } from '@flotilla/sdk/ota/manifest';
import type { OfferedBlob, OfferedDelta, OfferedRelease } from '../device-api/index.ts';
import { Problem } from '../problem.ts';
import { DELTA_HEADER_SIZE, DELTA_IMAGE_SIZE_MAX, DELTA_MAGIC } from '../releases/delta.ts';
import { imageName, type Release, readRelease } from '../releases/index.ts';
import { type Blobs, BlobTooLarge, type StoredBlob } from '../store/blobs.ts';
import type { Journal } from '../store/journal.ts';
import type { DeltaRow, ReleaseRow } from '../store/schema.ts';
import { encodeDeltaApart } from './delta-encoder.ts';

/** Bytes of an image: the flash of the largest boards we know. */
export const IMAGE_SIZE_MAX = 64 * 1024 * 1024;
/** Bases that one release can have deltas from. */
export const DELTA_COUNT_MAX = 32;
export const RELEASE_COUNT_MAX = 10_000;

/** Codes of a connection that ends within a body. */
const CUT = ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'];

export interface StoredRelease extends OfferedRelease {
  readonly id: string;
  readonly createdMs: number;
  readonly signed: Release;
  /** True when every image that the envelope names is stored. */
  ready: boolean;
  readonly images: readonly OfferedBlob[];
  readonly deltas: OfferedDelta[];
  /** Hex digests of images that deltas are being made from. */
  readonly deltasInWork: Set<string>;
}

export type ByteSource = Uint8Array | AsyncIterable<Uint8Array>;

export interface ReleasesOptions {
  readonly keys: readonly TrustedKey[];
  readonly blobs: Blobs;
  readonly journal: Journal;
  nowMs(): number;
}

export class Releases {
  private readonly options: ReleasesOptions;
  private readonly byId = new Map<string, StoredRelease>();
  /** Blobs that a device may download, and their sizes. */
  private readonly sizes = new Map<string, number>();

  constructor(options: ReleasesOptions) {
    this.options = options;
  }

  get all(): readonly StoredRelease[] {
    return [...this.byId.values()];
  }

  /** By id. */
  find(id: string): StoredRelease | undefined {
    return this.byId.get(id);
  }

  /**
   * By id, or by version where one release has it, apart from those that take another one back.
   * A Problem when there is none.
   */
  get(idOrVersion: string): StoredRelease {
    const found = this.byId.get(idOrVersion);
    if (found !== undefined) return found;
    const same = this.all.filter(
      ({ signed, version }) => version === idOrVersion && signed.rollbackFrom === undefined,
    );
    if (same.length === 1) return same[0]!;
    if (same.length === 0) throw new Problem(404, 'no-release', `no release ${idOrVersion}`);
    const ids = same.map(({ id }) => id).join(', ');
    throw new Problem(409, 'ambiguous-release', `several releases are ${idOrVersion}: use ${ids}`);
  }

  /** The signed release that takes devices back from this one. */
  rollbackOf(release: StoredRelease): StoredRelease | undefined {
    const isFor = ({ ready, signed }: StoredRelease) =>
      ready &&
      signed.rollbackFrom === release.version &&
      isSameBytes(signed.vendorId, release.signed.vendorId) &&
      isSameBytes(signed.classId, release.signed.classId);
    return this.all.filter(isFor).sort((a, b) => b.signed.sequence - a.signed.sequence)[0];
  }

  /** Bytes of a blob of some release; undefined when there is none. */
  blobSize(name: string): number | undefined {
    return this.sizes.get(name);
  }

  /** Takes what the store has kept; what the keys no longer trust is not offered any more. */
  restore(releases: readonly ReleaseRow[], deltas: readonly DeltaRow[]): string[] {
    const untrusted: string[] = [];
    for (const row of releases) {
      const read = readRelease(row.envelope, this.options.keys);
      if (!read.ok) {
        untrusted.push(`${row.id}: ${read.message}`);
        continue;
      }
      const release = this.add(row.id, read.release, row.created_ms);
      if (row.ready === 1) this.setReady(release);
    }
    for (const { base, name, release, size } of deltas) {
      const owner = this.byId.get(release);
      if (owner !== undefined) this.setDelta(owner, { base, name, size });
    }
    return untrusted;
  }

  /**
   * Finds what a restored folder or a power cut has left without its bytes: offering it would fail
   * on every device. Such a release waits for its image again. Returns the names.
   */
  async dropMissingBlobs(): Promise<string[]> {
    const missing: string[] = [];
    for (const [name, size] of this.sizes) {
      if ((await this.options.blobs.size(name)) === size) continue;
      missing.push(name);
      this.sizes.delete(name);
      for (const release of this.byId.values()) {
        if (release.images.some((image) => image.name === name)) release.ready = false;
        const at = release.deltas.findIndex((delta) => delta.name === name);
        if (at >= 0) release.deltas.splice(at, 1);
      }
    }
    return missing;
  }

  /** Adds a release without its image; the same envelope again is the same release. */
  async addEnvelope(envelope: Uint8Array): Promise<StoredRelease> {
    if (envelope.length > ENVELOPE_SIZE_MAX) {
      throw new Problem(413, 'envelope-too-large', `expected at most ${ENVELOPE_SIZE_MAX} bytes`);
    }
    const read = readRelease(envelope, this.options.keys);
    if (!read.ok) throw new Problem(422, 'untrusted-release', read.message, refusal(read.reason));
    const { release } = read;
    for (const { digest, uri } of release.images) {
      const expected = imageName(digest);
      if (uri === expected) continue;
      const detail = `the manifest names its image ${uri}: expected ${expected}`;
      throw new Problem(422, 'unsupported-release', detail, refusal('unsupported uri'));
    }
    if (release.images.some(({ size }) => size > IMAGE_SIZE_MAX)) {
      throw new Problem(
        413,
        'image-too-large',
        `expected an image of at most ${IMAGE_SIZE_MAX} bytes`,
      );
    }
    const hash = createHash('sha256').update(envelope).digest('hex');
    const id = `${release.version}-${hash.slice(0, 8)}`;
    const known = this.byId.get(id);
    if (known !== undefined) {
      // Whoever sends it twice at once is told when it is stored, too.
      await this.options.journal.flushed();
      return known;
    }
    if (this.byId.size >= RELEASE_COUNT_MAX) {
      throw new Problem(507, 'too-many-releases', `${RELEASE_COUNT_MAX} releases: remove old ones`);
    }
    const stored = this.add(id, release, this.options.nowMs());
    // A release that goes back to an image that is stored already needs no upload.
    if (stored.images.every(({ name }) => this.sizes.has(name))) this.setReady(stored);
    await this.save(stored);
    return stored;
  }

  /** Stores an image of the release; refused unless its digest is one that was signed. */
  async addImage(id: string, source: ByteSource): Promise<StoredRelease> {
    const release = this.get(id);
    const sizeMax = Math.max(...release.images.map(({ size }) => size));
    const blob = await this.store(source, 'bin', sizeMax);
    const isSigned = release.images.some(({ name }) => name === blob.name);
    if (!isSigned) {
      await this.discard(blob);
      const expected = release.images.map(({ name }) => name.slice(0, 64)).join(' or ');
      const message = `expected SHA-256 ${expected}, got ${blob.sha256}`;
      const detail = 'the image is not the one that the envelope was signed for';
      throw new Problem(422, 'wrong-image', detail, [{ path: 'image', message }]);
    }
    this.sizes.set(blob.name, blob.size);
    if (release.images.every(({ name }) => this.sizes.has(name))) this.setReady(release);
    await this.save(release);
    return release;
  }

  /** Stores a delta that was made elsewhere. Devices trust only the digest of what it makes. */
  async addDelta(id: string, source: ByteSource): Promise<OfferedDelta> {
    const release = this.get(id);
    const image = onlyImage(release);
    const blob = await this.store(source, 'delta', IMAGE_SIZE_MAX);
    try {
      const header = await buffer(
        this.options.blobs.read(blob.name, 0, Math.min(blob.size, DELTA_HEADER_SIZE)),
      );
      const isDelta =
        header.length === DELTA_HEADER_SIZE &&
        header.toString('latin1', 0, 4) === DELTA_MAGIC &&
        header.readUInt32LE(4) === image.size;
      if (!isDelta) {
        const detail = `expected a delta file that makes ${image.size} bytes`;
        throw new Problem(422, 'wrong-delta', detail);
      }
      const base = new Uint8Array(header.subarray(12, 44));
      return await this.saveDelta(release, { base, name: blob.name, size: blob.size });
    } catch (error) {
      await this.discard(blob);
      throw error;
    }
  }

  /** The two images that a delta would be between; a Problem where it cannot be made. */
  checkDelta(id: string, fromId: string): { release: StoredRelease; from: StoredRelease } {
    const [release, from] = [this.get(id), this.get(fromId)];
    for (const { id: name, ready } of [release, from]) {
      if (!ready) throw new Problem(409, 'no-image', `upload the image of ${name} first`);
    }
    if (onlyImage(release).name === onlyImage(from).name) {
      throw new Problem(409, 'same-image', `${release.id} and ${from.id} are the same image`);
    }
    const large = [release, from].find((each) => onlyImage(each).size > DELTA_IMAGE_SIZE_MAX);
    if (large !== undefined) {
      const detail = `${large.id} is larger than the ${DELTA_IMAGE_SIZE_MAX} bytes that deltas go up to`;
      throw new Problem(409, 'too-large-for-delta', detail);
    }
    return { release, from };
  }

  /** Makes the delta from an earlier release to this one, in a thread of its own. */
  async makeDelta(id: string, fromId: string): Promise<OfferedDelta> {
    const { from, release } = this.checkDelta(id, fromId);
    const [target, base] = [onlyImage(release), onlyImage(from)];
    const { blobs } = this.options;
    release.deltasInWork.add(from.id);
    try {
      const [baseBytes, targetBytes] = await Promise.all(
        [base, target].map(({ name, size }) => buffer(blobs.read(name, 0, size))),
      );
      const delta = await encodeDeltaApart(baseBytes!, targetBytes!);
      const blob = await this.store(delta, 'delta', delta.length);
      const digest = new Uint8Array(Buffer.from(base.name.slice(0, 64), 'hex'));
      return await this.saveDelta(release, { base: digest, name: blob.name, size: blob.size });
    } finally {
      release.deltasInWork.delete(from.id);
    }
  }

  private add(id: string, signed: Release, createdMs: number): StoredRelease {
    const images = new Map(signed.images.map(({ size, uri }) => [uri, { name: uri, size }]));
    const release: StoredRelease = {
      id,
      createdMs,
      signed,
      version: signed.version,
      envelope: signed.envelope,
      ready: false,
      images: [...images.values()],
      deltas: [],
      deltasInWork: new Set(),
    };
    this.byId.set(id, release);
    return release;
  }

  private setReady(release: StoredRelease): void {
    release.ready = true;
    for (const { name, size } of release.images) this.sizes.set(name, size);
  }

  private setDelta(release: StoredRelease, delta: OfferedDelta): void {
    const at = release.deltas.findIndex(({ base }) => isSameBytes(base, delta.base));
    if (at >= 0) release.deltas.splice(at, 1);
    release.deltas.push(delta);
    this.sizes.set(delta.name, delta.size);
  }

  private async saveDelta(release: StoredRelease, delta: OfferedDelta): Promise<OfferedDelta> {
    const { journal } = this.options;
    if (release.deltas.length >= DELTA_COUNT_MAX) {
      const detail = `expected at most ${DELTA_COUNT_MAX} deltas to one release`;
      throw new Problem(409, 'too-many-deltas', detail);
    }
    this.setDelta(release, delta);
    const { base, name, size } = delta;
    journal.pending.deltas.push({ release: release.id, base, name, size });
    await journal.flushed();
    return delta;
  }

  private async save({ createdMs, envelope, id, ready }: StoredRelease): Promise<void> {
    const { journal } = this.options;
    const row = { id, envelope, created_ms: createdMs, ready: ready ? 1 : 0 };
    journal.pending.releases.set(id, row);
    await journal.flushed();
  }

  private async store(
    source: ByteSource,
    kind: 'bin' | 'delta',
    sizeMax: number,
  ): Promise<StoredBlob> {
    try {
      return await this.options.blobs.write(asStream(source), kind, sizeMax);
    } catch (error) {
      if (error instanceof BlobTooLarge) {
        throw new Problem(413, 'upload-too-large', `expected at most ${sizeMax} bytes`);
      }
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code === 'ENOSPC') {
        throw new Problem(
          507,
          'out-of-space',
          'the disk of the server is full; nothing was stored',
        );
      }
      if (CUT.includes(code)) {
        throw new Problem(400, 'upload-cut', 'the upload ended early; nothing was stored');
      }
      throw error;
    }
  }

  /** Removes what was refused, unless some release has the same bytes. */
  private async discard({ name }: StoredBlob): Promise<void> {
    if (!this.sizes.has(name)) await this.options.blobs.remove(name);
  }
}

function onlyImage({ id, images }: StoredRelease): OfferedBlob {
  if (images.length === 1) return images[0]!;
  throw new Problem(
    409,
    'two-images',
    `${id} has an image for each slot: deltas are for one alone`,
  );
}

function refusal(reason: string): { path: string; message: string }[] {
  return [{ path: 'envelope', message: reason }];
}

async function* asStream(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (source instanceof Uint8Array) yield source;
  else yield* source;
}
