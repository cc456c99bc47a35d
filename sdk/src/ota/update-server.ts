// The update server as one device sees it: a check or a report at a time, when each is due, and
// how long to wait after one that failed.

import { pauseMs } from '../backoff.ts';
import type { Platform } from '../platform.ts';
import { claim } from './claim.ts';
import { Exchange, type ExchangeOwner } from './exchange.ts';
import { ANSWER_SIZE_MAX, encodeDocument } from './offer.ts';
import type { UpdateProfile } from './update-profile.ts';
import type { UpdateRecord, UpdateStage } from './update-state.ts';

/** Bounds on the poll interval that a server may ask for, ms. */
export const POLL_MS_MIN = 10000;
export const POLL_MS_MAX = 7 * 24 * 3600 * 1000;
/** Failed reports in a row after which checks no longer wait for them. */
export const REPORT_ATTEMPTS_MAX = 5;
/** Share of the poll interval by which a check comes earlier or later. */
const POLL_JITTER = 0.1;
/** Shortest pause after a check or report that failed, ms (full jitter, doubling). */
const RETRY_MS_MIN = 5000;
/** Bytes of the answer to a report: a problem document, unread. */
const REPORT_ANSWER_SIZE_MAX = 512;

export interface ServerOwner<Owner> {
  readonly id: string;
  readonly platform: Platform;
  readonly profile: UpdateProfile<Owner>;
  readonly record: UpdateRecord;
  readonly token: string;
  /** What a check tells of the device. */
  checkBody(nowMs: number): Uint8Array;
  /** Takes answer[0, size); false when it makes no sense. */
  onCheckAnswer(answer: Uint8Array, size: number, roundTripMs: number): boolean;
  /** A check is over, whatever came of it. */
  onCheckEnd(isGood: boolean): void;
  /** A report is over; `isAcknowledged` also where the server will never take it. */
  onReportEnd(isAcknowledged: boolean): void;
}

export class UpdateServer<Owner> implements ExchangeOwner {
  /** Monotonic ms at which the next of its kind is due; Infinity = none is. */
  checkDueMs = Number.POSITIVE_INFINITY;
  reportDueMs = Number.POSITIVE_INFINITY;
  /** An exchange has succeeded since the boot. */
  wasHeard = false;
  checkCount = 0;
  checkFailedCount = 0;
  /** Reports that the server refused for good. */
  reportLostCount = 0;
  /** Failed checks in a row. */
  failuresInRow = 0;
  /** Longest pause after a failure, ms. */
  retryMsMax: number;
  private readonly owner: ServerOwner<Owner>;
  private pollMs: number;
  private exchange: Exchange | undefined = undefined;
  /** The report under way; '' = it is a check. */
  private reporting: UpdateStage | '' = '';
  private reportFailures = 0;

  constructor(owner: ServerOwner<Owner>) {
    this.owner = owner;
    this.pollMs = owner.profile.pollMs;
    this.retryMsMax = owner.profile.retryMsMax;
  }

  get isBusy(): boolean {
    return this.exchange !== undefined;
  }

  /** When the exchange under way is given up. */
  get timeoutMs(): number {
    return this.exchange === undefined ? Number.POSITIVE_INFINITY : this.exchange.dueMs;
  }

  tick(nowMs: number): void {
    if (this.exchange !== undefined && this.exchange.dueMs <= nowMs) {
      this.onExchange(this.exchange, 'timeout');
    }
  }

  close(): void {
    if (this.exchange !== undefined) this.exchange.release();
    this.exchange = undefined;
  }

  /** The next poll is due after the server's interval, or `msMax` if that is less. */
  planCheck(nowMs: number): void {
    const jitter = (this.owner.platform.random() / 4294967296) * 2 * POLL_JITTER;
    this.checkDueMs = nowMs + Math.floor(this.pollMs * (1 - POLL_JITTER + jitter));
  }

