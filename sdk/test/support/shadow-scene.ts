// One shadow, a service and a link between them that loses, delays and repeats messages, in
// virtual time.

import { decode, encode } from 'cbor-x';
import type { Platform } from '../../src/platform.ts';
import { Shadow, type ShadowOwner } from '../../src/shadow/shadow.ts';
import {
  type ShadowOptions,
  type ShadowPolicy,
  ShadowProfile,
} from '../../src/shadow/shadow-profile.ts';
import type { ShadowValue } from '../../src/shadow/shadow-value.ts';
import { Random } from './random.ts';
import { type JsonMap, type ShadowMessage, ShadowModel } from './shadow-model.ts';
import { VirtualPlatform } from './virtual-platform.ts';
import type { WorldEvent } from './virtual-world.ts';

export const EPOCH_MS = Date.UTC(2026, 0, 1);

/** What happens to a message: 1 = it arrives, 0 = it is lost, 2 = it arrives twice. */
export type Fate = 0 | 1 | 2;

/** A merge that shows what was merged. */
export const sum = (_key: string, deviceValue: ShadowValue, cloudValue: ShadowValue) =>
  typeof deviceValue === 'number' && typeof cloudValue === 'number'
    ? deviceValue + cloudValue
    : cloudValue;

export const POLICIES: readonly (readonly [string, ShadowPolicy<ShadowScene>])[] = [
  ['cloud-wins', 'cloud-wins'],
  ['device-wins', 'device-wins'],
  ['last-writer-wins', 'last-writer-wins'],
  ['merge', sum],
];

export interface SceneOptions extends Partial<ShadowOptions<ShadowScene>> {
  readonly json?: boolean;
  /** NaN = the device does not know the time. */
  readonly epochMs?: number;
}

export class ShadowScene implements ShadowOwner {
  platform: VirtualPlatform;
  readonly model = new ShadowModel();
  readonly profile: ShadowProfile<ShadowScene>;
  shadow: Shadow<ShadowScene>;
  /** What handlers were given, as `key=value`. */
  readonly applied: string[] = [];
  /** Requests that went out, in order. */
  readonly requests: ShadowMessage[] = [];
  readonly times: [epochMs: number, uncertaintyMs: number][] = [];
  connected = false;
  /** False = the owner has no room. */
  room = true;
  latencyMs = 50;
  /** Each message takes up to so much longer, so that they overtake each other. */
  jitterMs = 0;
  fateUp: () => Fate = () => 1;
  fateDown: () => Fate = () => 1;
  /** The broker keeps messages for the device while it is away. */
  session = false;
  private readonly kept: ShadowMessage[] = [];
  private epoch = 0;
  private armedMs = Number.POSITIVE_INFINITY;
  private event: WorldEvent | undefined = undefined;
  private readonly json: boolean;
  private readonly random = new Random(1);

  constructor(options: SceneOptions = {}) {
    const { epochMs = EPOCH_MS, json = false, ...rest } = options;
    this.platform = new VirtualPlatform({ epochMs, scratchSize: 2048 });
    this.model.nowS = () => Math.floor((EPOCH_MS + this.platform.world.nowMs) / 1000);
    this.json = json;
    const handler = (key: string) => (value: ShadowValue) => {
      this.applied.push(`${key}=${JSON.stringify(value)}`);
      return undefined;
    };
    const handlers = { a: handler('a'), b: handler('b'), c: handler('c') };
    this.profile = new ShadowProfile<ShadowScene>({ handlers, ...rest });
    this.shadow = new Shadow<ShadowScene>(this.platform as Platform, this.profile, this);
  }

  /** Connects and lets 20 s pass. */
  static online(options: SceneOptions = {}): ShadowScene {
    const scene = new ShadowScene(options);
    scene.connect();
    scene.run(20_000);
    return scene;
  }

  connect(): void {
    if (this.connected) return;
    this.connected = true;
    this.epoch += 1;
    this.shadow.onConnected();
    this.turn();
    const { kept } = this;
    for (const message of kept.splice(0, kept.length)) this.down(message);
  }

  disconnect(): void {
    if (!this.connected) return;
    this.connected = false;
    this.shadow.onDisconnected();
  }

  /** The device resets: RAM is gone, settings stay. */
  reset(): void {
    this.disconnect();
    this.shadow = new Shadow<ShadowScene>(this.platform as Platform, this.profile, this);
  }

  run(ms: number): void {
    this.turn();
    this.platform.world.advance(ms);
  }

  report(key: string, value: ShadowValue): boolean {
    const taken = this.shadow.report(key, value);
    this.turn();
    return taken;
  }

  /** The application writes into desired. */
  desire(desired: JsonMap): void {
    for (const message of this.model.desire(desired)) this.down(message);
  }

  deleteShadow(): void {
    for (const message of this.model.handle('delete', {})) this.down(message);
  }

  get reported(): JsonMap | undefined {
    return this.model.document?.reported;
  }

  get desired(): JsonMap | undefined {
    return this.model.document?.desired;
  }

  get savedCount(): number {
    return this.platform.settings.values.size;
  }

  /** Hands the device raw bytes. */
  inject(name: string, bytes: Uint8Array): boolean {
    const padded = new Uint8Array(bytes.length + 7);
    padded.set(bytes, 3);
    const taken = this.shadow.onMessage(name, padded, 3, 3 + bytes.length);
    this.turn();
    return taken;
  }

  encode(document: unknown): Uint8Array {
    const text = this.json ? Buffer.from(JSON.stringify(document)) : encode(document);
    return new Uint8Array(text);
  }

  decode(bytes: Uint8Array): JsonMap {
    return this.json ? JSON.parse(Buffer.from(bytes).toString()) : decode(bytes);
  }

  publishShadow(name: string, payload: Uint8Array, size: number): boolean {
    if (!this.room) return false;
    const document = this.decode(payload.slice(0, size));
    this.requests.push({ name, document });
    const { epoch } = this;
    for (let count: number = this.fateUp(); count > 0; count -= 1) {
      this.platform.world.after(this.delayMs(count), () => {
        // What is under way when a connection ends may still have got through.
        if (epoch !== this.epoch && this.fateUp() === 0) return;
        for (const message of this.model.handle(name, document)) this.down(message);
      });
    }
    return true;
  }

  onShadowTime(epochMs: number, uncertaintyMs: number): void {
    this.times.push([epochMs, uncertaintyMs]);
  }

  private delayMs(count: number): number {
    const jitterMs = this.jitterMs === 0 ? 0 : this.random.below(this.jitterMs);
    return this.latencyMs * count + jitterMs;
  }

  /** A message of the service is on its way to the device. */
  private down(message: ShadowMessage): void {
    for (let count: number = this.fateDown(); count > 0; count -= 1) {
      this.platform.world.after(this.delayMs(count), () => {
        if (this.connected) this.inject(message.name, this.encode(message.document));
        else if (this.session) this.kept.push(message);
      });
    }
  }

  /** One turn of the device. */
  private turn(): void {
    const nowMs = this.platform.clock.monotonicMs();
    this.shadow.tick(nowMs);
    this.shadow.pump();
    const dueMs = this.shadow.nextDeadlineMs;
    if (dueMs === this.armedMs) return;
    this.armedMs = dueMs;
    if (this.event !== undefined) this.event.cancelled = true;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.event = this.platform.world.after(Math.max(0, dueMs - nowMs), () => {
      this.armedMs = Number.POSITIVE_INFINITY;
      this.turn();
    });
  }
}
