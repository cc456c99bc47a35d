// Gets one image into the slot: which source, from where on, when to try again, when to give up.
// What is in the slot afterwards is the caller's to verify: nothing here is trusted.

import { pauseMs } from '../backoff.ts';
import { isSameBytes } from '../codec/bytes.ts';
import { type Firmware, type Platform, PowerLoss } from '../platform.ts';
import { claim } from './claim.ts';
import { DeltaStream } from './delta-stream.ts';
import { Download, type DownloadOwner } from './download.ts';
import type { Source } from './offer.ts';
import { isHttpUrl } from './open-request.ts';
import { pageSize, SlotWriter } from './slot-writer.ts';
import type { UpdateProfile } from './update-profile.ts';
import type { UpdateRecord } from './update-state.ts';

/** Shortest pause before a repetition, ms (full jitter, doubling). */
export const RETRY_MS_MIN = 1000;
/** Failures in a row after which the server is asked again for sources. */
const FAILURES_PER_CHECK = 3;
/** Times that progress is stored in a download, about. */
const PROGRESS_COUNT = 16;
const DIGEST_SIZE = 32;
/** Faults of the moment or of the token, which another source would have too. */
const TRANSIENT = ['status 401', 'status 408', 'status 421', 'status 425', 'status 429'];

export interface FetchOwner<Owner> {
  readonly platform: Platform;
  readonly profile: UpdateProfile<Owner>;
  readonly record: UpdateRecord;
  readonly token: string;
  /** The image is in the slot, as far as can be told. */
  onFetched(): void;
  /** It is given up, for good. */
  onFetchFailed(reason: string): void;
  /** It waits for `supply` with fresh sources, not before `dueMs`. */
  onFetchBlocked(dueMs: number): void;
  /** Conditions do not allow it now: `close` it. */
  onFetchPaused(): void;
  /** `dueMs` has changed. */
  onFetchDue(): void;
  mayDownload(): boolean;
}

export class ImageFetch<Owner> implements DownloadOwner {
  private readonly owner: FetchOwner<Owner>;
  private readonly writer: SlotWriter;
  private readonly page: Uint8Array;
  private readonly imageSize: number;
  private readonly progressStep: number;
  private download: Download | undefined = undefined;
  private source: Source | undefined = undefined;
  /** Between the source and the writer, where the source is a delta. */
  private delta: DeltaStream | undefined = undefined;
  private sources: readonly Source[] = [];
  /** When the next request is due; Infinity = none waits. */
  private retryMs = Number.POSITIVE_INFINITY;
  /** Failures since the slot last grew by a sector. */
  private failureCount = 0;
  private grownTo = 0;
  /** Times that the download began anew. */
  private restartCount = 0;
  /** Bytes of the present download that the record counts. */
  private byteCountSaved = 0;

  /** Takes over `page`, a claimed view of `pageSize(slot)` bytes, until `close`. */
  constructor(owner: FetchOwner<Owner>, imageSize: number, page: Uint8Array) {
    const { platform, record } = owner;
    const slot = (platform.firmware as NonNullable<Platform['firmware']>).slot;
    this.owner = owner;
    this.imageSize = imageSize;
    this.page = page;
    this.writer = new SlotWriter(slot, imageSize, page);
    const { sectorSize } = slot;
    this.progressStep = Math.ceil(imageSize / PROGRESS_COUNT / sectorSize) * sectorSize;
    this.writer.begin(record.progress);
    this.grownTo = record.progress;
  }

  get dueMs(): number {
    const { download } = this;
    return download !== undefined && download.isRunning ? download.dueMs : this.retryMs;
  }

  /** Begins, or goes on, with these sources. */
  supply(sources: readonly Source[]): void {
    this.sources = sources;
    const source = this.choose();
    if (source === undefined) {
      this.owner.onFetchFailed('no source');
      return;
    }
    const before = this.source;
    const isSame =
      before !== undefined &&
      before.size === source.size &&
      (before.base === undefined) === (source.base === undefined);
    this.source = source;
    if (!isSame && !this.open(source)) this.takeFull();
    else if (!(this.download as Download).isRunning) this.request();
  }

