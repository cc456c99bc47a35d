import type { BootReason } from '@flotilla/sdk/platform';
import { describe, expect, test } from 'vitest';
import { encodeRecord, REASON_CONFIRMED, SLOT_VALID } from '../src/boot-record.ts';
import { BOOT_LOG_COUNT_MAX } from '../src/bootloader.ts';
import { espSequenceCrc } from '../src/crc32.ts';
import { createEspIdfProfile } from '../src/profiles/esp-idf.ts';
import { createHardenedProfile, TRIES_MAX } from '../src/profiles/hardened.ts';
import {
  type Board,
  type BoardOptions,
  createBoard,
  digestOf,
  espImageOf,
  imageOf,
  KEY,
  LAYOUT,
  OTHER_KEY,
} from './support/board.ts';

const V1 = imageOf('1.0.0', 1);
const V2 = imageOf('2.0.0', 2);

/** Version 1 runs in slot 0 and is VALID. */
function fieldBoard(options: BoardOptions = {}): Board {
  const board = createBoard(createHardenedProfile(), { slots: [V1, undefined], ...options });
  board.bootloader.profile.confirm(board.machine, 0);
  return board;
}

/** Version 2 lies in slot 1 of such a board, and is staged. */
function stagedBoard(options: BoardOptions = {}): Board {
  const board = fieldBoard({ slots: [V1, V2], ...options });
  expect(boot(board)).toMatchObject({ slot: 0, trial: false });
  board.bootloader.profile.stage(board.machine, 0);
  return board;
}

function boot({ bootloader, machine }: Board, reset: BootReason = 'restart') {
  machine.flash.powerOn();
  return bootloader.boot(reset);
}

function overwrite({ machine: { flash } }: Board, start: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 4096) flash.erase(start + at);
  flash.program(start, bytes);
}

describe('the ROM', () => {
  test.each([0, 2000, 4095])('refuses a stage 2 with a bit flipped at %d', (address) => {
    const board = fieldBoard();
    board.machine.flash.flipBit(address, 3);
    expect(boot(board, 'power-on')).toMatchObject({
      outcome: 'halt',
      slot: -1,
      haltCode: 'stage2-not-trusted',
    });
    board.machine.flash.flipBit(address, 3);
    expect(boot(board, 'power-on')).toMatchObject({ outcome: 'slot', slot: 0 });
  });

  test('takes any stage 2 while secure boot is not fused', () => {
    const board = fieldBoard({ fuses: { secureBoot: false } });
    board.machine.flash.flipBit(0, 0);
    expect(boot(board)).toMatchObject({ outcome: 'slot' });
  });
});

describe('an update', () => {
  test('is tried, confirmed, and kept', () => {
    const board = stagedBoard();
    expect(boot(board)).toMatchObject({ slot: 1, version: '2.0.0', trial: true, reason: 'staged' });
    board.bootloader.profile.confirm(board.machine, 1);
    for (const reset of ['restart', 'power-on', 'watchdog', 'crash', 'brownout'] as const) {
      expect(boot(board, reset)).toMatchObject({
        slot: 1,
        trial: false,
        reverted: false,
        reason: 'confirmed',
      });
    }
  });

  test.each<BootReason>(['watchdog', 'crash', 'power-on', 'brownout', 'restart'])(
    'that is not confirmed is tried a few times, and then given up: %s',
    (reset) => {
      const board = stagedBoard();
      for (let tried = 0; tried < TRIES_MAX; tried += 1) {
        expect(boot(board, reset)).toMatchObject({ slot: 1, trial: true, reverted: false });
      }
      const reason = 'tries used up';
      expect(boot(board, reset)).toMatchObject({ slot: 0, trial: false, reverted: true, reason });
      expect(boot(board, reset)).toMatchObject({ slot: 0, reverted: false, reason });
    },
  );

  test('counts the try before the jump: a cut right behind the decision has used it', () => {
    const board = stagedBoard();
    const seen: string[] = [];
    board.machine.flash.hook = ({ kind }) => {
      seen.push(kind);
      return undefined;
    };
    boot(board);
    expect(seen).toEqual(['erase', 'program']);
  });

  test('that rejects itself is given up at once', () => {
    const board = stagedBoard();
    boot(board);
    board.bootloader.profile.reject(board.machine, 1);
    const reason = 'rejected by the application';
    expect(boot(board)).toMatchObject({ slot: 0, version: '1.0.0', trial: false, reason });
  });

  test.each([
    ['is damaged', V2.map((byte, index) => (index === 100 ? byte ^ 1 : byte))],
    ['is signed by a key that nobody trusts', imageOf('2.0.0', 2, OTHER_KEY)],
    ['is empty', new Uint8Array(64).fill(0xff)],
    ['is of the other format', espImageOf('2.0.0')],
    ['has a security counter that the fuses cannot follow', imageOf('2.0.0', 33)],
  ])('that %s never runs', (_, image) => {
    const board = stagedBoard({ slots: [V1, image] });
    expect(boot(board)).toMatchObject({ slot: 0, reverted: true, reason: 'not verified' });
    expect(boot(board, 'power-on')).toMatchObject({ slot: 0, reverted: false });
  });

  test('goes wrong later: the slot before is still there', () => {
    const board = stagedBoard({ slots: [V1, imageOf('2.0.0', 1)] });
    boot(board);
    board.bootloader.profile.confirm(board.machine, 1);
    boot(board);
    board.machine.flash.flipBit(LAYOUT.slots[1].start + 40, 0);
    expect(boot(board)).toMatchObject({ slot: 0, reverted: true, reason: 'not verified' });
  });
});

