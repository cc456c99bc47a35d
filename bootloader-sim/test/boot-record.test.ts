import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BootRecord,
  decodeRecord,
  encodeRecord,
  RECORD_SIZE,
  RecordStore,
  SLOT_EMPTY,
  SLOT_INVALID,
  SLOT_NEW,
  SLOT_PENDING,
  SLOT_VALID,
  type SlotState,
} from '../src/boot-record.ts';
import { crc32, espSequenceCrc } from '../src/crc32.ts';
import { ContentPool } from '../src/flash/content.ts';
import { Flash, FlashPartition } from '../src/flash/flash.ts';
import { chipOf } from '../src/flash/geometry.ts';

const SECTOR = 4096;

const slotStates: fc.Arbitrary<SlotState> = fc.record({
  state: fc.constantFrom(SLOT_NEW, SLOT_PENDING, SLOT_VALID, SLOT_INVALID, SLOT_EMPTY),
  tries: fc.nat(3),
});
const records: fc.Arbitrary<BootRecord> = fc
  .record({
    sequence: fc.integer({ min: 1, max: 0x7fffffff }),
    slots: fc.tuple(slotStates, slotStates),
    reason: fc.nat(5),
  })
  .map((fields) => ({ ...fields, active: ((fields.sequence - 1) % 2) as 0 | 1, stock: false }));

const RECORD: BootRecord = {
  sequence: 2,
  active: 1,
  slots: [
    { state: SLOT_VALID, tries: 0 },
    { state: SLOT_NEW, tries: 3 },
  ],
  reason: 1,
  stock: false,
};

/** An entry as ESP-IDF writes it. */
function stockEntry(sequence: number, state: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_SIZE).fill(0xff);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, sequence, true);
  view.setUint32(24, state, true);
  view.setUint32(28, espSequenceCrc(sequence), true);
  return bytes;
}

/** The slot that ESP-IDF's bootloader picks from two sectors (facts of bootloader_common). */
function stockChoice(entries: readonly Uint8Array[]): number | undefined {
  const sequences = entries.flatMap((bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
    const sequence = view.getUint32(0, true);
    const state = view.getUint32(24, true);
    const counts =
      sequence !== 0xffffffff &&
      state !== 3 &&
      state !== 4 &&
      view.getUint32(28, true) === espSequenceCrc(sequence);
    return counts ? [sequence] : [];
  });
  return sequences.length === 0 ? undefined : (Math.max(...sequences) - 1) % 2;
}

describe('checksums', () => {
  test('known answers', () => {
    const digits = new TextEncoder().encode('123456789');
    expect(crc32(digits, 0, 9)).toBe(0xcbf43926);
    expect(crc32(digits, 4, 9, crc32(digits, 0, 4))).toBe(0xcbf43926);
    // As in the otadata of every ESP-IDF device: 01 00 00 00 … 9A 98 43 47.
    expect(espSequenceCrc(1)).toBe(0x4743989a);
    expect(espSequenceCrc(2)).toBe(0x55f63774);
  });
});

