// The outbox against a plain array, through random sequences, with each policy.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FullPolicy,
  Outbox,
  PAYLOAD_SIZE_MAX,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_NORMAL,
  type Priority,
  RECORD_HEADER_SIZE,
} from '../../src/buffer/outbox.ts';
import { BUFFER_FULL, LARGER_THAN_BUFFER } from '../../src/drop-cause.ts';

const POLICIES: readonly FullPolicy[] = ['drop-oldest', 'drop-newest', 'drop-lowest-priority'];
const SIZE = 160;

interface Item {
  id: number;
  kind: number;
  priority: Priority;
  sequence: number;
  timeMs: number;
  payload: number[];
  inflight: boolean;
}

function sizeOf(item: Item): number {
  return RECORD_HEADER_SIZE + item.payload.length;
}

/** The outbox as an array, oldest first. */
class Model {
  items: Item[] = [];
  dropped: string[] = [];
  droppedCount = 0;
  readonly policy: FullPolicy;

  constructor(policy: FullPolicy) {
    this.policy = policy;
  }

  get size(): number {
    return this.items.reduce((sum, item) => sum + sizeOf(item), 0);
  }

  append(item: Item): 'volatile' | 'dropped' {
    const fits = this.makeRoom(item);
    if (fits) this.items.push(item);
    else this.drop(item);
    return fits ? 'volatile' : 'dropped';
  }

  next(): Item | undefined {
    const waiting = this.items.filter((item) => !item.inflight);
    return waiting.findLast((item) => item.priority === PRIORITY_HIGH) ?? waiting[0];
  }

  private makeRoom(item: Item): boolean {
    const victims = this.items.filter((one) => !one.inflight);
    if (this.policy === 'drop-newest') victims.length = 0;
    if (this.policy === 'drop-lowest-priority') {
      const rest = victims.filter((one) => one.priority <= item.priority);
      victims.splice(0, victims.length, ...rest);
      // Array.sort is stable: within a priority the oldest goes first.
      victims.sort((a, b) => a.priority - b.priority);
    }
    const possible = victims.reduce((sum, one) => sum + sizeOf(one), 0);
    if (this.size - possible + sizeOf(item) > SIZE) return false;
    while (this.size + sizeOf(item) > SIZE) {
      const victim = victims.shift() as Item;
      this.items.splice(this.items.indexOf(victim), 1);
      this.drop(victim);
    }
    return true;
  }

  private drop(item: Item): void {
    this.droppedCount += 1;
    this.dropped.push(`${item.kind} ${item.sequence}`);
  }
}

interface Real {
  outbox: Outbox;
  dropped: string[];
}

function newReal(policy: FullPolicy): Real {
  const dropped: string[] = [];
  const owner = {
    onRecordDropped: (kind: number, sequence: number) => dropped.push(`${kind} ${sequence}`),
  };
  return { outbox: new Outbox(new Uint8Array(SIZE + 11).fill(0xcc), SIZE, policy, owner), dropped };
}

/** What the outbox says about the record at `at`. */
function itemAt({ outbox }: Real, at: number): Omit<Item, 'priority' | 'inflight'> {
  return {
    id: outbox.idAt(at),
    kind: outbox.kindAt(at),
    sequence: outbox.sequenceAt(at),
    timeMs: outbox.timeMsAt(at),
    payload: [...outbox.bytes.subarray(outbox.payloadStart(at), outbox.payloadEnd(at))],
  };
}

function content({
  id,
  kind,
  payload,
  sequence,
  timeMs,
}: Item): Omit<Item, 'priority' | 'inflight'> {
  return { id, kind, payload, sequence, timeMs };
}

function compare(model: Model, real: Real): void {
  const { outbox } = real;
  expect(real.dropped).toEqual(model.dropped);
  expect(outbox.droppedCount).toBe(model.droppedCount);
  expect(outbox.count).toBe(model.items.length);
  const seen: string[] = [];
  outbox.forEach((kind, sequence) => {
    seen.push(`${kind} ${sequence}`);
  });
  expect(seen).toEqual(model.items.map((item) => `${item.kind} ${item.sequence}`));
  for (const item of model.items) {
    const at = outbox.find(item.id);
    expect(at).toBeGreaterThanOrEqual(0);
    expect(itemAt(real, at)).toEqual(content(item));
  }
  const next = model.next();
  const at = outbox.next();
  expect(at < 0 ? undefined : outbox.idAt(at)).toBe(next?.id);
  expect([...outbox.bytes.subarray(SIZE)]).toEqual(new Array(11).fill(0xcc));
}

