import { PowerLoss } from '@flotilla/sdk/platform';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ContentPool } from '../src/flash/content.ts';
import type { FlashOperation } from '../src/flash/faults.ts';
import { Flash, FlashError, FlashPartition } from '../src/flash/flash.ts';
import { chipOf, W25Q32, W25Q128 } from '../src/flash/geometry.ts';
import { contentOf, FlashModel, runStep, steps, TINY, tinyFlash } from './support/chip.ts';

function expectLike(flash: Flash, model: FlashModel): void {
  expect(contentOf(flash)).toEqual(model.bytes);
  expect(Array.from(model.wear, (_, sector) => flash.wearOf(sector))).toEqual([...model.wear]);
}

describe('a flash is like its model', () => {
  test('after any operations', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const flash = tinyFlash();
        const model = new FlashModel();
        for (const step of sequence) {
          expect(runStep(flash, step)).toBe(model.run(step));
          expectLike(flash, model);
        }
      }),
    );
  });

  test('and so are its clones, whatever happens to the others', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 2, maxLength: 4 }), fc.nat(), (sequences, from) => {
        const chips = [{ flash: tinyFlash(), model: new FlashModel() }];
        for (const [index, sequence] of sequences.entries()) {
          const parent = chips[(from + index) % chips.length]!;
          chips.push({ flash: parent.flash.clone(), model: parent.model.copy() });
          const { flash, model } = chips[index % chips.length]!;
          for (const step of sequence) expect(runStep(flash, step)).toBe(model.run(step));
          for (const each of chips) expectLike(each.flash, each.model);
        }
      }),
    );
  });
});

describe('what a driver must not do throws, and changes nothing', () => {
  const bytes = new Uint8Array(8);
  test.each<[string, (flash: Flash) => void]>([
    ['erase in a sector', (flash) => flash.erase(1)],
    ['erase past the end', (flash) => flash.erase(TINY.size)],
    ['erase before the start', (flash) => flash.erase(-TINY.sectorSize)],
    ['erase at no number', (flash) => flash.erase(Number.NaN)],
    ['program past the end', (flash) => flash.program(TINY.size - 4, bytes)],
    ['program before the start', (flash) => flash.program(-1, bytes)],
    ['program at a fraction', (flash) => flash.program(0.5, bytes)],
    ['program more than there is', (flash) => flash.program(0, bytes, 4, 12)],
    ['program from before the start', (flash) => flash.program(0, bytes, -4, 4)],
    ['program a negative size', (flash) => flash.program(0, bytes, 4, 0)],
    ['read past the end', (flash) => flash.read(TINY.size - 4, new Uint8Array(8))],
    ['read before the start', (flash) => flash.read(-1, new Uint8Array(8))],
    ['flip past the end', (flash) => flash.flipBit(TINY.size, 0)],
  ])('%s', (_, act) => {
    const flash = tinyFlash();
    expect(() => act(flash)).toThrow(FlashError);
    expectLike(flash, new FlashModel());
    expect(flash.operationCount).toBe(0);
  });

  test('program a byte twice, even with the same bits', () => {
    const flash = tinyFlash();
    flash.program(10, Uint8Array.of(0x0f));
    expect(() => flash.program(10, Uint8Array.of(0x0f))).toThrow('program at 10: not erased');
    expect(() => flash.program(8, new Uint8Array(4))).toThrow('program at 10: not erased');
    expect(contentOf(flash).subarray(8, 12)).toEqual(Uint8Array.of(0xff, 0xff, 0x0f, 0xff));
  });

  test('program in other units than those of the chip', () => {
    const flash = tinyFlash({ writeAlignment: 16 });
    expect(() => flash.program(8, new Uint8Array(16))).toThrow('units of 16');
    expect(() => flash.program(16, new Uint8Array(8))).toThrow('units of 16');
    flash.program(16, new Uint8Array(32));
    expect(() => flash.program(32, new Uint8Array(16))).toThrow('not erased');
  });

  test('a chip that is not made of its sectors', () => {
    expect(() => new Flash(TINY, new ContentPool(4096))).toThrow(FlashError);
    expect(() => tinyFlash({ size: 1000 })).toThrow(FlashError);
    expect(() => tinyFlash({ pageSize: 100 })).toThrow(FlashError);
  });
});