  setPoll(pollMs: number): void {
    this.pollMs = Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, pollMs));
  }

  sendCheck(nowMs: number): void {
    this.checkCount += 1;
    this.checkDueMs = Number.POSITIVE_INFINITY;
    this.reporting = '';
    const body = this.owner.checkBody(nowMs);
    if (!this.post('check', body, ANSWER_SIZE_MAX)) this.endCheck(false);
  }

  /** Sends what the record says that the server does not know. */
  sendReport(): void {
    const { record } = this.owner;
    const { reportStage } = record;
    this.reportDueMs = Number.POSITIVE_INFINITY;
    if (reportStage === '') return;
    this.reporting = reportStage;
    const body = encodeDocument({
      rollout: record.rollout,
      attempt: record.attempt,
      stage: reportStage,
      reason: record.reportReason === '' ? undefined : record.reportReason,
      version: record.version === '' ? undefined : record.version,
      bytes: record.byteCount,
    });
    if (!this.post('report', body, REPORT_ANSWER_SIZE_MAX)) this.endReport(0);
  }

  onExchange(exchange: Exchange, reason?: string): void {
    const { answer, roundTripMs, size, status } = exchange;
    const isWhole = reason === undefined;
    if (this.reporting !== '') {
      // Of 2xx the one that our server says.
      if (status === 204) this.wasHeard = true;
      this.close();
      // An answer that is too large to hold, or cut: its status says enough.
      this.endReport(status);
      return;
    }
    const isGood = isWhole && status === 200 && this.owner.onCheckAnswer(answer, size, roundTripMs);
    // A page of somebody else's on the way (a captive portal) is not the server.
    if (isGood) this.wasHeard = true;
    this.close();
    this.endCheck(isGood);
  }

  private post(path: string, body: Uint8Array, answerSizeMax: number): boolean {
    const { id, platform, profile, token } = this.owner;
    const answer = claim(platform, answerSizeMax);
    if (answer === undefined) return false;
    const exchange = new Exchange(platform, answer, this);
    this.exchange = exchange;
    const url = `${profile.url}/v1/devices/${id}/${path}`;
    if (exchange.post(url, token, body, profile.tls)) return true;
    this.close();
    return false;
  }

  private endCheck(isGood: boolean): void {
    const nowMs = this.owner.platform.clock.monotonicMs();
    if (isGood) {
      this.failuresInRow = 0;
      // A notification that came meanwhile stands.
      if (this.checkDueMs === Number.POSITIVE_INFINITY) this.planCheck(nowMs);
    } else {
      this.checkFailedCount += 1;
      this.checkDueMs = nowMs + this.pause(this.failuresInRow);
      this.failuresInRow += 1;
    }
    this.owner.onCheckEnd(isGood);
  }

  private endReport(status: number): void {
    const { record } = this.owner;
    const isTaken = status >= 200 && status < 300;
    const isFinal = isTaken || isRefusal(status);
    const isNewest = this.reporting === record.reportStage;
    this.reporting = '';
    if (isFinal) {
      this.reportFailures = 0;
      if (!isTaken) this.reportLostCount += 1;
      if (isNewest) record.report('', '');
    } else {
      const nowMs = this.owner.platform.clock.monotonicMs();
      this.reportDueMs = nowMs + this.pause(this.reportFailures);
      this.reportFailures += 1;
    }
    this.owner.onReportEnd(isFinal);
  }

  /** Checks wait for a report that is due. */
  get isReportFirst(): boolean {
    return this.reportDueMs < Number.POSITIVE_INFINITY && this.reportFailures < REPORT_ATTEMPTS_MAX;
  }

  private pause(failureCount: number): number {
    const { platform } = this.owner;
    // Half of it at least: a server in trouble is not asked at once.
    return RETRY_MS_MIN / 2 + pauseMs(platform, RETRY_MS_MIN, this.retryMsMax, failureCount);
  }
}

/** The server has read the report and will never take it: to send it again is no use. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && [401, 403, 408, 421, 425, 429].indexOf(status) < 0;
}
