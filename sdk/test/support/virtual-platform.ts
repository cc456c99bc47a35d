// A platform in virtual time for tests: everything that platform.ts promises, and nothing more.

import { nodeCrypto } from '../../ports/node/crypto.ts';
import {
  type Clock,
  type ConnectOptions,
  type Crypto,
  type Partition,
  type Platform,
  PowerLoss,
  SETTINGS_KEY_LENGTH_MAX,
  type Settings,
  type Stream,
  type StreamHandlers,
  type Timer,
  type TimerTarget,
} from '../../src/platform.ts';
import { Random } from './random.ts';
import { VirtualLink } from './virtual-link.ts';
import { VirtualMemory } from './virtual-memory.ts';
import { VirtualWorld, type WorldEvent } from './virtual-world.ts';

export interface VirtualPlatformOptions {
  readonly seed?: number;
  /** Sizes in bytes; 1,024 each unless given. */
  readonly transmitSize?: number;
  readonly receiveSize?: number;
  readonly scratchSize?: number;
  /** Monotonic ms at the start of the world. */
  readonly originMs?: number;
  /** Epoch ms at the start of the world; NaN (default) = unknown. */
  readonly epochMs?: number;
  readonly uncertaintyMs?: number;
  /** The partition 'buffer', which outlives a reset. */
  readonly buffer?: Partition;
  /** Present = the device can sleep deeply: told when it does. Whoever is told wakes it. */
  readonly onSleep?: (ms: number) => void;
}

/** What outlives a reset of the device. */
interface Remains {
  readonly world: VirtualWorld;
  readonly link: VirtualLink;
  readonly settings: MemorySettings;
  readonly random: Random;
}

export class VirtualPlatform implements Platform {
  readonly world: VirtualWorld;
  readonly link: VirtualLink;
  readonly memory: VirtualMemory;
  readonly settings: MemorySettings;
  readonly clock: VirtualClock;
  readonly crypto: Crypto = nodeCrypto;
  /** Numbers that `random` returns before it goes on with its own. */
  readonly randomNext: number[] = [];
  watchdogCount = 0;
  charge: number | undefined = undefined;
  readonly sleep?: (ms: number) => void;
  private readonly options: VirtualPlatformOptions;
  private readonly randomSource: Random;
  private readonly timers: VirtualTimer[] = [];
  private off = false;

  constructor(options: VirtualPlatformOptions = {}, remains?: Remains) {
    this.options = options;
    const { transmitSize = 1024, receiveSize = 1024, scratchSize = 1024 } = options;
    this.world = remains === undefined ? new VirtualWorld() : remains.world;
    this.link = remains === undefined ? new VirtualLink(this.world) : remains.link;
    this.settings = remains === undefined ? new MemorySettings() : remains.settings;
    this.randomSource = remains === undefined ? new Random(options.seed ?? 1) : remains.random;
    this.memory = new VirtualMemory(transmitSize, receiveSize, scratchSize);
    this.link.roomLow = transmitSize;
    this.clock = new VirtualClock(this.world, options);
    this.world.onTurnEnd = () => this.memory.endTurn();
    const { onSleep } = options;
    if (onSleep !== undefined) {
      this.sleep = (ms) => {
        this.world.after(0, () => this.turnOff());
        onSleep(ms);
      };
    }
  }

  createTimer(target: TimerTarget): Timer {
    this.checkPower();
    const timer = new VirtualTimer(this.world, target);
    this.timers.push(timer);
    return timer;
  }

  random(): number {
    this.checkPower();
    return this.randomNext.shift() ?? this.randomSource.uint32();
  }

  connect(_options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    this.checkPower();
    return this.link.connect(handlers, target);
  }

  partition(name: string): Partition | undefined {
    return name === 'buffer' ? this.options.buffer : undefined;
  }

  feedWatchdog(): void {
    this.checkPower();
    this.watchdogCount += 1;
  }

  battery(): number | undefined {
    return this.charge;
  }

  /** The platform after a reset: RAM, timers and connections are gone, settings are not. */
  restart(): VirtualPlatform {
    this.turnOff();
    return new VirtualPlatform(this.options, {
      world: this.world,
      link: this.link,
      settings: this.settings,
      random: this.randomSource,
    });
  }

  private turnOff(): void {
    if (this.off) return;
    this.off = true;
    for (const timer of this.timers) timer.stop();
    this.link.abandon();
  }

  private checkPower(): void {
    if (this.off) throw new PowerLoss();
  }
}

class VirtualTimer implements Timer {
  private readonly world: VirtualWorld;
  private readonly target: TimerTarget;
  private event: WorldEvent | undefined = undefined;

  constructor(world: VirtualWorld, target: TimerTarget) {
    this.world = world;
    this.target = target;
  }

  start(delayMs: number): void {
    if (!(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY)) {
      throw new Error(`timer: delay ${delayMs}`);
    }
    this.stop();
    const event = this.world.after(delayMs, () => {
      this.event = undefined;
      this.target.onTimer();
    });
    this.event = event;
  }

  stop(): void {
    if (this.event !== undefined) this.event.cancelled = true;
    this.event = undefined;
  }
}

export class VirtualClock implements Clock {
  private readonly world: VirtualWorld;
  private readonly originMs: number;
  /** Epoch ms at the start of the world. */
  private originEpochMs: number;
  private uncertaintyMs: number;

  constructor(world: VirtualWorld, options: VirtualPlatformOptions) {
    this.world = world;
    this.originMs = options.originMs ?? 0;
    this.originEpochMs = options.epochMs ?? Number.NaN;
    const known = Number.isFinite(this.originEpochMs);
    this.uncertaintyMs = options.uncertaintyMs ?? (known ? 0 : Number.POSITIVE_INFINITY);
  }

  monotonicMs(): number {
    return this.originMs + this.world.nowMs;
  }

  epochMs(): number {
    return this.originEpochMs + this.world.nowMs;
  }

  epochUncertaintyMs(): number {
    return this.uncertaintyMs;
  }

  adjust(epochMs: number, uncertaintyMs: number): void {
    if (uncertaintyMs >= this.uncertaintyMs) return;
    this.originEpochMs = epochMs - this.world.nowMs;
    this.uncertaintyMs = uncertaintyMs;
  }
}

/** Settings in memory, with a copy at each side of the call. */
export class MemorySettings implements Settings {
  readonly values = new Map<string, Uint8Array>();
  /** Sets so far: flash wears. */
  setCount = 0;

  get(key: string): Uint8Array | undefined {
    return this.values.get(key)?.slice();
  }

  set(key: string, value: Uint8Array): void {
    if (key.length === 0 || key.length > SETTINGS_KEY_LENGTH_MAX) {
      throw new Error(`settings: key '${key}'`);
    }
    this.setCount += 1;
    this.values.set(key, value.slice());
  }

  delete(key: string): void {
    this.values.delete(key);
  }
}
