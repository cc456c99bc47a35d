import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WeakKind } from '../src/flash/content.ts';
import { type Fault, formatFault, parseFault } from '../src/flash/faults.ts';
import { type Flash, FlashError } from '../src/flash/flash.ts';
import { contentOf, cutBy, TINY, tinyFlash } from './support/chip.ts';

const { pageSize: PAGE, sectorSize: SECTOR } = TINY;
const sectorBytes = fc.uint8Array({ minLength: SECTOR, maxLength: SECTOR });
const pageBytes = fc.uint8Array({ minLength: 1, maxLength: PAGE });
const seeds = fc.nat(1_000_000);
const weakKinds = fc.constantFrom<WeakKind>('random', 'fading', 'growing');

/** A chip whose sector 1 holds `bytes`. */
function filled(bytes: Uint8Array): Flash {
  const flash = tinyFlash();
  flash.program(SECTOR, bytes);
  flash.powerOn();
  return flash;
}

function sectorOf(flash: Flash, sector = 1): Uint8Array {
  return contentOf(flash).slice(sector * SECTOR, (sector + 1) * SECTOR);
}

/** What sector 1 holds after its erase was cut, and what the rest of the chip does. */
function eraseCut(bytes: Uint8Array, fault: Fault): Uint8Array {
  const flash = filled(bytes);
  cutBy(flash, fault, () => flash.erase(SECTOR));
  expect(sectorOf(flash, 0).every((byte) => byte === 0xff)).toBe(true);
  expect(sectorOf(flash, 2).every((byte) => byte === 0xff)).toBe(true);
  expect(flash.wearOf(1)).toBe(fault.kind === 'cut-before' ? 0 : 1);
  expect(flash.hasWeakBits).toBe(fault.kind === 'erase-weak' && bytes.some((byte) => byte < 255));
  return sectorOf(flash);
}

/** What a page program of `bytes` in the middle of sector 1 leaves. */
function programCut(bytes: Uint8Array, fault: Fault): Uint8Array {
  const flash = tinyFlash();
  cutBy(flash, fault, () => flash.program(SECTOR + PAGE, bytes));
  const sector = sectorOf(flash);
  expect(sector.subarray(0, PAGE).every((byte) => byte === 0xff)).toBe(true);
  expect(sector.subarray(PAGE + bytes.length).every((byte) => byte === 0xff)).toBe(true);
  expect(flash.wearOf(1)).toBe(0);
  return sector.slice(PAGE, PAGE + bytes.length);
}

/** Bits that are to become 0, as [byte, mask], from the first byte's lowest. */
function zerosOf(bytes: Uint8Array): [byte: number, mask: number][] {
  return [...bytes].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap((bit): [number, number][] =>
      (byte >> bit) & 1 ? [] : [[index, 1 << bit]],
    ),
  );
}

/** True where every 1 of `b` is a 1 of `a`. */
function covers(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => (byte | b[index]!) === byte);
}

