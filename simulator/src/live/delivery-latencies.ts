// Latencies of deliveries, held back until it is known on which connection each message came: one
// that waited for a connection tells how long the outage was, not how fast the broker is. What a
// client says of its connection would come too late, or not at all; the workers know, and say up to
// when they have told everything.

/** Deliveries held back at most; beyond that the oldest are settled by what is known. */
export const HELD_COUNT_MAX = 1_048_576;

const HELD_COUNT_MIN = 1024;

export type RecordLatency = (device: number, latencyMs: number, buffered: boolean) => void;

export class DeliveryLatencies {
  private readonly record: RecordLatency;
  /** When the latest connection of each device was accepted, and the one before it. */
  private readonly sinceMs: Float64Array;
  private readonly beforeMs: Float64Array;
  private readonly knownMs: number[];
  // A ring of the deliveries held back, in the order of their arrival.
  private devices = new Uint32Array(HELD_COUNT_MIN);
  private scheduledMs = new Float64Array(HELD_COUNT_MIN);
  private arrivedMs = new Float64Array(HELD_COUNT_MIN);
  private first = 0;
  private count = 0;

  /** For devices below `deviceCount`, whose connections `workerCount` workers tell. */
  constructor(deviceCount: number, workerCount: number, record: RecordLatency) {
    this.record = record;
    this.sinceMs = new Float64Array(deviceCount).fill(Number.NEGATIVE_INFINITY);
    this.beforeMs = new Float64Array(deviceCount).fill(Number.NEGATIVE_INFINITY);
    this.knownMs = Array.from({ length: workerCount }, () => Number.NEGATIVE_INFINITY);
  }

  /** A message of `device` came; both times in ms of the run. */
  add(device: number, scheduledMs: number, arrivedMs: number): void {
    if (this.count === HELD_COUNT_MAX) this.settleFirst();
    if (this.count === this.devices.length) this.grow();
    const at = (this.first + this.count) % this.devices.length;
    this.devices[at] = device;
    this.scheduledMs[at] = scheduledMs;
    this.arrivedMs[at] = arrivedMs;
    this.count += 1;
  }

  /** What `worker` tells: device and time of each connection accepted up to `upToMs`, in turn. */
  connected(worker: number, connections: Float64Array, upToMs: number): void {
    for (let at = 0; at < connections.length; at += 2) {
      const device = connections[at]!;
      this.beforeMs[device] = this.sinceMs[device]!;
      this.sinceMs[device] = connections[at + 1]!;
    }
    this.knownMs[worker] = upToMs;
    const knownMs = Math.min(...this.knownMs);
    while (this.count > 0 && this.arrivedMs[this.first]! <= knownMs) this.settleFirst();
  }

  /** Settles all that is left by what is known. */
  settle(): void {
    while (this.count > 0) this.settleFirst();
  }

  private settleFirst(): void {
    const at = this.first;
    this.first = (at + 1) % this.devices.length;
    this.count -= 1;
    const device = this.devices[at]!;
    const arrivedMs = this.arrivedMs[at]!;
    const latestMs = this.sinceMs[device]!;
    const sinceMs = latestMs <= arrivedMs ? latestMs : this.beforeMs[device]!;
    const scheduledMs = this.scheduledMs[at]!;
    // As the SDK has it: a whole ms before its connection was accepted.
    this.record(device, arrivedMs - scheduledMs, sinceMs - scheduledMs >= 1);
  }

  private grow(): void {
    const { arrivedMs, count, devices, first, scheduledMs } = this;
    this.devices = new Uint32Array(2 * count);
    this.scheduledMs = new Float64Array(2 * count);
    this.arrivedMs = new Float64Array(2 * count);
    for (let index = 0; index < count; index += 1) {
      const at = (first + index) % count;
      this.devices[index] = devices[at]!;
      this.scheduledMs[index] = scheduledMs[at]!;
      this.arrivedMs[index] = arrivedMs[at]!;
    }
    this.first = 0;
  }
}
