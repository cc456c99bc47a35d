// One device with its bootloader, one update server and virtual time between them.

import { decode } from 'cbor-x';
import { nodeCrypto } from '../../ports/node/crypto.ts';
import { writeValue } from '../../src/codec/cbor-value.ts';
import { Updater } from '../../src/ota/update-client.ts';
import { type UpdateOptions, UpdateProfile } from '../../src/ota/update-profile.ts';
import type { UpdateStage } from '../../src/ota/update-state.ts';
import type {
  BootReason,
  Clock,
  ConnectOptions,
  Firmware,
  HttpRequestOptions,
  Partition,
  Platform,
  Settings,
  Stream,
  StreamHandlers,
  Timer,
  TimerTarget,
} from '../../src/platform.ts';
import { PowerLoss } from '../../src/platform.ts';
import { ed25519Signer, type ReleaseFields, releaseEnvelope } from '../ota/suit-envelope.ts';
import { Random } from './random.ts';
import { digestOf, type PowerSwitch, type TestImage, VirtualBoot } from './virtual-firmware.ts';
import { type HttpAnswer, VirtualHttp } from './virtual-http.ts';
import { VirtualPlatform, type VirtualPlatformOptions } from './virtual-platform.ts';

export const BASE_URL = 'http://ota.test';
export const VENDOR = new Uint8Array(16).fill(0xa1);
export const CLASS = new Uint8Array(16).fill(0xc2);
export const KEY = ed25519Signer(7);
export const START_MS = Date.UTC(2026, 0, 1);

export function image(version: string, size: number, seed = 1): TestImage {
  const random = new Random(seed);
  const bytes = Uint8Array.from({ length: size }, () => random.uint32() & 255);
  return { version, bytes };
}

/** The base with a third of its bytes changed, in runs. */
export function similar(base: TestImage, version: string): TestImage {
  const other = image(version, base.bytes.length, 9).bytes;
  const bytes = base.bytes.map((byte, at) => (at % 600 < 200 ? (other[at] as number) : byte));
  return { version, bytes };
}

/** The signed envelope of an image, for this scene's devices. */
export function envelopeOf(target: TestImage, fields: Partial<ReleaseFields> = {}, signer = KEY) {
  const usual: ReleaseFields = {
    sequence: 2,
    version: target.version,
    vendorId: VENDOR,
    classId: CLASS,
    digest: digestOf(target),
    size: target.bytes.length,
  };
  return releaseEnvelope({ ...usual, ...fields }, signer);
}

export interface ReportBody {
  readonly rollout: string;
  readonly attempt: number;
  readonly stage: UpdateStage;
  readonly reason?: string;
  readonly version?: string;
  readonly bytes?: number;
}

interface ServerUpdate {
  rollout: string;
  attempt: number;
  version: string;
  envelope: Uint8Array;
  sources: { url: string; size: number; base?: Uint8Array }[];
}

/** What a server has and says. */
export class UpdateServerModel {
  update: ServerUpdate | undefined = undefined;
  pollS = 3600;
  /** What it believes the time to be. */
  nowMs: () => number;
  date: string | undefined = undefined;
  readonly blobs = new Map<string, Uint8Array>();
  readonly etags = new Map<string, string>();
  readonly checks: Record<string, unknown>[] = [];
  readonly reports: ReportBody[] = [];
  readonly ranges: string[] = [];
  /** Headers of the blob requests. */
  readonly headers: Record<string, string>[] = [];
  supportsRanges = true;
  /** Another answer than the usual; may change the one that is given. */
  fault: (kind: string, answer: HttpAnswer) => HttpAnswer | 'refused' | 'mute' = (_, a) => a;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  readonly answer = (request: HttpRequestOptions): HttpAnswer | 'refused' | 'mute' => {
    const kind = request.url.endsWith('/check')
      ? 'check'
      : request.url.endsWith('/report')
        ? 'report'
        : 'blob';
    const headers: Record<string, string> = {};
    for (let at = 0; at + 1 < request.headers.length; at += 2) {
      headers[request.headers[at] as string] = request.headers[at + 1] as string;
    }
    const answer =
      kind === 'check'
        ? this.check(request)
        : kind === 'report'
          ? this.report(request)
          : this.blob(request.url, headers);
    return this.fault(kind, answer);
  };

  offer(target: TestImage, fields: Partial<ServerUpdate & { sequence: number }> = {}): void {
    const { version, bytes } = target;
    const url = `/blobs/${version}.bin`;
    this.blobs.set(url, bytes);
    this.update = {
      rollout: 'r1',
      attempt: 1,
      version,
      envelope: envelopeOf(target, { sequence: fields.sequence ?? 2 }),
      sources: [{ url, size: bytes.length }],
      ...fields,
    };
  }

