// The flash log against an array of records, through appends, releases, drops and boots, on every
// geometry; wear; and flash that does not take what it is given. Power cuts are test/flash-log.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../src/buffer/crc32.ts';
import { FlashLog, type FlashLogOwner } from '../../src/buffer/flash-log.ts';
import { WORK_SIZE } from '../../src/buffer/log-sectors.ts';
import type { FullPolicy, Priority } from '../../src/buffer/outbox.ts';
import { Nor } from './nor.ts';

const PRIORITIES: readonly Priority[] = [0, 1, 2];
const POLICIES: readonly FullPolicy[] = ['drop-oldest', 'drop-newest', 'drop-lowest-priority'];

interface Item {
  readonly sequence: number;
  readonly priority: Priority;
  readonly payload: Uint8Array;
}

class User implements FlashLogOwner {
  readonly nor: Nor;
  items: Item[] = [];
  /** Sequences in flight. */
  inflight = new Set<number>();
  dropped: number[] = [];
  log: FlashLog;
  private sequence = 0;
  private readonly policy: FullPolicy;

  constructor(nor: Nor, policy: FullPolicy) {
    this.nor = nor;
    this.policy = policy;
    this.log = this.mount();
  }

  boot(): void {
    this.inflight.clear();
    this.log = this.mount();
  }

  onLogDropped(_kind: number, sequence: number): void {
    expect(this.inflight.has(sequence)).toBe(false);
    const index = this.items.findIndex((item) => item.sequence === sequence);
    expect(index).toBeGreaterThanOrEqual(0);
    this.dropped.push(...this.items.splice(index, 1).map((item) => item.sequence));
  }

  isLogInflight(lsn: number): boolean {
    return [...this.inflight].some((sequence) => this.lsnOf(sequence) === lsn);
  }

  append(priority: Priority, size: number): boolean {
    const sequence = this.sequence;
    this.sequence += 1;
    const payload = Uint8Array.from({ length: size }, (_, at) => at * 7 + sequence);
    const bytes = Uint8Array.from([9, ...payload, 9]);
    const isTaken = this.log.append(1, priority, sequence, 5, bytes, 1, size);
    if (isTaken) this.items.push({ sequence, priority, payload });
    return isTaken;
  }

  release(nth: number): void {
    const item = this.items[nth % Math.max(1, this.items.length)];
    if (item === undefined) return;
    const lsn = this.lsnOf(item.sequence);
    expect(this.log.release(item.priority, lsn)).toBe(true);
    expect(this.log.release(item.priority, lsn)).toBe(false);
    this.items.splice(this.items.indexOf(item), 1);
    this.inflight.delete(item.sequence);
  }

  check(): void {
    expect(this.log.count).toBe(this.items.length);
    for (const priority of PRIORITIES) {
      const expected = this.items.filter((item) => item.priority === priority);
      expect(this.list(priority)).toEqual(expected);
      const newest = this.log.findNewest(priority, 0x7fffffff)
        ? this.log.found.sequence
        : undefined;
      expect(newest).toBe(expected.at(-1)?.sequence);
    }
    expect(this.log.faultCount + this.log.corruptCount).toBe(0);
  }

  list(priority: Priority): Item[] {
    const items: Item[] = [];
    for (let lsn = 0; this.log.findOldest(priority, lsn); lsn += 1) {
      const { found } = this.log;
      const payload = new Uint8Array(found.size);
      lsn = found.lsn;
      items.push({ sequence: found.sequence, priority, payload });
      expect(this.log.read(payload, 0)).toBe(true);
    }
    return items;
  }

  lsnOf(sequence: number): number {
    const { log } = this;
    for (const priority of PRIORITIES) {
      for (let lsn = 0; log.findOldest(priority, lsn); lsn = log.found.lsn + 1) {
        if (log.found.sequence === sequence) return log.found.lsn;
      }
    }
    return -1;
  }

  private mount(): FlashLog {
    return new FlashLog(this.nor, new Uint8Array(WORK_SIZE), this.policy, this);
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      priority: fc.constantFrom(...PRIORITIES),
      size: fc.oneof(fc.nat(60), fc.nat(150)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('release' as const, 'send' as const),
      nth: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'boot' as const }) },
);

const chip = fc.record({
  sectors: fc.integer({ min: 4, max: 9 }),
  sectorSize: fc.constantFrom(256, 512),
  alignment: fc.constantFrom(1, 4, 8, 16, 32),
  erased: fc.constantFrom(255, 0),
});

describe.each(POLICIES)('flash log, %s', (policy) => {
  test('is an array of records, on every geometry, whatever happens', () => {
    fc.assert(
      fc.property(chip, fc.array(step, { minLength: 20, maxLength: 120 }), (geometry, steps) => {
        const { alignment, erased, sectors, sectorSize } = geometry;
        const user = new User(new Nor(sectors, sectorSize, alignment, erased), policy);
        for (const one of steps) {
          if (one.kind === 'append') user.append(one.priority, one.size);
          else if (one.kind === 'release') user.release(one.nth);
          else if (one.kind === 'boot') user.boot();
          else if (user.items.length > 0) {
            user.inflight.add(user.items[one.nth % user.items.length]!.sequence);
          }
        }
        user.check();
        user.boot();
        user.check();
      }),
      { numRuns: 150 },
    );
  });
});