describe('a record', () => {
  test('has the layout that is documented', () => {
    const bytes = encodeRecord(RECORD);
    const view = new DataView(bytes.buffer);
    expect(bytes.length).toBe(32);
    expect(view.getUint32(0, true)).toBe(2);
    expect(new TextDecoder().decode(bytes.subarray(4, 8))).toBe('ABM1');
    expect([...bytes.subarray(8, 16)]).toEqual([2, 0, 0, 3, 1, 1, 0xff, 0xff]);
    const covered = Uint8Array.of(...bytes.subarray(0, 16), ...bytes.subarray(24, 32));
    expect(view.getUint32(16, true)).toBe(crc32(covered, 0, 24));
    expect(view.getUint32(20, true)).toBe(~crc32(covered, 0, 24) >>> 0);
    expect(view.getUint32(24, true)).toBe(SLOT_NEW);
    expect(view.getUint32(28, true)).toBe(0x55f63774);
  });

  test('is read as it was written', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(decodeRecord(encodeRecord(record))).toEqual(record);
      }),
    );
  });

  test('names its active slot to ESP-IDF as well', () => {
    fc.assert(
      fc.property(records, (record) => {
        const { state } = record.slots[record.active];
        const choice = stockChoice([encodeRecord(record)]);
        expect(choice).toBe(state === SLOT_INVALID ? undefined : record.active);
      }),
    );
  });

  test('is refused with any bit flipped, and with any byte changed', () => {
    fc.assert(
      fc.property(records, (record) => {
        const bytes = encodeRecord(record);
        for (let at = 0; at < RECORD_SIZE; at += 1) {
          for (let bit = 0; bit < 8; bit += 1) {
            bytes[at]! ^= 1 << bit;
            expect(decodeRecord(bytes)).toBeUndefined();
            bytes[at]! ^= 1 << bit;
          }
        }
      }),
      { numRuns: 20 },
    );
    fc.assert(
      fc.property(records, fc.nat(31), fc.nat(255), (record, at, value) => {
        const bytes = encodeRecord(record);
        fc.pre(bytes[at] !== value);
        bytes[at] = value;
        expect(decodeRecord(bytes)).toBeUndefined();
      }),
    );
  });

  test('is refused when only a part of it was programmed, from either end', () => {
    fc.assert(
      fc.property(records, fc.integer({ min: 0, max: 31 }), (record, size) => {
        const whole = encodeRecord(record);
        const prefix = whole.slice().fill(0xff, size);
        const suffix = whole.slice().fill(0xff, 0, RECORD_SIZE - size);
        // What is FF in the whole record is not missing from a part of it.
        for (const part of [prefix, suffix]) {
          if (Buffer.compare(part, whole) !== 0) expect(decodeRecord(part)).toBeUndefined();
        }
      }),
    );
  });

  test.each([
    ['erased flash', new Uint8Array(32).fill(0xff)],
    ['zeros', new Uint8Array(32)],
    ['sequence 0', encodeRecord({ ...RECORD, sequence: 0 })],
    ['sequence FFFFFFFF', encodeRecord({ ...RECORD, sequence: 0xffffffff })],
    ['another version', withVersion(2)],
  ])('%s is none', (_, bytes) => expect(decodeRecord(bytes)).toBeUndefined());
});

function withVersion(version: number): Uint8Array {
  const bytes = encodeRecord(RECORD);
  bytes[12] = version;
  const crc = crc32(bytes, 24, 32, crc32(bytes, 0, 16));
  new DataView(bytes.buffer).setUint32(16, crc, true);
  new DataView(bytes.buffer).setUint32(20, ~crc >>> 0, true);
  return bytes;
}

describe('an entry of ESP-IDF (rule 5)', () => {
  const empty = { state: SLOT_EMPTY, tries: 0 };
  test.each<[string, number, SlotState | undefined]>([
    ['NEW', 0, { state: SLOT_NEW, tries: 1 }],
    ['PENDING_VERIFY', 1, { state: SLOT_PENDING, tries: 1 }],
    ['VALID', 2, { state: SLOT_VALID, tries: 0 }],
    ['UNDEFINED', 0xffffffff, { state: SLOT_VALID, tries: 0 }],
    ['INVALID', 3, undefined],
    ['ABORTED', 4, undefined],
  ])('%s', (_, state, expected) => {
    for (const sequence of [1, 2]) {
      const record = decodeRecord(stockEntry(sequence, state));
      if (expected === undefined) expect(record).toBeUndefined();
      else {
        const slots = sequence === 1 ? [expected, empty] : [empty, expected];
        expect(record).toMatchObject({ sequence, active: sequence - 1, slots, stock: true });
      }
    }
  });

  test('is none with anything in its label, or a wrong CRC', () => {
    for (let at = 4; at < 24; at += 1) {
      const bytes = stockEntry(1, 2);
      bytes[at] = 0;
      expect(decodeRecord(bytes)).toBeUndefined();
    }
    const bytes = stockEntry(1, 2);
    bytes[28]! ^= 1;
    expect(decodeRecord(bytes)).toBeUndefined();
  });
});

