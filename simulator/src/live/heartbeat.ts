// What a worker and the main thread know of each other without a message, which a worker that
// hangs in the user's application could not send: that it turns, and whose code it runs.

const BEAT = 0;
/** Device index + 1 of the application that runs now; 0 = none does. */
const ENTERED = 1;
/** Counts entries, and calls of `feedWatchdog` within one. */
const ENTRIES = 2;
/** Id of the worker's thread in this process. */
const THREAD = 3;
const FIELD_COUNT = 4;

export class Heartbeat {
  readonly shared: Int32Array;

  /** Over the memory of another thread's heartbeat, or of its own. */
  constructor(
    shared: Int32Array = new Int32Array(
      new SharedArrayBuffer(FIELD_COUNT * Int32Array.BYTES_PER_ELEMENT),
    ),
  ) {
    this.shared = shared;
  }

  // Of the worker.

  /** The worker is this thread. */
  begin(threadId: number): void {
    Atomics.store(this.shared, THREAD, threadId);
  }

  beat(): void {
    Atomics.add(this.shared, BEAT, 1);
  }

  /** Returns whose code ran before, for `leave`. */
  enter(deviceIndex: number): number {
    Atomics.add(this.shared, ENTRIES, 1);
    return Atomics.exchange(this.shared, ENTERED, deviceIndex + 1);
  }

  leave(before: number): void {
    Atomics.store(this.shared, ENTERED, before);
  }

  /** The running application says that it is alive. */
  feed(): void {
    Atomics.add(this.shared, ENTRIES, 1);
  }

  // Of the main thread.

  /** Changes whenever the worker comes to its next turn, enters an application, or is fed. */
  get pulse(): number {
    return Atomics.load(this.shared, BEAT) + Atomics.load(this.shared, ENTRIES);
  }

  get threadId(): number {
    return Atomics.load(this.shared, THREAD);
  }

  /** The device whose application runs now; undefined = none does. */
  get deviceIndex(): number | undefined {
    const entered = Atomics.load(this.shared, ENTERED);
    return entered === 0 ? undefined : entered - 1;
  }
}