describe('keys', () => {
  test('a key that stage 2 carries and the fuses do not name is not trusted', () => {
    const board = fieldBoard({ slots: [imageOf('1.0.0', 1, OTHER_KEY), undefined] });
    expect(boot(board)).toMatchObject({ outcome: 'halt', haltCode: 'no-bootable-image' });
  });

  test('a revoked key stops what it signed, also where it ran before', () => {
    const keyDigests = [digestOf(KEY), digestOf(OTHER_KEY)];
    const next = imageOf('2.0.0', 1, OTHER_KEY);
    const board = stagedBoard({ slots: [V1, next], fuses: { keyDigests } });
    expect(boot(board)).toMatchObject({ slot: 1, trial: true });
    board.bootloader.profile.confirm(board.machine, 1);
    board.machine.fuses.revoke(0);
    expect(boot(board)).toMatchObject({ slot: 1, version: '2.0.0' });
    board.machine.fuses.revoke(1);
    expect(boot(board)).toMatchObject({ outcome: 'halt', haltCode: 'no-bootable-image' });
  });
});

describe('the rollback counter', () => {
  test('rises only at a boot that finds the image VALID', () => {
    const board = stagedBoard();
    const { fuses } = board.machine;
    expect(fuses.rollbackCounter).toBe(1);
    boot(board);
    expect(fuses.rollbackCounter).toBe(1);
    board.bootloader.profile.confirm(board.machine, 1);
    expect(fuses.rollbackCounter).toBe(1);
    boot(board);
    expect(fuses.rollbackCounter).toBe(2);
  });

  test('stays where a trial fails', () => {
    const board = stagedBoard();
    for (let tried = 0; tried <= TRIES_MAX + 1; tried += 1) boot(board, 'watchdog');
    expect(board.machine.fuses.rollbackCounter).toBe(1);
  });

  test('keeps older images out', () => {
    const board = stagedBoard();
    board.machine.fuses.raiseCounter(3);
    expect(boot(board)).toMatchObject({ outcome: 'halt', haltCode: 'no-bootable-image' });
  });
});

describe('without a slot that may run', () => {
  const rescue = imageOf('0.1.0', 9);
  const damaged = V1.map((byte, index) => (index === 100 ? byte ^ 1 : byte));

  test('the recovery image runs, and is no trial', () => {
    const board = fieldBoard({ slots: [damaged, undefined], recovery: rescue });
    expect(boot(board)).toMatchObject({
      outcome: 'recovery',
      slot: -1,
      version: '0.1.0',
      trial: false,
      reverted: true,
    });
  });

  test.each([
    ['there is none', undefined],
    ['it is damaged', rescue.map((byte, index) => (index === 50 ? byte ^ 1 : byte))],
    ['it is older than the counter', imageOf('0.1.0', 1)],
  ])('it halts with a code where %s', (_, recovery) => {
    const options = recovery === undefined ? {} : { recovery };
    const fuses = { rollbackBits: 3 };
    const board = fieldBoard({ slots: [damaged, undefined], ...options, fuses });
    expect(boot(board)).toMatchObject({ outcome: 'halt', haltCode: 'no-bootable-image' });
  });

  test('a new image in a slot runs again', () => {
    const board = fieldBoard({ slots: [damaged, undefined], recovery: rescue });
    boot(board);
    overwrite(board, LAYOUT.slots[0].start, V2);
    board.bootloader.profile.stage(board.machine, -1);
    expect(boot(board)).toMatchObject({ outcome: 'slot', slot: 0, version: '2.0.0', trial: true });
  });
});

