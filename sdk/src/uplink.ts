// Buffer → MQTT: what waits goes to the server as the server takes it, and stays until it was
// taken. Live messages do not queue behind what piled up while the device was offline.

import { pauseMs } from './backoff.ts';
import { type Outbox, type OutboxOwner, PRIORITY_HIGH, type Priority } from './buffer/outbox.ts';
import { openStore } from './buffer/store.ts';
import { setBaseTime } from './codec/senml-write.ts';
import { resultBody, resultReply, resultTopic } from './commands/result.ts';
import type { Device } from './device.ts';
import {
  PUBLISH_INFLIGHT,
  PUBLISH_LATER,
  PUBLISH_TOO_LARGE,
  PUBLISH_WRITTEN,
  type PublishResult,
  type Reply,
} from './mqtt/delivery.ts';
import type { Qos } from './mqtt/packet.ts';
import {
  NOT_AUTHORIZED,
  PAYLOAD_FORMAT_INVALID,
  reasonName,
  TOPIC_NAME_INVALID,
  UNSPECIFIED_ERROR,
} from './mqtt/reason-codes.ts';

/** What a record of the buffer is. */
const TELEMETRY = 0;
/** The result of a command, as result.ts writes it. */
const RESULT = 1;
/** Telemetry from before the first estimate of the time. */
const UNTIMED = 2;

/** Why a message was dropped; beside these there are the names of the server's reason codes. */
export const BUFFER_FULL = 'buffer full';
export const LARGER_THAN_BUFFER = 'larger than the buffer';
/** Than the transmit buffer, or the server's Maximum Packet Size. */
export const LARGER_THAN_TAKEN = 'larger than the server takes (Maximum Packet Size)';

/** Session reference of messages that are made anew instead of buffered. */
const UNBUFFERED = 0;

/** First and longest pause after the server refused a message for now, in ms. */
const REFUSED_PAUSE_MS_MIN = 1000;
const REFUSED_PAUSE_MS_MAX = 60000;

export class Uplink implements OutboxOwner {
  readonly outbox: Outbox;
  private readonly device: Device;
  /** No publish before this time: the server asked for less. */
  private pausedUntilMs = 0;
  private refusedInRow = 0;
  /**
   * Messages of the backlog that may be in flight at once: one more per window taken, half as many
   * after a refusal (additive increase, multiplicative decrease: Chiu and Jain 1989).
   */
  private backlogMax = 1;
  private backlogCount = 0;

  constructor(device: Device, bytes: Uint8Array) {
    const { bufferSize, fullPolicy } = device.profile;
    this.device = device;
    this.outbox = openStore(device.platform, bytes, bufferSize, fullPolicy, this);
  }

  /** Calls `visit` with the sequence of every telemetry message that waits or is in flight. */
  forEachPending(visit: (sequence: number) => void): void {
    this.outbox.forEach((kind, sequence) => {
      if (kind !== RESULT) visit(sequence);
    });
  }

  /** The pack in scratch[0, size), of the monotonic time `scheduledMs`. */
  addPack(sequence: number, scheduledMs: number, size: number, priority: Priority): void {
    const { platform, profile } = this.device;
    const { scratch } = platform.memory;
    const timed = isFinite(platform.clock.epochMs());
    const isAlone = profile.qos === 0 && timed && this.outbox.count === 0;
    if (isAlone && this.publishNow(sequence, scheduledMs, scratch, size)) return;
    const kind = timed ? TELEMETRY : UNTIMED;
    this.outbox.append(kind, priority, sequence, scheduledMs, scratch, size);
  }

  /** The result of a command in scratch[0, size), as `writeResult` wrote it. */
  addResult(size: number): void {
    const { counters, platform } = this.device;
    const nowMs = platform.clock.monotonicMs();
    const { scratch } = platform.memory;
    this.outbox.append(RESULT, PRIORITY_HIGH, counters.commands, nowMs, scratch, size);
  }

  onRecordDropped(kind: number, sequence: number, neverFits: boolean): void {
    this.dropped(kind, sequence, neverFits ? LARGER_THAN_BUFFER : BUFFER_FULL);
  }

