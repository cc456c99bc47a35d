// The update client: asks the server, gets what it offers into the inactive slot, has it tried at
// the next boot, and keeps it or gives it up there. docs/ota-device.md has the states and what
// survives a power cut at each.
//
// Sans-IO: driven by `start`, `tick` and `checkNow` of its owner and by the platform's HTTP
// handlers. One exchange at a time, and a report that is not acknowledged goes before a check.

import type { Firmware, Platform } from '../platform.ts';
import { type FetchOwner, type ImageFetch, isSameDigest, openFetch } from './image-fetch.ts';
import { ManifestFields } from './manifest.ts';
import { encodeDocument, type Offer, readOffer, type Source, sourcesFor } from './offer.ts';
import { SlotDigest } from './slot-digest.ts';
import { confirmed, countReset, recallBoot } from './update-boot.ts';
import { deferMs, lowestTimeS } from './update-conditions.ts';
import { isKnownFailure, readEnvelope } from './update-judge.ts';
import { UpdateCounters, type UpdateOwner, type UpdateState } from './update-owner.ts';
import type { UpdateProfile } from './update-profile.ts';
import { type ServerOwner, UpdateServer } from './update-server.ts';
import {
  PHASE_CONFIRMED,
  PHASE_DOWNLOADING,
  PHASE_FAILED,
  PHASE_REJECTED,
  PHASE_STAGED,
  PHASE_VERIFIED,
  UpdateRecord,
  type UpdateStage,
} from './update-state.ts';
import { Trial } from './update-trial.ts';

/** First check after a boot within this time, ms, or `pollMs`, if that is less. */
export const FIRST_CHECK_MS_MAX = 60000;
/** Times that one image is staged: more than one only after power cuts. */
export const STAGE_COUNT_MAX = 3;
/** Downloads of one image whose digest was wrong, after which it is given up. */
export const WRONG_DIGEST_COUNT_MAX = 3;
/** A restart that did not happen is asked for again after this time, ms. */
const RESTART_MS_MAX = 60000;
/** Longest pause between two reports in a trial, ms: it waits for the network. */
const TRIAL_RETRY_MS_MAX = 60000;
const DIGEST_SIZE = 32;

export type { UpdateOwner, UpdateState } from './update-owner.ts';

export class Updater<Owner extends UpdateOwner> implements ServerOwner<Owner>, FetchOwner<Owner> {
  state: UpdateState = 'idle';
  readonly id: string;
  readonly platform: Platform;
  readonly profile: UpdateProfile<Owner>;
  readonly record = new UpdateRecord();
  readonly counters = new UpdateCounters();
  readonly server: UpdateServer<Owner>;
  private readonly owner: Owner;
  private fetch: ImageFetch<Owner> | undefined = undefined;
  private sources: readonly Source[] = [];
  private slotDigest: SlotDigest | undefined = undefined;
  private trial: Trial<Owner> | undefined = undefined;
  private imageSize = 0;
  private wrongDigestCount = 0;
  /** When the next step of the present state is due. */
  private stepDueMs = Number.POSITIVE_INFINITY;
  /** The report of the present state was tried: its work may begin. */
  private isTold = false;
  private isStarted = false;
  private startMs = 0;

  constructor(owner: Owner, profile: UpdateProfile<Owner>) {
    this.owner = owner;
    this.id = owner.id;
    this.platform = owner.platform;
    this.profile = profile;
    this.server = new UpdateServer<Owner>(this);
  }

  /** True while there is more to do than to wait for the next check. */
  get isBusy(): boolean {
    return this.state !== 'idle' || this.server.isBusy;
  }

  /** The monotonic ms at which `tick` is wanted next; Infinity = never. */
  get nextDeadlineMs(): number {
    if (!this.isStarted) return Number.POSITIVE_INFINITY;
    const { server, state } = this;
    let dueMs = this.trial === undefined ? Number.POSITIVE_INFINITY : this.trial.dueMs;
    if (server.isBusy) return Math.min(dueMs, server.timeoutMs);
    dueMs = Math.min(dueMs, this.stepDueMs);
    if (state === 'downloading') {
      const fetchMs = this.fetch === undefined ? dueMs : this.fetch.dueMs;
      return Math.min(dueMs, fetchMs, server.checkDueMs);
    }
    if (state !== 'idle' && state !== 'trial') return dueMs;
    return Math.min(dueMs, server.reportDueMs, this.checkDueMs);
  }

  get token(): string {
    const { token } = this.profile;
    return typeof token === 'string' ? token : token(this.id);
  }