  /** Offers a delta from `base` before anything else. */
  offerDelta(delta: Uint8Array, base: TestImage): void {
    const url = '/blobs/delta';
    this.blobs.set(url, delta);
    this.update?.sources.unshift({ url, size: delta.length, base: digestOf(base) });
  }

  stages(): string[] {
    return this.reports.map(({ reason, stage }) =>
      reason === undefined ? stage : `${stage}: ${reason}`,
    );
  }

  private check(request: HttpRequestOptions): HttpAnswer {
    this.checks.push(decode(request.body as Uint8Array) as Record<string, unknown>);
    const answer: Record<string, unknown> = { nowMs: this.nowMs(), pollS: this.pollS };
    if (this.update !== undefined) answer.update = this.update;
    const headers: Record<string, string> = this.date === undefined ? {} : { date: this.date };
    return { status: 200, headers, body: encodeBody(answer) };
  }

  private report(request: HttpRequestOptions): HttpAnswer {
    const report = decode(request.body as Uint8Array) as ReportBody;
    const { update } = this;
    this.reports.push(report);
    const isOffered = update?.rollout === report.rollout && update.attempt === report.attempt;
    if (isOffered && report.stage === 'confirmed') this.update = undefined;
    return { status: 204 };
  }

  private blob(url: string, headers: Record<string, string>): HttpAnswer {
    const path = url.slice(BASE_URL.length);
    this.headers.push(headers);
    const blob = this.blobs.get(path);
    if (blob === undefined) return { status: 404 };
    const etag = this.etags.get(path) ?? `"${path}"`;
    const parts = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    const isWhole =
      parts === null ||
      !this.supportsRanges ||
      (headers['if-range'] !== undefined && headers['if-range'] !== etag);
    if (isWhole) {
      return { status: 200, headers: { etag, 'content-length': `${blob.length}` }, body: blob };
    }
    this.ranges.push(headers.range as string);
    const first = Number(parts[1]);
    const last = Math.min(Number(parts[2]), blob.length - 1);
    if (first >= blob.length) {
      return { status: 416, headers: { 'content-range': `bytes */${blob.length}` } };
    }
    const range = `bytes ${first}-${last}/${blob.length}`;
    return {
      status: 206,
      headers: { etag, 'content-range': range },
      body: blob.slice(first, last + 1),
    };
  }
}

/** The platform of one boot. */
class Board implements Platform {
  readonly inner: VirtualPlatform;
  readonly http: VirtualHttp;
  readonly firmware: Firmware;
  readonly settings: Settings;
  readonly crypto = nodeCrypto;

  constructor(inner: VirtualPlatform, http: VirtualHttp, firmware: Firmware, power: PowerSwitch) {
    this.inner = inner;
    this.http = http;
    this.firmware = firmware;
    const { settings } = inner;
    this.settings = {
      get: (key) => {
        power.check();
        return settings.get(key);
      },
      set: (key, value) => {
        power.operate(
          () => settings.set(key, value),
          () => power.count % 2 === 0 && settings.set(key, value),
        );
      },
      delete: (key) =>
        power.operate(
          () => settings.delete(key),
          () => undefined,
        ),
    };
  }

  get clock(): Clock {
    return this.inner.clock;
  }

  get memory() {
    return this.inner.memory;
  }

  createTimer(target: TimerTarget): Timer {
    return this.inner.createTimer(target);
  }

  random(): number {
    return this.inner.random();
  }

  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    return this.inner.connect(options, handlers, target);
  }

  partition(name: string): Partition | undefined {
    return this.inner.partition(name);
  }

  feedWatchdog(): void {
    this.inner.feedWatchdog();
  }

  battery(): number | undefined {
    return this.inner.battery();
  }
}

/** What stands for the device around the client. */
export class UpdateDevice implements TimerTarget {
  readonly id = 'd1';
  readonly platform: Board;
  readonly updater: Updater<UpdateDevice>;
  isConnected = true;
  checkSensors?: () => boolean | undefined;
  private readonly timer: Timer;
  private readonly scene: UpdateScene;

  constructor(platform: Board, profile: UpdateProfile<UpdateDevice>, scene: UpdateScene) {
    this.platform = platform;
    this.scene = scene;
    this.timer = platform.createTimer(this);
    this.updater = new Updater<UpdateDevice>(this, profile);
  }

  onTimer(): void {
    this.isConnected = this.scene.isConnected;
    this.updater.tick(this.platform.clock.monotonicMs());
    this.arm();
  }

  onUpdateDue(): void {
    this.arm();
  }

  onUpdateStage(stage: UpdateStage, reason: string): void {
    this.scene.told.push(reason === '' ? stage : `${stage}: ${reason}`);
  }