  private dropped(kind: number, sequence: number, cause: string): void {
    this.device.counters.dropped += 1;
    const { onDropped } = this.device.profile.events;
    if (kind !== RESULT && onDropped !== undefined) onDropped(this.device, sequence, cause);
  }

  /** A connection begins; `resumed`: the client sends again what is in flight. */
  connected(resumed: boolean): void {
    if (!resumed) this.outbox.setAllWaiting();
    this.backlogMax = 1;
    this.backlogCount = 0;
  }

  /** The monotonic ms at which `drain` is wanted next; Infinity = when something happens. */
  nextDeadlineMs(nowMs: number): number {
    return this.pausedUntilMs > nowMs ? this.pausedUntilMs : Number.POSITIVE_INFINITY;
  }

  /** Hands waiting records to the client, as long as it takes them. */
  drain(): void {
    const { device, outbox } = this;
    if (outbox.count === 0 || this.isPaused()) return;
    const { client, profile } = device;
    // One place is left for what is live.
    const placesMax = Math.max(1, profile.client.inflightMax - 1);
    const backlogMax = Math.min(placesMax, Math.floor(this.backlogMax));
    for (;;) {
      const isFull = this.backlogCount >= backlogMax;
      const at = isFull ? outbox.nextSince(client.connectedMs) : outbox.next();
      if (at < 0) return;
      const qos: Qos = outbox.kindAt(at) === RESULT ? 1 : profile.qos;
      this.settleTime(at);
      const result = client.publish(
        outbox.idAt(at),
        this.topicOf(at),
        outbox.bytes,
        this.bodyStart(at),
        outbox.payloadEnd(at),
        qos,
        false,
        this.replyOf(at),
      );
      if (result === PUBLISH_LATER) return;
      if (result === PUBLISH_TOO_LARGE) {
        this.drop(at, LARGER_THAN_TAKEN);
      } else if (result === PUBLISH_INFLIGHT) {
        if (this.isBacklog(at)) this.backlogCount += 1;
        outbox.setInflight(at);
      } else {
        // The server takes QoS 0 only: released on write, and counted.
        if (qos > 0) device.counters.unconfirmed += 1;
        this.release(at);
      }
    }
  }

  /** The server took the record, or refused it. */
  settle(reference: number, reasonCode: number): void {
    const { outbox } = this;
    const at = outbox.find(reference);
    if (at < 0) return;
    const isBacklog = this.isBacklog(at);
    if (isBacklog && this.backlogCount > 0) this.backlogCount -= 1;
    if (reasonCode < UNSPECIFIED_ERROR) {
      this.refusedInRow = 0;
      if (isBacklog) this.backlogMax += 1 / this.backlogMax;
      this.release(at);
    } else if (isFinal(reasonCode)) {
      this.device.counters.refused += 1;
      this.drop(at, reasonName(reasonCode, 5));
    } else {
      // The server cannot take it now: keep it and ask less often (full jitter, doubling).
      outbox.setWaiting(at);
      this.backlogMax = Math.max(1, this.backlogMax / 2);
      this.pausedUntilMs = this.refusedPauseEndMs();
    }
  }

  /** As `ClientOwner.resend`. */
  resend(reference: number): PublishResult {
    const { outbox } = this;
    const at = outbox.find(reference);
    if (at < 0) return PUBLISH_TOO_LARGE;
    const start = this.bodyStart(at);
    const end = outbox.payloadEnd(at);
    const { client } = this.device;
    const topic = this.topicOf(at);
    const reply = this.replyOf(at);
    const result = client.publishAgain(topic, outbox.bytes, start, end, false, reply);
    if (result === PUBLISH_TOO_LARGE) this.drop(at, LARGER_THAN_TAKEN);
    else if (result === PUBLISH_INFLIGHT && this.isBacklog(at)) this.backlogCount += 1;
    return result;
  }

