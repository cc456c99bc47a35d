// A timer wheel over typed arrays (Varghese and Lauck 1987, hierarchical wheels): one timer per
// device, four levels of 256 slots, ticks of 1 ms. Timers of a slot are a doubly linked list, so
// starting and stopping cost the same however many there are.

const LEVEL_BITS = 8;
const SLOT_COUNT = 1 << LEVEL_BITS;
const LEVEL_COUNT = 4;
const NONE = -1;
/** 2^32 ms: a timer further away than four levels reach is put at their end and moved on there. */
const REACH = 2 ** (LEVEL_BITS * LEVEL_COUNT) - 1;

export class Wheel {
  /** Every timer due at or before this tick has fired. */
  private tick = 0;
  private readonly heads = new Int32Array(SLOT_COUNT * LEVEL_COUNT).fill(NONE);
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /** Slot of each running timer, or NONE. */
  private readonly slots: Int32Array;
  private readonly dueTicks: Float64Array;

  /** Timers 0 … count - 1, all stopped; time starts at 0 ms. */
  constructor(count: number) {
    this.next = new Int32Array(count).fill(NONE);
    this.previous = new Int32Array(count).fill(NONE);
    this.slots = new Int32Array(count).fill(NONE);
    this.dueTicks = new Float64Array(count);
  }

  /** Fires timer `index` at the first `advance` to `dueMs` or later; replaces an earlier start. */
  start(index: number, dueMs: number): void {
    this.stop(index);
    // What is due already fires at the next tick, never within the present one.
    this.dueTicks[index] = Math.max(this.tick + 1, Math.ceil(dueMs));
    this.insert(index);
  }

  stop(index: number): void {
    const slot = this.slots[index]!;
    if (slot === NONE) return;
    const next = this.next[index]!;
    const previous = this.previous[index]!;
    if (previous === NONE) this.heads[slot] = next;
    else this.next[previous] = next;
    if (next !== NONE) this.previous[next] = previous;
    this.slots[index] = NONE;
  }

  /** Moves time to `nowMs` and fires what is due, in the order of ticks. */
  advance(nowMs: number, fire: (index: number) => void): void {
    const end = Math.floor(nowMs);
    while (this.tick < end) {
      this.tick += 1;
      if (this.tick % SLOT_COUNT === 0) this.cascade();
      const slot = this.tick % SLOT_COUNT;
      // A handler may stop or start any timer, so the list is taken one head at a time.
      for (let index = this.heads[slot]!; index !== NONE; index = this.heads[slot]!) {
        this.stop(index);
        fire(index);
      }
    }
  }

  /** Calls `visit` for most of what `advance` to `nowMs` will fire; it must change no timer. */
  forEachDue(nowMs: number, visit: (index: number) => void): void {
    const boundary = this.tick - (this.tick % SLOT_COUNT) + SLOT_COUNT;
    for (let tick = this.tick + 1; tick < boundary && tick <= nowMs; tick += 1) {
      let index = this.heads[tick % SLOT_COUNT]!;
      for (; index !== NONE; index = this.next[index]!) visit(index);
    }
  }

  /** A time in ms at or before which nothing is due; at most 256 ms away when nothing is near. */
  nextMs(): number {
    const boundary = this.tick - (this.tick % SLOT_COUNT) + SLOT_COUNT;
    for (let tick = this.tick + 1; tick < boundary; tick += 1) {
      if (this.heads[tick % SLOT_COUNT] !== NONE) return tick;
    }
    return boundary;
  }

  /** The lower level went round: brings down the timers of the slots that begin now. */
  private cascade(): void {
    for (let level = 1; level < LEVEL_COUNT; level += 1) {
      const position = Math.floor(this.tick / 2 ** (LEVEL_BITS * level)) % SLOT_COUNT;
      const slot = level * SLOT_COUNT + position;
      let index = this.heads[slot]!;
      this.heads[slot] = NONE;
      while (index !== NONE) {
        const next = this.next[index]!;
        this.insert(index);
        index = next;
      }
      if (position !== 0) return;
    }
  }

  private insert(index: number): void {
    const due = this.dueTicks[index]!;
    const distance = due - this.tick;
    if (!(distance >= 0)) throw new RangeError(`timer ${index} is due in the past`);
    let level = 0;
    let width = 1;
    while (level < LEVEL_COUNT - 1 && distance >= width * SLOT_COUNT) {
      level += 1;
      width *= SLOT_COUNT;
    }
    const at = distance > REACH ? this.tick + REACH : due;
    const position = Math.floor(at / width) % SLOT_COUNT;
    const slot = level * SLOT_COUNT + position;
    const head = this.heads[slot]!;
    this.slots[index] = slot;
    this.next[index] = head;
    this.previous[index] = NONE;
    if (head !== NONE) this.previous[head] = index;
    this.heads[slot] = index;
  }
}
