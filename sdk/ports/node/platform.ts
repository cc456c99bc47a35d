// The platform over Node: a gateway or a laptop as a device.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type {
  Clock,
  ConnectOptions,
  Memory,
  Partition,
  Platform,
  Settings,
  Stream,
  StreamHandlers,
  Timer,
  TimerTarget,
} from '../../src/platform.ts';
import { nodeCrypto } from './crypto.ts';
import { nodeHttp } from './http.ts';
import { NodeMemory } from './memory.ts';
import { FilePartition, type PartitionGeometry } from './partition.ts';
import { FileSettings, MemorySettings } from './settings.ts';
import { connectStream, StreamBuffers } from './stream.ts';

export interface NodePlatformOptions {
  /** Where settings and partitions are kept; without it settings end with the process. */
  readonly folder?: string;
  /** Flash partitions by name; they need `folder`. */
  readonly partitions?: Readonly<Record<string, PartitionGeometry>>;
  /** Largest packet sent, default 16,384 bytes. */
  readonly packetSizeMax?: number;
}

/** The host keeps the time (NTP), to within this many ms. */
const HOST_UNCERTAINTY_MS = 100;
/** setTimeout takes 31 bits of ms. */
const TIMEOUT_MS_MAX = 2147483647;

class NodeTimer implements Timer {
  private readonly target: TimerTarget;
  private handle: NodeJS.Timeout | undefined;

  constructor(target: TimerTarget) {
    this.target = target;
  }

  start(delayMs: number): void {
    clearTimeout(this.handle);
    this.handle = setTimeout(fire, Math.min(delayMs, TIMEOUT_MS_MAX), this.target);
  }

  stop(): void {
    clearTimeout(this.handle);
    this.handle = undefined;
  }
}

function fire(target: TimerTarget): void {
  target.onTimer();
}

const hostClock: Clock = {
  monotonicMs: () => performance.now(),
  epochMs: () => Date.now(),
  epochUncertaintyMs: () => HOST_UNCERTAINTY_MS,
  adjust: () => undefined, // The host's clock is better than what a broker could tell.
};

/** One per process is enough; all its devices share buffers. */
export class NodePlatform implements Platform {
  readonly clock: Clock = hostClock;
  readonly memory: Memory;
  readonly settings: Settings;
  readonly crypto = nodeCrypto;
  readonly http = nodeHttp;
  private readonly buffers: StreamBuffers;
  private readonly partitions = new Map<string, FilePartition>();

  constructor(options: NodePlatformOptions = {}) {
    const { folder, partitions = {}, packetSizeMax = 16384 } = options;
    this.buffers = new StreamBuffers(packetSizeMax);
    this.memory = new NodeMemory(this.buffers);
    this.settings = folder === undefined ? new MemorySettings() : new FileSettings(folder);
    for (const [name, geometry] of Object.entries(partitions)) {
      if (folder === undefined) throw new RangeError(`partition '${name}': needs a folder`);
      this.partitions.set(name, new FilePartition(join(folder, `${name}.flash`), geometry));
    }
  }

  createTimer(target: TimerTarget): Timer {
    return new NodeTimer(target);
  }

  random(): number {
    return randomBytes(4).readUInt32LE();
  }

  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream {
    return connectStream(options, handlers, target, this.buffers);
  }

  partition(name: string): Partition | undefined {
    return this.partitions.get(name);
  }

  feedWatchdog(): void {
    // A process has none; a service manager restarts it.
  }

  battery(): undefined {
    return undefined;
  }
}