  private arm(): void {
    const { nextDeadlineMs } = this.updater;
    if (nextDeadlineMs === Number.POSITIVE_INFINITY) {
      this.timer.stop();
      return;
    }
    if (Number.isNaN(nextDeadlineMs)) throw new Error('updater: deadline NaN');
    this.timer.start(Math.max(0, nextDeadlineMs - this.platform.clock.monotonicMs()));
  }
}

export interface SceneOptions {
  readonly options?: Partial<UpdateOptions<UpdateDevice>>;
  readonly platform?: VirtualPlatformOptions;
  readonly running?: TestImage;
  readonly sectorCount?: number;
  readonly sectorSize?: number;
}

export const RUNNING = image('1.0.0', 20_000, 1);
export const NEXT = image('2.0.0', 24_001, 2);

export class UpdateScene {
  readonly boot: VirtualBoot;
  readonly http: VirtualHttp;
  readonly server: UpdateServerModel;
  readonly profile: UpdateProfile<UpdateDevice>;
  /** What the client told its device. */
  readonly told: string[] = [];
  isConnected = true;
  checkSensors: (() => boolean | undefined) | undefined = undefined;
  device!: UpdateDevice;
  bootCount = 0;
  private platform: VirtualPlatform;
  onBoot: (device: UpdateDevice) => void = () => undefined;

  constructor({ options, platform, running, sectorCount, sectorSize }: SceneOptions = {}) {
    this.platform = new VirtualPlatform(platform);
    const { world } = this.platform;
    this.boot = new VirtualBoot(sectorCount ?? 16, sectorSize ?? 4096, running ?? RUNNING);
    this.server = new UpdateServerModel(() => START_MS + Math.floor(world.nowMs));
    this.http = new VirtualHttp(world, this.server.answer);
    this.profile = new UpdateProfile<UpdateDevice>({
      url: BASE_URL,
      token: 'secret',
      vendorId: VENDOR,
      classId: CLASS,
      keys: [KEY.trusted],
      ...options,
    });
  }

  get world() {
    return this.platform.world;
  }

  get updater(): Updater<UpdateDevice> {
    return this.device.updater;
  }

  get charge(): number | undefined {
    return this.platform.charge;
  }

  set charge(value: number | undefined) {
    this.platform.charge = value;
  }

  get memory() {
    return this.platform.memory;
  }

  get settings() {
    return this.platform.settings;
  }

  get version(): string {
    return this.device.platform.firmware.version;
  }

  /** The image is known to the bootloader and offered by the server. */
  release(target: TestImage, fields: Parameters<UpdateServerModel['offer']>[1] = {}): void {
    if (!this.boot.images.includes(target)) this.boot.images.push(target);
    this.boot.expected = target.bytes;
    this.server.offer(target, fields);
  }

  start(): void {
    this.turnOn();
  }

  /** Power off and on. */
  reset(reason: BootReason = 'power-on'): void {
    this.boot.nextReason = reason;
    this.http.abandon();
    const { charge } = this.platform;
    this.platform = this.platform.restart();
    this.platform.charge = charge;
    this.turnOn();
  }

  /** Lets time pass, through restarts and power cuts, until `condition` holds. */
  until(condition: () => boolean, msMax = 48 * 3600_000): boolean {
    const endMs = this.world.nowMs + msMax;
    while (!condition()) {
      try {
        if (!this.world.step(endMs)) return condition();
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
        this.reset();
      }
      if (this.boot.restartWanted) this.reset('restart');
    }
    return true;
  }

  advance(ms: number): void {
    const endMs = this.world.nowMs + ms;
    this.until(() => false, ms);
    this.world.nowMs = endMs;
  }

  /** Runs the new image for good. */
  untilConfirmed(target: TestImage, msMax?: number): boolean {
    const isThere = () =>
      this.version === target.version &&
      this.boot.tries === 0 &&
      this.server.reports.at(-1)?.stage === 'confirmed';
    return this.until(isThere, msMax);
  }

  private turnOn(): void {
    for (;;) {
      const firmware = this.boot.boot();
      this.bootCount += 1;
      const board = new Board(this.platform, this.http, firmware, this.boot.power);
      try {
        this.world.turn(() => {
          this.device = new UpdateDevice(board, this.profile, this);
          this.onBoot(this.device);
          this.device.isConnected = this.isConnected;
          if (this.checkSensors !== undefined) this.device.checkSensors = this.checkSensors;
          this.device.updater.start(board.clock.monotonicMs());
        });
        return;
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
        this.platform = this.platform.restart();
      }
    }
  }
}

function encodeBody(value: unknown): Uint8Array {
  const bytes = new Uint8Array(8192);
  return bytes.slice(0, writeValue(bytes, 0, value, 8));
}