describe('wear', () => {
  test('a sector past its endurance keeps what it holds, and takes only zeros', () => {
    const flash = tinyFlash({ enduranceMax: 2 });
    flash.program(0, Uint8Array.of(0xf0, 0xff));
    flash.erase(0);
    flash.program(0, Uint8Array.of(0xcc, 0x55));
    flash.erase(0);
    flash.program(0, Uint8Array.of(0xcc, 0xff));
    flash.erase(0);
    expect(flash.wearOf(0)).toBe(3);
    flash.program(0, Uint8Array.of(0x0f, 0xaa));
    expect(contentOf(flash).subarray(0, 3)).toEqual(Uint8Array.of(0x0c, 0xaa, 0xff));
    flash.erase(TINY.sectorSize);
    flash.program(TINY.sectorSize, Uint8Array.of(0x12));
    expect(contentOf(flash)[TINY.sectorSize]).toBe(0x12);
  });
});

describe('operations', () => {
  test('are counted from 0 at each power-on, one per page', () => {
    const flash = tinyFlash();
    const seen: FlashOperation[] = [];
    flash.hook = (operation) => {
      seen.push({ ...operation, ...(operation.bytes && { bytes: operation.bytes.slice() }) });
      return undefined;
    };
    flash.program(60, Uint8Array.of(1, 2, 3, 4, 5, 6), 0, 5);
    flash.powerOn();
    flash.erase(256);
    expect(seen).toEqual([
      { kind: 'program', index: 0, address: 60, size: 4, bytes: Uint8Array.of(1, 2, 3, 4) },
      { kind: 'program', index: 1, address: 64, size: 1, bytes: Uint8Array.of(5) },
      { kind: 'erase', index: 0, address: 256, size: 256 },
    ]);
    expect(flash.bootCount).toBe(1);
  });

  test('take their time', () => {
    const flash = tinyFlash();
    flash.erase(0);
    flash.program(0, new Uint8Array(96));
    flash.read(0, new Uint8Array(32));
    expect(flash.busyUs).toBe(1000 + 96 + 32);
    expect(flash.clone().busyUs).toBe(flash.busyUs);
  });

  test('throw PowerLoss after a cut, until power comes back', () => {
    const flash = tinyFlash();
    flash.program(0, Uint8Array.of(1));
    expect(flash.cut()).toBeInstanceOf(PowerLoss);
    for (const act of [
      () => flash.read(0, new Uint8Array(1)),
      () => flash.erase(0),
      () => flash.program(8, Uint8Array.of(1)),
      () => flash.contentKey(0, 1),
      () => flash.clone().read(0, new Uint8Array(1)),
    ]) {
      expect(act).toThrow(PowerLoss);
    }
    flash.powerOn();
    expect(contentOf(flash)[0]).toBe(1);
    expect(contentOf(flash)[8]).toBe(0xff);
  });

  test('can read wrongly, without a change of what is there', () => {
    const flash = tinyFlash();
    const key = flash.contentKey(0, 256);
    flash.readGlitch = (address, into) => {
      if (address === 0) into[3]! ^= 4;
    };
    expect(contentOf(flash)[3]).toBe(0xfb);
    expect(flash.contentKey(0, 256)).toContain('w');
    flash.readGlitch = undefined;
    expect(contentOf(flash)[3]).toBe(0xff);
    expect(flash.contentKey(0, 256)).toBe(key);
  });

  test('flip a bit at rest, there and back', () => {
    const flash = tinyFlash();
    flash.flipBit(300, 7);
    expect(contentOf(flash)[300]).toBe(0x7f);
    expect(flash.contentKey(256, 1)).not.toBe(flash.contentKey(0, 1));
    flash.flipBit(300, 7);
    expect(flash.contentKey(256, 1)).toBe(flash.contentKey(0, 1));
  });
});

