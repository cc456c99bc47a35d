// A storm over what a broker sends: packets are dropped, sent twice, delayed (and so reordered) and
// corrupted, until it ends.

import type { Random } from './random.ts';
import type { ServerSocket } from './virtual-link.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** Chances of each change, as "once in"; 0 = never. */
export interface StormOptions {
  readonly drops: number;
  readonly doubles: number;
  readonly delays: number;
  readonly corrupts: number;
  readonly delayMsMax: number;
}

export class Storm {
  isOver = false;
  /** Packets that it changed. */
  alteredCount = 0;
  private readonly world: VirtualWorld;
  private readonly random: Random;
  private readonly options: StormOptions;

  constructor(world: VirtualWorld, random: Random, options: StormOptions) {
    this.world = world;
    this.random = random;
    this.options = options;
  }

  /** Lies between a broker and this socket of its. */
  alter(socket: ServerSocket): void {
    const write = socket.write.bind(socket);
    socket.write = (bytes) => this.pass(bytes, write);
  }

  private pass(bytes: Uint8Array, write: (bytes: Uint8Array) => void): void {
    const { corrupts, delayMsMax, delays, doubles, drops } = this.options;
    if (this.isOver) write(bytes);
    else if (this.strikes(drops)) return;
    else if (this.strikes(delays)) {
      this.world.after(this.random.below(delayMsMax), () => write(bytes));
    } else if (this.strikes(corrupts)) {
      write(this.corrupt(bytes));
    } else {
      write(bytes);
      if (this.strikes(doubles)) write(bytes);
    }
  }

  private strikes(chance: number): boolean {
    const does = chance > 0 && this.random.oneIn(chance);
    if (does) this.alteredCount += 1;
    return does;
  }

  /** Another bit, another byte, or too few of them. */
  private corrupt(bytes: Uint8Array): Uint8Array {
    const { random } = this;
    const changed = Uint8Array.from(bytes);
    const at = random.below(bytes.length);
    switch (random.below(3)) {
      case 0:
        changed[at] = (changed[at] as number) ^ (1 << random.below(8));
        return changed;
      case 1:
        changed[at] = random.below(256);
        return changed;
      default:
        return changed.subarray(0, at);
    }
  }
}
