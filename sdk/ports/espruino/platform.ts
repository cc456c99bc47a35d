// The platform over Espruino 2v29: TCP and TLS, Storage, native digests, timers.
// No `firmware` (updates are not there yet), no `http`, no deep sleep.

import type {
  Clock,
  ConnectOptions,
  Crypto,
  Memory,
  Partition,
  Platform,
  Settings,
  Stream,
  StreamHandlers,
  Timer,
  TimerTarget,
} from '../../src/platform.ts';
import { EspruinoClock } from './clock.ts';
import { EspruinoCrypto } from './crypto.ts';
import type { EngineModules, EngineProcess, EngineTools } from './engine.ts';
import { FlashPartition, type FlashRange } from './partition.ts';
import { StorageSettings } from './settings.ts';
import { EspruinoStream } from './stream.ts';

declare const E: EngineTools;
declare const global: EngineModules;
declare const process: EngineProcess;
declare function setTimeout(action: () => void, delayMs: number): number;
declare function clearTimeout(handle: number): void;

// Espruino has no Object.hasOwn.
const hasOwn = Object.prototype.hasOwnProperty;

export interface EspruinoOptions {
  /** Largest packet that is sent, and size of each of the three shared buffers, default 1,024. */
  readonly packetSizeMax?: number;
  /** Flash partitions by name. */
  readonly partitions?: { readonly [name: string]: FlashRange };
}

class EspruinoMemory implements Memory {
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

  release(): void {
    // The engine counts references.
  }

  heapUsed(): number {
    const { blocksize, usage } = process.memory(false);
    return usage * blocksize;
  }
}

class EspruinoTimer implements Timer {
  private handle = 0;
  private readonly fire: () => void;

  constructor(target: TimerTarget) {
    this.fire = () => {
      this.handle = 0;
      target.onTimer();
    };
  }

  start(delayMs: number): void {
    this.stop();
    this.handle = setTimeout(this.fire, delayMs);
  }

  stop(): void {
    // Without a handle it would stop every timer of the program. Handles begin at 1.
    if (this.handle > 0) clearTimeout(this.handle);
    this.handle = 0;
  }
}

export class EspruinoPlatform implements Platform {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly settings: Settings;
  readonly crypto: Crypto;
  private readonly partitions: { readonly [name: string]: FlashRange };

  constructor(options?: EspruinoOptions) {
    const { packetSizeMax = 1024, partitions = {} } = options === undefined ? {} : options;
    this.clock = new EspruinoClock();
    this.memory = new EspruinoMemory(packetSizeMax);
    this.settings = new StorageSettings(global.require('Storage'));
    this.crypto = new EspruinoCrypto();
    this.partitions = partitions;
  }

  createTimer(target: TimerTarget): Timer {
    return new EspruinoTimer(target);
  }

  random(): number {
    return E.hwRand() >>> 0;
  }

  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    const stream = new EspruinoStream(handlers, target, this.memory.transmit.length * 2);
    stream.open(options);
    return stream;
  }

  /** A new object at each call; only ever use one of them per range. */
  partition(name: string): Partition | undefined {
    if (!hasOwn.call(this.partitions, name)) return undefined;
    return new FlashPartition(global.require('Flash'), this.partitions[name] as FlashRange);
  }

  feedWatchdog(): void {
    // Harmless where no watchdog runs: the application enables it by E.enableWatchdog.
    E.kickWatchdog();
  }

  battery(): number | undefined {
    return typeof E.getBattery === 'function' ? E.getBattery() / 100 : undefined;
  }
}