  /** The end of a pause after a refusal: each in a row doubles its window. */
  refusedPauseEndMs(): number {
    const { platform } = this.device;
    const inMs = pauseMs(platform, REFUSED_PAUSE_MS_MIN, REFUSED_PAUSE_MS_MAX, this.refusedInRow);
    this.refusedInRow += 1;
    return platform.clock.monotonicMs() + inMs;
  }

  /** Sends a message that waits for nothing past the buffer; false when it has to wait. */
  private publishNow(
    sequence: number,
    scheduledMs: number,
    pack: Uint8Array,
    size: number,
  ): boolean {
    const { device } = this;
    if (!device.isClear || this.isPaused()) return false;
    const { client } = device;
    const result = client.publish(UNBUFFERED, 'telemetry', pack, 0, size, 0, false);
    if (result !== PUBLISH_WRITTEN) return false;
    this.acknowledged(sequence, scheduledMs);
    return true;
  }

  private isPaused(): boolean {
    if (this.pausedUntilMs === 0) return false;
    if (this.device.platform.clock.monotonicMs() < this.pausedUntilMs) return true;
    this.pausedUntilMs = 0;
    return false;
  }

  /** True for a record from before this connection. */
  private isBacklog(at: number): boolean {
    // Times of records are modulo 2^32; so is their difference.
    return ((this.device.client.connectedMs - this.outbox.timeMsAt(at)) | 0) > 0;
  }

  /** A pack from before the first estimate of the time gets the best that is known now. */
  private settleTime(at: number): void {
    const { outbox } = this;
    // Of a record from before a reset nobody knows how long ago that was.
    if (outbox.kindAt(at) !== UNTIMED || outbox.isRecovered(at)) return;
    const { clock } = this.device.platform;
    const ageMs = (clock.monotonicMs() - outbox.timeMsAt(at)) >>> 0;
    const epochMs = clock.epochMs();
    // Without any time of our own, "so long ago" is true when the message arrives (RFC 8428 §4.5.3).
    const baseTimeS = (isFinite(epochMs) ? epochMs - ageMs : -ageMs) / 1000;
    setBaseTime(outbox.bytes, outbox.payloadStart(at), outbox.payloadEnd(at), baseTimeS);
  }

  private release(at: number): void {
    const { outbox } = this;
    const kind = outbox.kindAt(at);
    const sequence = outbox.sequenceAt(at);
    const scheduledMs = outbox.timeMsAt(at);
    // Let go first: the program may report from within its event, and records move then.
    outbox.release(at);
    if (kind !== RESULT) this.acknowledged(sequence, scheduledMs);
  }

  private acknowledged(sequence: number, scheduledMs: number): void {
    const { device } = this;
    const { onAcknowledged } = device.profile.events;
    if (onAcknowledged === undefined) return;
    const buffered = ((device.client.connectedMs - scheduledMs) | 0) > 0;
    onAcknowledged(device, sequence, scheduledMs, buffered);
  }

  private drop(at: number, cause: string): void {
    const kind = this.outbox.kindAt(at);
    const sequence = this.outbox.sequenceAt(at);
    this.outbox.release(at);
    this.dropped(kind, sequence, cause);
  }

  private topicOf(at: number): string {
    if (this.outbox.kindAt(at) !== RESULT) return 'telemetry';
    return resultTopic(this.outbox.bytes, this.outbox.payloadStart(at));
  }

  private replyOf(at: number): Reply | undefined {
    if (this.outbox.kindAt(at) !== RESULT) return undefined;
    return resultReply(this.outbox.bytes, this.outbox.payloadStart(at));
  }

  private bodyStart(at: number): number {
    const start = this.outbox.payloadStart(at);
    if (this.outbox.kindAt(at) !== RESULT) return start;
    return resultBody(this.outbox.bytes, start);
  }
}

/** Refusals that no retry mends: not allowed, bad topic, bad payload. */
export function isFinal(reasonCode: number): boolean {
  return (
    reasonCode === NOT_AUTHORIZED ||
    reasonCode === TOPIC_NAME_INVALID ||
    reasonCode === PAYLOAD_FORMAT_INVALID
  );
}
