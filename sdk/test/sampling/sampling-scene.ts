// A sampler on its own: a clock that the test sets, sensors that it scripts, packs as they come.

import { decode } from 'cbor-x';
import type { Priority } from '../../src/buffer/outbox.ts';
import type { Device } from '../../src/device.ts';
import type { Sensor } from '../../src/device-profile.ts';
import type { Platform } from '../../src/platform.ts';
import { Sampler, type SamplerOwner } from '../../src/sampling/sampler.ts';
import { VirtualPlatform } from '../support/virtual-platform.ts';

export interface Pack {
  readonly sequence: number;
  readonly scheduledMs: number;
  readonly priority: Priority;
  /** Values by name, without the first record. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly size: number;
}

export interface SceneOptions {
  readonly intervalMs?: number;
  /** What `platform.random` returns for the phase of the start, of 2^32. */
  readonly phase?: number;
  readonly startMs?: number;
  readonly scratchSize?: number;
  readonly epochMs?: number;
  readonly uncertaintyMs?: number;
}

export class SamplingScene implements SamplerOwner {
  nowMs: number;
  readonly packs: Pack[] = [];
  readonly sampler: Sampler;
  /** Called with each pack, within the sampler's turn. */
  onPackTaken: (pack: Pack) => void = () => {};
  readonly id = 'd1';
  readonly platform: Platform;

  constructor(sensors: readonly Sensor[], options: SceneOptions = {}) {
    const { epochMs = Number.NaN, intervalMs = 1000, phase = 0, startMs = 0 } = options;
    const { scratchSize = 1024, uncertaintyMs = 0 } = options;
    this.nowMs = startMs;
    const virtual = new VirtualPlatform({ scratchSize });
    // The name of the stream, and the phases of two starts.
    virtual.randomNext.push(123, phase, phase);
    virtual.clock.monotonicMs = () => this.nowMs;
    virtual.clock.epochMs = () => epochMs + this.nowMs;
    virtual.clock.epochUncertaintyMs = () => uncertaintyMs;
    this.platform = virtual;
    this.sampler = new Sampler(sensors, intervalMs, this);
  }

  onPack(sequence: number, scheduledMs: number, size: number, priority: Priority): void {
    const records = decode(this.platform.memory.scratch.slice(0, size)) as Record<
      string,
      unknown
    >[];
    const values: Record<string, unknown> = {};
    for (const record of records.slice(1)) {
      values[String(record['0'])] = record['2'] ?? record['3'] ?? record['4'];
    }
    const pack = { sequence, scheduledMs, priority, values, size };
    this.packs.push(pack);
    this.onPackTaken(pack);
  }

  start(): void {
    this.sampler.start();
  }

  /** A turn at `nowMs`, as the device's timer makes it. */
  turn(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.sampler.dueMs <= nowMs) this.sampler.tick(nowMs, undefined as unknown as Device);
  }

  /** Turns at each time that the sampler asks for, up to and with `untilMs`. */
  run(untilMs: number): void {
    while (this.sampler.dueMs <= untilMs) this.turn(Math.max(this.nowMs, this.sampler.dueMs));
    this.nowMs = untilMs;
  }
}
