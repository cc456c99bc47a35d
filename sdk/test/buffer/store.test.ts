// The store over RAM and flash: what a device sees of it. A model knows every record by its
// sequence, and where it may be.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FullPolicy,
  type Outbox,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_NORMAL,
  type Priority,
  RECORD_HEADER_SIZE,
} from '../../src/buffer/outbox.ts';
import { SequenceCounter } from '../../src/buffer/sequence.ts';
import { BUFFER_PARTITION, FlashStore, openStore } from '../../src/buffer/store.ts';
import type { Platform } from '../../src/platform.ts';
import { Nor } from './nor.ts';

const SIZE = 400;

/** What the store needs of a platform. */
function platformOf(nor: Nor | undefined, nowMs = 0, settings = new Map<string, Uint8Array>()) {
  return {
    clock: { monotonicMs: () => nowMs },
    memory: { allocate: (size: number) => new Uint8Array(size) },
    settings: {
      get: (key: string) => settings.get(key),
      set: (key: string, value: Uint8Array) => settings.set(key, value.slice()),
    },
    random: () => 77,
    partition: (name: string) => (name === BUFFER_PARTITION ? nor : undefined),
  } as unknown as Platform;
}

interface Item {
  readonly priority: Priority;
  readonly payload: Uint8Array;
  durable: boolean;
  inflight: boolean;
}

class User {
  store: Outbox;
  readonly items = new Map<number, Item>();
  readonly nor: Nor;
  private sequence = 0;
  private readonly policy: FullPolicy;

  constructor(nor: Nor, policy: FullPolicy) {
    this.nor = nor;
    this.policy = policy;
    this.store = this.open(0);
  }

  append(priority: Priority, size: number): string {
    const sequence = this.sequence;
    this.sequence += 1;
    const payload = Uint8Array.from({ length: size }, (_, at) => at + sequence);
    // Known before: the policy may give up this very record.
    this.items.set(sequence, { priority, payload, durable: false, inflight: false });
    const outcome = this.store.append(3, priority, sequence, sequence * 10, payload, size);
    const item = this.items.get(sequence);
    expect(item === undefined).toBe(outcome === 'dropped');
    if (item !== undefined) item.durable = outcome === 'durable';
    return outcome;
  }

  onRecordDropped(kind: number, sequence: number): void {
    expect(kind).toBe(3);
    expect(this.items.get(sequence)?.inflight).toBe(false);
    this.items.delete(sequence);
  }

  /** Takes the next record as a device does; its sequence. */
  send(): number | undefined {
    const { store } = this;
    const at = store.next();
    if (at < 0) return undefined;
    expect(store.find(store.idAt(at))).toBe(at);
    const sequence = store.sequenceAt(at);
    const item = this.items.get(sequence)!;
    expect(item.inflight).toBe(false);
    expect(store.kindAt(at)).toBe(3);
    const payload = store.bytes.subarray(store.payloadStart(at), store.payloadEnd(at));
    expect([...payload]).toEqual([...item.payload]);
    item.inflight = true;
    store.setInflight(at);
    return sequence;
  }

  flying(): number[] {
    return [...this.items].filter(([, item]) => item.inflight).map(([sequence]) => sequence);
  }

  atOf(sequence: number): number {
    const { store } = this;
    // Ids are the device's; here they are looked up among those that are in RAM.
    const used = store.usedSize;
    for (let at = 0; at < used; at = store.payloadEnd(at)) {
      const isThere = store.find(store.idAt(at)) === at;
      if (isThere && store.sequenceAt(at) === sequence) return at;
    }
    return -1;
  }

  settle(nth: number, isReleased: boolean): void {
    const flying = this.flying();
    const sequence = flying[nth % Math.max(1, flying.length)];
    if (sequence === undefined) return;
    const at = this.atOf(sequence);
    expect(at).toBeGreaterThanOrEqual(0);
    if (isReleased) {
      this.store.release(at);
      this.items.delete(sequence);
    } else {
      this.store.setWaiting(at);
      this.items.get(sequence)!.inflight = false;
    }
  }

  /** A reset: what was in RAM only is gone, and only that. */
  boot(): void {
    const present = new Set<number>();
    this.store = this.open(123);
    this.store.forEach((_, sequence) => {
      present.add(sequence);
    });
    for (const [sequence, item] of this.items) {
      item.inflight = false;
      if (item.durable) expect(present.has(sequence)).toBe(true);
      if (!present.has(sequence)) this.items.delete(sequence);
      else item.durable = true;
    }
    for (const sequence of present) expect(this.items.has(sequence)).toBe(true);
  }

  check(): void {
    const seen: number[] = [];
    this.store.forEach((kind, sequence) => {
      expect(kind).toBe(3);
      seen.push(sequence);
    });
    expect(seen.sort((a, b) => a - b)).toEqual([...this.items.keys()].sort((a, b) => a - b));
    expect(this.store.count).toBe(this.items.size);
  }

  private open(nowMs: number): Outbox {
    const bytes = new Uint8Array(SIZE + 9).fill(0xcc);
    return openStore(platformOf(this.nor, nowMs), bytes, SIZE, this.policy, this);
  }
}

const nth = fc.nat(9);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      priority: fc.constantFrom<Priority>(PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH),
      size: fc.oneof(fc.nat(50), fc.nat(150)),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: 'send' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), nth }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('refuse' as const), nth }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'boot' as const }, { kind: 'lost' as const }) },
);

