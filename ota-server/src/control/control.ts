// The server without its edges: what operators and devices can ask for. HTTP, MQTT and programs
// in the same process (the simulator) all call this.

import { randomBytes } from 'node:crypto';
import { toHex } from '@flotilla/sdk/codec/bytes';
import type { TrustedKey } from '@flotilla/sdk/ota/manifest';
import {
  answerCheck,
  decodeCheck,
  decodeReport,
  encodeCheckResponse,
  type OfferedDelta,
} from '../device-api/index.ts';
import { Problem } from '../problem.ts';
import type { ReleaseFile } from '../releases/sign.ts';
import type { AlertEffect, OperatorEvent } from '../rollout/index.ts';
import type { Blobs } from '../store/blobs.ts';
import { Journal } from '../store/journal.ts';
import type { ReportRow } from '../store/schema.ts';
import type { Changes, Store, StoredState } from '../store/store.ts';
import { type Device, Devices, type Registered, type Registration } from './devices.ts';
import { type DevicePatch, invalidFields, parseRollout, type RolloutInput } from './input.ts';
import { type ByteSource, Releases, type StoredRelease } from './releases.ts';
import { type RolloutStatusView, Rollouts } from './rollouts.ts';
import { Secrets } from './secrets.ts';

export interface ControlOptions {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly trustedKeys: readonly TrustedKey[];
  /** When devices are told to check again. */
  readonly pollS: number;
  /** Ms since 1970. */
  nowMs(): number;
  /** What went wrong where nobody waits for an answer. */
  onError(error: unknown): void;
}

export type AlertListener = (rollout: string, alert: AlertEffect) => void;
/** Devices that should check now. Asked again after each, so it can be followed slowly. */
export type NotifyListener = (rollout: string, deviceIds: Iterable<string>) => void;

/** What happened since the start, for /metrics. */
export interface Counters {
  checks: number;
  offers: number;
  /** By stage; `ignored` = changed nothing. */
  reports: Record<string, number>;
  refusedBodies: number;
  downloads: number;
  downloadBytes: number;
  alerts: number;
}

export class Control {
  readonly devices = new Devices();
  readonly releases: Releases;
  readonly secrets: Secrets;
  readonly counters: Counters = {
    checks: 0,
    offers: 0,
    reports: {},
    refusedBodies: 0,
    downloads: 0,
    downloadBytes: 0,
    alerts: 0,
  };
  private readonly options: ControlOptions;
  private readonly journal: Journal;
  private readonly rollouts: Rollouts;
  private readonly alertListeners = new Set<AlertListener>();
  private readonly notifyListeners = new Set<NotifyListener>();
  /** Devices whose last check is not stored yet. */
  private readonly seen = new Set<Device>();

  private constructor(options: ControlOptions, stored: StoredState) {
    const { blobs, onError, store, trustedKeys } = options;
    this.options = options;
    this.journal = new Journal(store, (changes) => this.gather(changes), onError);
    this.secrets = new Secrets(stored.settings, this.journal);
    this.releases = new Releases({
      keys: trustedKeys,
      blobs,
      journal: this.journal,
      nowMs: options.nowMs,
    });
    this.rollouts = new Rollouts(this.devices, this.releases, this.journal, {
      onAlert: (rollout, alert) => this.alert(rollout, alert),
      onNotify: (rollout, isMeant) => this.notify(rollout, isMeant),
    });
  }

  /** With all that the store has kept. */
  static async open(options: ControlOptions): Promise<Control> {
    const stored = await options.store.load();
    const control = new Control(options, stored);
    control.devices.restore(stored.devices);
    for (const line of control.releases.restore(stored.releases, stored.deltas)) {
      options.onError(new Error(`no longer trusted: ${line}`));
    }
    for (const name of await control.releases.dropMissingBlobs()) {
      options.onError(new Error(`no file ${name}: upload it again`));
    }
    control.rollouts.restore(stored.rollouts, stored.events);
    await control.journal.flushed();
    return control;
  }

  /** Stores what is left. Nothing may be called after it. */
  async close(): Promise<void> {
    this.rollouts.saveAll();
    await this.journal.close();
  }

  // Operators.

