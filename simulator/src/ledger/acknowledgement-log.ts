// When messages were acknowledged, for as long as it can matter: should the observer lose its
// session, what was acknowledged meanwhile cannot be observed, and is told apart from what the
// broker failed to deliver.

/** Acknowledgements older than this are forgotten unless the observer is away. */
export const LOG_MS = 30_000;
/** Entries held at most; the oldest are forgotten first, and then count as unseen. */
export const LOG_COUNT_MAX = 4_000_000;

const CHUNK_COUNT = 65_536;

interface Chunk {
  readonly devices: Uint32Array;
  readonly sequences: Uint32Array;
  readonly timesMs: Float64Array;
  count: number;
}

export class AcknowledgementLog {
  private readonly chunks: Chunk[] = [];

  add(device: number, sequence: number, timeMs: number): void {
    let chunk = this.chunks.at(-1);
    if (chunk === undefined || chunk.count === CHUNK_COUNT) {
      chunk = {
        devices: new Uint32Array(CHUNK_COUNT),
        sequences: new Uint32Array(CHUNK_COUNT),
        timesMs: new Float64Array(CHUNK_COUNT),
        count: 0,
      };
      this.chunks.push(chunk);
      if (this.chunks.length * CHUNK_COUNT > LOG_COUNT_MAX) this.chunks.shift();
    }
    const at = chunk.count;
    chunk.devices[at] = device;
    chunk.sequences[at] = sequence;
    chunk.timesMs[at] = timeMs;
    chunk.count = at + 1;
  }

  /** Forgets what is older than LOG_MS. */
  prune(nowMs: number): void {
    for (let chunk = this.chunks[0]; chunk !== undefined; chunk = this.chunks[0]) {
      if (chunk.count < CHUNK_COUNT || chunk.timesMs[CHUNK_COUNT - 1]! > nowMs - LOG_MS) return;
      this.chunks.shift();
    }
  }

  /** Calls `visit` for every acknowledgement from `fromMs` to `toMs`. */
  forEach(fromMs: number, toMs: number, visit: (device: number, sequence: number) => void): void {
    for (const chunk of this.chunks) {
      for (let at = 0; at < chunk.count; at += 1) {
        const timeMs = chunk.timesMs[at]!;
        if (timeMs >= fromMs && timeMs <= toMs) visit(chunk.devices[at]!, chunk.sequences[at]!);
      }
    }
  }
}