type Action =
  | { kind: 'append'; record: number; priority: Priority; payload: number[]; timeMs: number }
  | { kind: 'send' }
  | { kind: 'release' | 'refuse'; nth: number }
  | { kind: 'all-waiting' };

const nth = fc.nat(9);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      record: fc.constantFrom(0, 1, 7),
      priority: fc.constantFrom<Priority>(PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH),
      payload: fc
        .oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 60, maxLength: 150 }))
        .map((payload) => [...payload]),
      timeMs: fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'send' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), nth }) },
  fc.record({ kind: fc.constant('refuse' as const), nth }),
  fc.constant({ kind: 'all-waiting' as const }),
);

function take(model: Model, real: Real, one: Action, sequence: number, id: number): boolean {
  const { outbox } = real;
  if (one.kind === 'append') {
    const { payload, priority, record, timeMs } = one;
    const bytes = Uint8Array.from([...payload, 0xee, 0xee]);
    const item: Item = { id, kind: record, priority, sequence, timeMs, payload, inflight: false };
    const expected = model.append(item);
    const outcome = outbox.append(record, priority, sequence, timeMs, bytes, payload.length);
    expect(outcome).toBe(expected);
    return expected === 'volatile';
  }
  if (one.kind === 'send') {
    const item = model.next();
    if (item === undefined) return false;
    item.inflight = true;
    outbox.setInflight(outbox.next());
  } else if (one.kind === 'all-waiting') {
    for (const item of model.items) item.inflight = false;
    outbox.setAllWaiting();
  } else {
    const flying = model.items.filter((item) => item.inflight);
    if (flying.length === 0) return false;
    const item = flying[one.nth % flying.length] as Item;
    const at = outbox.find(item.id);
    if (one.kind === 'refuse') {
      item.inflight = false;
      outbox.setWaiting(at);
    } else {
      model.items.splice(model.items.indexOf(item), 1);
      outbox.release(at);
      expect(outbox.find(item.id)).toBe(-1);
    }
  }
  return false;
}

/** Puts the id counter where it is about to wrap. */
function setIdNext(outbox: Outbox, id: number): void {
  (outbox as unknown as { idNext: number }).idNext = id;
}

describe.each(POLICIES)('outbox, %s', (policy) => {
  test('is an array of records, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.boolean(), (actions, wraps) => {
        const model = new Model(policy);
        const real = newReal(policy);
        let id = wraps ? 0xfffffffe : 1;
        setIdNext(real.outbox, id);
        for (const [sequence, one] of actions.entries()) {
          const stored = take(model, real, one, sequence + 0xfffffff0, id);
          // 0 is no id: it stands for what is not buffered.
          if (stored) id = id === 0xffffffff ? 1 : id + 1;
          compare(model, real);
        }
      }),
      { numRuns: 250 },
    );
  });

  test('what is in flight is never dropped', () => {
    const real = newReal(policy);
    const payload = new Uint8Array(SIZE);
    for (let sequence = 0; sequence < 5; sequence += 1) {
      real.outbox.append(0, PRIORITY_LOW, sequence, 0, payload, 16);
    }
    while (real.outbox.next() >= 0) real.outbox.setInflight(real.outbox.next());
    expect(real.outbox.append(0, PRIORITY_HIGH, 9, 0, payload, 16)).toBe('dropped');
    expect(real.outbox.count).toBe(5);
    expect(real.dropped).toEqual(['0 9']);
  });
});

