// The platform over Moddable: ECMA-419's sockets and storage, Moddable's timer and digest, and a
// small native module for what an ESP32 has beside them.

import { deepSleep, feedWatchdog, heapUsed, random } from 'flotilla/native';
import Time from 'time';
import Timer from 'timer';
import type {
  Clock,
  ConnectOptions,
  Firmware,
  Memory,
  Partition,
  Platform,
  Settings,
  Stream,
  StreamHandlers,
  TimerTarget,
  Timer as TimerType,
} from '../../src/platform.ts';
import { moddableCrypto } from './crypto.ts';
import { openFirmware } from './firmware.ts';
import { moddableHttp } from './http.ts';
import { NetworkTime } from './network-time.ts';
import { openPartition } from './partition.ts';
import { ModdableSettings } from './settings.ts';
import { connectStream } from './stream.ts';

export interface ModdablePlatformOptions {
  /** Largest packet sent, and the size of each of three shared buffers; default 1,024 bytes. */
  readonly packetSizeMax?: number;
  /** Namespace of the settings in NVS, default 'flotilla'. */
  readonly settings?: string;
  /** Charge from 0 to 1, where the board can tell. */
  readonly battery?: () => number | undefined;
  /** A time server by name or address; without one the time comes from the broker's side only. */
  readonly timeServer?: string;
}

/** Moddable's timer takes 31 bits of ms. */
const DELAY_MS_MAX = 2147483647;

class ModdableTimer implements TimerType {
  private readonly fire: () => void;
  private handle: object | undefined = undefined;

  constructor(target: TimerTarget) {
    this.fire = () => {
      this.handle = undefined;
      target.onTimer();
    };
  }

  start(delayMs: number): void {
    this.stop();
    this.handle = Timer.set(this.fire, Math.min(Math.ceil(delayMs), DELAY_MS_MAX));
  }

  stop(): void {
    const { handle } = this;
    this.handle = undefined;
    if (handle !== undefined) Timer.clear(handle);
  }
}

/** Ticks are 32 bits and wrap after 49 days: they are added up, so it is to be read before that. */
export class ModdableClock implements Clock {
  private ticks = Time.ticks;
  private nowMs = 0;
  /** Epoch ms at monotonic 0. */
  private originMs = Number.NaN;
  private adjustedMs = 0;
  private uncertaintyMs = Number.POSITIVE_INFINITY;

  monotonicMs(): number {
    const { ticks } = Time;
    // Exact for any two ticks less than 2^31 ms apart, whatever wrapped between them.
    this.nowMs += (ticks - this.ticks) | 0;
    this.ticks = ticks;
    return this.nowMs;
  }

  epochMs(): number {
    return this.originMs + this.monotonicMs();
  }

  /** Grows by the drift of a crystal, 20 ppm. */
  epochUncertaintyMs(): number {
    return this.uncertaintyMs + (this.monotonicMs() - this.adjustedMs) * 20e-6;
  }

  adjust(epochMs: number, uncertaintyMs: number): void {
    if (uncertaintyMs >= this.epochUncertaintyMs()) return;
    this.adjustedMs = this.monotonicMs();
    this.originMs = epochMs - this.adjustedMs;
    this.uncertaintyMs = uncertaintyMs;
  }
}

class ModdableMemory implements Memory {
  readonly transmit: Uint8Array;
  readonly receive: Uint8Array;
  readonly scratch: Uint8Array;

  constructor(size: number) {
    this.transmit = new Uint8Array(size);
    this.receive = new Uint8Array(size);
    this.scratch = new Uint8Array(size);
  }

  allocate(size: number): Uint8Array {
    return new Uint8Array(size);
  }

  /** The collector takes it. */
  release(): void {
    // Nothing to do.
  }

  heapUsed(): number | undefined {
    return heapUsed();
  }
}

/** One per program. */
export class ModdablePlatform implements Platform {
  readonly clock: Clock = new ModdableClock();
  readonly memory: Memory;
  readonly settings: Settings;
  readonly crypto = moddableCrypto;
  readonly http = moddableHttp;
  readonly firmware?: Firmware;
  /** Present with a time server. */
  readonly networkTime: NetworkTime | undefined = undefined;
  private readonly charge: () => number | undefined;

  constructor(options: ModdablePlatformOptions = {}) {
    const { battery, packetSizeMax = 1024, settings = 'flotilla', timeServer } = options;
    this.memory = new ModdableMemory(packetSizeMax);
    this.settings = new ModdableSettings(settings);
    this.charge = battery === undefined ? () => undefined : battery;
    const firmware = openFirmware(this.settings);
    if (firmware !== undefined) this.firmware = firmware;
    if (timeServer !== undefined) this.networkTime = new NetworkTime(timeServer, this.clock);
  }

  createTimer(target: TimerTarget): TimerType {
    return new ModdableTimer(target);
  }

  random(): number {
    return random() >>> 0;
  }

  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    return connectStream(options, handlers, target);
  }

  partition(name: string): Partition | undefined {
    return openPartition(name);
  }

  feedWatchdog(): void {
    feedWatchdog();
  }

  battery(): number | undefined {
    return this.charge();
  }

  sleep(ms: number): void {
    deepSleep(ms);
  }
}
