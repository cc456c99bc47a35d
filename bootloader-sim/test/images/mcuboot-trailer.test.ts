import { expect, test } from 'vitest';
import { readTrailer } from '../../src/images/mcuboot-trailer.ts';
import { readVector } from './vectors.ts';

const UNSET = { magic: 'unset', imageOk: 'unset', copyDone: 'unset' };

test('the vectors of imgtool', () => {
  expect(readTrailer(readVector('padded.bin'))).toEqual({ ...UNSET, magic: 'set' });
  const confirmed = { ...UNSET, magic: 'set', imageOk: 'set' };
  expect(readTrailer(readVector('confirmed.bin'))).toEqual(confirmed);
});

test('each flag has its place and three states', () => {
  const slot = readVector('padded.bin');
  expect(readTrailer(new Uint8Array(64).fill(0xff))).toEqual(UNSET);
  for (const [fromEnd, name] of [
    [24, 'imageOk'],
    [32, 'copyDone'],
  ] as const) {
    for (const [byte, state] of [
      [1, 'set'],
      [0xff, 'unset'],
      [0, 'bad'],
      [3, 'bad'],
    ] as const) {
      const changed = slot.slice();
      changed[slot.length - fromEnd] = byte;
      expect(readTrailer(changed)).toEqual({ ...UNSET, magic: 'set', [name]: state });
    }
  }
});

test('one flipped bit of the magic makes it bad', () => {
  const slot = readVector('padded.bin');
  for (let bit = 0; bit < 16 * 8; bit++) {
    const flipped = slot.slice();
    flipped[slot.length - 16 + (bit >> 3)]! ^= 1 << (bit & 7);
    expect(readTrailer(flipped)?.magic).toBe('bad');
  }
});

test('a slot that is too short has none', () => {
  expect(readTrailer(new Uint8Array(31))).toBeUndefined();
  expect(readTrailer(new Uint8Array())).toBeUndefined();
});