  /**
   * Finds out what the last boot did, and begins to check. Does nothing on a platform without
   * `http` or `firmware`.
   */
  start(nowMs: number): void {
    const { firmware, platform, record, server } = this;
    if (firmware === undefined || platform.http === undefined) return;
    this.isStarted = true;
    this.startMs = nowMs;
    record.load(platform.settings);
    const isNews = recallBoot(record, firmware);
    const isAbnormal = record.reportStage !== 'reverted' && countReset(record, firmware);
    if (isNews || isAbnormal) record.save(platform.settings);
    if (record.reportStage !== '') {
      server.reportDueMs = nowMs;
      if (isNews) this.tell(record.reportStage, record.reportReason);
    }
    const { pollMs } = this.profile;
    const share = platform.random() / 4294967296;
    server.checkDueMs = nowMs + Math.floor(share * Math.min(pollMs, FIRST_CHECK_MS_MAX));
    if (firmware.trial) this.beginTrial(nowMs);
    this.owner.onUpdateDue();
  }

  /** Ends what runs and gives the memory back. Progress is kept. */
  stop(): void {
    this.isStarted = false;
    this.server.close();
    this.rest();
    this.trial = undefined;
  }

  /** The server has something to say: checks at once, or as soon as it can. */
  checkNow(): void {
    if (!this.isStarted || (this.state !== 'idle' && this.state !== 'checking')) return;
    this.server.failuresInRow = 0;
    this.server.checkDueMs = this.platform.clock.monotonicMs();
    this.owner.onUpdateDue();
  }

  tick(nowMs: number): void {
    if (!this.isStarted) return;
    const { server, trial } = this;
    if (trial !== undefined && trial.dueMs <= nowMs) this.stepTrial(trial, nowMs);
    if (server.isBusy) {
      server.tick(nowMs);
      return;
    }
    if (this.stepDueMs <= nowMs) {
      this.step(nowMs);
      return;
    }
    const isWaiting = this.state === 'idle' || this.state === 'trial';
    if (isWaiting && server.reportDueMs <= nowMs) server.sendReport();
    else if (isWaiting && this.checkDueMs <= nowMs) this.check(nowMs);
    else if (this.state === 'downloading') this.tickFetch(nowMs);
  }

  // What the server said.

  checkBody(nowMs: number): Uint8Array {
    const { firmware, record } = this;
    return encodeDocument({
      version: firmware.version,
      digest: firmware.digest,
      sequence: record.sequence,
      uptimeS: Math.floor((nowMs - this.startMs) / 1000),
      abnormalResets: record.abnormalResets,
      class: this.profile.classId,
      failed: record.phase === PHASE_FAILED ? record.version || undefined : undefined,
    });
  }

  onCheckAnswer(answer: Uint8Array, size: number, roundTripMs: number): boolean {
    const offer = readOffer(answer, size);
    if (offer === undefined) return false;
    const { platform, record, server } = this;
    if (offer.nowMs > 0) {
      platform.clock.adjust(offer.nowMs + roundTripMs / 2, Math.max(1, roundTripMs / 2));
    }
    record.raiseFloor(lowestTimeS(platform), platform.settings);
    if (offer.pollS > 0) server.setPoll(offer.pollS * 1000);
    if (this.state === 'trial') return true;
    if (!offer.hasUpdate) {
      this.rest();
      return true;
    }
    const fields = new ManifestFields();
    const code = readEnvelope(platform, this.profile, record, answer, offer, fields);
    if (isKnownFailure(record, offer, fields, code)) this.rest();
    else if (code !== undefined) this.refuse(offer, code);
    else this.take(offer, fields);
    return true;
  }

  onCheckEnd(isGood: boolean): void {
    if (this.state === 'checking') this.state = 'idle';
    const { server } = this;
    // Without the server a download rests; its progress is kept.
    const isLost = !isGood && server.failuresInRow >= this.profile.downloadAttemptsMax;
    if (isLost && this.state === 'downloading') this.rest();
    this.owner.onUpdateDue();
  }

  onReportEnd(isAcknowledged: boolean): void {
    const { platform, record, state } = this;
    const isEnd = state === 'idle' || state === 'trial';
    // Between two stages the next one saves it too; a stage told twice counts once.
    if (isAcknowledged && isEnd) record.saveReport(platform.settings);
    if (!isEnd) {
      this.isTold = true;
      this.stepDueMs = platform.clock.monotonicMs();
    }
    this.owner.onUpdateDue();
  }

  // The download's events.

  onFetched(): void {
    this.closeFetch();
    this.enter('downloaded', '');
  }

