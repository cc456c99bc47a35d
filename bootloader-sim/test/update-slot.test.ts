import { toHex } from '@flotilla/sdk/codec/bytes';
import { describe, expect, test } from 'vitest';
import { FlashError } from '../src/flash/flash.ts';
import { nodeCrypto } from '../src/node-crypto.ts';
import { createHardenedProfile } from '../src/profiles/hardened.ts';
import { UpdateSlot } from '../src/update-slot.ts';
import { type Board, createBoard, imageOf, LAYOUT } from './support/board.ts';

const V1 = imageOf('1.0.0', 1);
const V2 = imageOf('2.0.0', 1);

function fieldBoard(): Board {
  const slots = [V1, undefined] as const;
  const board = createBoard(createHardenedProfile(), { slots, recovery: imageOf('0.1.0', 9) });
  board.bootloader.profile.confirm(board.machine, 0);
  return board;
}

/** Boots, and returns what the program gets that runs then. */
function start({ bootloader, machine }: Board, onRestart = () => undefined): UpdateSlot {
  machine.flash.powerOn();
  return new UpdateSlot(bootloader, bootloader.boot('restart'), onRestart);
}

function write({ slot }: UpdateSlot, image: Uint8Array): void {
  for (let address = 0; address < slot.size; address += slot.sectorSize) slot.eraseBlock(address);
  slot.write(0, image, 0, image.length);
}

/** Version 2 was written and staged by version 1, and is on trial. */
function onTrial(): { board: Board; firmware: UpdateSlot } {
  const board = fieldBoard();
  const firmware = start(board);
  write(firmware, V2);
  firmware.stage();
  return { board, firmware: start(board) };
}

test('says what runs', () => {
  const board = fieldBoard();
  const firmware = start(board);
  expect(firmware).toMatchObject({ version: '1.0.0', trial: false });
  const digestAt = V1.length - (36 + 36 + 68) + 4;
  expect(toHex(firmware.digest)).toBe(toHex(V1.slice(digestAt, digestAt + 32)));
  expect(firmware.bootReason()).toBe('restart');
  expect(firmware.bootLog()).toEqual(board.bootloader.entries());
});

test('is the slot that does not run', () => {
  const board = fieldBoard();
  const { slot } = start(board);
  expect(slot).toMatchObject({ sectorSize: 4096, erasedValue: 0xff, writeAlignment: 1 });
  expect(slot.size).toBe(LAYOUT.slots[1].size);
  slot.write(0, V2, 0, V2.length);
  const bytes = new Uint8Array(V2.length);
  board.machine.flash.read(LAYOUT.slots[1].start, bytes);
  expect(bytes).toEqual(V2);
  slot.read(0, bytes);
  expect(nodeCrypto.sha256(bytes)).toEqual(nodeCrypto.sha256(V2));
});

test('stages, tries, confirms', () => {
  const { board, firmware } = onTrial();
  expect(firmware).toMatchObject({ version: '2.0.0', trial: true });
  firmware.confirm();
  expect(firmware.trial).toBe(false);
  const after = start(board);
  expect(after).toMatchObject({ version: '2.0.0', trial: false });
  expect(after.bootLog().at(-1)).toMatchObject({ slot: 1, decision: 'selected' });
});

test('confirms once: later calls write nothing', () => {
  const { board, firmware } = onTrial();
  firmware.confirm();
  const { operationCount } = board.machine.flash;
  firmware.confirm();
  expect(board.machine.flash.operationCount).toBe(operationCount);
});

test('rejects, and the next boot goes back', () => {
  const { board, firmware } = onTrial();
  firmware.reject('no sensors');
  const after = start(board);
  expect(after).toMatchObject({ version: '1.0.0', trial: false });
  expect(after.bootLog().at(-1)).toMatchObject({ reason: 'rejected by the application' });
});

test('restarts by the function that it was given', () => {
  let restarts = 0;
  start(fieldBoard(), () => {
    restarts += 1;
  }).restart();
  expect(restarts).toBe(1);
});

describe('on trial the other slot is the way back', () => {
  test('it cannot be written, erased or staged, but read', () => {
    const { board, firmware } = onTrial();
    const { slot } = firmware;
    const { operationCount } = board.machine.flash;
    expect(() => slot.eraseBlock(0)).toThrow(FlashError);
    expect(() => slot.write(4096, V2, 0, 4)).toThrow('on trial');
    expect(() => firmware.stage()).toThrow('on trial');
    expect(board.machine.flash.operationCount).toBe(operationCount);
    const bytes = new Uint8Array(V1.length);
    slot.read(0, bytes);
    expect(bytes).toEqual(V1);
  });

  test('until the image is confirmed', () => {
    const { board, firmware } = onTrial();
    firmware.confirm();
    write(firmware, imageOf('3.0.0', 1));
    firmware.stage();
    expect(start(board)).toMatchObject({ version: '3.0.0', trial: true });
  });
});

describe('in the recovery image', () => {
  function rescue(): { board: Board; firmware: UpdateSlot } {
    const board = fieldBoard();
    board.machine.flash.flipBit(LAYOUT.slots[0].start + 50, 1);
    const firmware = start(board);
    expect(firmware).toMatchObject({ version: '0.1.0', trial: false });
    return { board, firmware };
  }

  test('there is nothing to confirm or to reject', () => {
    const { board, firmware } = rescue();
    firmware.confirm();
    expect(() => firmware.reject('unfit')).toThrow('the recovery image runs');
    expect(start(board)).toMatchObject({ version: '0.1.0' });
  });

  test('an update goes to the first slot', () => {
    const { board, firmware } = rescue();
    write(firmware, V2);
    firmware.stage();
    const after = start(board);
    expect(after).toMatchObject({ version: '2.0.0', trial: true });
    after.confirm();
    expect(start(board)).toMatchObject({ version: '2.0.0', trial: false });
  });
});