describe('a cut erase leaves', () => {
  test('cut-before: what was there', () => {
    fc.assert(
      fc.property(sectorBytes, (bytes) => {
        expect(eraseCut(bytes, { kind: 'cut-before' })).toEqual(bytes);
      }),
    );
  });

  test('cut-after: an erased sector', () => {
    fc.assert(
      fc.property(sectorBytes, (bytes) => {
        expect(eraseCut(bytes, { kind: 'cut-after' }).every((byte) => byte === 0xff)).toBe(true);
      }),
    );
  });

  test('erase-zeros: zeros', () => {
    fc.assert(
      fc.property(sectorBytes, (bytes) => {
        expect(eraseCut(bytes, { kind: 'erase-zeros' }).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  test('erase-bits: the ones, and of the zeros about half, by the seed', () => {
    fc.assert(
      fc.property(sectorBytes, seeds, (bytes, seed) => {
        const left = eraseCut(bytes, { kind: 'erase-bits', seed });
        expect(covers(left, bytes)).toBe(true);
        expect(eraseCut(bytes, { kind: 'erase-bits', seed })).toEqual(left);
      }),
    );
    const zeros = new Uint8Array(SECTOR);
    const counts = [1, 2, 3].map((seed) => zerosOf(eraseCut(zeros, { kind: 'erase-bits', seed })));
    for (const { length } of counts) expect(length / (SECTOR * 8)).toBeCloseTo(0.5, 1);
    expect(counts[0]).not.toEqual(counts[1]);
  });

  test('erase-half: one half erased, the other as before', () => {
    fc.assert(
      fc.property(sectorBytes, fc.constantFrom(0 as const, 1 as const), (bytes, half) => {
        const left = eraseCut(bytes, { kind: 'erase-half', half });
        const expected = bytes.slice();
        expected.fill(0xff, (half * SECTOR) / 2, ((half + 1) * SECTOR) / 2);
        expect(left).toEqual(expected);
      }),
    );
  });

  test('erase-weak, fading: zeros for `lag` boots, then an erased sector', () => {
    fc.assert(
      fc.property(sectorBytes, fc.nat(4), (bytes, lag) => {
        const flash = filled(bytes);
        cutBy(flash, { kind: 'erase-weak', weak: 'fading', lag }, () => flash.erase(SECTOR));
        for (let boot = 1; boot <= lag; boot += 1) {
          expect(sectorOf(flash)).toEqual(bytes);
          flash.powerOn();
        }
        expect(sectorOf(flash).every((byte) => byte === 0xff)).toBe(true);
      }),
    );
  });

  test('erase-weak, growing: an erased look for `lag` boots, then what was there', () => {
    fc.assert(
      fc.property(sectorBytes, fc.nat(4), (bytes, lag) => {
        const flash = filled(bytes);
        cutBy(flash, { kind: 'erase-weak', weak: 'growing', lag }, () => flash.erase(SECTOR));
        for (let boot = 1; boot <= lag; boot += 1) {
          expect(sectorOf(flash).every((byte) => byte === 0xff)).toBe(true);
          flash.powerOn();
        }
        expect(sectorOf(flash)).toEqual(bytes);
      }),
    );
  });

  test('erase-weak, random: the ones, and zeros that change with each boot but not within one', () => {
    fc.assert(
      fc.property(sectorBytes, fc.nat(4), (bytes, lag) => {
        const flash = filled(bytes);
        cutBy(flash, { kind: 'erase-weak', weak: 'random', lag }, () => flash.erase(SECTOR));
        const seen = new Set<string>();
        for (let boot = 1; boot <= 4; boot += 1) {
          const left = sectorOf(flash);
          expect(covers(left, bytes)).toBe(true);
          expect(sectorOf(flash)).toEqual(left);
          seen.add(left.join());
          flash.powerOn();
        }
        if (zerosOf(bytes).length > 100) expect(seen.size).toBe(4);
      }),
    );
  });
});

describe('a cut program leaves', () => {
  const cut = (bytes: Uint8Array, size: number) => Math.min(size, bytes.length);

  test('cut-before: nothing', () => {
    fc.assert(
      fc.property(pageBytes, (bytes) => {
        expect(programCut(bytes, { kind: 'cut-before' }).every((byte) => byte === 0xff)).toBe(true);
      }),
    );
  });

  test('cut-after: everything', () => {
    fc.assert(
      fc.property(pageBytes, (bytes) => {
        expect(programCut(bytes, { kind: 'cut-after' })).toEqual(bytes);
      }),
    );
  });

  test('program-prefix and -suffix: the first or the last bytes', () => {
    fc.assert(
      fc.property(pageBytes, fc.nat(PAGE + 1), (bytes, size) => {
        const prefix = bytes.slice().fill(0xff, cut(bytes, size));
        expect(programCut(bytes, { kind: 'program-prefix', size })).toEqual(prefix);
        const suffix = bytes.slice().fill(0xff, 0, bytes.length - cut(bytes, size));
        expect(programCut(bytes, { kind: 'program-suffix', size })).toEqual(suffix);
      }),
    );
  });

  test('program-bits: of the zeros about half, by the seed', () => {
    fc.assert(
      fc.property(pageBytes, seeds, (bytes, seed) => {
        const left = programCut(bytes, { kind: 'program-bits', seed });
        expect(covers(left, bytes)).toBe(true);
        expect(programCut(bytes, { kind: 'program-bits', seed })).toEqual(left);
      }),
    );
    const page = new Uint8Array(PAGE);
    const left = [1, 2, 3].map((seed) => programCut(page, { kind: 'program-bits', seed }));
    for (const each of left) expect(Math.abs(zerosOf(each).length - PAGE * 4)).toBeLessThan(PAGE);
    expect(left[0]).not.toEqual(left[1]);
  });

  test('program-short: all but one zero', () => {
    fc.assert(
      fc.property(pageBytes, fc.nat(PAGE * 8), (bytes, bit) => {
        const expected = bytes.slice();
        const [at, mask] = zerosOf(bytes)[bit] ?? [0, 0];
        expected[at]! |= mask;
        expect(programCut(bytes, { kind: 'program-short', bit })).toEqual(expected);
      }),
    );
  });

  test('program-weak-bit: one zero that comes or goes', () => {
    fc.assert(
      fc.property(pageBytes, fc.nat(40), weakKinds, fc.nat(3), (bytes, bit, weak, lag) => {
        const flash = tinyFlash();
        const fault: Fault = { kind: 'program-weak-bit', weak, lag, bit };
        cutBy(flash, fault, () => flash.program(0, bytes));
        const [at, mask] = zerosOf(bytes)[bit] ?? [0, 0];
        expect(flash.hasWeakBits).toBe(mask !== 0);
        for (let boot = 1; boot <= 5; boot += 1) {
          const erased = bytes.slice();
          erased[at]! |= mask;
          const left = contentOf(flash).slice(0, bytes.length);
          if (weak === 'random') expect([bytes, erased]).toContainEqual(left);
          else expect(left).toEqual((weak === 'fading') === boot <= lag ? bytes : erased);
          flash.powerOn();
        }
      }),
    );
  });

  test('program-weak: strong zeros, and by the seed others that come or go', () => {
    fc.assert(
      fc.property(pageBytes, seeds, (bytes, seed) => {
        const weakly = (weak: WeakKind) => {
          const flash = tinyFlash();
          const fault: Fault = { kind: 'program-weak', weak, lag: 1, seed };
          cutBy(flash, fault, () => flash.program(0, bytes));
          return flash;
        };
        const strong = programCut(bytes, { kind: 'program-bits', seed });
        const page = (flash: Flash) => contentOf(flash).slice(0, bytes.length);
        const [growing, fading, random] = [weakly('growing'), weakly('fading'), weakly('random')];
        expect(page(growing)).toEqual(strong);
        expect(page(fading)).toEqual(bytes);
        expect(covers(page(random), bytes) && covers(strong, page(random))).toBe(true);
        for (const flash of [growing, fading]) flash.powerOn();
        expect(page(growing)).toEqual(bytes);
        expect(page(fading)).toEqual(strong);
      }),
    );
  });
});

describe('weak bits', () => {
  const half = new Uint8Array(SECTOR).fill(0xff).fill(0, 0, SECTOR / 2);

  /** Sector 1 was cut in its erase: its first half looks erased for `lag` boots, this the first. */
  function weakened(lag = 1): Flash {
    const flash = filled(half);
    cutBy(flash, { kind: 'erase-weak', weak: 'growing', lag }, () => flash.erase(SECTOR));
    return flash;
  }

  test('stay when another page of the sector is programmed', () => {
    const flash = weakened();
    flash.program(SECTOR + 3 * PAGE, Uint8Array.of(7));
    expect(sectorOf(flash)[0]).toBe(0xff);
    flash.powerOn();
    const expected = half.slice();
    expected[3 * PAGE] = 7;
    expect(sectorOf(flash)).toEqual(expected);
  });

  test('that are programmed become strong zeros; the others in the byte stay weak', () => {
    const flash = weakened();
    flash.program(SECTOR, Uint8Array.of(0x0f, 0xff));
    expect(sectorOf(flash).subarray(0, 2)).toEqual(Uint8Array.of(0x0f, 0xff));
    flash.powerOn();
    expect(sectorOf(flash).subarray(0, 2)).toEqual(Uint8Array.of(0, 0));
  });

  test('are gone when all of them were programmed or flipped', () => {
    for (const act of [
      (flash: Flash) => flash.program(SECTOR, Uint8Array.of(0)),
      (flash: Flash) => [0, 1, 2, 3].map((bit) => flash.flipBit(SECTOR, bit)),
    ]) {
      const flash = filled(Uint8Array.of(0xf0));
      cutBy(flash, { kind: 'erase-weak', weak: 'growing', lag: 1 }, () => flash.erase(SECTOR));
      expect(flash.hasWeakBits).toBe(true);
      act(flash);
      expect(flash.hasWeakBits).toBe(false);
    }
  });

  test('are not made of what is zero already in a sector that is stuck', () => {
    const flash = tinyFlash({ enduranceMax: 0 });
    flash.program(0, Uint8Array.of(0xf0));
    flash.erase(0);
    const fault: Fault = { kind: 'program-weak-bit', weak: 'fading', lag: 1, bit: 0 };
    cutBy(flash, fault, () => flash.program(0, Uint8Array.of(0xfe)));
    expect(flash.hasWeakBits).toBe(false);
    expect(contentOf(flash)[0]).toBe(0xf0);
  });

  test('that read as zeros on this boot cannot be programmed', () => {
    const flash = weakened();
    flash.powerOn();
    expect(() => flash.program(SECTOR + 5, Uint8Array.of(0))).toThrow('at 261: not erased');
    flash.program(SECTOR + SECTOR / 2, Uint8Array.of(0));
  });

  test('meet a second fault in their sector, and both count', () => {
    const flash = weakened();
    const fault: Fault = { kind: 'program-weak-bit', weak: 'fading', lag: 1, bit: 0 };
    cutBy(flash, fault, () => flash.program(SECTOR + 2 * PAGE, Uint8Array.of(0xf0)));
    expect(sectorOf(flash)[2 * PAGE]).toBe(0xf0);
    expect(sectorOf(flash)[0]).toBe(0);
    flash.powerOn();
    expect(sectorOf(flash)[2 * PAGE]).toBe(0xf1);
    expect(sectorOf(flash)[0]).toBe(0);
  });

  test('a cut program over them is cut like any other', () => {
    const flash = weakened(2);
    const fault: Fault = { kind: 'program-prefix', size: 1 };
    cutBy(flash, fault, () => flash.program(SECTOR, Uint8Array.of(0xf0, 0xf0)));
    expect(sectorOf(flash).subarray(0, 2)).toEqual(Uint8Array.of(0xf0, 0xff));
    flash.powerOn();
    expect(sectorOf(flash).subarray(0, 2)).toEqual(Uint8Array.of(0, 0));
  });

  test('are healed by a whole erase, kept by a half one, and by a flip elsewhere', () => {
    const healed = weakened();
    healed.erase(SECTOR);
    expect(healed.hasWeakBits).toBe(false);
    const [first, second] = ([0, 1] as const).map((which) => {
      const flash = weakened();
      cutBy(flash, { kind: 'erase-half', half: which }, () => flash.erase(SECTOR));
      return flash;
    });
    expect(first!.hasWeakBits).toBe(false);
    expect(sectorOf(second!)).toEqual(half);
    const flipped = weakened();
    flipped.flipBit(SECTOR + 200, 0);
    flipped.flipBit(SECTOR + 1, 0);
    expect(sectorOf(flipped)[1]).toBe(0xfe);
    flipped.powerOn();
    expect(sectorOf(flipped)[0]).toBe(0);
    expect(sectorOf(flipped)[200]).toBe(0xfe);
  });

  test('stay weak through another erase that is cut', () => {
    const weakAgain = weakened();
    const fault: Fault = { kind: 'erase-weak', weak: 'growing', lag: 0 };
    cutBy(weakAgain, fault, () => weakAgain.erase(SECTOR));
    expect(sectorOf(weakAgain)).toEqual(half);
    const mixed = weakened();
    cutBy(mixed, { kind: 'erase-bits', seed: 1 }, () => mixed.erase(SECTOR));
    const zeros = zerosOf(sectorOf(mixed).subarray(0, SECTOR / 2)).length;
    expect(zeros / (SECTOR * 4)).toBeCloseTo(0.5, 1);
    const zeroed = weakened();
    cutBy(zeroed, { kind: 'erase-zeros' }, () => zeroed.erase(SECTOR));
    expect(zeroed.hasWeakBits).toBe(false);
    expect(sectorOf(zeroed).every((byte) => byte === 0)).toBe(true);
  });

  test('show in the key of their content, which changes with the boot', () => {
    const flash = weakened();
    const key = flash.contentKey(SECTOR, SECTOR);
    expect(key).toContain('w');
    expect(flash.contentKey(SECTOR, SECTOR)).toBe(key);
    flash.powerOn();
    expect(flash.contentKey(SECTOR, SECTOR)).not.toBe(key);
    expect(flash.contentKey(0, SECTOR)).not.toContain('w');
  });

  test('are those of one chip: a clone has them, a layout cannot', () => {
    const flash = weakened();
    const copy = flash.clone();
    expect(copy.hasWeakBits).toBe(true);
    for (let boot = 0; boot < 3; boot += 1) {
      expect(contentOf(copy)).toEqual(contentOf(flash));
      flash.powerOn();
      copy.powerOn();
    }
    expect(() => flash.toLayout()).toThrow('weak bits');
  });
});

describe('faults as words', () => {
  const number = fc.nat(0x7fffffff);
  const faults: fc.Arbitrary<Fault> = fc.oneof(
    fc.constantFrom<Fault>({ kind: 'cut-before' }, { kind: 'cut-after' }, { kind: 'erase-zeros' }),
    fc.record({ kind: fc.constantFrom('erase-bits', 'program-bits'), seed: number }),
    fc.record({ kind: fc.constant('erase-half'), half: fc.nat(1) }),
    fc.record({ kind: fc.constant('erase-weak'), weak: weakKinds, lag: number }),
    fc.record({ kind: fc.constantFrom('program-prefix', 'program-suffix'), size: number }),
    fc.record({ kind: fc.constant('program-short'), bit: number }),
    fc.record({ kind: fc.constant('program-weak'), weak: weakKinds, lag: number, seed: number }),
    fc.record({ kind: fc.constant('program-weak-bit'), weak: weakKinds, lag: number, bit: number }),
  ) as fc.Arbitrary<Fault>;

  test('there and back', () => {
    fc.assert(
      fc.property(faults, (fault) => {
        expect(parseFault(formatFault(fault))).toEqual(fault);
      }),
    );
  });

  test.each([
    '',
    'cut',
    'cut-before:1',
    'erase-half:2',
    'erase-half',
    'erase-bits:x',
    'erase-bits:-1',
    'erase-bits:1:2',
    'erase-weak:1',
    'erase-weak:fading',
    'erase-bits:fading:1',
    'program-weak:fading:1',
    'program-weak-bit:growing:1:2:3',
    'constructor',
  ])('%j is none', (text) => expect(parseFault(text)).toBeUndefined());

  test.each<[Fault, 'erase' | 'program']>([
    [{ kind: 'erase-zeros' }, 'program'],
    [{ kind: 'erase-half', half: 0 }, 'program'],
    [{ kind: 'program-prefix', size: 1 }, 'erase'],
    [{ kind: 'program-bits', seed: 1 }, 'erase'],
  ])('$kind is no fault of the other operation', (fault, kind) => {
    const flash = tinyFlash();
    flash.hook = () => fault;
    const act = () => (kind === 'erase' ? flash.erase(0) : flash.program(0, Uint8Array.of(0)));
    expect(act).toThrow(FlashError);
  });
});
