// The platform of one simulated device: small, since there are many; what they share is in the
// world of their thread.

import type {
  Clock,
  ConnectOptions,
  Crypto,
  Http,
  Memory,
  Partition,
  Platform,
  Settings,
  Stream,
  StreamHandlers,
  Timer,
  TimerTarget,
} from '@flotilla/sdk';
import { MemorySettings, type NodeStream, nodeCrypto, nodeHttp } from '@flotilla/sdk/node';
import { PLATFORM_STREAM, randomUint32 } from './random.ts';

/** What a thread provides to its devices. */
export interface DeviceWorld {
  readonly seed: number;
  readonly clock: Clock;
  readonly memory: Memory;
  startTimer(localIndex: number, dueMs: number): void;
  stopTimer(localIndex: number): void;
  /** A timer beside a device's own. */
  createTimer(target: TimerTarget): Timer;
  connect(
    platform: SimulatedPlatform,
    options: ConnectOptions,
    handlers: StreamHandlers,
    target: unknown,
  ): NodeStream;
}

/** Also its device's timer, the first that is created. */
export class SimulatedPlatform implements Platform, Timer {
  /** In the run, in the thread, and the index of its fleet. */
  readonly deviceIndex: number;
  readonly localIndex: number;
  readonly fleet: number;
  /** The stream of the last connect. */
  stream: NodeStream | undefined = undefined;
  /** When its device began; ms of the run, NaN = it did not. No integer, which V8 stores otherwise. */
  startedMs = Number.NaN;
  /** When the last connect began; ms of the run, NaN = there was none. */
  connectStartMs = Number.NaN;
  /** True from the first accepted connection on. */
  wasConnected = false;
  readonly world: DeviceWorld;
  /** The world's, unless the device has a wrong one. */
  clock: Clock;
  private randomCount = 0;
  private timerTarget: TimerTarget | undefined = undefined;
  private ownSettings: Settings | undefined = undefined;

  constructor(world: DeviceWorld, deviceIndex: number, localIndex: number, fleet: number) {
    this.world = world;
    this.clock = world.clock;
    this.deviceIndex = deviceIndex;
    this.localIndex = localIndex;
    this.fleet = fleet;
  }

  get memory(): Memory {
    return this.world.memory;
  }

  get crypto(): Crypto {
    return nodeCrypto;
  }

  get http(): Http {
    return nodeHttp;
  }

  get settings(): Settings {
    this.ownSettings ??= new MemorySettings();
    return this.ownSettings;
  }

  /** Ms since the start of the run. */
  get elapsedMs(): number {
    return this.world.clock.monotonicMs();
  }

  random(): number {
    this.randomCount += 1;
    return randomUint32(this.world.seed, this.deviceIndex, PLATFORM_STREAM, this.randomCount);
  }

  createTimer(target: TimerTarget): Timer {
    if (this.timerTarget !== undefined) return this.world.createTimer(target);
    this.timerTarget = target;
    return this;
  }

  /** The timer's. */
  start(delayMs: number): void {
    this.world.startTimer(this.localIndex, this.world.clock.monotonicMs() + delayMs);
  }

  /** The timer's. */
  stop(): void {
    this.world.stopTimer(this.localIndex);
  }

  fire(): void {
    this.timerTarget?.onTimer();
  }

  /** The next timer is a device's own again. */
  protected releaseTimer(): void {
    this.timerTarget = undefined;
  }

  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    this.stream = this.world.connect(this, options, handlers, target);
    return this.stream;
  }

  partition(): Partition | undefined {
    return undefined;
  }

  feedWatchdog(): void {
    // Simulated firmware does not hang.
  }

  battery(): undefined {
    return undefined;
  }
}