  tick(nowMs: number): void {
    const { download } = this;
    if (download !== undefined && download.isRunning) {
      download.tick(nowMs);
    } else if (nowMs >= this.retryMs) {
      this.request();
    }
  }

  /** Ends what runs, keeps the progress and gives the memory back. */
  close(): void {
    this.countBytes();
    if (this.download !== undefined) this.download.close();
    this.download = undefined;
    this.releaseDelta();
    this.owner.platform.memory.release(this.page);
  }

  onDownloadBytes(bytes: Uint8Array, start: number, end: number): string | undefined {
    const { delta, owner, writer } = this;
    const code =
      delta === undefined ? writer.write(bytes, start, end) : delta.push(bytes, start, end);
    if (code !== undefined) return code;
    if (writer.durable - owner.record.progress >= this.progressStep) this.saveProgress();
    return undefined;
  }

  onDownloadRestart(): void {
    const { platform, record } = this.owner;
    this.restartCount += 1;
    this.writer.begin(0);
    this.grownTo = 0;
    const { delta, download } = this;
    if (delta !== undefined) delta.begin(0);
    if (download !== undefined) download.end = download.size;
    if (record.progress === 0) return;
    // Before the first sector is erased: a resume must not take it for whole.
    record.restart();
    record.save(platform.settings);
  }

  onDownloadEnd(reason?: string): void {
    this.saveProgress();
    if (reason === undefined) {
      this.endRange();
    } else if (reason === 'paused') {
      this.owner.onFetchPaused();
    } else {
      this.fail(reason);
    }
  }

  onDownloadCorrupt(code: string): void {
    this.restart();
    if (this.delta === undefined) this.fail(code);
    else this.takeFull();
  }

  onDownloadDue(): void {
    this.owner.onFetchDue();
  }

  mayDownload(): boolean {
    return this.owner.mayDownload();
  }

  /** A delta from the running image, or else the whole image. */
  private choose(): Source | undefined {
    const { platform, record } = this.owner;
    const { digest, running } = platform.firmware as Firmware;
    let full: Source | undefined;
    for (let index = 0; index < this.sources.length; index += 1) {
      const source = this.sources[index] as Source;
      if (source.base === undefined) {
        if (source.size === this.imageSize) full = source;
      } else if (running !== undefined && !record.needsFull && source.size < this.imageSize) {
        if (isSameDigest(source.base, digest)) return source;
      }
    }
    return full;
  }

  /**
   * Makes ready to read `source`, going on with what is durable in the slot. False where there is
   * not enough memory for a delta.
   */
  private open(source: Source): boolean {
    const { platform, profile, record } = this.owner;
    const { running, slot } = platform.firmware as Firmware;
    this.countBytes();
    this.byteCountSaved = 0;
    this.releaseDelta();
    if (this.download !== undefined) this.download.close();
    const download = new Download(platform, source.size, profile.bytesPerSMin, this);
    this.download = download;
    let address = this.writer.durable;
    if (source.base !== undefined && running !== undefined && address < this.imageSize) {
      this.delta = this.openDelta(running);
      if (this.delta === undefined) return false;
      address = this.delta.resumeAt(address, slot.sectorSize);
      download.end = Math.min(source.size, this.delta.begin(address));
    } else {
      download.offset = address;
    }
    this.writer.begin(address);
    const kind = this.etagKind;
    if (address > 0 && record.etag.charAt(0) === kind) download.etag = record.etag.substring(1);
    if (address < record.progress) {
      record.progress = address;
      record.save(platform.settings);
    }
    return true;
  }

  /** Before the stored ETag: which source it is of. */
  private get etagKind(): string {
    return this.delta === undefined ? 'f' : 'd';
  }

  /** Undefined where there is not enough memory. */
  private openDelta(running: NonNullable<Firmware['running']>): DeltaStream | undefined {
    try {
      return new DeltaStream(this.owner.platform, running, this.writer, this.imageSize);
    } catch (error) {
      if (error instanceof PowerLoss) throw error;
      return undefined;
    }
  }

  private releaseDelta(): void {
    if (this.delta !== undefined) this.delta.release();
    this.delta = undefined;
  }

  /** Deltas will not do: goes on with the whole image. */
  private takeFull(): void {
    const { platform, record } = this.owner;
    record.needsFull = true;
    record.save(platform.settings);
    this.supply(this.sources);
  }