describe('outbox', () => {
  test('the newest alarm first, then the oldest', () => {
    const { outbox } = newReal('drop-oldest');
    const payload = new Uint8Array(1);
    const priorities: Priority[] = [PRIORITY_LOW, PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_HIGH];
    for (const [sequence, priority] of priorities.entries()) {
      outbox.append(0, priority, sequence, 0, payload, 1);
    }
    const order: number[] = [];
    for (let at = outbox.next(); at >= 0; at = outbox.next()) {
      order.push(outbox.sequenceAt(at));
      outbox.setInflight(at);
    }
    expect(order).toEqual([3, 1, 0, 2]);
  });

  test('an empty outbox begins at the start of its bytes again', () => {
    const { outbox } = newReal('drop-oldest');
    const payload = new Uint8Array(50);
    for (let sequence = 0; sequence < 100; sequence += 1) {
      expect(outbox.append(0, PRIORITY_NORMAL, sequence, 0, payload, 50)).toBe('volatile');
      expect(outbox.next()).toBe(0);
      outbox.setInflight(0);
      outbox.release(0);
    }
    expect(outbox.droppedCount).toBe(0);
  });

  test('payloads of every size up to its own', () => {
    const size = RECORD_HEADER_SIZE + PAYLOAD_SIZE_MAX;
    const owner = { onRecordDropped: () => undefined };
    const outbox = new Outbox(new Uint8Array(size + 100), size + 100, 'drop-newest', owner);
    const payload = new Uint8Array(PAYLOAD_SIZE_MAX + 1).fill(7);
    expect(outbox.append(0, PRIORITY_LOW, 1, 0, payload, PAYLOAD_SIZE_MAX + 1)).toBe('dropped');
    expect(outbox.append(0, PRIORITY_LOW, 1, 0, payload, PAYLOAD_SIZE_MAX)).toBe('volatile');
    expect(outbox.payloadEnd(0) - outbox.payloadStart(0)).toBe(PAYLOAD_SIZE_MAX);
    outbox.release(0);
    expect(outbox.append(0, PRIORITY_LOW, 1, 0, payload, 0)).toBe('volatile');
    expect(outbox.payloadEnd(0)).toBe(outbox.payloadStart(0));
    expect(() => new Outbox(new Uint8Array(5), 6, 'drop-newest', owner)).toThrow('past its bytes');
  });
});

describe('large payloads', () => {
  test('keep their size and kind, beside each other', () => {
    const sizes = fc.oneof(
      fc.constantFrom(0, 1, 255, 256, 65535, 65536, 65537, 131071, 131072),
      fc.nat(200_000),
    );
    const records = fc.array(fc.record({ size: sizes, kind: fc.nat(7) }), { maxLength: 5 });
    const payload = new Uint8Array(200_000).fill(0xff);
    const owner = { onRecordDropped: () => undefined };
    fc.assert(
      fc.property(records, (all) => {
        const outbox = new Outbox(new Uint8Array(1_100_000), 1_100_000, 'drop-newest', owner);
        for (const [sequence, { kind, size }] of all.entries()) {
          expect(outbox.append(kind, PRIORITY_NORMAL, sequence, 0, payload, size)).toBe('volatile');
        }
        const found = all.map(({ kind }) => {
          const at = outbox.next();
          expect(outbox.kindAt(at)).toBe(kind);
          outbox.setInflight(at);
          return outbox.payloadEnd(at) - outbox.payloadStart(at);
        });
        expect(found).toEqual(all.map(({ size }) => size));
      }),
      { numRuns: 30 },
    );
  });

  test('that their writer could not finish are never sent by halves', () => {
    const causes: number[] = [];
    const owner = {
      onRecordDropped: (_: number, __: number, cause: number) => causes.push(cause),
    };
    const outbox = new Outbox(new Uint8Array(300), 300, 'drop-newest', owner);
    expect(outbox.append(0, PRIORITY_NORMAL, 1, 0, new Uint8Array(100), 101)).toBe('dropped');
    expect(outbox.append(0, PRIORITY_NORMAL, 2, 0, new Uint8Array(300), 285)).toBe('dropped');
    expect(outbox.append(0, PRIORITY_NORMAL, 3, 0, new Uint8Array(300), 284)).toBe('volatile');
    expect(outbox.append(0, PRIORITY_NORMAL, 4, 0, new Uint8Array(300), 0)).toBe('dropped');
    expect(causes).toEqual([LARGER_THAN_BUFFER, LARGER_THAN_BUFFER, BUFFER_FULL]);
  });
});

describe('found by this test', () => {
  test('nothing is dropped for a record that does not fit even then', () => {
    const real = newReal('drop-oldest');
    const payload = new Uint8Array(SIZE);
    real.outbox.append(0, PRIORITY_NORMAL, 1, 0, payload, 64);
    real.outbox.setInflight(real.outbox.next());
    real.outbox.append(0, PRIORITY_NORMAL, 2, 0, payload, 20);
    expect(real.outbox.append(0, PRIORITY_NORMAL, 3, 0, payload, 100)).toBe('dropped');
    expect(real.dropped).toEqual(['0 3']);
  });
});