  onFetchFailed(reason: string): void {
    this.settle('failed', reason);
  }

  onFetchBlocked(dueMs: number): void {
    this.server.checkDueMs = dueMs;
    this.owner.onUpdateDue();
  }

  onFetchPaused(): void {
    this.defer();
  }

  onFetchDue(): void {
    this.owner.onUpdateDue();
  }

  mayDownload(): boolean {
    return deferMs(this.platform, this.profile) === 0;
  }

  // Offers.

  private refuse(offer: Offer, code: string): void {
    this.counters.refused += 1;
    this.begin(offer, offer.version);
    this.settle('failed', `manifest: ${code}`);
  }

  private take(offer: Offer, fields: ManifestFields): void {
    const { firmware, record } = this;
    const isRunning = isSameDigest(fields.digest, firmware.digest);
    const isSameOffer = offer.rollout === record.rollout && offer.attempt === record.attempt;
    if (isRunning && isSameOffer && record.phase === PHASE_CONFIRMED) {
      // The server has missed the report, or it is on its way.
      record.report('confirmed', '');
      this.server.reportDueMs = this.platform.clock.monotonicMs();
      return;
    }
    if (!isRunning && !this.mayDownload()) {
      this.defer();
      return;
    }
    const isOpen = record.phase === PHASE_DOWNLOADING || record.phase === PHASE_VERIFIED;
    const isSame = isOpen && isSameDigest(record.digest, fields.digest);
    const isNew = !isSame || !isSameOffer;
    if (isNew) {
      this.closeFetch();
      const { etag, progress } = record;
      this.begin(offer, fields.version);
      record.digest = fields.digest;
      record.newSequence = fields.sequence;
      if (isSame) {
        record.progress = progress;
        record.etag = etag;
      }
    }
    if (isRunning) {
      // It came there by other means.
      confirmed(record);
      this.settle('confirmed', '');
      return;
    }
    this.imageSize = fields.size;
    this.sources = sourcesFor(offer, fields.uri);
    if (isNew) {
      record.phase = PHASE_DOWNLOADING;
      this.enter('downloading', fields.timeUnknown ? 'time-unknown' : '');
    } else {
      this.state = 'downloading';
      this.isTold = true;
      this.stepDueMs = this.platform.clock.monotonicMs();
    }
  }

  private begin(offer: Offer, version: string): void {
    const { record } = this;
    if (record.reportStage !== '') this.counters.reportsReplaced += 1;
    this.wrongDigestCount = 0;
    record.begin(offer.rollout, offer.attempt, version);
  }

  /** Window or battery do not allow it now. */
  private defer(): void {
    const { platform, profile, server } = this;
    const nowMs = platform.clock.monotonicMs();
    this.counters.deferred += 1;
    this.rest();
    server.planCheck(nowMs);
    server.checkDueMs = Math.min(server.checkDueMs, nowMs + deferMs(platform, profile));
    this.owner.onUpdateDue();
  }

  // The steps of an update.

  private get firmware(): Firmware {
    return this.platform.firmware as Firmware;
  }

  /** When a check is due that need not wait for a report. */
  private get checkDueMs(): number {
    return this.server.isReportFirst ? Number.POSITIVE_INFINITY : this.server.checkDueMs;
  }

  private check(nowMs: number): void {
    if (this.state === 'idle') this.state = 'checking';
    this.server.sendCheck(nowMs);
  }

  private tickFetch(nowMs: number): void {
    if (this.server.checkDueMs <= nowMs) this.server.sendCheck(nowMs);
    else if (this.fetch !== undefined) this.fetch.tick(nowMs);
  }

  /** Begins a stage: it is saved and reported before its work. */
  private enter(stage: UpdateState & UpdateStage, reason: string): void {
    const { clock, settings } = this.platform;
    this.state = stage;
    this.record.report(stage, reason);
    this.record.save(settings);
    this.tell(stage, reason);
    this.isTold = false;
    this.stepDueMs = clock.monotonicMs();
    this.owner.onUpdateDue();
  }

  /** The update is over, for better or worse. */
  private settle(stage: 'confirmed' | 'failed', reason: string): void {
    const { platform, record, server } = this;
    this.rest();
    if (stage === 'failed') record.phase = PHASE_FAILED;
    record.report(stage, reason);
    record.save(platform.settings);
    this.tell(stage, reason);
    server.reportDueMs = platform.clock.monotonicMs();
    if (server.checkDueMs === Number.POSITIVE_INFINITY) server.planCheck(server.reportDueMs);
    this.owner.onUpdateDue();
  }

