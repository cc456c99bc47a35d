// Virtual time: events run one after another, in the order of their time and then of their
// making. Nothing happens between two events, so one event is one turn of a device.

/** Events at one instant after which the world takes it that time will never go on. */
const EVENTS_PER_INSTANT_MAX = 5000;

export interface WorldEvent {
  readonly dueMs: number;
  readonly run: () => void;
  cancelled: boolean;
}

export class VirtualWorld {
  /** Ms since the world began. */
  nowMs = 0;
  eventCount = 0;
  turnCount = 0;
  /** Called after every turn: what was valid within it is not any more. */
  onTurnEnd: () => void = () => undefined;
  /** Latest first, so that the next is taken off the end. */
  private readonly queue: WorldEvent[] = [];
  private instantCount = 0;
  private inTurn = false;

  /** Runs `run` after `delayMs`, behind what was planned for that time before. */
  after(delayMs: number, run: () => void): WorldEvent {
    const event: WorldEvent = { dueMs: this.nowMs + delayMs, run, cancelled: false };
    const { queue } = this;
    let at = queue.length;
    while (at > 0 && (queue[at - 1] as WorldEvent).dueMs <= event.dueMs) at -= 1;
    queue.splice(at, 0, event);
    return event;
  }

  /** Runs `run` now, as a turn. */
  turn<T>(run: () => T): T {
    if (this.inTurn) throw new Error('world: a turn within a turn');
    this.inTurn = true;
    this.turnCount += 1;
    try {
      return run();
    } finally {
      this.inTurn = false;
      this.onTurnEnd();
    }
  }

  /** Runs the next event; false when there is none until `endMs`. */
  step(endMs: number): boolean {
    const { queue } = this;
    for (;;) {
      const event = queue[queue.length - 1];
      if (event === undefined || event.dueMs > endMs) return false;
      queue.pop();
      if (event.cancelled) continue;
      this.instantCount = event.dueMs > this.nowMs ? 0 : this.instantCount + 1;
      if (this.instantCount > EVENTS_PER_INSTANT_MAX) {
        throw new Error(`world: time stands still at ${this.nowMs} ms`);
      }
      this.nowMs = event.dueMs;
      this.eventCount += 1;
      this.turn(event.run);
      return true;
    }
  }

  /** Lets `ms` pass. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.step(endMs));
    this.nowMs = endMs;
    this.instantCount = 0;
  }

  /** Lets time pass until `condition` holds; false when it does not within `msMax`. */
  until(condition: () => boolean, msMax: number): boolean {
    const endMs = this.nowMs + msMax;
    while (!condition()) {
      if (!this.step(endMs)) {
        this.nowMs = endMs;
        return condition();
      }
    }
    return true;
  }
}