describe('the store', () => {
  function createStore() {
    const flash = new Flash(chipOf(2 * SECTOR), new ContentPool(SECTOR));
    return { flash, store: new RecordStore(new FlashPartition(flash, 0, 2 * SECTOR)) };
  }

  function entriesOf(flash: Flash): Uint8Array[] {
    return [0, 1].map((sector) => {
      const bytes = new Uint8Array(RECORD_SIZE);
      flash.read(sector * SECTOR, bytes);
      return bytes;
    });
  }

  const states = fc.record({
    active: fc.constantFrom(0 as const, 1 as const),
    slots: fc.tuple(slotStates, slotStates),
    reason: fc.nat(5),
    /** A store that was just made, as after a reset. */
    reloads: fc.boolean(),
  });

  test('is empty on an erased chip', () => {
    expect(createStore().store.load()).toBeUndefined();
  });

  test('holds the last state, names its slot by the sequence, and goes up', () => {
    fc.assert(
      fc.property(fc.array(states, { minLength: 1, maxLength: 12 }), (saves) => {
        const { flash, store: first } = createStore();
        let store = first;
        let sequence = 0;
        for (const { reloads, ...state } of saves) {
          if (reloads) store = new RecordStore(new FlashPartition(flash, 0, 2 * SECTOR));
          store.load();
          const saved = store.save(state);
          expect(store.load()).toEqual(saved);
          expect(saved).toMatchObject(state);
          expect((saved.sequence - 1) % 2).toBe(state.active);
          expect([sequence + 1, sequence + 2]).toContain(saved.sequence);
          sequence = saved.sequence;
        }
      }),
    );
  });

  test('never erases or programs the sector of the winning record (rule 1)', () => {
    fc.assert(
      fc.property(fc.array(states, { minLength: 2, maxLength: 12 }), (saves) => {
        const { flash, store } = createStore();
        for (const { reloads: _, ...state } of saves) {
          const before = store.load();
          const winner = entriesOf(flash).findIndex((bytes) => {
            return before !== undefined && decodeRecord(bytes)?.sequence === before.sequence;
          });
          flash.hook = ({ address }) => {
            expect(Math.floor(address / SECTOR)).not.toBe(winner);
            return undefined;
          };
          store.save(state);
          flash.hook = undefined;
        }
      }),
    );
  });

  test('gives the state before or the state after, wherever a save is cut', () => {
    fc.assert(
      fc.property(states, states, fc.nat(31), fc.nat(3), (a, b, size, where) => {
        const { flash, store } = createStore();
        store.save(a);
        const before = store.load();
        flash.powerOn();
        flash.hook = ({ kind }) => {
          if (kind === 'erase') return where === 0 ? { kind: 'erase-zeros' } : undefined;
          if (where === 1) return { kind: 'program-prefix', size };
          return where === 2 ? { kind: 'program-suffix', size } : { kind: 'cut-after' };
        };
        expect(() => store.save(b)).toThrow();
        flash.hook = undefined;
        flash.powerOn();
        const after = new RecordStore(new FlashPartition(flash, 0, 2 * SECTOR)).load();
        if (where === 3) expect(after).toMatchObject({ slots: b.slots, active: b.active });
        else expect(after).toEqual(before);
      }),
    );
  });

  test("is readable by ESP-IDF's rule: the highest sequence names the slot", () => {
    fc.assert(
      fc.property(fc.array(states, { minLength: 1, maxLength: 8 }), (saves) => {
        const { flash, store } = createStore();
        for (const { reloads: _, ...state } of saves) {
          store.load();
          store.save(state);
          const { state: activeState } = state.slots[state.active];
          // ESP-IDF skips an entry that says INVALID, as it must.
          if (activeState === SLOT_INVALID) continue;
          expect(stockChoice(entriesOf(flash))).toBe(state.active);
        }
      }),
    );
  });

  test('takes over from entries of ESP-IDF, beginning beside the newer one', () => {
    const { flash, store } = createStore();
    flash.program(0, stockEntry(4, 2));
    flash.program(SECTOR, stockEntry(3, 2));
    const record = store.load()!;
    expect(record).toMatchObject({ sequence: 4, active: 1, stock: true });
    expect(store.save(record)).toMatchObject({ sequence: 6, active: 1, stock: false });
    expect(decodeRecord(entriesOf(flash)[0]!)).toMatchObject({ stock: true });
    expect(decodeRecord(entriesOf(flash)[1]!)).toMatchObject({ sequence: 6, stock: false });
  });
});