  private tell(stage: UpdateStage, reason: string): void {
    if (this.owner.onUpdateStage !== undefined) this.owner.onUpdateStage(stage, reason);
  }

  private rest(): void {
    this.closeFetch();
    this.slotDigest = undefined;
    this.stepDueMs = Number.POSITIVE_INFINITY;
    this.state = 'idle';
  }

  private closeFetch(): void {
    if (this.fetch !== undefined) this.fetch.close();
    this.fetch = undefined;
  }

  private step(nowMs: number): void {
    this.stepDueMs = Number.POSITIVE_INFINITY;
    if (!this.isTold && this.state !== 'trial') {
      this.server.sendReport();
      return;
    }
    switch (this.state) {
      case 'downloading':
        if (this.fetch === undefined) this.fetch = openFetch<Owner>(this, this.imageSize);
        if (this.fetch === undefined) this.rest();
        else this.fetch.supply(this.sources);
        break;
      case 'downloaded':
        this.verify(nowMs);
        break;
      case 'verified':
        this.stage();
        break;
      case 'staged':
        this.enter('rebooting', '');
        break;
      case 'rebooting':
        this.stepDueMs = nowMs + RESTART_MS_MAX;
        this.firmware.restart();
        break;
      case 'trial':
        this.giveUp(this.record.reportReason);
        break;
    }
  }

  /** Reads back what is in the flash: only the signed digest counts. */
  private verify(nowMs: number): void {
    const { firmware, platform, record } = this;
    if (this.slotDigest === undefined) {
      this.slotDigest = new SlotDigest(platform, firmware.slot, this.imageSize);
    }
    const digest = new Uint8Array(DIGEST_SIZE);
    if (!this.slotDigest.step(digest)) {
      this.stepDueMs = nowMs;
      return;
    }
    this.slotDigest = undefined;
    if (isSameDigest(digest, record.digest)) {
      record.phase = PHASE_VERIFIED;
      record.stageCount += 1;
      if (record.stageCount > STAGE_COUNT_MAX) this.settle('failed', 'does not start');
      else this.enter('verified', '');
      return;
    }
    this.wrongDigestCount += 1;
    if (this.wrongDigestCount >= WRONG_DIGEST_COUNT_MAX) {
      this.settle('failed', 'wrong-digest');
      return;
    }
    record.restart();
    record.needsFull = true;
    record.save(platform.settings);
    this.state = 'downloading';
    this.stepDueMs = nowMs;
  }

  private stage(): void {
    if (!this.mayDownload()) {
      this.record.stageCount -= 1;
      this.defer();
      return;
    }
    this.firmware.stage();
    this.record.phase = PHASE_STAGED;
    this.enter('staged', '');
  }

  // The trial.

  private beginTrial(nowMs: number): void {
    const { record, server } = this;
    this.state = 'trial';
    this.trial = new Trial<Owner>(this.owner, this.profile, nowMs);
    server.retryMsMax = Math.min(server.retryMsMax, TRIAL_RETRY_MS_MAX);
    server.checkDueMs = nowMs;
    // The power went in a rejection.
    if (record.phase === PHASE_REJECTED && this.runsRecorded) this.stepDueMs = nowMs;
  }

  private get runsRecorded(): boolean {
    return isSameDigest(this.record.digest, this.firmware.digest);
  }

  private stepTrial(trial: Trial<Owner>, nowMs: number): void {
    const { record, server } = this;
    trial.hasNetwork = server.wasHeard;
    const verdict = trial.step(nowMs);
    if (verdict === 'wait') return;
    if (verdict !== 'confirm') {
      this.giveUp(verdict);
      return;
    }
    // What was confirmed and not noted yet is noted at the next boot.
    this.firmware.confirm();
    this.trial = undefined;
    this.state = 'idle';
    server.retryMsMax = this.profile.retryMsMax;
    const isPending = record.phase === PHASE_STAGED || record.phase === PHASE_VERIFIED;
    if (!isPending || !this.runsRecorded) return;
    confirmed(record);
    this.settle('confirmed', '');
  }

  /** Back to the image before: it reports why. */
  private giveUp(reason: string): void {
    const { firmware, platform, record } = this;
    this.trial = undefined;
    if (this.runsRecorded) {
      record.phase = PHASE_REJECTED;
      record.report('', reason);
      record.save(platform.settings);
    }
    this.server.close();
    this.state = 'rebooting';
    this.isTold = true;
    this.stepDueMs = platform.clock.monotonicMs() + RESTART_MS_MAX;
    firmware.reject(reason);
    firmware.restart();
  }
}