  /** Adds what `signRelease` made, or as much of it. A Problem says why it is refused. */
  async addRelease(files: {
    readonly envelope: Uint8Array;
    /** One, or one for each slot; none where they are stored already. */
    readonly images?: readonly (ByteSource | ReleaseFile)[];
    readonly deltas?: readonly (ByteSource | ReleaseFile)[];
  }): Promise<StoredRelease> {
    const release = await this.releases.addEnvelope(files.envelope);
    for (const image of files.images ?? []) {
      await this.releases.addImage(release.id, bytesOf(image));
    }
    for (const delta of files.deltas ?? []) {
      await this.releases.addDelta(release.id, bytesOf(delta));
    }
    return release;
  }

  /** Makes a delta in the background; rejects when it cannot be made. */
  makeDelta(release: string, from: string): Promise<OfferedDelta> {
    return this.releases.makeDelta(release, from);
  }

  /** As `makeDelta`, for whom nobody waits: a Problem where it cannot begin. */
  startDelta(release: string, from: string): void {
    const pair = this.releases.checkDelta(release, from);
    // Each holds two images in memory: asked twice, it is still made once.
    if (pair.release.deltasInWork.has(pair.from.id)) return;
    this.releases.makeDelta(release, from).catch(this.options.onError);
  }

  /** All or none; a Problem names every mistake. */
  async registerDevices(registrations: readonly Registration[]): Promise<Registered[]> {
    const problems = this.devices.check(registrations);
    if (problems.length > 0) {
      const errors = problems
        .slice(0, ERROR_COUNT_MAX)
        .map(({ index, message, path }) => ({ path: `devices[${index}].${path}`, message }));
      if (problems.every(({ duplicate }) => duplicate)) {
        throw new Problem(
          409,
          'device-exists',
          errors.map(({ message }) => message).join('; '),
          errors,
        );
      }
      throw invalidFields(errors);
    }
    const registered = this.devices.register(registrations);
    const devices = registered.map(({ id }) => this.devices.find(id)!);
    for (const device of devices) this.changed(device);
    this.rollouts.enrol(devices, this.nowMs());
    await this.journal.flushed();
    return registered;
  }

  device(id: string): Device {
    const device = this.devices.find(id);
    if (device === undefined) throw new Problem(404, 'no-device', `no device ${id}`);
    return device;
  }

  async patchDevice(id: string, patch: DevicePatch): Promise<Device> {
    const device = this.device(id);
    this.devices.setProperties(device, { ...device.properties, ...patch });
    this.changed(device);
    this.rollouts.enrol([device], this.nowMs());
    await this.journal.flushed();
    return device;
  }

  /** The old token is worth nothing from now on. */
  async renewToken(id: string): Promise<Registered> {
    const device = this.device(id);
    const token = this.devices.renewToken(device);
    this.changed(device);
    await this.journal.flushed();
    return { id, token };
  }

  async createRollout(input: RolloutInput): Promise<RolloutStatusView> {
    const parsed = parseRollout(input);
    const salt = parsed.salt ?? randomBytes(SALT_SIZE).toString('hex');
    const id = this.rollouts.create(parsed, salt, this.nowMs());
    await this.journal.flushed();
    return this.rolloutStatus(id);
  }

  /** Start, approve, pause, resume, abort, rollback or retry. */
  async operate(rollout: string, event: OperatorEvent): Promise<RolloutStatusView> {
    this.rollouts.operate(rollout, event, this.nowMs());
    await this.journal.flushed();
    return this.rolloutStatus(rollout);
  }

  approve(rollout: string): Promise<RolloutStatusView> {
    return this.operate(rollout, { type: 'approve' });
  }

  pause(rollout: string): Promise<RolloutStatusView> {
    return this.operate(rollout, { type: 'pause' });
  }

  resume(rollout: string): Promise<RolloutStatusView> {
    return this.operate(rollout, { type: 'resume' });
  }

  abort(rollout: string): Promise<RolloutStatusView> {
    return this.operate(rollout, { type: 'abort' });
  }

  rollback(rollout: string, rollbackRelease?: string): Promise<RolloutStatusView> {
    const named = rollbackRelease === undefined ? {} : { rollbackRelease };
    return this.operate(rollout, { type: 'rollback', ...named });
  }

