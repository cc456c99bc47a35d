import { PowerLoss } from '@flotilla/sdk/platform';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FuseFault, type FuseState, Fuses } from '../src/fuses.ts';

const BLANK: FuseState = {
  secureBoot: true,
  keyDigests: ['aa', 'bb', 'cc'],
  revokedKeys: 0,
  stage2Digest: 'dd',
  rollbackBits: 0,
  rollbackBitCount: 32,
};

function fusesOf(changes: Partial<FuseState> = {}): Fuses {
  return new Fuses({ ...BLANK, ...changes });
}

/** Burns under a fault; true when it cut the power. */
function burn(fuses: Fuses, fault: FuseFault | undefined, act: () => void): boolean {
  fuses.hook = () => fault;
  try {
    act();
    return false;
  } catch (error) {
    if (error instanceof PowerLoss) return true;
    throw error;
  } finally {
    fuses.hook = undefined;
  }
}

const bits = fc.nat(0xffffffff);
const faults = fc.option(
  fc.record({
    kind: fc.constantFrom<FuseFault['kind']>('cut-before', 'cut-after', 'torn'),
    seed: fc.nat(),
  }),
  { nil: undefined },
);

describe('the rollback counter', () => {
  test('is the number of burnt bits, wherever they are', () => {
    expect(fusesOf({ rollbackBits: 0x8000_0105 }).rollbackCounter).toBe(4);
    expect(fusesOf({ rollbackBits: 0xffff_ffff }).rollbackCounter).toBe(32);
    expect(fusesOf({ rollbackBitCount: 16 }).rollbackCounterMax).toBe(16);
  });

  test('rises to any version that has bits, and burns as few as it can', () => {
    fc.assert(
      fc.property(bits, fc.nat(32), (rollbackBits, version) => {
        const fuses = fusesOf({ rollbackBits });
        const before = fuses.rollbackCounter;
        fuses.raiseCounter(version);
        expect(fuses.rollbackCounter).toBe(Math.max(before, version));
        expect((fuses.toState().rollbackBits & rollbackBits) >>> 0).toBe(rollbackBits);
      }),
    );
  });

  test('only ever burns 0 to 1, through any cuts, and comes to its version in the end', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(32), faults), { maxLength: 12 }), (burns) => {
        const fuses = fusesOf();
        let highest = 0;
        for (const [version, fault] of burns) {
          const before = fuses.toState().rollbackBits;
          const counter = fuses.rollbackCounter;
          const isCut = burn(fuses, fault, () => fuses.raiseCounter(version));
          expect(isCut).toBe(fault !== undefined && version > counter);
          expect((fuses.toState().rollbackBits & before) >>> 0).toBe(before);
          expect(fuses.rollbackCounter).toBeGreaterThanOrEqual(counter);
          expect(fuses.rollbackCounter).toBeLessThanOrEqual(Math.max(counter, version));
          if (fault?.kind === 'cut-before') expect(fuses.rollbackCounter).toBe(counter);
          if (fault === undefined || fault.kind === 'cut-after')
            highest = Math.max(highest, version);
          expect(fuses.rollbackCounter).toBeGreaterThanOrEqual(highest);
        }
        fuses.raiseCounter(32);
        expect(fuses.rollbackCounter).toBe(32);
      }),
    );
  });

  test('a torn burn leaves none, some or all of its bits, by the seed', () => {
    const counters = Array.from({ length: 50 }, (_, seed) => {
      const fuses = fusesOf();
      expect(burn(fuses, { kind: 'torn', seed }, () => fuses.raiseCounter(3))).toBe(true);
      return fuses.rollbackCounter;
    });
    expect(new Set(counters)).toEqual(new Set([0, 1, 2, 3]));
  });

  test.each([33, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('%d has no bits', (version) => {
    const fuses = fusesOf();
    expect(() => fuses.raiseCounter(version)).toThrow(RangeError);
    expect(fuses.toState()).toEqual(BLANK);
    expect(() => fusesOf({ rollbackBitCount: 16 }).raiseCounter(17)).toThrow('at most 16');
  });
});

describe('keys', () => {
  test('are trusted by their digest, until they are revoked', () => {
    const fuses = fusesOf();
    expect(['aa', 'bb', 'cc', 'dd', ''].map((digest) => fuses.trusts(digest))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    fuses.revoke(1);
    expect(['aa', 'bb', 'cc'].map((digest) => fuses.trusts(digest))).toEqual([true, false, true]);
  });

  test('are all trusted without secure boot', () => {
    expect(fusesOf({ secureBoot: false }).trusts('ee')).toBe(true);
  });

  test('stay revoked, and are revoked by one burn', () => {
    const fuses = fusesOf();
    expect(burn(fuses, { kind: 'cut-before', seed: 0 }, () => fuses.revoke(0))).toBe(true);
    expect(fuses.trusts('aa')).toBe(true);
    expect(burn(fuses, { kind: 'cut-after', seed: 0 }, () => fuses.revoke(0))).toBe(true);
    expect(fuses.trusts('aa')).toBe(false);
    // Nothing is left to burn, so nothing can be cut.
    expect(burn(fuses, { kind: 'torn', seed: 0 }, () => fuses.revoke(0))).toBe(false);
  });

  test.each([3, -1, 0.5])('there is no key %d', (index) => {
    expect(() => fusesOf().revoke(index)).toThrow(RangeError);
  });
});

test('a clone burns on its own', () => {
  const fuses = fusesOf();
  const copy = fuses.clone();
  copy.raiseCounter(5);
  copy.revoke(2);
  expect(fuses.toState()).toEqual(BLANK);
  expect(copy.rollbackCounter).toBe(5);
});