  private request(): void {
    const { owner, source, writer } = this;
    this.retryMs = Number.POSITIVE_INFINITY;
    if (source === undefined || this.download === undefined) return;
    if (writer.written === this.imageSize) {
      owner.onFetched();
      return;
    }
    if (!owner.mayDownload()) {
      owner.onFetchPaused();
      return;
    }
    const { profile } = owner;
    const url = isHttpUrl(source.url) ? source.url : profile.url + source.url;
    // The token is for this server only.
    const isOwn = url.indexOf(`${profile.url}/`) === 0;
    this.download.start(url, isOwn ? owner.token : undefined, profile.tls);
  }

  /** All that was asked for came: the image, or of a delta what says where to go on. */
  private endRange(): void {
    const { delta, writer } = this;
    const download = this.download as Download;
    if (download.end < download.size && delta !== undefined) {
      const { bodyOffset } = delta;
      if (bodyOffset > 0 && bodyOffset < download.size) {
        download.offset = bodyOffset;
        download.end = download.size;
        this.request();
      } else {
        this.onDownloadCorrupt('corrupt');
      }
      return;
    }
    const code = delta === undefined ? undefined : delta.finish();
    if (code !== undefined) this.onDownloadCorrupt(code);
    else if (writer.programmed === this.imageSize) this.owner.onFetched();
    else this.onDownloadCorrupt('truncated');
  }

  private restart(): void {
    this.onDownloadRestart();
    if (this.download === undefined) return;
    this.download.etag = '';
    this.download.offset = 0;
  }

  private fail(reason: string): void {
    const { owner, writer } = this;
    const { platform, profile } = owner;
    if (writer.durable > this.grownTo) {
      this.grownTo = writer.durable;
      this.failureCount = 0;
    }
    this.failureCount += 1;
    if (reason === 'changed') this.restart();
    if (this.delta !== undefined && isOfSource(reason)) {
      this.takeFull();
      return;
    }
    const countMax = profile.downloadAttemptsMax;
    if (this.failureCount >= countMax || this.restartCount >= countMax) {
      owner.onFetchFailed(`download: ${reason}`);
      return;
    }
    const nowMs = platform.clock.monotonicMs();
    const isFirst = this.failureCount === 1;
    if (reason === 'forbidden' && isFirst) {
      owner.onFetchBlocked(nowMs);
      return;
    }
    const dueMs =
      nowMs + pauseMs(platform, RETRY_MS_MIN, profile.retryMsMax, this.failureCount - 1);
    const asks = reason === 'forbidden' || this.failureCount % FAILURES_PER_CHECK === 0;
    if (asks) {
      owner.onFetchBlocked(dueMs);
    } else {
      this.retryMs = dueMs;
      owner.onFetchDue();
    }
  }

  private countBytes(): void {
    if (this.download === undefined) return;
    this.owner.record.byteCount += this.download.byteCount - this.byteCountSaved;
    this.byteCountSaved = this.download.byteCount;
  }

  private saveProgress(): void {
    const { platform, record } = this.owner;
    const { download, writer } = this;
    this.countBytes();
    if (writer.durable === record.progress) return;
    if (download !== undefined) record.etag = this.etagKind + download.etag;
    record.progress = writer.durable;
    record.save(platform.settings);
  }
}

/** Undefined where there is no room for its work memory now: the next check tries again. */
export function openFetch<Owner>(
  owner: FetchOwner<Owner>,
  imageSize: number,
): ImageFetch<Owner> | undefined {
  const { platform } = owner;
  const { slot } = platform.firmware as Firmware;
  const page = claim(platform, pageSize(slot));
  return page === undefined ? undefined : new ImageFetch<Owner>(owner, imageSize, page);
}

/** The source is not there, or not what was told; a server that asks to wait (429) has it. */
function isOfSource(reason: string): boolean {
  const isStatus = reason.indexOf('status 4') === 0 && TRANSIENT.indexOf(reason) < 0;
  return reason === 'wrong-size' || reason === 'bad-url' || isStatus;
}

/** True when two digests are the same. */
export function isSameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === DIGEST_SIZE && isSameBytes(a, b);
}