describe.each<FullPolicy>(['drop-oldest', 'drop-newest', 'drop-lowest-priority'])(
  '%s',
  (policy) => {
    test('nothing is lost but what is told, whatever happens', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(1, 4, 8, 16, 32),
          fc.integer({ min: 4, max: 7 }),
          fc.array(step, { minLength: 20, maxLength: 120 }),
          (alignment, sectors, steps) => {
            const user = new User(new Nor(sectors, 512, alignment), policy);
            for (const one of steps) {
              if (one.kind === 'append') user.append(one.priority, one.size);
              else if (one.kind === 'send') user.send();
              else if (one.kind === 'release') user.settle(one.nth, true);
              else if (one.kind === 'refuse') user.settle(one.nth, false);
              else if (one.kind === 'boot') user.boot();
              else {
                user.store.setAllWaiting();
                for (const item of user.items.values()) item.inflight = false;
              }
              user.check();
            }
            // All of it can be sent, in the end.
            user.store.setAllWaiting();
            for (const item of user.items.values()) item.inflight = false;
            for (let left = user.items.size; left > 0; left -= 1) {
              expect(user.send()).toBeDefined();
              user.settle(0, true);
            }
            expect(user.send()).toBeUndefined();
            user.boot();
            expect(user.items.size).toBe(0);
          },
        ),
        { numRuns: 150 },
      );
    });
  },
);

describe('store', () => {
  test('is a plain outbox where there is no partition', () => {
    const owner = { onRecordDropped: () => undefined };
    const store = openStore(platformOf(undefined), new Uint8Array(99), 99, 'drop-oldest', owner);
    expect(store).not.toBeInstanceOf(FlashStore);
    expect(store.append(0, PRIORITY_HIGH, 1, 0, new Uint8Array(4), 4)).toBe('volatile');
  });

  test('alarms are durable at once, others when RAM has no room for them', () => {
    const user = new User(new Nor(6, 512, 4), 'drop-oldest');
    expect(user.append(PRIORITY_HIGH, 20)).toBe('durable');
    for (let count = 0; count < 20; count += 1) {
      expect(user.append(PRIORITY_NORMAL, 34)).toBe('volatile');
    }
    user.boot();
    // Half of RAM is what a reset costs.
    const half = Math.floor(SIZE / 2 / (34 + RECORD_HEADER_SIZE));
    expect(user.items.size).toBe(21 - half);
  });

  test('the newest alarm first, then the oldest, of flash before RAM', () => {
    const user = new User(new Nor(8, 512, 4), 'drop-oldest');
    const order: number[] = [];
    for (let count = 0; count < 12; count += 1) {
      user.append(([1, 0, 1, 2] as const)[count % 4]!, 34);
    }
    for (let left = 12; left > 0; left -= 1) {
      order.push(user.send()!);
      user.settle(0, true);
    }
    expect(order).toEqual([11, 7, 3, 0, 1, 2, 4, 5, 6, 8, 9, 10]);
  });

  test('ids of records in RAM stay apart from those of flash', () => {
    const user = new User(new Nor(6, 512, 4), 'drop-oldest');
    (user.store as unknown as { idNext: number }).idNext = 0x7fffffff;
    for (let count = 0; count < 2; count += 1) user.append(PRIORITY_NORMAL, 10);
    const ids = [user.store.idAt(user.store.next())];
    user.send();
    ids.push(user.store.idAt(user.store.next()));
    expect(ids).toEqual([0x7fffffff, 1]);
  });

  test('a record from before a reset is of the time of the mount', () => {
    const user = new User(new Nor(6, 512, 4), 'drop-oldest');
    user.append(PRIORITY_HIGH, 20);
    expect(user.store.timeMsAt(user.store.next())).toBe(0);
    user.append(PRIORITY_HIGH, 20);
    expect(user.store.timeMsAt(user.store.next())).toBe(10);
    expect(user.store.isRecovered(user.store.next())).toBe(false);
    expect(user.store.sequenceAt(user.store.nextSince(10))).toBe(1);
    user.boot();
    expect(user.store.timeMsAt(user.store.next())).toBe(123);
    expect(user.store.isRecovered(user.store.next())).toBe(true);
  });

  test('a live alarm goes out past a backlog, an older one does not', () => {
    const user = new User(new Nor(6, 512, 4), 'drop-oldest');
    for (let count = 0; count < 3; count += 1) user.append(PRIORITY_HIGH, 20);
    expect(user.store.nextSince(21)).toBe(-1);
    expect(user.store.sequenceAt(user.store.nextSince(20))).toBe(2);
    user.boot();
    expect(user.store.nextSince(0)).toBe(-1);
  });
});

describe('sequence counter', () => {
  test('no number twice, whichever boot takes it; no gap after an orderly end', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(150), fc.boolean()), { maxLength: 8 }), (boots) => {
        const settings = new Map<string, Uint8Array>();
        let last = -1;
        let wasOrderly = true;
        for (const [count, isOrderly] of boots) {
          const counter = new SequenceCounter(platformOf(undefined, 0, settings));
          expect(counter.stream).toBe(77);
          for (let index = 0; index < count; index += 1) {
            const sequence = counter.take();
            if (wasOrderly || index > 0) expect(sequence).toBe(last + 1);
            expect(sequence).toBeGreaterThan(last);
            expect(sequence - last).toBeLessThanOrEqual(64);
            last = sequence;
            wasOrderly = true;
          }
          if (isOrderly) counter.close();
          if (count > 0) wasOrderly = isOrderly;
        }
      }),
      { numRuns: 200 },
    );
  });
});
