import { CborTag } from '@flotilla/sdk/codec/cbor-value';
import { Decoder, Tag } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CborItemError, decode, encode, type Item } from '../../src/releases/cbor.ts';

const oracle = new Decoder({ mapsAsObjects: false, useRecords: false });

const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    // Beyond 32 bits cbor-x makes a BigInt.
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 }),
    fc.string({ unit: 'binary' }),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('item'), { maxLength: 30 }),
    fc
      .uniqueArray(fc.tuple(fc.oneof(fc.integer(), fc.string()), tie('item')), {
        maxLength: 30,
        selector: ([key]) => key,
      })
      .map((pairs) => new Map<Item, Item>(pairs)),
    // One that cbor-x has no type for.
    tie('item').map((value) => new CborTag(107, value)),
  ),
}));

/** As decode makes it. */
function ofOracle(value: unknown): unknown {
  if (value instanceof Tag) return new CborTag(value.tag, ofOracle(value.value));
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(ofOracle);
  if (!(value instanceof Map)) return value;
  return new Map([...value].map(([key, each]) => [key, ofOracle(each)]));
}

function decoded(hex: string): unknown {
  return decode(Uint8Array.from(Buffer.from(hex, 'hex')));
}

describe('decode', () => {
  test('reads what encode wrote, as cbor-x does', () => {
    fc.assert(
      fc.property(item, (value) => {
        const bytes = encode(value);
        const read = decode(bytes);
        expect(encode(read as Item)).toEqual(bytes);
        expect(read).toEqual(ofOracle(oracle.decode(new Uint8Array(bytes))));
      }),
    );
  });

  test('refuses every prefix, and any byte behind', () => {
    fc.assert(
      fc.property(item, (value) => {
        const bytes = encode(value);
        for (let size = 0; size < bytes.length; size++) {
          expect(() => decode(bytes.subarray(0, size))).toThrow(CborItemError);
        }
        expect(() => decode(Buffer.concat([bytes, bytes]))).toThrow('trailing-bytes');
      }),
    );
  });

  test.each([
    ['f4', false],
    ['f5', true],
    ['f7', undefined],
    ['f93e00', 1.5],
    ['5f42010243030405ff', Uint8Array.of(1, 2, 3, 4, 5)],
    ['9f01ff', [1]],
    ['bf616101ff', new Map([['a', 1]])],
  ])('%s', (hex, value) => {
    expect(decoded(hex)).toEqual(value);
  });

  test.each([
    ['a201000100', 'duplicate-key at byte 3'],
    ['e0', 'unsupported-simple at byte 0'],
    ['9b001fffffffffffff', 'truncated at byte 9'],
    [`${'81'.repeat(17)}00`, 'too-deep at byte 16'],
    [`${'c1'.repeat(17)}00`, 'too-deep at byte 16'],
  ])('refuses %s', (hex, message) => {
    expect(() => decoded(hex)).toThrow(new CborItemError(message));
  });

  test('takes 16 within each other', () => {
    expect(encode(decoded(`${'81'.repeat(16)}00`) as Item)).toHaveLength(17);
  });
});