  /** Lets failed devices, or the one named, be offered the release again. */
  retry(rollout: string, deviceId?: string): Promise<RolloutStatusView> {
    const named = deviceId === undefined ? {} : { device: this.device(deviceId).position };
    return this.operate(rollout, { type: 'retry', ...named });
  }

  rolloutStatus(rollout: string): RolloutStatusView {
    return this.rollouts.view(rollout);
  }

  rolloutIds(): readonly string[] {
    return this.rollouts.ids;
  }

  /** How a device stands in a rollout; undefined where it is no part of it. */
  rolloutDevice(rollout: string, id: string): ReturnType<Rollouts['deviceView']> {
    return this.rollouts.deviceView(rollout, this.device(id));
  }

  /** The newest reports first. */
  async reports(countMax: number, device?: string): Promise<ReportRow[]> {
    await this.journal.flushed();
    return this.options.store.reports(countMax, device);
  }

  /** Returns how to stop listening. */
  onAlert(listener: AlertListener): () => void {
    this.alertListeners.add(listener);
    return () => this.alertListeners.delete(listener);
  }

  /** Returns how to stop listening. */
  onNotify(listener: NotifyListener): () => void {
    this.notifyListeners.add(listener);
    return () => this.notifyListeners.delete(listener);
  }

  /** One control interval: deadlines, gates, waves. */
  tick(): void {
    this.rollouts.tick(this.nowMs());
  }

  // Devices, who they are being known.

  /** Answers a check in CBOR; a Problem when the body is none. */
  async check(device: Device, body: Uint8Array): Promise<Uint8Array> {
    const { message: request, problems } = decodeCheck(body);
    if (problems !== undefined) {
      this.counters.refusedBodies += 1;
      throw invalidFields(problems);
    }
    const nowMs = this.nowMs();
    const { class: _, digest, ...rest } = request;
    device.seen = { atMs: nowMs, ...rest, digest: toHex(digest) };
    this.changed(device);
    const offer = this.rollouts.check(device, request, nowMs);
    this.counters.checks += 1;
    if (offer !== undefined) {
      this.counters.offers += 1;
      // An offer that a restart forgot would make the device's reports strangers.
      await this.journal.flushed();
    }
    const response = answerCheck(request, {
      nowMs,
      pollS: this.options.pollS,
      ...(offer === undefined ? {} : { offer }),
      url: (name) => this.secrets.signedPath(device.id, name, nowMs),
    });
    return encodeCheckResponse(response);
  }

  /** Takes a report; a Problem when the body is none. Stored when it resolves. */
  async report(device: Device, body: Uint8Array): Promise<void> {
    const { message: report, problems } = decodeReport(body);
    if (problems !== undefined) {
      this.counters.refusedBodies += 1;
      throw invalidFields(problems);
    }
    const nowMs = this.nowMs();
    const isCounted = this.rollouts.report(device, report, nowMs);
    const counter = isCounted ? report.stage : 'ignored';
    this.counters.reports[counter] = (this.counters.reports[counter] ?? 0) + 1;
    this.journal.pending.reports.push({
      at_ms: nowMs,
      device: device.id,
      report: JSON.stringify(report),
      counted: isCounted ? 1 : 0,
    });
    await this.journal.flushed();
  }

  nowMs(): number {
    return Math.floor(this.options.nowMs());
  }

  private changed(device: Device): void {
    this.seen.add(device);
    this.journal.soon();
  }

  private gather(changes: Changes): void {
    for (const device of this.seen) changes.devices.set(device.position, this.devices.row(device));
    this.seen.clear();
  }

  private alert(rollout: string, alert: AlertEffect): void {
    this.counters.alerts += 1;
    for (const listener of this.alertListeners) listener(rollout, alert);
  }

  private notify(rollout: string, isMeant: (device: Device) => boolean): void {
    if (this.notifyListeners.size === 0) return;
    const { all } = this.devices;
    const ids = {
      *[Symbol.iterator]() {
        for (const device of all) if (isMeant(device)) yield device.id;
      },
    };
    for (const listener of this.notifyListeners) listener(rollout, ids);
  }
}

/** Of a list with many mistakes; the first ones tell enough. */
const ERROR_COUNT_MAX = 100;
const SALT_SIZE = 8;

function bytesOf(file: ByteSource | ReleaseFile): ByteSource {
  return 'bytes' in file ? file.bytes : file;
}