describe('sharing by content', () => {
  const image = Uint8Array.from({ length: 512 }, (_, index) => index & 0xff);

  test('the same bytes have the same key, however they were written', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const keys = [1, 7, 64, 100, 256, 512].map((step) => {
      const flash = new Flash(TINY, pool);
      for (let at = 0; at < 512; at += step) flash.program(at, image, at, Math.min(512, at + step));
      return flash.contentKey(0, 512);
    });
    expect(new Set(keys).size).toBe(1);
  });

  test('other bytes have another key, also after a trim', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const keys = new Set<string>();
    for (let value = 0; value < 20; value += 1) {
      const flash = new Flash(TINY, pool);
      flash.program(0, Uint8Array.of(value));
      keys.add(flash.contentKey(0, 1));
      pool.trim(4);
    }
    expect(keys.size).toBe(20);
  });

  test('a trim keeps what was pinned, and the erased sector', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const keyOf = () => {
      const flash = new Flash(TINY, pool);
      flash.program(0, image);
      return flash.contentKey(0, 512);
    };
    const before = keyOf();
    pool.pin();
    pool.trim(0);
    expect(keyOf()).toBe(before);
    const all = new Uint8Array(TINY.sectorSize).fill(0xff);
    expect(pool.intern(all)).toBe(pool.erased);
    const other = new ContentPool(TINY.sectorSize);
    other.trim(0);
    expect(other.intern(all)).toBe(other.erased);
  });

  test('chips that begin with a layout hold its bytes and wear, and change their own', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const first = new Flash(TINY, pool);
    first.erase(0);
    first.program(0, image);
    const layout = first.toLayout();
    const [a, b] = [new Flash(TINY, pool, layout), new Flash(TINY, pool, layout)];
    a.erase(0);
    expect([first, a, b].map((flash) => contentOf(flash)[0])).toEqual([0, 0xff, 0]);
    expect([first, a, b].map((flash) => flash.wearOf(0))).toEqual([1, 2, 1]);
    expect(layout.wear[0]).toBe(1);
  });

  test('rebase takes an equal layout, and refuses every other', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const make = (act: (flash: Flash) => void) => {
      const flash = new Flash(TINY, pool);
      act(flash);
      return flash;
    };
    const update = (flash: Flash) => {
      flash.erase(0);
      flash.program(0, image);
    };
    const layout = make(update).toLayout();
    const same = make(update);
    same.rebase(layout);
    expect(contentOf(same)).toEqual(contentOf(make(update)));
    for (const other of [
      make(() => undefined),
      make((flash) => flash.program(0, image)),
      make((flash) => {
        update(flash);
        flash.program(768, Uint8Array.of(1));
      }),
      make((flash) => {
        update(flash);
        flash.erase(512);
      }),
    ]) {
      const before = contentOf(other);
      expect(() => other.rebase(layout)).toThrow('is not as in the layout');
      expect(contentOf(other)).toEqual(before);
    }
    expect(() => tinyFlash({ size: 2048 }).rebase(layout)).toThrow('a layout of 4 sectors');
  });

  test('rebase knows equal bytes after a trim as well', () => {
    const pool = new ContentPool(TINY.sectorSize);
    const first = new Flash(TINY, pool);
    first.program(0, image);
    const layout = first.toLayout();
    pool.trim(0);
    const second = new Flash(TINY, pool);
    second.program(0, image);
    expect(() => second.rebase(layout)).not.toThrow();
  });
});

describe('a partition', () => {
  test('is a range of the flash', () => {
    const flash = tinyFlash();
    const partition = new FlashPartition(flash, 256, 512);
    partition.write(10, Uint8Array.of(9, 1, 2, 9), 1, 3);
    const into = new Uint8Array(4);
    partition.read(9, into);
    expect(into).toEqual(Uint8Array.of(0xff, 1, 2, 0xff));
    expect(contentOf(flash)[266]).toBe(1);
    partition.eraseBlock(0);
    expect(contentOf(flash)[266]).toBe(0xff);
    expect(partition).toMatchObject({ size: 512, sectorSize: 256, erasedValue: 0xff });
  });

  test('ends where it ends', () => {
    const partition = new FlashPartition(tinyFlash(), 256, 512);
    const bytes = new Uint8Array(4);
    expect(() => partition.read(510, bytes)).toThrow('past the partition');
    expect(() => partition.write(510, bytes, 0, 4)).toThrow('past the partition');
    expect(() => partition.eraseBlock(512)).toThrow('past the partition');
    expect(() => partition.eraseBlock(-256)).toThrow('past the partition');
    expect(() => new FlashPartition(tinyFlash(), 100, 256)).toThrow('whole sectors');
    expect(() => new FlashPartition(tinyFlash(), 0, 0)).toThrow('whole sectors');
  });
});

test('the chips are those of their data sheets', () => {
  expect(W25Q32).toMatchObject({ size: 4_194_304, sectorSize: 4096, pageSize: 256 });
  expect(W25Q128).toMatchObject({ size: 16_777_216, enduranceMax: 100_000 });
  expect(chipOf(65_536, 8)).toMatchObject({ size: 65_536, writeAlignment: 8, sectorSize: 4096 });
});