describe('without a record', () => {
  test('the image with the highest security counter gets a trial, the first one of equals', () => {
    const first = createBoard(createHardenedProfile(), { slots: [V1, V2] });
    expect(boot(first, 'power-on')).toMatchObject({ slot: 1, trial: true, reason: 'provisioned' });
    const second = createBoard(createHardenedProfile(), { slots: [V2, imageOf('3.0.0', 2)] });
    expect(boot(second, 'power-on')).toMatchObject({ slot: 0, trial: true });
    const third = createBoard(createHardenedProfile(), { slots: [undefined, V1] });
    expect(boot(third, 'power-on')).toMatchObject({ slot: 1, version: '1.0.0' });
  });

  test('nothing that nobody signed runs', () => {
    const board = createBoard(createHardenedProfile(), {
      slots: [imageOf('9.0.0', 9, OTHER_KEY), V1],
    });
    expect(boot(board, 'power-on')).toMatchObject({ slot: 1, version: '1.0.0' });
    const empty = createBoard(createHardenedProfile());
    expect(boot(empty, 'power-on')).toMatchObject({ outcome: 'halt' });
  });
});

describe('the record', () => {
  test('is committed again after an unclean reset, and only then (rule 4)', () => {
    const board = fieldBoard();
    const operations = (reset: BootReason) => {
      boot(board, reset);
      return board.machine.flash.operationCount;
    };
    expect(operations('power-on')).toBe(2);
    expect(operations('restart')).toBe(0);
    expect(operations('deep-sleep')).toBe(0);
    for (const reset of ['watchdog', 'crash', 'brownout'] as const)
      expect(operations(reset)).toBe(2);
  });

  test('of ESP-IDF is taken over (rule 5)', () => {
    const board = createBoard(createHardenedProfile(), { slots: [undefined, V1] });
    const entry = new Uint8Array(32).fill(0xff);
    const view = new DataView(entry.buffer);
    view.setUint32(0, 2, true);
    view.setUint32(24, SLOT_VALID, true);
    view.setUint32(28, espSequenceCrc(2), true);
    board.machine.flash.program(LAYOUT.record.start, entry);
    expect(boot(board)).toMatchObject({ slot: 1, version: '1.0.0', trial: false });
    const bytes = new Uint8Array(32);
    board.machine.flash.read(LAYOUT.record.start + 4096, bytes);
    expect(new TextDecoder().decode(bytes.subarray(4, 8))).toBe('ABM1');
  });

  test('that names a slot without an image is not believed', () => {
    const board = createBoard(createHardenedProfile(), { slots: [V1, undefined] });
    const valid = { state: SLOT_VALID, tries: 0 };
    const slots = [valid, valid] as const;
    const fields = {
      sequence: 8,
      active: 1,
      slots,
      reason: REASON_CONFIRMED,
      stock: false,
    } as const;
    board.machine.flash.program(LAYOUT.record.start, encodeRecord(fields));
    expect(boot(board)).toMatchObject({ slot: 0, reverted: true, reason: 'not verified' });
  });
});

describe('a read that goes wrong once', () => {
  test('is no verdict for later boots', () => {
    const board = fieldBoard({ recovery: imageOf('0.1.0', 9) });
    board.machine.flash.readGlitch = (address, into) => {
      if (address === LAYOUT.slots[0].start) into[70]! ^= 1;
    };
    expect(boot(board)).toMatchObject({ outcome: 'recovery' });
    board.machine.flash.readGlitch = undefined;
    expect(boot(board)).toMatchObject({ outcome: 'slot', slot: 0 });
  });

  test('does not hide behind an earlier verdict, and never ends a boot with an error', () => {
    const board = fieldBoard();
    for (let glitched = 1; glitched < 12; glitched += 1) {
      expect(boot(board)).toMatchObject({ outcome: 'slot', slot: 0 });
      // Where the glitch hid the record, the image went on trial.
      board.bootloader.profile.confirm(board.machine, 0);
      let reads = 0;
      board.machine.flash.readGlitch = (_, into) => {
        reads += 1;
        if (reads === glitched) into[0]! ^= 1;
      };
      expect(['slot', 'halt']).toContain(boot(board).outcome);
      board.machine.flash.readGlitch = undefined;
    }
  });
});