describe('when it is full', () => {
  /** Sectors of one record each. */
  function fullUser(policy: FullPolicy, priorities: readonly Priority[]): User {
    const user = new User(new Nor(5, 256, 4), policy);
    for (const priority of priorities) expect(user.append(priority, 150)).toBe(true);
    expect(user.dropped).toEqual([]);
    return user;
  }

  test('drop-oldest gives up the sector that was begun first, of whatever priority', () => {
    const user = fullUser('drop-oldest', [2, 0, 1, 0]);
    expect(user.append(0, 150)).toBe(true);
    expect(user.dropped).toEqual([0]);
  });

  test('drop-newest gives up nothing', () => {
    const user = fullUser('drop-newest', [2, 0, 1, 0]);
    expect(user.append(2, 150)).toBe(false);
    expect(user.dropped).toEqual([]);
  });

  test('drop-lowest-priority gives up the oldest of the lowest, and none above the new one', () => {
    const user = fullUser('drop-lowest-priority', [2, 1, 0, 0]);
    for (const priority of [1, 2, 2, 2] as const) expect(user.append(priority, 150)).toBe(true);
    expect(user.dropped).toEqual([2, 3, 1, 4]);
    expect(user.append(1, 150)).toBe(false);
  });

  test('what is in flight is passed over', () => {
    const user = fullUser('drop-oldest', [1, 1, 1, 1]);
    user.inflight.add(0);
    expect(user.append(1, 150)).toBe(true);
    expect(user.dropped).toEqual([1]);
    for (const sequence of [2, 3, 4]) user.inflight.add(sequence);
    expect(user.append(1, 150)).toBe(false);
  });
});

describe('wear', () => {
  const wraps = 10_000;
  const payload = new Uint8Array(150).fill(7);

  test.each([4, 5, 8])('within 1 after 10,000 wraps of %i sectors', (sectors) => {
    const user = new User(new Nor(sectors, 256, 4), 'drop-oldest');
    user.onLogDropped = () => undefined;
    for (let count = 0; count < wraps * sectors; count += 1) {
      user.log.append(1, 1, count, 0, payload, 0, 150);
      if (count % 3 > 0) user.log.release(1, count + 1);
    }
    expect(Math.min(...user.nor.eraseCounts)).toBeGreaterThanOrEqual(wraps);
    expect(user.nor.wearSpread).toBeLessThanOrEqual(1);
  });

  test('also where alarms rest for ever and a chain is slow', () => {
    const user = new User(new Nor(8, 256, 4), 'drop-lowest-priority');
    user.onLogDropped = () => undefined;
    expect(user.append(2, 150) && user.append(2, 150)).toBe(true);
    for (let count = 0; user.nor.eraseCounts[0]! < 2_000; count += 1) {
      user.log.append(1, count % 97 === 0 ? 0 : 1, count, 0, payload, 0, 100);
      expect(user.nor.wearSpread).toBeLessThanOrEqual(1);
    }
    expect(user.list(2).map((item) => item.sequence)).toEqual([0, 1]);
  });

  test('within the mount spread over boots alone, whatever rests', () => {
    const user = new User(new Nor(8, 256, 4), 'drop-oldest');
    // Two sectors of alarms that nothing touches, and three that each boot moves.
    for (const size of [150, 150, 40]) user.append(2, size);
    for (const priority of [0, 1] as const) user.append(priority, 40);
    for (let boot = 0; boot < 500; boot += 1) user.boot();
    user.check();
    expect(user.nor.wearSpread).toBeLessThanOrEqual(9);
  });
});

describe('flash that fails', () => {
  test('a worn sector is counted and passed over', () => {
    const nor = new Nor(6, 256, 4);
    const user = new User(nor, 'drop-oldest');
    const write = nor.write.bind(nor);
    nor.write = (address, bytes, start, end) => {
      // Sectors 1 and 3 keep their erased state.
      if (![1, 3].includes(Math.floor(address / 256))) write(address, bytes, start, end);
    };
    for (let count = 0; count < 40; count += 1) expect(user.append(1, 100)).toBe(true);
    expect(user.log.faultCount).toBe(2);
    expect(user.list(1).map((item) => item.sequence)).toEqual(user.items.map((i) => i.sequence));
    user.boot();
    expect(user.list(1).map((item) => item.sequence)).toEqual(user.items.map((i) => i.sequence));
  });

  test('a record that is no longer whole is told and not delivered; those after it are', () => {
    const user = new User(new Nor(6, 512, 4), 'drop-oldest');
    for (let count = 0; count < 3; count += 1) user.append(1, 40);
    const lsn = user.lsnOf(1);
    const payload = user.items[1]!.payload;
    const at = user.nor.bytes.findIndex((_, start) =>
      payload.every((byte, index) => user.nor.bytes[start + index] === byte),
    );
    user.nor.bytes[at] ^= 4;
    expect(user.log.findOldest(1, lsn)).toBe(true);
    expect(user.log.read(new Uint8Array(40), 0)).toBe(false);
    expect(user.dropped).toEqual([1]);
    expect(user.log.corruptCount).toBe(1);
    expect(user.list(1).map((item) => item.sequence)).toEqual([0, 2]);
    expect(user.log.count).toBe(2);
  });

  test('no log where the partition cannot hold one', () => {
    expect(() => new User(new Nor(3, 256, 4), 'drop-oldest')).toThrow('at least 4 sectors');
    expect(() => new User(new Nor(6, 256, 64), 'drop-oldest')).toThrow('units of 1-32 bytes');
  });

  test('a record larger than a sector is refused', () => {
    const user = new User(new Nor(6, 256, 4), 'drop-oldest');
    expect(user.append(1, 240)).toBe(false);
    expect(user.append(1, 192)).toBe(true);
  });
});

test('crc32 has the check value of the standard', () => {
  const digits = Uint8Array.from('123456789', (digit) => digit.charCodeAt(0));
  expect(crc32(digits, 0, 9, 0)).toBe(0xcbf43926);
  expect(crc32(digits, 4, 9, crc32(digits, 0, 4, 0))).toBe(0xcbf43926);
});