describe('the log', () => {
  test('says which slot, why, and whether it reverted', () => {
    const board = stagedBoard();
    for (let count = 0; count < 5; count += 1) boot(board, 'watchdog');
    const words = board.bootloader.entries().map(({ decision, reason, slot, version }) => {
      return `${slot} ${version} ${decision}: ${reason}`;
    });
    expect(words).toEqual([
      '0 1.0.0 selected: confirmed',
      '1 2.0.0 trial: staged',
      '1 2.0.0 trial: staged',
      '1 2.0.0 trial: staged',
      '0 1.0.0 reverted: tries used up',
      '0 1.0.0 selected: tries used up',
    ]);
  });

  test('holds the last boots, and none from before a power cut', () => {
    const board = fieldBoard();
    for (let count = 0; count < BOOT_LOG_COUNT_MAX + 3; count += 1) boot(board, 'watchdog');
    boot(board, 'crash');
    expect(board.bootloader.log).toHaveLength(BOOT_LOG_COUNT_MAX);
    expect(board.bootloader.log.at(-1)).toMatchObject({ reset: 'crash' });
    boot(board, 'power-on');
    expect(board.bootloader.entries()).toHaveLength(1);
  });

  test('names recovery and halt', () => {
    const board = fieldBoard({ slots: [undefined, undefined], recovery: V1 });
    boot(board);
    overwrite(board, LAYOUT.recovery!.start, new Uint8Array(4));
    boot(board);
    const decisions = board.bootloader.entries().map(({ decision }) => decision);
    expect(decisions).toEqual(['recovery', 'halt']);
  });
});

describe('the profile of stock ESP-IDF', () => {
  const slots = [espImageOf('1.0.0', 1), espImageOf('2.0.0', 2)] as const;
  const esp = (options: { rollback: boolean; antiRollback?: boolean }, images = slots) =>
    createBoard(createEspIdfProfile({ antiRollback: false, ...options }), {
      slots: [...images],
      fuses: { secureBoot: false, rollbackBitCount: 16 },
    });

  test('runs the first slot without otadata, and without rollback what was staged', () => {
    const board = esp({ rollback: false });
    expect(boot(board)).toMatchObject({ slot: 0, trial: false, reason: 'no otadata' });
    board.bootloader.profile.stage(board.machine, 0);
    for (let count = 0; count < 5; count += 1) {
      expect(boot(board, 'watchdog')).toMatchObject({ slot: 1, trial: false, version: '2.0.0' });
    }
  });

  test('with rollback gives a new image one boot to confirm itself', () => {
    const board = esp({ rollback: true });
    boot(board);
    board.bootloader.profile.stage(board.machine, 0);
    expect(boot(board)).toMatchObject({ slot: 1, trial: true });
    expect(boot(board, 'watchdog')).toMatchObject({ slot: 0, trial: false, reverted: true });
    board.bootloader.profile.stage(board.machine, 0);
    expect(boot(board)).toMatchObject({ slot: 1, trial: true });
    board.bootloader.profile.confirm(board.machine, 1);
    expect(boot(board, 'watchdog')).toMatchObject({ slot: 1, trial: false, reverted: false });
  });

  test('with anti-rollback burns the fuses when the image is confirmed', () => {
    const board = esp({ rollback: true, antiRollback: true });
    boot(board);
    board.bootloader.profile.stage(board.machine, 0);
    boot(board);
    board.bootloader.profile.confirm(board.machine, 1);
    expect(board.machine.fuses.rollbackCounter).toBe(2);
    board.machine.flash.flipBit(LAYOUT.slots[1].start + 60, 0);
    expect(boot(board)).toMatchObject({ outcome: 'halt', haltCode: 'no-bootable-image' });
  });

  test('leaves the fuses alone for a version that they cannot hold', () => {
    const images = [espImageOf('1.0.0', 1), espImageOf('2.0.0', 17)] as const;
    const board = esp({ rollback: true, antiRollback: true }, images);
    boot(board);
    board.bootloader.profile.stage(board.machine, 0);
    boot(board);
    board.bootloader.profile.confirm(board.machine, 1);
    expect(board.machine.fuses.rollbackCounter).toBe(0);
    expect(boot(board)).toMatchObject({ slot: 1, trial: false });
  });
});
